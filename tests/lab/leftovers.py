"""What an earlier lab left on this machine, and taking it away.

Found by the lab's own names, not by any record of it, so that also a lab whose state was lost can be removed.
"""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cgroups, netns, network
from tests.lab.model import CGROUP, PREFIX
from tests.lab.shell import program, run
from tests.lab.state import State


class LeftoversError(RuntimeError):
    """A lab, or what is left of one, is on this machine already."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Everything on this machine that a lab made."""

    namespaces: tuple[str, ...]
    groups: tuple[str, ...]
    processes: tuple[str, ...]
    directory: str | None
    owner: str | None

    def __bool__(self) -> bool:
        """Say whether there is anything."""
        return bool(self.namespaces or self.groups or self.directory)

    def __str__(self) -> str:
        """List it, for a person who has to decide."""
        lines = []
        if self.owner:
            lines.append(f"a lab {self.owner}")
        if self.directory:
            lines.append(f"state directory {self.directory}")
        if self.namespaces:
            lines.append(f"network namespaces {', '.join(self.namespaces)}")
        if self.groups:
            lines.append(f"control group {CGROUP} in {len(self.groups)} hierarchies, as {self.groups[-1]}")
        if self.processes:
            lines.append(f"{len(self.processes)} processes in them: {', '.join(sorted(set(self.processes)))}")
        return "\n".join(f"  - {line}" for line in lines)


def find(state_directory: Path) -> Leftovers:
    """Look for a lab, or what is left of one."""
    groups = cgroups.of_host()
    state = State.load(state_directory)
    return Leftovers(
        namespaces=tuple(name for name in netns.names() if name.startswith(PREFIX)),
        groups=tuple(str(path) for path in groups.exists(CGROUP)),
        processes=tuple(_process_name(pid) for pid in groups.processes(CGROUP)),
        directory=str(state_directory) if state_directory.exists() else None,
        owner=str(state.owner) if state else None,
    )


def refuse(state_directory: Path) -> None:
    """Raise when there is anything a new lab would collide with."""
    found = find(state_directory)
    if found:
        raise LeftoversError(f"this machine has a lab already:\n{found}\nTake it away with `down`, or use --force.")


def remove(state_directory: Path) -> None:
    """Take away everything a lab made; harmless where there is nothing."""
    groups = cgroups.of_host()
    mounts = mounts_below(state_directory, Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines())
    for mountpoint in mounts:  # what waits for a stalled disk cannot be killed
        run([program("fsfreeze"), "--unfreeze", mountpoint], check=False)
    groups.kill(CGROUP)
    network.remove()
    groups.remove(CGROUP)
    for mountpoint in mounts:
        run(["umount", "--lazy", mountpoint], check=False)
    with suppress(FileNotFoundError):
        shutil.rmtree(state_directory)


def mounts_below(directory: Path, mountinfo: Iterable[str]) -> list[str]:
    """Return the mount points at or below a directory, deepest first."""
    points = [line.split()[4].replace("\\040", " ") for line in mountinfo]
    inside = [point for point in points if Path(point).is_relative_to(directory)]
    return sorted(inside, key=len, reverse=True)


def _process_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, ProcessLookupError):
        return "?"
