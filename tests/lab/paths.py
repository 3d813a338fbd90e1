"""Where the lab keeps things: a cache that outlives it, and the state of the one running lab."""

import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LAB_SOURCES = Path(__file__).resolve().parent
DEFAULT_STATE = Path("/var/lib/twinlease-lab")


_LAB_NAME = re.compile(r"[a-z0-9]{0,3}")


class LockBusyError(RuntimeError):
    """Another process holds the lock and did not let go in time."""


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of binaries and images: `TWINLEASE_CACHE`, else the user's cache directory."""
    if chosen := environ.get("TWINLEASE_CACHE"):
        return Path(chosen).absolute()
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".cache")
    return Path(base).absolute() / "twinlease"


def lab_name(environ: Mapping[str, str] = os.environ) -> str:
    """Return what tells this lab from others on the machine: `TWINLEASE_LAB`, else nothing.

    Raises:
        ValueError: It would not fit the names of namespaces.
    """
    name = environ.get("TWINLEASE_LAB", "")
    if not _LAB_NAME.fullmatch(name):
        raise ValueError(f"TWINLEASE_LAB {name!r}: want at most 3 of a-z and 0-9")
    return name


def state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of the running lab: `TWINLEASE_LAB_DIR`, else `/var/lib/twinlease-lab` and its name."""
    default = DEFAULT_STATE.with_name(DEFAULT_STATE.name + lab_name(environ))
    return Path(environ.get("TWINLEASE_LAB_DIR") or default).absolute()


@contextmanager
def locked(name: str, *, wait_seconds: float) -> Iterator[None]:
    """Hold the lock called `name`; the kernel lets go of it when we die, however we die."""
    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.lock"
    with path.open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(file.fileno()):
            if time.monotonic() >= deadline:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise LockBusyError(f"{path} is held by {holder}; waited {wait_seconds:g} s")
            time.sleep(0.1)
        file.truncate(0)
        file.write(f"pid {os.getpid()}\n")
        file.flush()
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
