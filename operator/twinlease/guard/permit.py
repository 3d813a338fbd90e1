"""The server's permit: until when it may answer. Pure; times are seconds of CLOCK_BOOTTIME, which the caller reads.

A permit that has lapsed never holds again: a process that was frozen past its deadline has answers queued that nobody
may get any more. It is killed, and another process may get another permit.
"""

from typing import NamedTuple

STEP_SECONDS = 2.0
"""By how much the wall clock must step, against CLOCK_BOOTTIME, to count."""

STEPPED_SECONDS = 1.0
"""How long a permit holds on after a step: whether the machine stood still meanwhile, only the API can tell.

With the keeper's tick of 0.33 s, within which a step is seen, and the arm window of 0.3 s: silent within 2 s of it.
"""


class Reason:
    """Why the guard killed the server; CamelCase, as the status tells it."""

    PERMIT_ENDED = "PermitEnded"
    FENCE_LOST = "FenceLost"
    LINK_REPLACED = "LinkReplaced"
    CLOCK_STEPPED = "ClockStepped"


class Permit(NamedTuple):
    """The permit of one process.

    Attributes:
        deadline: Until when it may answer; None: without end; 0: there is no process.
        lapsed: It holds no longer, whatever the deadline says.
        reason: Why it will have ended when the deadline passes.
    """

    deadline: float | None
    lapsed: bool = False
    reason: str = Reason.PERMIT_ENDED

    def holds(self, now: float) -> bool:
        """Tell whether the server may answer."""
        return not self.lapsed and self.left(now) > 0

    def left(self, now: float) -> float:
        """Return the seconds until the deadline, whether it holds or not; infinity: there is none."""
        return float("inf") if self.deadline is None else self.deadline - now


NONE = Permit(0.0)


def extended(permit: Permit, deadline: float | None, now: float) -> Permit:
    """Return a running server's permit with another deadline, or lapsed: one that does not hold is never revived."""
    if not permit.holds(now):
        return permit._replace(lapsed=True)
    new = Permit(deadline)
    return new if new.holds(now) else new._replace(lapsed=True)


def closed(permit: Permit) -> Permit:
    """Return a permit that has been ended before its time; the deadline stays, the process is killed then."""
    return permit._replace(lapsed=True)


def stepped(permit: Permit, now: float) -> Permit:
    """Return a permit after a step of the wall clock: soon over, unless it is extended. One without end stays."""
    if permit.deadline is None or permit.deadline <= now + STEPPED_SECONDS:
        return permit
    return permit._replace(deadline=now + STEPPED_SECONDS, reason=Reason.CLOCK_STEPPED)


def reckoned_before(permit: Permit, deadline: float | None, now: float) -> Permit:
    """Return a permit after a deadline that was reckoned before a step of the wall clock: it lengthens nothing."""
    if not permit.holds(now):
        return permit._replace(lapsed=True)
    if deadline is None or (permit.deadline is not None and deadline >= permit.deadline):
        return permit
    return permit._replace(deadline=deadline)


def misled(permit: Permit) -> Permit:
    """Return a permit after a step of the wall clock by which the server does harm: over, also an endless one.

    In contact it tells its partner when leases end by this clock, and frees what ended by it. In partner-down it frees
    what ended by it alone. Otherwise nothing is freed without the partner, and a step harms nobody.
    """
    return permit._replace(lapsed=True, reason=Reason.CLOCK_STEPPED)


class ClockWatch:
    """Counts the steps of the wall clock.

    Both clocks are slewed alike, so that their difference changes by steps alone; small ones add up.

    Attributes:
        steps: How many there were.
        last: The size of the last one, seconds; 0: there was none.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.last = 0.0
        self._offset: float | None = None

    def stepped(self, wall: float, now: float) -> bool:
        """Take in what both clocks say; tell whether the wall clock has stepped, forward or backward."""
        offset = wall - now
        before, moved = self._offset, 0.0 if self._offset is None else offset - self._offset
        if before is not None and abs(moved) <= STEP_SECONDS:
            return False
        self._offset = offset
        if before is None:
            return False
        self.steps, self.last = self.steps + 1, moved
        return True
