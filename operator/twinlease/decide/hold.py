"""Which leases a server that is cut off from its partner holds, and until when. Pure.

When two servers meet again, either one's word of an address may win over the other's, whichever is newer: released and
expired beat a lease that runs, and of two leases the shorter one may be taken by both. Source: measured with dhcpd. So
while a server is cut off, nothing that it alone says may end before whatever its partner may have promised meanwhile:
the longest lease, given at the very moment of the meeting. What it says is kept at least that far in the future.

So is the word of a primary that an address is the secondary's to give, unless it was acknowledged: with a time that has
passed it would end whatever lease the secondary has given; with one to come a secondary that has given it refuses it.

And whoever told that a lease is over, and heard no answer, holds it for nobody. A primary that heard it has freed the
address at once, and may have given it to somebody else; a secondary counts on nobody's having it.

Times are seconds since the epoch, by the server's wall clock.
"""

from twinlease.model.binding import ENDED, Binding, Standing
from twinlease.model.states import Role

AT_ONCE = 0.0
"""Due whatever the time is."""

_EARLY_SECONDS = 3
"""It takes a moment to hold a lease, and times are whole seconds."""
NEWS_SECONDS = 600
"""What was written so long before the server noticed that it is cut off may be unknown to the partner: as long as
``maxResponseDelay`` can be. Whatever was, is held in vain, which costs little."""


def due(last: Binding, *, since: int, longest: int, primary: bool = False) -> float | None:
    """Return when a lease is to be held; None: not as long as its last record is this one.

    Args:
        last: Its last record.
        since: When the server was cut off.
        longest: The longest lease that the partner may give, seconds.
        primary: The server is that.
    """
    left = primary and last.left
    again = float(max((left or last.ends) - longest - 1 - _EARLY_SECONDS, 0))
    if left:
        return again
    if last.standing in ENDED:
        return None if last.standing is Standing.RESET and given_away(last, primary=primary) else AT_ONCE
    if last.standing is not Standing.LEASED:
        return None
    # One that ends later than any that is given was held before, and its client may be the partner's by now.
    news = last.seen >= since - NEWS_SECONDS or last.ends > last.seen + longest
    return again if news else None


def declined(last: Binding, *, primary: bool) -> bool:
    """Tell whether a client declined an address, unheard by the partner, which may have leased it to it since.

    A server that has nothing else left gives such an address to somebody else (measured: with 13 s left). What was its
    own to give the partner gives to nobody.

    Args:
        last: Its last record.
        primary: The server is that.
    """
    own = Role.PRIMARY if primary else Role.SECONDARY
    return last.standing is Standing.OTHER and last.unheard and last.before is not own


def given_away(last: Binding, *, primary: bool) -> bool:
    """Tell whether a lease is over, and its client may not come by it again here.

    A primary that hears of its secondary that a lease is over frees it at once, and gives it to anybody, while the
    secondary goes on waiting for an answer. Leased again there, the client before would have it as well. Source:
    dhcp_failover_process_bind_update of dhcpd 4.4.3; measured, 4 of 4 such addresses.

    Args:
        last: Its last record.
        primary: The server is that.
    """
    return not primary and last.standing in ENDED and last.told


def goes(last: Binding, *, primary: bool) -> bool:
    """Tell whether an address is left to the partner: it is already, or a lease is over whose client may not come back.

    A secondary that heard that it is over has the address as free, and gives it to anybody an MCLT after it has entered
    partner-down; while to its client the primary, which has heard no answer, would give it for longer than that, as far
    as the secondary had acknowledged the lease. Source: ack_lease of dhcpd 4.4.3; measured, 6 of 6 such addresses.

    Args:
        last: Its last record.
        primary: The server is that.
    """
    return primary and (last.left > 0 or (last.standing in (Standing.EXPIRED, Standing.RELEASED) and last.told))


def until(now: float, *, longest: int) -> int:
    """Return until when a lease is held that is due: so that it is due again only after half of the longest lease."""
    return int(now) + longest + 1 + _EARLY_SECONDS + longest // 2 + 1
