"""What a server gave its client stays given. Pure.

A partner's word of an address can come late: it was on its way while the client dealt with this server. Then dhcpd
takes it for newer than what it has just promised itself, and the address is free, often in both servers, though its
client uses it. Measured (dhcpd 4.4.3-P1): a link that stalls for 2.5 s, clients that release at one server and lease
at the other meanwhile, and both lease databases have 21 to 24 of 24 such addresses as free.

So each server's side watches the lease database for records that contradict what was given shortly before, and has the
address leased again. Held in vain is harmless: an address is parked until its last lease would have ended.

Times are seconds since the epoch, by the server's wall clock.
"""

from typing import NamedTuple

from twinlease.decide.clocks import LIMIT_SECONDS
from twinlease.model.binding import Binding, Standing

KNOWN_SECONDS = 600
"""A word comes later than that by no way: the servers notice that they do not hear each other after
``maxResponseDelay`` at the latest, which is no longer."""

_APART_SECONDS = int(LIMIT_SECONDS)
"""So much later than the truth a partner's clock may date what it says."""


class Given(NamedTuple):
    """The last lease of an address.

    Attributes:
        since: When its client last dealt with a server.
        until: What it was promised.
        before: When the lease that was before it ended, or would have; 0: that is not known.
        ours: Its client dealt with this server.
    """

    since: int
    until: int
    before: int
    ours: bool


def contradicts(given: Given, last: Binding, now: float) -> bool:
    """Tell whether a record says less than what its client was promised, and not because of anything that came later.

    That is: a lease that ends earlier though its client has dealt with nobody since; one that expired too early; and a
    free address that was given back before it was given, or never (its end is still to come), or that was free because
    the lease before ended; and one that was declined before it was given.
    """
    if given.until <= now:
        return False
    apart = _APART_SECONDS if given.ours else 0
    match last.standing:
        case Standing.LEASED:
            return last.ends < given.until and last.seen <= given.since + apart
        case Standing.EXPIRED:
            return last.ends < given.until
        case Standing.FREE:
            back = last.ends <= given.since + apart if given.ours else last.ends < given.since
            return back or last.ends == given.before or last.ends >= min(given.until, now + _APART_SECONDS + 1)
        case Standing.OTHER:
            # Whoever was just given an address takes a second at least to find it in use. Source: RFC 5227, 2.1.1.
            return last.seen < given.since + given.ours
        case Standing.RELEASED | Standing.RESET:
            return False


def advance(given: Given | None, last: Binding, now: float) -> Given | None:
    """Return what counts as given after a record; None: nothing."""
    if given is not None and contradicts(given, last, now):
        return given._replace(before=last.ends)
    if last.standing is not Standing.LEASED:
        return None
    if given is not None and last.seen == given.since:
        return given._replace(until=max(given.until, last.ends))
    return Given(last.seen, last.ends, given.until if given is not None else 0, last.ours)
