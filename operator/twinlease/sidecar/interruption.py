"""Numbers for the times in which a server is cut off from its partner. Pure; times are CLOCK_BOOTTIME seconds.

A number stands for one unbroken time without normal. Two looks at the daemon that find the same state prove nothing
about the time between them: so what counts besides is when the daemon says that its state began, and how often it
recorded a change of it.
"""

from msgspec import Struct
from msgspec.structs import replace

from twinlease.model.states import FailoverState


class Sample(Struct, frozen=True, kw_only=True):
    """One look at the daemon.

    Attributes:
        started: When this process of it was started; 0: none runs.
        state: Its own state; ``UNKNOWN`` if it gives no answer.
        since: When that began, whole seconds since the epoch.
        transitions: How often a change of state was seen to be recorded; only differences tell.
        wall: The wall clock at this look, seconds since the epoch.
    """

    started: float = 0.0
    state: FailoverState = FailoverState.UNKNOWN
    since: int = 0
    transitions: int = 0
    wall: float = 0.0


class Interruption(Struct, frozen=True, kw_only=True):
    """The present interruption, or the last.

    Attributes:
        number: Of the last one; never used again.
        present: It lasts.
        began: When it was first seen.
        last: The last look at it that had an answer.
    """

    number: int = 0
    present: bool = False
    began: float = 0.0
    last: Sample = Sample()

    @property
    def current(self) -> int:
        """Number of the present one; 0: there is none."""
        return self.number if self.present else 0

    def age(self, now: float) -> float:
        """Return for how long it has lasted, seconds; 0: there is none."""
        return max(0.0, now - self.began) if self.present else 0.0


def advance(before: Interruption, look: Sample, now: float) -> Interruption:
    """Return where a look leads; a rise of ``number`` is to be on the disk before anybody hears of it."""
    if not look.started:
        return replace(before, present=False)
    if look.state is FailoverState.UNKNOWN:
        # It gives no answer: nothing is known to have ended, and a new process of it is a new interruption.
        return before if before.last.started == look.started else replace(before, present=False)
    if look.state is FailoverState.NORMAL:
        return replace(before, present=False, last=look)
    if before.present and _unbroken(before.last, look):
        return replace(before, last=look)
    return Interruption(number=before.number + 1, present=True, began=now, last=look)


def taken_up(kept: Interruption, look: Sample) -> bool:
    """Tell whether an interruption that another sidecar process kept is still the same one.

    Nobody counted the recorded changes meanwhile. But a state that was entered after the other's last look began in
    another second than this one, if that look came after the second in which this one began.
    """
    last = kept.last
    same = (last.started, last.state, last.since) == (look.started, look.state, look.since)
    return kept.present and same and bool(look.started) and last.since > 0 and last.wall >= last.since + 1


def _unbroken(last: Sample, look: Sample) -> bool:
    if last.started != look.started:
        return False
    changes = look.transitions - last.transitions
    if last.state is look.state:
        return last.since == look.since and changes == 0
    # One recorded change leads from one state to the other; with two, normal may have been between them.
    return changes <= 1
