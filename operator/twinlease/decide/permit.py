"""When a server may answer: its permit, and what it promises its partner. Pure; times are CLOCK_BOOTTIME seconds.

Everything counts from the moment of *sending*: whoever answers a request cannot have counted earlier than that. There
are two reasons to answer, and no third: that the daemon says normal proves nothing about the partner.

Sources: ``docs/safety.md``; the margin was measured there.
"""

from msgspec import Struct
from msgspec.structs import replace

MARGIN = 1.0
"""K, seconds: how much earlier than its permit ends a server must have stopped.

Covers, beyond the deadline that the guard is told: the arm window of the kernel's permit, 0.3 s, if the guard stalls in
it (281 ms measured; else 7 ms, the kernel's timers); the kill, some milliseconds later, which the kernel's permit does
not wait for; and frames that the node has accepted and not yet sent, for which 0.7 s are left. The period of the
kernel's permit adds nothing: the last one is no longer than what is left.
"""

FOR_EVER = float("inf")
ASKING_PERIOD = 5.0
"""How often a server that holds no permit writes its part, seconds: a new leader believes it from its next write on."""

_DRIFT = 0.01
_STEP = 1.0
_LONGEST_PERIOD = 60.0
_MISSED = 2


def epsilon(interval: float) -> float:
    """Return how much longer one node's clock may take over an interval than another's: 1 % and 1 s."""
    return _DRIFT * interval + _STEP


def period(duration: float) -> float:
    """Return how often a permit of a length is renewed, seconds: a sixth of it, at least once a minute."""
    return min(duration / 6, _LONGEST_PERIOD)


class Permit(Struct, frozen=True, kw_only=True):
    """Why a server may answer.

    Attributes:
        duration: Of what was last confirmed, seconds; ``FOR_EVER``: the pair is not isolated by a fence.
        renewed: When the last renewal that succeeded was sent; None: none yet.
        asked: When the last request that the partner answered with a promise was sent; None: none.
        promised: How long that promise is, seconds.
    """

    duration: float = 0.0
    renewed: float | None = None
    asked: float | None = None
    promised: float = 0.0

    @property
    def held(self) -> float:
        """Until when the renewal permits to answer."""
        return float("-inf") if self.renewed is None else self.renewed + self.duration - MARGIN

    @property
    def deadline(self) -> float:
        """Until when the server may answer."""
        by_promise = float("-inf") if self.asked is None else self.asked + self.promised - MARGIN
        return max(self.held, by_promise)

    def sending(self, duration: float) -> "Permit":
        """Return the permit from the moment when a renewal for another duration is sent: whether it arrives or not."""
        return replace(self, duration=min(self.duration, duration)) if self.renewed is not None else self

    def renewal(self, sent: float, duration: float) -> "Permit":
        """Return the permit after a renewal succeeded; an older one than the last changes nothing."""
        if self.renewed is not None and sent < self.renewed:
            return self
        return replace(self, renewed=sent, duration=duration)

    def answer(self, asked: float, promised: float) -> "Permit":
        """Return the permit after the partner's answer; one that ends earlier than the last changes nothing."""
        if self.asked is not None and asked + promised < self.asked + self.promised:
            return self
        return replace(self, asked=asked, promised=promised)

    def renounce(self) -> "Permit":
        """Return the permit without the partner's promise. To be in force everywhere before the partner hears of it."""
        return replace(self, asked=None, promised=0.0)

    def stepped(self) -> "Permit":
        """Return the permit after a step of the wall clock: the boot clock may have stood still with the machine."""
        return replace(self, renewed=None, asked=None, promised=0.0)

    def long_wanted(self, now: float) -> bool:
        """Tell whether to ask for the long promise: two renewals were missed."""
        return self.renewed is not None and now - self.renewed > _MISSED * period(self.duration)


class Promiser(Struct, frozen=True, kw_only=True):
    """What a server has promised its partner.

    Attributes:
        until: No partner-down before that, by this server's clock.
        long: A long promise may be outstanding; on the disk before the answer is sent.
    """

    until: float = float("-inf")
    long: bool = False

    def promise(self, now: float, length: float, *, long: bool) -> "Promiser":
        """Return the promises after one more of a length: the longest counts."""
        return Promiser(until=max(self.until, now + length + epsilon(length)), long=self.long or long)

    def renounced(self, now: float, length: float) -> "Promiser":
        """Return the promises after the partner gave up all earlier ones and got one of a length instead."""
        return Promiser(until=now + length + epsilon(length), long=False)

    def running(self, now: float) -> bool:
        """Tell whether a promise may still run."""
        return now < self.until


def reborn(now: float, *, short: float, long: float, on_disk: bool | None) -> Promiser:
    """Return what a server must assume to have promised before a boot.

    Args:
        now: Its clock, which began anew.
        short: Length of a promise in good times, the longest that was ever in force while one could run.
        long: Length of a long one, likewise.
        on_disk: Whether the disk says that a long one may be outstanding; None: the disk does not say.
    """
    length = short if on_disk is False else max(long, short)
    return Promiser(until=now + length + epsilon(length), long=on_disk is not False)
