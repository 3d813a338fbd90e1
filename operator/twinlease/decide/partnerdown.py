"""When a survivor is ordered into partner-down. Pure.

**A is ordered into partner-down if and only if B is revoked in the same write, B counts as stopped, and every promise
that A gave B has ended or B is proven stopped.**

What must hold, all in one snapshot:

1. A's part is fresh, A runs under its grant, is cut off from its partner, knows its MCLT, and its lease database is
   the one that was confirmed. The operator's admission policy is in force: else anybody's word could be A's or B's.
2. One unbroken interruption has lasted T. Waived where the user asked for B to be stopped, and where B asks to return
   and may not resume: it is the proof of its own stop, and there is no other way back for it.
3. B counts as stopped (``evidence.stopped``).
4. The MCLT was not lowered within its own old length.

Then one conditional write: the epoch rises, B's holder is cleared, A is the survivor, the order names the epoch and A's
interruption, and A may serve longer on one renewal. Whoever leads when it fails looks again.

The user's mode (Automatic, Manual, Never) governs the takeover from a partner that is gone. It does not govern a return
or a planned stop, which need the order and are safe at once.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import UNSET, Struct
from msgspec.structs import replace

from twinlease.api.permit import PartnerDownMode
from twinlease.api.servinglease import (
    Answer,
    DatabaseVerdict,
    Evidence,
    Order,
    Phase,
    ServingLeaseSpec,
)
from twinlease.decide.evidence import Proof, stopped
from twinlease.decide.obey import INTERRUPTED, RETURNING
from twinlease.decide.pairview import View, entry, with_grant
from twinlease.model import durations
from twinlease.model.decision import Decision
from twinlease.model.states import FailoverState, Role

_ENTERING = frozenset({FailoverState.PARTNER_DOWN, FailoverState.STARTUP})
"""States in which a refusal is not the last word: what was begun before a crash may have come to its end."""


class Action(StrEnum):
    """What a decision does to the serving lease."""

    NOTHING = "Nothing"
    ORDER = "Order"
    WITHDRAW = "Withdraw"
    GRANT = "Grant"
    SETTLE = "Settle"
    """Book-keeping: nobody's right to serve changes."""


class Verdict(Decision, frozen=True, kw_only=True):
    """One verdict; the condition, the Event, the log line and the metric are made from it.

    Attributes:
        survivor: Whom it is about; empty: nobody in particular.
        evidence: Each rule with what is known of it, in the order in which they are judged.
        retry: Seconds until time alone may change it; None: it cannot.
    """

    survivor: str = ""
    evidence: Mapping[str, str] = {}
    retry: float | None = None


class Judgement(Struct, frozen=True, kw_only=True):
    """A verdict and the serving lease that follows from it; None: nothing is to be written."""

    verdict: Verdict
    lease: ServingLeaseSpec | None = None


def outstanding(view: View) -> Judgement | None:
    """Return what to do while an order is given and not settled; None: there is none, or it was executed."""
    order, survivor = view.lease.order, view.lease.survivor
    if order is UNSET or not survivor:
        return None
    role = Role(survivor)
    answer = view.own(role).answer
    if answer.epoch < order.epoch:
        if view.asks(role) or stopped(view, role):
            return None  # it died over it: how to go on follows from what it asks for, or from who is left
        return _verdict(
            Action.NOTHING, "Ordered", f"The {role} was ordered into partner-down (epoch {order.epoch})", role
        )
    if answer.result is Answer.REFUSED and view.state(role) not in _ENTERING:
        message = f"The {role} refused to enter partner-down ({answer.reason}): the {role.other} may serve again"
        return _verdict(Action.WITHDRAW, "Withdrawn", message, role, lease=_withdrawn(view, role))
    return None


def executed(view: View, role: Role) -> bool:
    """Tell whether a survivor said that it executed the order that stands; one that cannot tell counts as if."""
    order, answer = view.lease.order, view.own(role).answer
    return order is not UNSET and answer.epoch >= order.epoch and answer.result is not Answer.REFUSED


def judge(view: View, role: Role) -> Judgement:
    """Return whether a server is ordered into partner-down now; the caller has found no order outstanding."""
    excused, why = waived(view, role)
    refusal = _unfit(view, role)
    if refusal is not None:
        return refusal
    report = view.own(role).report
    age = report.interrupted_millis / 1000 + view.sights[role].age
    proof = stopped(view, role.other)
    left = 0.0 if excused else view.policy.after - age
    evidence = {
        "interruption": why
        or f"number {report.interruption} of the {role}, for {age:.1f}s of {view.policy.after:.0f}s",
        "partner": proof.message,
    }
    if not excused and view.policy.mode is PartnerDownMode.NEVER:
        message = f"The {role} stays in {report.state}: spec.partnerDown.mode is Never"
        return _verdict(Action.NOTHING, "Never", message, role, evidence=evidence)
    if left > 0:
        message = f"The {role} is cut off for {age:.0f}s; partner-down is considered in {left:.0f}s. {proof.message}"
        return _verdict(Action.NOTHING, "NotYet", message, role, evidence=evidence, retry=left)
    if not proof:
        message = f"The {role} could take over, but its partner may be serving. {proof.message}"
        return _verdict(Action.NOTHING, "WaitingForEvidence", message, role, evidence=evidence, retry=proof.retry)
    by_hand = proof.evidence is Evidence.CONFIRMED
    if not excused and view.policy.mode is PartnerDownMode.MANUAL and not by_hand:
        message = f"The {role} would be put into partner-down now, but spec.partnerDown.mode is Manual. {proof.message}"
        return _verdict(Action.NOTHING, "Manual", message, role, evidence=evidence)
    return _ordered(view, role, proof, evidence)


def _unfit(view: View, role: Role) -> Judgement | None:
    """Return why a server cannot be ordered, whatever became of its partner."""
    own, state = view.own(role), view.state(role)
    reason, message, retry = "", "", None
    if not view.confirmed(role):
        reason, message = "NoGrant", f"The {role} does not serve under a confirmed grant"
    elif not view.fresh(role):
        reason, message = "NoReport", f"The {role} has not renewed lately: nothing is known of it"
    elif not view.policy.guarded:
        reason = "PolicyMissing"
        message = (
            "The ValidatingAdmissionPolicy twinlease-serving-lease or its binding is not as shipped: no word is trusted"
        )
    elif own.database.verdict is not DatabaseVerdict.INTACT:
        reason, message = "LineageUnverified", f"The {role}'s lease database is not verified: {own.database.verdict}"
    elif not cut_off(view, role):
        reason, message, retry = "NotNeeded", f"The {role} is in {state}", left_to_return(view, role)
        if retry is not None:
            reason = "SurvivorGone"
            message = f"The survivor is gone: what it promised ends in {retry:.0f}s, then the {role} takes over"
    elif not durations.seconds(own.report.mclt):
        reason, message = "NoMCLT", f"The {role} has not learnt the MCLT yet"
    elif (changed := mclt_changed(view, role.other, view.lease.mclt.until or shorter(view, role))) is not None:
        reason, (message, retry) = "MCLTLowered", changed
    return _verdict(Action.NOTHING, reason, message, role, retry=retry) if reason else None


def mclt_changed(view: View, gone: Role, why: str) -> tuple[str, float | None] | None:
    """Return why a survivor waits that goes by a shorter MCLT than its partner may have, and for how long.

    What the partner, who is ``gone``, gave by the longer one has ended once it has been stopped for that long. ``why``
    is empty if nothing was changed.
    """
    mclt = durations.seconds(view.lease.mclt.duration)
    left = mclt - view.sights[gone].gone
    if not why or left <= 0:
        return None
    proof = stopped(view, gone)
    message = f"The MCLT was changed: the {gone} may have promised leases by that of {mclt}s. {proof.message}"
    return message, left if proof else proof.retry


def shorter(view: View, role: Role) -> str:
    """Tell whether a server goes by a shorter MCLT than the longest that either may go by."""
    mine = view.own(role).report.mclt
    return mine if durations.seconds(mine) < durations.seconds(view.lease.mclt.duration) else ""


def left_to_return(view: View, role: Role) -> float | None:
    """Return in how many seconds a server that was on its way back may take over from a survivor that is no more."""
    mclt = max(durations.seconds(view.own(role).report.mclt), durations.seconds(view.lease.mclt.duration))
    gone = view.sights[role.other].gone
    back = view.lease.phase is Phase.RETURNING and role != view.lease.survivor and view.state(role) in RETURNING
    return mclt - gone if back and mclt > 0 and gone > 0 else None


def cut_off(view: View, role: Role) -> bool:
    """Tell whether a server is cut off from its partner, or is on its way back to a survivor that is no more.

    The latter may take over once its MCLT has passed since the survivor was proven stopped: whatever the survivor
    promised and did not pass on has ended by then. A survivor whose partner stopped on its way back is ordered anew:
    the two may have been normal meanwhile. So is one that refused and is in partner-down all the same.
    """
    if view.state(role) in INTERRUPTED:
        return True
    if view.state(role) is FailoverState.PARTNER_DOWN and view.asks(role.other):
        refused = view.lease.order is not UNSET and not executed(view, role)
        again = view.lease.phase is Phase.RETURNING or (view.lease.phase is Phase.ALONE and refused)
        return view.lease.survivor == role and again
    left = left_to_return(view, role)
    return left is not None and left < 0


def in_partner_down(view: View, role: Role) -> bool:
    """Tell whether a server that holds a grant was last heard of in partner-down."""
    return view.confirmed(role) and view.state(role) is FailoverState.PARTNER_DOWN


def waived(view: View, role: Role) -> tuple[bool, str]:
    """Return whether the survivor need not wait for T, and why."""
    other = role.other
    own = view.own(other)
    if view.sights[other].maintenance and view.released(other):
        return True, f"the {other} was stopped for maintenance"
    may_resume = own.database.verdict is DatabaseVerdict.INTACT and view.resumable(other)
    may_resume = may_resume and view.lease.phase is Phase.BOTH and not in_partner_down(view, role)
    known = own.database.verdict is not DatabaseVerdict.UNKNOWN
    if view.lease.established and view.asks(other) and known and not may_resume and bool(stopped(view, other)):
        return True, f"the {other} asks to return and may not resume ({own.database.verdict}, {own.database.state})"
    return False, ""


def _ordered(view: View, role: Role, proof: Proof, evidence: Mapping[str, str]) -> Judgement:
    epoch = view.lease.epoch + 1
    order = Order(epoch=epoch, interruption=view.own(role).report.interruption, evidence=proof.evidence)
    lease = replace(view.lease, epoch=epoch, phase=Phase.ALONE, survivor=str(role), order=order)
    lease = with_grant(lease, role.other, replace(entry(lease, role.other).grant, holder="", node=""))
    alone = durations.text(int(view.policy.alone))
    lease = with_grant(lease, role, replace(entry(lease, role).grant, duration=alone))
    message = f"The {role} is ordered into partner-down, the {role.other} is revoked (epoch {epoch}). {proof.message}"
    return _verdict(Action.ORDER, "Ordered", message, role, evidence=evidence, lease=lease)


def _withdrawn(view: View, role: Role) -> ServingLeaseSpec:
    lease = replace(view.lease, phase=Phase.BOTH, survivor="", order=UNSET)
    duration = durations.text(int(view.policy.duration))
    return with_grant(lease, role, replace(entry(lease, role).grant, duration=duration))


def _verdict(  # noqa: PLR0913  # each argument is one part of the verdict
    action: Action,
    reason: str,
    message: str,
    role: Role,
    *,
    evidence: Mapping[str, str] | None = None,
    retry: float | None = None,
    lease: ServingLeaseSpec | None = None,
) -> Judgement:
    verdict = Verdict(
        action=action, reason=reason, message=message, survivor=str(role), evidence=evidence or {}, retry=retry
    )
    return Judgement(verdict=verdict, lease=lease)
