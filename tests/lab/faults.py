"""Breaking the lab, and mending it."""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import cgroups, network
from tests.lab.clock import CLOCK_FILE
from tests.lab.model import API_SERVER_CGROUP, CGROUP, LAN_NAMESPACE, LAN_TRUNK, MANAGEMENT_NAMESPACE, node
from tests.lab.processes import in_namespace
from tests.lab.shell import CommandError, run
from tests.lab.switch import DIRECTIONS, Cut, Direction, Target, rulesets

if TYPE_CHECKING:
    from tests.lab.cluster import Lab


class Faults:
    """The faults of one lab. Each is in force when the call returns; doing it twice is harmless."""

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab
        self._groups = cgroups.of_host()

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

    def cut_api_for_all(self) -> None:
        """Lose all nodes' traffic with the API server, and so that of every pod; this machine still reaches it."""
        self._change_cuts(lambda cuts: cuts.union(*(_cuts(name, "api", None) for name in self._lab.machines)))

    def freeze_api(self) -> None:
        """Stop the API server where it is: connections stay and nothing is answered."""
        self._groups.freeze(API_SERVER_CGROUP, frozen=True)

    def thaw_api(self) -> None:
        """Let it go on."""
        self._groups.freeze(API_SERVER_CGROUP, frozen=False)

    def pod_processes(self, name: str, uid: str) -> dict[int, str]:
        """Return the processes of a node's pod: id -> name."""
        found = {}
        for pid in self._groups.processes(self._pod(name, uid)):
            with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                found[pid] = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        return found

    def kill_pod(self, name: str, uid: str) -> None:
        """Kill all of a pod's processes at once; the kubelet will start it again."""
        self._groups.kill(self._pod(name, uid))

    def freeze_pod(self, name: str, uid: str) -> None:
        """Stop all of a pod's processes where they are; its node goes on."""
        self._groups.freeze(self._pod(name, uid), frozen=True)

    def thaw_pod(self, name: str, uid: str) -> None:
        """Let a frozen pod go on."""
        self._groups.freeze(self._pod(name, uid), frozen=False)

    def kill_processes(self, pids: Iterable[int]) -> None:
        """Kill processes (SIGKILL)."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def freeze_processes(self, pids: Iterable[int]) -> None:
        """Stop these processes and no other of their container. They can be killed, and do not know of it."""
        for pid in pids:
            self._groups.freeze(self._groups.isolate(pid), frozen=True)

    def thaw_processes(self, name: str) -> None:
        """Let everything on a node go on, if the node itself does."""
        self._groups.thaw_below(node(name).cgroup)

    def set_clock(self, name: str, uid: str, seconds: int) -> None:
        """Let the wall clock of a node's pod be off by so many seconds; only one with the image of `clock.py`."""
        for pid, command in self.pod_processes(name, uid).items():
            if command != "pause":
                Path(f"/proc/{pid}/root/{CLOCK_FILE}").write_text(f"{seconds}\n", encoding="utf-8")
                return

    def stall_disk(self, name: str) -> None:
        """Let nothing more be written to a node's volumes: whoever tries hangs, and does not die when it is killed.

        Only in a lab whose disks are file systems of their own (`Lab.boot(disks=True)`): not to stop this machine.
        """
        self._lab.machines[node(name).name].freeze_volumes(frozen=True)

    def resume_disk(self, name: str) -> None:
        """Let the disk go on."""
        self._lab.machines[node(name).name].freeze_volumes(frozen=False)

    def keep_disk(self, name: str, copy: Path) -> None:
        """Copy what the workload wrote to a node's volumes, to be put back later with `roll_back_disk`."""
        self._lab.machines[node(name).name].copy_volumes(copy)

    def roll_back_disk(self, name: str, copy: Path) -> None:
        """Put a node's volumes back to what they were. The node must be without power, or its servers stopped."""
        self._lab.machines[node(name).name].restore_volumes(copy)

    def flush_rules(self, name: str) -> None:
        """Be the administrator who flushes the packet filter on a node."""
        run(in_namespace(node(name).namespace, ["nft", "flush", "ruleset"]))

    def delete_tables(self, name: str) -> list[str]:
        """Delete every table of the packet filter on a node, one by one, and return what could be deleted."""
        inside = node(name).namespace
        gone = []
        for line in run(in_namespace(inside, ["nft", "list", "tables"])).splitlines():
            with suppress(CommandError):  # it belongs to a program that keeps it
                run(in_namespace(inside, ["nft", "delete", *line.split()]))
                gone.append(line)
        return gone

    def mend(self) -> None:
        """Undo every fault in force but a wiped disk: all nodes have power and run, nothing is cut."""
        self.thaw_api()
        for name in self._lab.machines:
            self.resume_disk(name)
            self.power_on(name)
            self._groups.thaw_below(node(name).cgroup)
        self._change_cuts(lambda cuts: cuts - cuts)
        self.join_lan()

    def wipe(self, name: str) -> list[str]:
        """Empty a node's disk of what its workload wrote, and return what was removed."""
        return self._lab.machines[node(name).name].wipe()

    def _pod(self, name: str, uid: str) -> str:
        return self._groups.find(f"{CGROUP}/{node(name).name}", f"pod{uid}")

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
