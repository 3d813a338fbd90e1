"""The order to enter partner-down, as this sidecar stands to it. Pure."""

from msgspec import UNSET

from twinlease.api.servinglease import DatabaseVerdict, Order
from twinlease.decide.obey import Action, Obedience, Position, obey
from twinlease.model.states import FailoverState
from twinlease.sidecar.observed import Observed
from twinlease.sidecar.ownpart import last_answer


def order_of(now: Observed) -> Order | None:
    """Return the order that is given to this server; None: there is none."""
    if now.lease is None or now.lease.spec.order is UNSET or now.lease.spec.survivor != now.role:
        return None
    return now.lease.spec.order


def position(now: Observed) -> Position:
    """Return how things stand."""
    order = order_of(now)
    record, recorded = now.found.record, now.found.recorded
    answers = [record.answered] + ([now.confirmed.answer] if now.confirmed is not None else [])
    state = now.state
    if not now.running and recorded is not None:
        state = recorded.local
    return Position(
        order=UNSET if order is None else order,
        survivor=order is not None,
        consumed=record.consumed,
        answered=last_answer(*answers),
        known=now.found.readable and now.verdict is DatabaseVerdict.INTACT,
        state=state,
        runs=now.running,
        interruption=now.interruption.current,
        promising=now.promiser.running(now.boot),
        unextended=now.tenure.surviving,
    )


def judge(now: Observed) -> Obedience:
    """Return what to do about the order."""
    if now.guard is None or not now.found.readable:
        return Obedience()
    if not now.running and now.found.recorded is None:
        return Obedience()  # not looked at yet
    if now.running and not now.unbroken:
        return Obedience()  # it is about to be stopped
    return obey(position(now))


def unfinished(now: Observed) -> bool:
    """Tell whether a daemon that was prepared for partner-down waits in its startup for the word to enter it."""
    return now.running and now.tenure.surviving and now.state is FailoverState.STARTUP


def promises_nothing(now: Observed) -> str:
    """Return why the partner is promised nothing, CamelCase; empty: nothing speaks against it."""
    record = now.found.record
    if now.guard is None or not now.found.readable:
        return "NotReady"
    if now.verdict is not DatabaseVerdict.INTACT:
        return "LineageUnverified"
    own = now.state if now.running else (now.found.recorded.local if now.found.recorded else FailoverState.UNKNOWN)
    if own is FailoverState.PARTNER_DOWN or now.tenure.surviving:
        return "PartnerDown"
    if order_of(now) is not None:
        return "Ordered"
    last = now.last_lease
    returned = not last.survivor and last.epoch >= record.consumed
    if last.survivor == now.role or (record.consumed and not returned):
        return "OrderConsumed"
    return ""


__all__ = ["Action", "judge", "order_of", "position", "promises_nothing", "unfinished"]
