"""The clients of the managed pair's LAN, and a second LAN, like the first, for the bare pair."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.lab import network
from tests.lab.cluster import Lab
from tests.lab.model import PREFIX, node
from tests.lab.network import Step
from tests.lab.shell import run

NODES = ("n1", "n2")
"""Those of the two pairs' servers, the primaries' first."""

MANAGED, BARE = "10.250.", "10.252."
"""How all addresses of either pair's LAN begin."""

MANAGED_LINK, BARE_LINK = "lan0", "lan1"
"""The nodes' interfaces on either LAN."""

_LAN = f"{PREFIX}lan1"
_CLIENT = f"{PREFIX}bench1"
_CLIENT_ADDRESS = "0.250/24"


@dataclass(frozen=True, slots=True)
class Received:
    """Packets that the two nodes' interfaces have received so far."""

    managed: tuple[int, ...]
    bare: tuple[int, ...]

    def since(self, before: "Received") -> "Received":
        """Return how many came after an earlier look."""
        return Received(
            tuple(now - then for now, then in zip(self.managed, before.managed, strict=True)),
            tuple(now - then for now, then in zip(self.bare, before.bare, strict=True)),
        )


@contextmanager
def managed_client(lab: Lab) -> Iterator[str]:
    """Connect a client with an address to the lab's LAN; have its namespace."""
    namespace = lab.add_client("bench0", "left")
    try:
        _execute(Step(namespace, (f"addr add {MANAGED}{_CLIENT_ADDRESS} dev eth0",)))
        yield namespace
    finally:
        lab.remove_client("bench0")


@contextmanager
def second_lan() -> Iterator[str]:
    """Connect the two nodes by a LAN of their own with one client; have the client's namespace."""
    made: list[str] = []
    try:
        for name in (_LAN, _CLIENT):
            run(["ip", "netns", "add", name])
            made.append(name)
        for step in plan():
            _execute(step)
        yield _CLIENT
    finally:
        # The cables end with the switch's namespace, at both ends.
        for name in made:
            run(["ip", "netns", "delete", name], check=False)


def plan() -> list[Step]:
    """Return how the second LAN is built: two switches and a trunk, the client beside the first node. Pure."""
    switch = (
        "link set lo up",
        "link add left type bridge mcast_snooping 0",
        "link add right type bridge mcast_snooping 0",
        "link add trunk-l type veth peer name trunk-r",
        "link set trunk-l master left up",
        "link set trunk-r master right up",
        "link set left up",
        "link set right up",
    )
    steps = [Step(_LAN, switch)]
    for name, side in zip(NODES, ("left", "right"), strict=True):
        each = node(name)
        address = each.lan_address.replace(MANAGED, BARE, 1)
        mac = f"02:6c:62:00:00:1{each.index}"
        inside = (
            f"link add {BARE_LINK} address {mac} type veth peer name {name} netns {_LAN}",
            f"addr add {address}/24 dev {BARE_LINK}",
            f"link set {BARE_LINK} up",
        )
        steps += [Step(each.namespace, inside), Step(_LAN, (f"link set {name} master {side} up",))]
    client = (
        "link set lo up",
        f"link add eth0 type veth peer name client netns {_LAN}",
        f"addr add {BARE}{_CLIENT_ADDRESS} dev eth0",
        "link set eth0 up",
    )
    return [*steps, Step(_CLIENT, client), Step(_LAN, ("link set client master left up",))]


def plug_second(name: str, *, connected: bool) -> None:
    """Plug a node's cable to the second LAN in, or pull it."""
    network.set_link(_LAN, name, up=connected)


def received() -> Received:
    """Count what the nodes' interfaces on the two LANs have received."""
    managed, bare = (
        tuple(_packets(node(name).namespace, link) for name in NODES) for link in (MANAGED_LINK, BARE_LINK)
    )
    return Received(managed, bare)


def _packets(namespace: str, link: str) -> int:
    said = run(["nsenter", f"--net=/run/netns/{namespace}", "cat", "/proc/net/dev"])
    line = next(each for each in said.splitlines() if each.strip().startswith(f"{link}:"))
    return int(line.partition(":")[2].split()[1])


def _execute(step: Step) -> None:
    run(["ip", "-n", step.namespace, "-batch", "-"], stdin="\n".join(step.lines) + "\n")
