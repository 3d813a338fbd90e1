"""Starting programs that outlive us, so that they can always be found again: inside a control group."""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab import netns
from tests.lab.shell import program

# The shell writes itself into the groups before it becomes the program, so no child of the program can escape.
_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done; shift; exec "$@"'


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals by which a user, or a supervisor, wants a program to end."""


class StartError(RuntimeError):
    """A program that should go on running ended at once."""


def joining(procs_files: Sequence[Path], argv: Sequence[str]) -> list[str]:
    """Return the command line that joins the groups and then becomes the program."""
    return [program("sh"), "-c", _JOIN, "join", *map(str, procs_files), "--", *argv]


def in_namespace(namespace: str, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs the program in a network namespace (and in no other new one)."""
    return [program("nsenter"), f"--net={netns.path(namespace)}", "--", *argv]


def spawn(
    procs_files: Sequence[Path],
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
) -> int:
    """Start a program in control groups and in a session of its own, and return its process id.

    Returns once it is in the groups: from then on killing the group kills it.
    """
    command = joining(procs_files, argv)
    devnull_and_log = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    environment = {**os.environ, **(env or {})}
    with _signals_deferred():  # an interruption between the start and the joining would make an orphan
        pid = os.posix_spawn(command[0], command, environment, file_actions=devnull_and_log, setsid=True, setsigmask=[])
        _await_joined(pid, procs_files, log)
    return pid


def reap(pids: Sequence[int]) -> None:
    """Collect the exit status of those children of ours that have ended."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def start_time(pid: int) -> int | None:
    """Return when the process started, in ticks since boot: with it a process id names one process only."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])


@contextmanager
def _signals_deferred() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _await_joined(pid: int, procs_files: Sequence[Path], log: Path) -> None:
    last = procs_files[-1]
    deadline = time.monotonic() + 5.0
    while str(pid) not in last.read_text().split():
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise StartError(f"process {pid} ended at once with status {os.waitstatus_to_exitcode(status)}: {said}")
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise StartError(f"process {pid} is not in {last} after 5 s")
        time.sleep(0.002)
