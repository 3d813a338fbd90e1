"""Memory and processor time of processes, as the kernel counts them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_KIBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes; ``pss`` counts a page that n processes share as an n-th."""

    rss: int
    pss: int

    def __add__(self, other: "Memory") -> "Memory":
        """Return the sum over processes."""
        return Memory(self.rss + other.rss, self.pss + other.pss)


def memory(pids: Iterable[int]) -> Memory:
    """Return the memory of processes now.

    Raises:
        OSError: One of them has ended.
    """
    total = Memory(0, 0)
    for pid in pids:
        fields = kibibytes((_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii"))
        total += Memory(fields["Rss"] * _KIBIBYTE, fields["Pss"] * _KIBIBYTE)
    return total


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that processes have used so far, with the children that they waited for.

    Raises:
        OSError: One of them has ended.
    """
    return sum(ticks((_PROC / str(pid) / "stat").read_text(encoding="utf-8")) for pid in pids) / _TICKS


def machine_user_seconds() -> float:
    """Return the processor time that all programs of this machine have used in user mode so far."""
    return user_ticks((_PROC / "stat").read_text(encoding="ascii")) / _TICKS


def group_user_seconds(directory: Path) -> float:
    """Return the processor time that a control group (version 2) has used in user mode so far."""
    return group_user_microseconds((directory / "cpu.stat").read_text(encoding="ascii")) / 1e6


def names(pids: Iterable[int]) -> dict[int, str]:
    """Return the name of each process that (still) exists."""
    found = {}
    for pid in pids:
        try:
            found[pid] = (_PROC / str(pid) / "comm").read_text(encoding="utf-8").strip()
        except OSError:
            continue
    return found


def in_container(pids: Iterable[int], container: str) -> list[int]:
    """Return those of the processes that are in a container's control group."""
    found = []
    for pid in pids:
        try:
            groups = (_PROC / str(pid) / "cgroup").read_text(encoding="utf-8")
        except OSError:
            continue
        if container in groups:
            found.append(pid)
    return found


def kibibytes(text: str) -> dict[str, int]:
    """Return the values of the lines of a smaps_rollup that have one."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":  # noqa: PLR2004 - name, value, unit
            found[words[0].removesuffix(":")] = int(words[1])
    return found


def user_ticks(stat: str) -> int:
    """Return the time in user mode of all cores, from the text of /proc/stat."""
    user, nice = stat.splitlines()[0].split()[1:3]
    return int(user) + int(nice)


def group_user_microseconds(text: str) -> int:
    """Return the time in user mode from the text of a control group's cpu.stat."""
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("user_usec "))


def ticks(stat: str) -> int:
    """Return the time in user and kernel mode of a process and its collected children, from the text of its stat.

    The name of a program, the second field, may itself hold spaces and brackets.
    """
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))
