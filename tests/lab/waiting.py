"""Waiting for conditions, never for time to pass."""

import time
from collections.abc import Callable


class NotInTimeError(TimeoutError):
    """A condition did not come true in time."""


def until(what: str, condition: Callable[[], bool], *, timeout: float, every: float = 0.05) -> None:
    """Return as soon as `condition()` is true; raise, naming `what`, when it is not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise NotInTimeError(f"{what}: not within {timeout:g} s")
        time.sleep(every)
