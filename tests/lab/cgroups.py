"""Control groups: everything the lab starts lives in one tree of them, so that nothing can be forgotten.

Two kinds of hosts are served: cgroup v2 alone, and hybrid ones where v1 controllers stand beside a v2 hierarchy.
Killing, freezing and finding processes always goes by v2, whose kill and freeze cannot be outrun by a fork.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_ALONE = "alone-"  # of the group of one process that was taken out of its own
_V1_CONTROLLERS = frozenset({"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"})


class CgroupError(RuntimeError):
    """The host's control groups are not what the lab needs, or do not do what they were told."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy; `options` are those that mount it again elsewhere."""

    mountpoint: Path
    kind: str  # cgroup2 or cgroup
    options: str


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The control group hierarchies of this host."""

    unified: Hierarchy
    legacy: tuple[Hierarchy, ...]

    @property
    def all(self) -> tuple[Hierarchy, ...]:
        """Return every hierarchy."""
        return (*self.legacy, self.unified)

    def create(self, group: str, *, controllers: bool) -> list[Path]:
        """Make a group and return the files a process writes itself into to join it.

        Without `controllers` it exists in the v2 hierarchy only: enough to find and kill what is in it.
        """
        hierarchies = self.all if controllers else (self.unified,)
        return [_create(each, group, controllers=controllers) / "cgroup.procs" for each in hierarchies]

    def exists(self, group: str) -> list[Path]:
        """Return the group's directories, one for each hierarchy that has it."""
        return [each.mountpoint / group for each in self.all if (each.mountpoint / group).is_dir()]

    def processes(self, group: str) -> list[int]:
        """Return the ids of the processes in the group and below it."""
        found: list[int] = []
        for directory in _tree(self.unified.mountpoint / group):
            with contextlib.suppress(FileNotFoundError, OSError):
                found += [int(line) for line in (directory / "cgroup.procs").read_text().split()]
        return sorted(found)

    def kill(self, group: str, *, timeout: float = 20.0) -> None:
        """Kill all processes in the group and below it, and return when they are gone."""
        directory = self.unified.mountpoint / group
        if directory.is_dir():
            (directory / "cgroup.kill").write_text("1")
            self._await_event(group, "populated", "0", timeout)

    def freeze(self, group: str, *, frozen: bool, timeout: float = 20.0) -> None:
        """Stop or continue all processes in the group and below it, and return when that is so."""
        (self.unified.mountpoint / group / "cgroup.freeze").write_text("1" if frozen else "0")
        self._await_event(group, "frozen", "1" if frozen else "0", timeout)

    def frozen(self, group: str) -> bool:
        """Say whether the group was told to freeze."""
        try:
            return (self.unified.mountpoint / group / "cgroup.freeze").read_text().strip() == "1"
        except FileNotFoundError:
            return False

    def find(self, group: str, name: str) -> str:
        """Return the group of that name below a group.

        Raises:
            CgroupError: There is none, or more than one.
        """
        root = self.unified.mountpoint
        found = [str(each.relative_to(root)) for each in _tree(root / group) if each.name == name]
        if len(found) != 1:
            raise CgroupError(f"{len(found)} groups {name} below {root / group}, want one")
        return found[0]

    def isolate(self, pid: int) -> str:
        """Move a process into a group of its own, below the one that it is in, and return that.

        Doing it twice is harmless.
        """
        group = parse_membership(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"))
        name = f"{_ALONE}{pid}"
        if Path(group).name == name:
            return group
        alone = self.unified.mountpoint / group / name
        alone.mkdir(exist_ok=True)
        (alone / "cgroup.procs").write_text(str(pid))
        return f"{group}/{name}"

    def thaw_below(self, group: str) -> None:
        """Let everything in the group and below it go on, and put processes that were isolated back."""
        for directory in _tree(self.unified.mountpoint / group):
            with contextlib.suppress(FileNotFoundError):  # it ended meanwhile
                if (directory / "cgroup.freeze").read_text().strip() == "1":
                    self.freeze(str(directory.relative_to(self.unified.mountpoint)), frozen=False)
                if directory.name.startswith(_ALONE):
                    _dissolve(directory)

    def remove(self, group: str, *, timeout: float = 10.0) -> None:
        """Kill what is in the group and below it, and remove it from all hierarchies."""
        deadline = time.monotonic() + timeout
        while directories := self.exists(group):
            self.kill(group)  # each time: a process just being started may join late
            for root in directories:
                for directory in _tree(root):
                    with contextlib.suppress(OSError):  # a process on its way out keeps it busy: tried again below
                        directory.rmdir()
            if time.monotonic() > deadline:
                raise CgroupError(f"{directories[0]} cannot be removed: something is still in it")
            time.sleep(0.01)

    def _await_event(self, group: str, key: str, value: str, timeout: float) -> None:
        events = self.unified.mountpoint / group / "cgroup.events"
        deadline = time.monotonic() + timeout
        while f"{key} {value}" not in events.read_text().splitlines():
            if time.monotonic() > deadline:
                raise CgroupError(f"{events}: {key} is not {value} after {timeout:g} s: {self.processes(group)}")
            time.sleep(0.005)


def parse_mounts(lines: Iterable[str]) -> Cgroups:
    """Find the hierarchies in the lines of /proc/self/mounts."""
    unified: list[Hierarchy] = []
    legacy: list[Hierarchy] = []
    for line in lines:
        _, mountpoint, kind, options, *_ = line.split()
        if kind == "cgroup2":
            unified.append(Hierarchy(Path(mountpoint), kind, ""))
        elif kind == "cgroup":
            wanted = [each for each in options.split(",") if each in _V1_CONTROLLERS or each.startswith("name=")]
            if wanted:
                legacy.append(Hierarchy(Path(mountpoint), kind, ",".join(wanted)))
    if not unified:
        raise CgroupError("no cgroup v2 hierarchy is mounted on this host; the lab kills and freezes nodes with it")
    return Cgroups(unified[0], tuple(legacy))


def parse_membership(text: str) -> str:
    """Return the version 2 group in the text of /proc/PID/cgroup, as a path below the hierarchy's root."""
    return next(line.removeprefix("0::/") for line in text.splitlines() if line.startswith("0::/"))


def of_host() -> Cgroups:
    """Return this host's hierarchies."""
    return parse_mounts(Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines())


def _create(hierarchy: Hierarchy, group: str, *, controllers: bool) -> Path:
    directory = hierarchy.mountpoint
    for part in Path(group).parts:
        parent, directory = directory, directory / part
        if controllers and hierarchy.kind == "cgroup2":
            _delegate(parent)
        directory.mkdir(exist_ok=True)
        if "cpuset" in hierarchy.options.split(","):  # a fresh v1 cpuset has no processor and takes no process
            for name in ("cpuset.cpus", "cpuset.mems"):
                (directory / name).write_text((parent / name).read_text())
            (directory / "cgroup.clone_children").write_text("1")
    return directory


def _dissolve(directory: Path) -> None:
    for pid in (directory / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            (directory.parent / "cgroup.procs").write_text(pid)
    with contextlib.suppress(OSError):  # a process on its way out keeps it busy, and its container's end removes it
        directory.rmdir()


def _delegate(parent: Path) -> None:
    """Let the groups below have all controllers the parent has (none where v1 holds them)."""
    have = set((parent / "cgroup.subtree_control").read_text().split())
    for controller in (parent / "cgroup.controllers").read_text().split():
        if controller not in have:
            with contextlib.suppress(OSError):  # a controller that refuses is one the nodes do without
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def _tree(root: Path) -> Iterator[Path]:
    """Walk a directory and those below it, deepest first."""
    for directory, _, _ in os.walk(root, topdown=False):
        yield Path(directory)
