"""Running other programs: one way to call them, one error when they fail."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_STOP_SECONDS = 5.0  # how long an interrupted program may take to clean up behind itself


class CommandError(RuntimeError):
    """A program could not be run, failed, or took too long; the message holds what it said."""

    def __init__(self, argv: Sequence[str], problem: str, output: str = "") -> None:
        said = output.strip()
        super().__init__(f"{' '.join(argv)}: {problem}" + (f"\n{said}" if said else ""))
        self.output = output


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 60.0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> str:
    """Run a program to its end and return what it printed on standard output.

    The program gets a session of its own: Ctrl-C reaches only us, and then we stop the program with all its children.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise CommandError(argv, "not found on this machine") from error
    with process:
        try:
            output, errors = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _stop_group(process)
            raise CommandError(argv, f"no end after {timeout:g} s") from error
        except BaseException:
            _stop_group(process)
            raise
    if check and process.returncode != 0:
        raise CommandError(argv, f"exit status {process.returncode}", errors or output)
    return output


@contextmanager
def background(argv: Sequence[str], *, timeout: float) -> Iterator[None]:
    """Run a program beside the block, and have it ended, and ended well, when the block is left."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _stop_group(process)
            raise CommandError(argv, f"no end after {timeout:g} s") from error
        except BaseException:
            _stop_group(process)
            raise
    if process.returncode != 0:
        raise CommandError(argv, f"exit status {process.returncode}", output)


def succeeds(argv: Sequence[str], *, timeout: float = 60.0) -> bool:
    """Say whether the program ends with status 0."""
    try:
        run(argv, timeout=timeout)
    except CommandError:
        return False
    return True


def program(name: str) -> str:
    """Return the absolute path of a program, also one in sbin, which an ordinary user's PATH may lack."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise CommandError([name], "not found on this machine")
    return found


def _stop_group(process: subprocess.Popen[str]) -> None:
    """Ask the program and its children to stop, then make them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        # The leader is gone; whoever is left of its session must not outlive it.
        if number is signal.SIGKILL:
            return
