"""Dates that a serving lease's contents imply, and bounds that may be lowered only when their time has come. Pure.

A date goes by wall clocks, and any one of them may be wrong: the operator's steps, or another operator leads. So a date
has come only when the operator and every server that serves say so, and a wait begins at the latest that one says.
"""

import datetime as dt
from collections.abc import Mapping

from msgspec import UNSET, Struct

from twinlease.api.servinglease import Bound, ServingLeaseSpec
from twinlease.decide.pairview import View, entry
from twinlease.model import durations
from twinlease.model.states import Role

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

SLACK = 60
"""Seconds by which a date may lie further ahead than the wait that it ends: clocks may be set back by that."""


class Clocks(Struct, frozen=True, kw_only=True):
    """What time it is by all who can tell, seconds since the epoch.

    Attributes:
        earliest: What is over by then is over; minus infinity: no server can tell, so nothing is.
        latest: From then on a wait counts that begins now.
    """

    earliest: float
    latest: float


def clocks(lease: ServingLeaseSpec | None, silent: Mapping[Role, float], now: float) -> Clocks:
    """Return what time it is.

    Args:
        lease: As it is known; each server puts the time by its own clock into it when it renews.
        silent: For how many seconds each server's part has been held as it is, by a monotonic clock.
        now: The operator's wall clock, seconds since the epoch.
    """
    told = {} if lease is None else {role: entry(lease, role) for role in Role}
    serving = {
        role: each.own.lineage.confirmed
        for role, each in told.items()
        if each.grant.holder
        and each.own.incarnation == each.grant.holder
        and each.own.in_force.epoch == each.grant.epoch
    }
    servers = [seconds(date) + silent[role] for role, date in serving.items() if date]
    return Clocks(earliest=min(now, *servers) if servers else float("-inf"), latest=max([now, *servers]))


def text(seconds: float) -> str:
    """Return RFC 3339 in UTC, whole seconds, rounded up: a date before which nothing may happen."""
    whole = int(-(-seconds // 1))
    return dt.datetime.fromtimestamp(whole, dt.UTC).strftime(_FORMAT)


def seconds(date: str) -> float:
    """Return seconds since the epoch; 0 for an empty date.

    Raises:
        ValueError: It is none.
    """
    return dt.datetime.strptime(date, _FORMAT).replace(tzinfo=dt.UTC).timestamp() if date else 0.0


def last_lease_ends(view: View) -> float:
    """Return when the last lease ends that either server may have given on its last renewal: seconds since the epoch.

    The last known service is the last confirmed write and one permit more; what was promised then runs for the longest
    lease at most.
    """
    known = [seconds(view.own(role).lineage.confirmed) for role in Role]
    if not any(known):
        known = [view.now]  # nothing is on record: no date is late enough, and only a human can know better
    return max(known) + longest_permit(view) + durations.seconds(view.lease.max_lease.duration)


def until_last_lease_ends(view: View) -> float:
    """Return in how many seconds the last lease has ended for sure that either server may have given.

    While the API was away the two may have served on, on each other's promises, for as long as both lived: the last
    confirmed write says nothing of that. So what counts as well is for how long both have been known to be stopped.
    """
    stopped = min(max(view.sights[role].gone, _waited(view, role)) for role in Role)
    return max(last_lease_ends(view) - view.now, durations.seconds(view.lease.max_lease.duration) - stopped)


def _waited(view: View, role: Role) -> float:
    """Return for how many seconds an asking server has been stopped by its own boot clock; 0: it does not say.

    It speaks for another incarnation that holds its grant, and only from the same node. What it says outlives the
    operator that leads.
    """
    asks, own, grant = view.own(role).asks, view.own(role), view.grant(role)
    if asks is UNSET or not view.asks(role) or not (asks.stopped and asks.ready):
        return 0.0
    if grant.holder in ("", asks.incarnation) or own.node != grant.node:
        return 0.0
    return asks.waiting_millis / 1000 + view.sights[role].age


def longest_permit(view: View) -> float:
    """Return for how many seconds a server may answer at most on one renewal or one promise.

    What a server confirmed counts beside what its grant says: it may not have heard of that yet.
    """
    lengths = [
        length
        for role in Role
        for granted, confirmed in [(view.grant(role), view.own(role).in_force)]
        for length in (granted.duration, granted.max_promise, confirmed.duration, confirmed.max_promise)
    ]
    return max(map(durations.seconds, lengths))


def bound(old: Bound, wanted: float, clocks: Clocks, *, settled: bool) -> Bound:
    """Return a bound after a wish for another value: raised at once, lowered when the old value's time has passed.

    Args:
        old: The bound in force.
        wanted: Seconds.
        clocks: What time it is.
        settled: Both servers run what is wanted: only from then on does the old value's time count.
    """
    before = durations.seconds(old.duration)
    if wanted >= before:
        return Bound(duration=durations.text(int(wanted)))
    if not settled:
        return Bound(duration=old.duration)
    if not old.until or seconds(old.until) > clocks.latest + before + SLACK:
        return Bound(duration=old.duration, until=text(clocks.latest + before))
    return Bound(duration=durations.text(int(wanted))) if clocks.earliest >= seconds(old.until) else old
