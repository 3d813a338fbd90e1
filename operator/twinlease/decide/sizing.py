"""Durations and pool sizes that fit together, from what a network needs. Pure.

The inequalities are those of admission: what runs out before a takeover has a margin for drift below T, so that the
takeover happens at T. The addresses follow from when a survivor may use which: its own half at once, its partner's
free ones an MCLT after partner-down, those of clients that vanished when they are no longer held (:mod:`.hold`). All of
that begins when dhcpd notices that its partner is gone: up to R, ``maxResponseDelay``, after it went.
"""

from math import ceil, floor

from msgspec import Struct

from twinlease.decide import hold
from twinlease.decide.permit import epsilon, period

SHORTEST_AFTER, SHORTEST_DURATION, SHORTEST_MCLT = 5, 2, 5
"""Bounds of the specification, seconds."""
LONGEST_MCLT, LONGEST_AFTER = 24 * 3600, 24 * 3600
SHORTEST_RESPONSE, LONGEST_RESPONSE = 3, 600
_LONGEST_DURATION = 12 * 3600
_SHARE = 0.8
_API_AWAY, _ALONE = 1800, 3600
_PERCENT = 100


class Need(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a network needs; seconds where not said otherwise.

    Attributes:
        clients: Addresses leased at the same time, at most; those of clients that left count until their leases end.
        arrivals: New clients in an hour, at most: those that need an address that they did not have.
        lease: M: the longest lease that a client gets.
        after: T: how long a server must be gone before its partner takes over.
        response: R: how long dhcpd takes to notice that its partner is gone, at most.
        outage: How long one server may be gone until it is repaired.
        mclt: None: as long as the lease allows, 30 minutes at most.
    """

    clients: int
    arrivals: float
    lease: int
    after: int = 300
    response: int = 30
    outage: int = 72 * 3600
    mclt: int | None = None


class Sizes(Struct, frozen=True, kw_only=True, rename="camel"):
    """What fits; seconds, addresses, or a rate.

    Attributes:
        duration: D, how long a server may answer on one renewal; the promise is as long.
        stopped: D + ε: after so long without a renewal a server counts as stopped.
        noticed: R + T: from the loss of a server until its partner takes over.
        own: Free addresses that each server needs of its own until it may use its partner's.
        free: Free addresses that both need together until those of vanished clients may be given again.
        alone: Free addresses of its own for a whole outage without any takeover (mode Never, or no evidence).
        pool: Dynamic addresses.
        renewals: Renewals of leases in a second while the two are cut off from each other, when leases are MCLT-short.
        writes: Writes of both servers to the API in an hour.
    """

    after: int
    duration: int
    stopped: float
    max_promise: int
    alone_duration: int
    mclt: int
    response: int
    noticed: int
    own: int
    free: int
    alone: int
    pool: int
    renewals: float
    writes: float


def duration(after: int) -> int:
    """Return D for a T: the longest whole seconds up to four fifths of it with D + ε(D) <= T.

    Raises:
        ValueError: There is none, for T is too short or too long.
    """
    if not SHORTEST_AFTER <= after <= LONGEST_AFTER:
        raise ValueError(f"T must be between {SHORTEST_AFTER}s and {LONGEST_AFTER // 3600}h")
    found = min(floor(after * _SHARE), _LONGEST_DURATION)
    # In hundredths, as the rule of admission reckons: D * 101 + 100 <= T * 100.
    while found * (_PERCENT + 1) + _PERCENT > after * _PERCENT:
        found -= 1
    return found


def size(need: Need) -> Sizes:
    """Return durations and pool sizes.

    Raises:
        ValueError: A number makes no sense, or is out of the bounds of the specification.
    """
    if need.clients < 0 or need.arrivals < 0 or need.lease <= 0 or need.outage < 0:
        raise ValueError("clients, arrivals and the outage must not be negative, and a lease must last")
    mclt = max(min(need.lease, 1800), SHORTEST_MCLT) if need.mclt is None else need.mclt
    if not SHORTEST_MCLT <= mclt <= LONGEST_MCLT:
        raise ValueError(f"MCLT must be between {SHORTEST_MCLT}s and {LONGEST_MCLT // 3600}h")
    if not SHORTEST_RESPONSE <= need.response <= LONGEST_RESPONSE:
        raise ValueError(f"R must be between {SHORTEST_RESPONSE}s and {LONGEST_RESPONSE // 60}m")
    held = duration(need.after)
    rate = need.arrivals / 3600
    noticed = need.response + need.after
    # One that is back before the takeover serves at once; a later one takes everything over first, for up to an MCLT.
    own = ceil(rate * (noticed + mclt if need.outage > noticed else need.outage))
    # What was held last is parked as long as ever, whether the other is back or not.
    free = max(2 * own, ceil(rate * (min(need.outage, noticed) + hold.until(0, longest=need.lease))))
    return Sizes(
        after=need.after,
        duration=held,
        stopped=held + epsilon(held),
        max_promise=max(_API_AWAY, held),
        alone_duration=max(_ALONE, held),
        mclt=mclt,
        response=need.response,
        noticed=noticed,
        own=own,
        free=free,
        alone=ceil(rate * need.outage),
        pool=need.clients + free,
        renewals=need.clients / (mclt / 2),
        writes=2 * 3600 / period(held),
    )
