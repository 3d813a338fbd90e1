"""Breaking the lab, and mending it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.lab import network
from tests.lab.model import LAN_NAMESPACE, LAN_TRUNK, MANAGEMENT_NAMESPACE, node
from tests.lab.processes import in_namespace
from tests.lab.shell import run
from tests.lab.switch import DIRECTIONS, Cut, Direction, Target, rulesets

if TYPE_CHECKING:
    from tests.lab.cluster import Lab


class Faults:
    """The faults of one lab. Each is in force when the call returns; doing it twice is harmless."""

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab

    def power_off(self, name: str) -> None:
        """Take a node's power: nothing it had in memory or on the wire survives, its disk does."""
        # Cables first: a dying process's last packet would tell its peers, as no power failure does.
        with self._lab.changing() as state:
            self._plug(name, connected=False)
            self._lab.power_off(name)
            state.powered_off = sorted({*state.powered_off, name})

    def power_on(self, name: str) -> None:
        """Give a node its power back; it boots from its disk."""
        with self._lab.changing() as state:
            if node(name).name in state.powered_off:
                self._plug(name, connected=True)
                self._lab.power_on(name)
                state.powered_off.remove(name)

    def freeze(self, name: str) -> None:
        """Stop all of a node's processes where they are; its kernel still answers pings."""
        self._lab.freeze(node(name).name, frozen=True)

    def thaw(self, name: str) -> None:
        """Let a frozen node go on."""
        self._lab.freeze(node(name).name, frozen=False)

    def cut(self, name: str, target: Target, one_way: Direction | None = None) -> None:
        """Lose a node's traffic with the API server, with the serving LAN, or with its peers.

        Peers: all traffic with the other nodes on both switches, but DHCP's own. `one_way` says which direction is
        lost as the node sees it. Frames vanish silently; the node keeps its carrier.
        """
        self._change_cuts(lambda cuts: cuts | _cuts(name, target, one_way))

    def heal(self, name: str, target: Target, one_way: Direction | None = None) -> None:
        """Undo a cut."""
        self._change_cuts(lambda cuts: cuts - _cuts(name, target, one_way))

    def split_lan(self) -> None:
        """Part the serving LAN in two: n1 with client c1, and n2, n3 with client c2."""
        self._set_trunk(connected=False)

    def join_lan(self) -> None:
        """Make the serving LAN one again."""
        self._set_trunk(connected=True)

    def mend(self) -> None:
        """Undo every fault in force but a wiped disk: all nodes have power and run, nothing is cut."""
        for name in self._lab.machines:
            self.power_on(name)
            self.thaw(name)
        self._change_cuts(lambda cuts: cuts - cuts)
        self.join_lan()

    def wipe(self, name: str) -> list[str]:
        """Empty a node's disk of what its workload wrote, and return what was removed."""
        return self._lab.machines[node(name).name].wipe()

    def _plug(self, name: str, *, connected: bool) -> None:
        for namespace in (MANAGEMENT_NAMESPACE, LAN_NAMESPACE):
            network.set_link(namespace, node(name).name, up=connected)

    def _change_cuts(self, change: Callable[[set[Cut]], set[Cut]]) -> None:
        with self._lab.changing() as state:
            state.cuts = sorted(change(set(state.cuts)))
            for namespace, script in rulesets(state.cuts).items():
                run(in_namespace(namespace, ["nft", "--file", "-"]), stdin=script)

    def _set_trunk(self, *, connected: bool) -> None:
        with self._lab.changing() as state:
            network.set_link(LAN_NAMESPACE, LAN_TRUNK["left"], up=connected)
            state.lan_split = not connected


def _cuts(name: str, target: Target, one_way: Direction | None) -> set[Cut]:
    directions = DIRECTIONS if one_way is None else (one_way,)
    return {Cut(node(name).name, target, direction) for direction in directions}
