"""The lab's wires: namespaces, switches and the cables between them.

What is to be done is computed first (`plan`, plain data), then handed to `ip` namespace by namespace.
"""

from contextlib import suppress
from dataclasses import dataclass

from tests.lab import netns
from tests.lab.model import (
    CLIENTS,
    LAN_NAMESPACE,
    LAN_TRUNK,
    MANAGEMENT_ADDRESS,
    MANAGEMENT_BRIDGE,
    MANAGEMENT_NAMESPACE,
    NODES,
    OBSERVER_ADDRESS,
    OBSERVER_NAMESPACE,
    PREFIX,
    SERVICE_ADDRESS,
    SERVICE_NETWORK,
    Client,
    Node,
    Side,
)
from tests.lab.shell import CommandError, run

SIDES: tuple[Side, ...] = ("left", "right")


@dataclass(frozen=True, slots=True)
class Step:
    """Lines of `ip -batch` to run in one namespace."""

    namespace: str
    lines: tuple[str, ...]


def plan() -> list[Step]:
    """Return how the whole network is built, in an order that works."""
    return [
        _management_switch(),
        _lan_switch(),
        *(step for node in NODES for step in _node(node)),
        *_observer(),
        *(step for client in CLIENTS for step in client_plan(client)),
    ]


def namespaces() -> list[str]:
    """Return the namespaces of a lab to which no client was added."""
    hosts = [*(node.namespace for node in NODES), *(client.namespace for client in CLIENTS)]
    return [MANAGEMENT_NAMESPACE, LAN_NAMESPACE, OBSERVER_NAMESPACE, *hosts]


def client_plan(client: Client) -> list[Step]:
    """Return how one client is connected to the LAN."""
    cable = f"link add eth0 type veth peer name {client.name} netns {LAN_NAMESPACE}"
    return [
        Step(client.namespace, (cable, "link set eth0 up")),
        Step(LAN_NAMESPACE, (f"link set {client.name} master {client.side} up",)),
    ]


def build() -> None:
    """Make the whole network."""
    for name in namespaces():
        _add_namespace(name)
    for step in plan():
        _execute(step)
    for node in NODES:
        with netns.entered(netns.path(node.namespace)), open("/proc/sys/net/ipv4/ip_forward", "w") as switch:  # noqa: PTH123
            switch.write("1")


def add_client(client: Client) -> None:
    """Connect one more client to the LAN."""
    _add_namespace(client.namespace)
    for step in client_plan(client):
        _execute(step)


def remove_client(client: Client) -> None:
    """Take a client and its cable away."""
    run(["ip", "netns", "delete", client.namespace])


def remove() -> None:
    """Take away every namespace of a lab; bridges and cables go with them."""
    for name in netns.names():
        if name.startswith(PREFIX):
            with suppress(CommandError):  # somebody else removed it meanwhile
                run(["ip", "netns", "delete", name])


def set_link(namespace: str, link: str, *, up: bool) -> None:
    """Plug a cable in at one end, or pull it."""
    _execute(Step(namespace, (f"link set {link} {'up' if up else 'down'}",)))


def _management_switch() -> Step:
    bridge = MANAGEMENT_BRIDGE
    return Step(
        MANAGEMENT_NAMESPACE,
        (
            f"link add {bridge} type bridge mcast_snooping 0",
            f"addr add {MANAGEMENT_ADDRESS}/24 dev {bridge}",
            # Stands in for kube-proxy: the Service address is simply an address of the server's own.
            f"addr add {SERVICE_ADDRESS}/32 dev {bridge}",
            f"link set {bridge} up",
            # The API server reaches pods (webhooks, proxies) by way of their nodes.
            *(f"route add {node.pod_network} via {node.management_address}" for node in NODES),
        ),
    )


def _lan_switch() -> Step:
    trunk = f"link add {LAN_TRUNK['left']} type veth peer name {LAN_TRUNK['right']}"
    lines = [f"link add {side} type bridge mcast_snooping 0" for side in SIDES]
    lines += [trunk]
    lines += [f"link set {LAN_TRUNK[side]} master {side} up" for side in SIDES]
    lines += [f"link set {side} up" for side in SIDES]
    return Step(LAN_NAMESPACE, tuple(lines))


def _node(node: Node) -> list[Step]:
    others = [other for other in NODES if other != node]
    inside = (
        f"link add eth0 address {node.management_mac} type veth peer name {node.name} netns {MANAGEMENT_NAMESPACE}",
        f"link add lan0 address {node.lan_mac} type veth peer name {node.name} netns {LAN_NAMESPACE}",
        f"addr add {node.management_address}/24 dev eth0",
        f"addr add {node.lan_address}/24 dev lan0",
        "link set eth0 up",
        "link set lan0 up",
        f"route add {SERVICE_NETWORK} via {MANAGEMENT_ADDRESS}",
        *(f"route add {other.pod_network} via {other.management_address}" for other in others),
    )
    return [
        Step(node.namespace, inside),
        Step(MANAGEMENT_NAMESPACE, (f"link set {node.name} master {MANAGEMENT_BRIDGE} up",)),
        Step(LAN_NAMESPACE, (f"link set {node.name} master {node.side} up",)),
    ]


def _observer() -> list[Step]:
    """Return how the observer is connected: by a port of its own, so that no cut of a node is one of its."""
    inside = (
        f"link add eth0 type veth peer name watch netns {MANAGEMENT_NAMESPACE}",
        f"addr add {OBSERVER_ADDRESS}/24 dev eth0",
        "link set eth0 up",
        *(f"route add {node.pod_network} via {node.management_address}" for node in NODES),
    )
    plugged = Step(MANAGEMENT_NAMESPACE, (f"link set watch master {MANAGEMENT_BRIDGE} up",))
    return [Step(OBSERVER_NAMESPACE, inside), plugged]


def _add_namespace(name: str) -> None:
    run(["ip", "netns", "add", name])
    _execute(Step(name, ("link set lo up",)))


def _execute(step: Step) -> None:
    run(["ip", "-n", step.namespace, "-batch", "-"], stdin="\n".join(step.lines) + "\n")
