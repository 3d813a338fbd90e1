"""The node's clocks, as arguments: who wants the time is handed a function that tells it."""

import time
from collections.abc import Callable

from msgspec import Struct

Clock = Callable[[], float]

STEP_SECONDS = 2.0
"""By how much the wall clock must have moved against the boot clock to count as a step."""


def boottime() -> float:
    """Return CLOCK_BOOTTIME, seconds: the same clock in every container of the node, counting through a suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clocks(Struct, frozen=True):
    """Both clocks.

    Attributes:
        boot: Seconds of CLOCK_BOOTTIME.
        wall: Seconds since the epoch.
    """

    boot: Clock = boottime
    wall: Clock = time.time


class StepWatch:
    """Sees the wall clock step against the boot clock: the machine may have stood still.

    Args:
        clocks: Both clocks.
    """

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._offset = clocks.wall() - clocks.boot()

    def stepped(self) -> float:
        """Return by how much it stepped since the last call, seconds; 0: less than matters."""
        offset = self._clocks.wall() - self._clocks.boot()
        moved = offset - self._offset
        if abs(moved) <= STEP_SECONDS:
            return 0.0  # small ones add up
        self._offset = offset
        return moved
