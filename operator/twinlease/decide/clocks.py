"""Whether the two servers' wall clocks agree, and who may not serve in contact if they do not. Pure.

The two tell each other when leases end by their own wall clocks, and each frees what ended by its own: a server whose
clock is off by so many seconds has addresses given again that much too early. Only the contact makes that harmful: who
serves alone frees nothing by comparing clocks. So

* a server whose clock steps in contact with its partner is killed at once (the guard; the sidecar, if that missed it);
* a server does not start beside a partner that serves while their clocks are measured to differ (``decide.starts``);
* of two that drift apart in contact one stops, by the clean stop: the one that serves nobody, else the secondary.

What cannot be measured is no difference. Offsets are the partner's wall clock minus ours, seconds; the two sidecars
measure them over their own channel, with an error of at most half the round trip.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from twinlease.decide.obey import RETURNING
from twinlease.model.states import FailoverState, Role

LIMIT_SECONDS = 3.0
"""From more than that on two clocks differ."""
AGAIN_SECONDS = 2.0
"""Clocks that differed agree again when they are within that."""
WARN_SECONDS = 1.0
SAMPLES = 3
"""So many successive ones decide."""
FRESH_SECONDS = 5.0
"""Older samples count for nothing."""
SETTLE_SECONDS = 2.0
"""A start waits for so long for the first measurement; then the partner's sidecar counts as out of reach."""

_CONFLICT = frozenset({FailoverState.POTENTIAL_CONFLICT, FailoverState.CONFLICT_DONE})
_TALKING = frozenset({FailoverState.NORMAL, *RETURNING, *_CONFLICT})


class Sample(Struct, frozen=True):
    """One measurement: the offset, the round trip that it took, and when it was (CLOCK_BOOTTIME)."""

    offset: float
    trip: float
    at: float

    @property
    def least(self) -> float:
        """By how much the clocks differ at least."""
        return max(0.0, abs(self.offset) - self.trip / 2)


class Verdict(StrEnum):
    """Whether two clocks agree."""

    UNKNOWN = "Unknown"
    AGREE = "Agree"
    DRIFT = "Drift"
    """They are still near enough, and apart enough to be told of."""
    DIFFER = "Differ"


class Agreement(Struct, frozen=True, kw_only=True):
    """The verdict, and the best measurement that there is for it; 0: there is none."""

    verdict: Verdict = Verdict.UNKNOWN
    offset: float = 0.0

    @property
    def differ(self) -> bool:
        """Whether the clocks were measured to differ too much."""
        return self.verdict is Verdict.DIFFER


def judge(before: Agreement, samples: Sequence[Sample], now: float) -> Agreement:
    """Return whether the clocks agree.

    Args:
        before: The last verdict: what is at the limit shall not be now one and now the other.
        samples: The last ones, the oldest first.
        now: CLOCK_BOOTTIME.
    """
    last = samples[-SAMPLES:]
    if len(last) < SAMPLES or now - last[0].at > FRESH_SECONDS:
        return Agreement()
    least = [each.least for each in last]
    offset = min(last, key=lambda each: each.trip).offset
    if min(least) > LIMIT_SECONDS or (before.differ and max(least) > AGAIN_SECONDS):
        return Agreement(verdict=Verdict.DIFFER, offset=_steady(before.offset, offset) if before.differ else offset)
    verdict = Verdict.DRIFT if min(least) > WARN_SECONDS else Verdict.AGREE
    return Agreement(verdict=verdict, offset=offset)


def _steady(before: float, offset: float) -> float:
    """Return a difference that is told: the one of before as long as it says the same."""
    return before if abs(offset - before) < WARN_SECONDS else offset


def talks(local: FailoverState, partner: FailoverState) -> bool:
    """Tell whether a server in these states is, or may be, in contact with its partner."""
    return local in _TALKING or (local is FailoverState.PARTNER_DOWN and partner in RETURNING)


def steps_back(role: Role, local: FailoverState, partner: FailoverState) -> bool:
    """Tell whether a server in contact, whose clock differs from its partner's, is the one of the two that stops.

    Exactly one of the two does, and never one that serves alone.
    """
    if local in RETURNING and partner not in RETURNING:
        return True  # it serves nobody, and takes over leases by a clock that may be wrong
    alike = {local, partner} == {FailoverState.NORMAL} or {local, partner} <= RETURNING
    return alike and role is Role.SECONDARY
