"""How long free addresses last: measured between two looks, never assumed."""

from msgspec import Struct

from twinlease.cli.facts import PairFacts
from twinlease.cli.show import words

_SHORTEST = 30.0
"""Seconds below which a rate would be chance."""


class Sample(Struct, frozen=True, kw_only=True):
    """The free addresses of a pair at one moment (seconds since the epoch)."""

    at: float
    free: int


class Rate(Struct, frozen=True, kw_only=True):
    """How many free addresses went in how many seconds; negative: they became more."""

    taken: int
    seconds: float

    def said(self, own: int) -> str:
        """Return how long ``own`` free addresses last at this rate."""
        watched = f"watched for {words.span(self.seconds)}"
        if self.seconds < _SHORTEST:
            return f"its rate is not known yet ({watched})"
        if self.taken <= 0:
            return f"none are going ({watched})"
        left = own * self.seconds / self.taken
        per_hour = self.taken * 3600 / self.seconds
        return f"at {per_hour:.0f} an hour they last {words.span(left)} ({watched})"


def sample(facts: PairFacts, now: float) -> Sample:
    """Return what is free now."""
    return Sample(at=now, free=facts.status.free)


def rate(first: Sample, last: Sample) -> Rate:
    """Return what went between two samples."""
    return Rate(taken=first.free - last.free, seconds=last.at - first.at)
