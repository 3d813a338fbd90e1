"""How long free addresses last. Pure; times are seconds of one clock that nobody sets.

An estimate for people and alerts, by what happened lately in this failover state: nothing is decided by it.
"""

from msgspec import Struct
from msgspec.structs import replace

from twinlease.model.states import FailoverState

WINDOW_SECONDS = 900.0
"""What is older counts no longer."""
LEAST_SECONDS = 60.0
"""Less is no time to tell a rate from; also how far the counts that are kept lie apart."""

UNKNOWN = float("inf")


class Point(Struct, frozen=True):
    """So many addresses at a time."""

    at: float
    addresses: int


class Track(Struct, frozen=True, kw_only=True):
    """The counts of one pool.

    Attributes:
        key: What the counts were made of: those of another failover state are not comparable.
        points: Counts of the window, the oldest first, ``LEAST_SECONDS`` apart.
        last: The newest count; None: there is none.
    """

    key: object = None
    points: tuple[Point, ...] = ()
    last: Point | None = None


def usable(state: FailoverState, *, own: int, peer: int, peers_too: bool) -> int:
    """Return how many free addresses count for a server.

    Args:
        state: The server's.
        own: Free addresses that are its own to hand out.
        peer: Its partner's.
        peers_too: It is in partner-down for so long that it may hand out those as well.
    """
    # In normal the two balance what is free: whoever runs out gets of the other's.
    return own + peer if state is FailoverState.NORMAL or peers_too else own


def counted(before: Track, key: object, addresses: int, now: float) -> Track:
    """Return the track after one more count."""
    point = Point(now, addresses)
    if before.last is None or before.key != key:
        return Track(key=key, points=(point,), last=point)
    points = tuple(each for each in before.points if now - each.at <= WINDOW_SECONDS)
    if not points or now - points[-1].at >= LEAST_SECONDS:
        points = (*points, point)
    return replace(before, points=points, last=point)


def runway(track: Track, now: float) -> float:
    """Return in how many seconds there are no addresses left; infinite: they do not become fewer, or nobody knows."""
    last = track.last
    if last is None:
        return UNKNOWN
    if not last.addresses:
        return 0.0
    first = track.points[0]
    used, took = first.addresses - last.addresses, last.at - first.at
    if used <= 0 or took < LEAST_SECONDS:
        return UNKNOWN
    return max(0.0, last.addresses * took / used - (now - last.at))
