"""What the two switches are told to drop, computed from the faults in force.

The rules sit in the switches, not in the nodes: raw sockets, with which DHCP servers speak, pass by the packet
filters of their own machine.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tests.lab.model import LAN_NAMESPACE, MANAGEMENT_NAMESPACE, NODES, Node

Target = Literal["api", "lan", "peer"]
Direction = Literal["in", "out"]
TARGETS: tuple[Target, ...] = ("api", "lan", "peer")
DIRECTIONS: tuple[Direction, ...] = ("in", "out")

TABLE = "twinlease_lab"
_DHCP_PORTS = "{ 67, 68, 546, 547 }"


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """Frames of one direction, as the node sees it, that do not arrive."""

    node: str
    target: Target
    direction: Direction


def rulesets(cuts: Iterable[Cut]) -> dict[str, str]:
    """Return, for each switch's namespace, the nft script that puts exactly these cuts into force."""
    ordered = sorted(set(cuts))
    return {
        MANAGEMENT_NAMESPACE: _script(
            forward=[*_peer_rules(ordered)],
            # The API server is the switch's own machine: its frames are not forwarded.
            received=[f'iifname "{cut.node}" drop' for cut in ordered if (cut.target, cut.direction) == ("api", "out")],
            sent=[f'oifname "{cut.node}" drop' for cut in ordered if (cut.target, cut.direction) == ("api", "in")],
        ),
        LAN_NAMESPACE: _script(forward=[*_lan_rules(ordered), *_peer_rules(ordered)]),
    }


def _lan_rules(cuts: Iterable[Cut]) -> Iterator[str]:
    for cut in cuts:
        if cut.target == "lan":
            yield f'{"oifname" if cut.direction == "in" else "iifname"} "{cut.node}" drop'


def _peer_rules(cuts: Iterable[Cut]) -> Iterator[str]:
    peers = [cut for cut in cuts if cut.target == "peer"]
    if peers:
        yield f"udp sport {_DHCP_PORTS} accept"
        yield f"udp dport {_DHCP_PORTS} accept"
    for cut in peers:
        others = [node for node in NODES if node.name != cut.node]
        mine = [node for node in NODES if node.name == cut.node]
        senders, receivers = (others, mine) if cut.direction == "in" else (mine, others)
        yield f"ether saddr {_set(_macs(senders))} oifname {_set(_ports(receivers))} drop"


def _macs(nodes: Iterable[Node]) -> list[str]:
    return [mac for node in nodes for mac in (node.management_mac, node.lan_mac)]


def _ports(nodes: Iterable[Node]) -> list[str]:
    return [f'"{node.name}"' for node in nodes]


def _set(members: Iterable[str]) -> str:
    return f"{{ {', '.join(members)} }}"


def _script(forward: list[str], received: list[str] | None = None, sent: list[str] | None = None) -> str:
    chains = {"forward": forward, "input": received or [], "output": sent or []}
    # Declared, deleted and declared again: one transaction, whether the table was there or not.
    lines = [f"table bridge {TABLE}", f"delete table bridge {TABLE}", f"table bridge {TABLE} {{"]
    for hook, rules in chains.items():
        lines += [f"  chain {hook} {{", f"    type filter hook {hook} priority 0; policy accept;"]
        lines += [f"    {rule}" for rule in rules]
        lines += ["  }"]
    return "\n".join([*lines, "}"]) + "\n"
