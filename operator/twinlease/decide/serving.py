"""One look at a pair's serving lease: who may serve, what becomes of it, and why. Pure.

One look makes at most one write, and the write is conditional on the version that was looked at. So whoever leads may
stop after any of them, and whoever leads next goes on from what is there.
"""

from collections.abc import Iterator

from msgspec import UNSET
from msgspec.structs import replace

from twinlease.api.servinglease import DatabaseVerdict, Phase, ServingLeaseSpec, Start, Watched
from twinlease.decide import byhand, dates, partnerdown, starts
from twinlease.decide.obey import INTERRUPTED
from twinlease.decide.pairview import View, entry, with_grant
from twinlease.decide.partnerdown import Action, Judgement, Verdict
from twinlease.decide.permit import epsilon
from twinlease.model import durations
from twinlease.model.states import FailoverState, Role

_AFTER_NORMAL = frozenset({FailoverState.NORMAL, FailoverState.COMMUNICATIONS_INTERRUPTED})
_ORDER = ("Ordered", "WaitingForEvidence", "Manual", "NotYet", "Never")


def judge(view: View) -> Judgement:
    """Return what to do about a pair's service, and why."""
    if (rolled := _rolled_back(view)) is not None:
        return rolled
    before, settled = view.lease, _settle(view)
    view = view.change(settled)
    found = next(_writes(view), None)
    if found is not None:
        return found
    unordered = byhand.said(view)
    verdict = replace(_said(byhand.REASON, unordered, "") if unordered else _verdict(view), retry=_soonest(view))
    return Judgement(verdict=verdict, lease=None if settled == before else settled)


def _soonest(view: View) -> float | None:
    """Return in how many seconds time alone may change what becomes of either server."""
    judged = [starts.judge(view, role) for role in Role] + [partnerdown.judge(view, role) for role in Role]
    waits = [each.verdict.retry for each in judged if each is not None and each.verdict.retry is not None]
    return min(waits, default=None)


def _writes(view: View) -> Iterator[Judgement]:
    """Yield what may be written now, most urgent first."""
    pending = partnerdown.outstanding(view)
    if pending is not None:
        if pending.lease is not None:
            yield pending
        return
    for role in Role:
        granted = starts.judge(view, role)
        if granted is not None and granted.lease is not None:
            yield granted
    if view.lease.phase is Phase.ALONE and not _settled(view):
        return
    for role in Role:
        ordered = partnerdown.judge(view, role)
        if ordered.lease is not None:
            yield ordered


def _settled(view: View) -> bool:
    """Tell whether the survivor has answered its order, if it was given one."""
    order, survivor = view.lease.order, view.lease.survivor
    return order is UNSET or (bool(survivor) and view.own(Role(survivor)).answer.epoch >= order.epoch)


def _verdict(view: View) -> Verdict:
    """Return the verdict that says most while nothing is to be written."""
    pending = partnerdown.outstanding(view)
    if pending is not None:
        return pending.verdict
    asking = [found.verdict for role in Role if (found := starts.judge(view, role)) is not None]
    if view.lease.phase is not Phase.BOTH:
        return asking[0] if asking and view.lease.phase is Phase.ALONE else _alone(view, asking)
    takeovers = [partnerdown.judge(view, role).verdict for role in Role]
    takeovers.sort(key=lambda each: _ORDER.index(each.reason) if each.reason in _ORDER else len(_ORDER))
    if takeovers[0].reason in _ORDER:
        return takeovers[0]
    if asking:
        return asking[0]
    if all(view.confirmed(role) and view.state(role) is FailoverState.NORMAL and not view.late(role) for role in Role):
        return Verdict(action=Action.NOTHING, reason="Normal", message="Both servers are normal and serve")
    missing = [each for each in takeovers if each.reason not in ("NotNeeded", "NoGrant")]
    return (missing or takeovers)[0]


def _alone(view: View, asking: list[Verdict]) -> Verdict:
    survivor = view.lease.survivor
    if view.lease.phase is Phase.RETURNING:
        other = Role(survivor).other
        message = (
            f"The {other} is back in {view.state(other)} and takes over the leases of the {survivor}, which serves"
        )
        return asking[0] if asking else _said("Returning", message, survivor)
    if view.state(Role(survivor)) in INTERRUPTED:  # it met its partner, before that died
        return partnerdown.judge(view, Role(survivor)).verdict
    return _lone(view, Role(survivor))


def _lone(view: View, role: Role) -> Verdict:
    if partnerdown.in_partner_down(view, role):
        return _said(
            "Executed", f"The {role} serves alone, in {view.state(role)}; the {role.other} is revoked", str(role)
        )
    how = f"it is in {view.state(role)}" if view.confirmed(role) else "it has not taken up its grant"
    message = f"The {role} is to serve alone, and is not in partner-down yet: {how}; the {role.other} is revoked"
    return _said("Starting", message, str(role))


def _said(reason: str, message: str, survivor: str) -> Verdict:
    return Verdict(action=Action.NOTHING, reason=reason, message=message, survivor=survivor)


def _settle(view: View) -> ServingLeaseSpec:
    """Return the lease with everything noted that needs no decision."""
    lease = view.lease
    if _normal_together(view):
        lease = replace(lease, established=True)
        if lease.phase is not Phase.BOTH:
            lease = replace(lease, phase=Phase.BOTH, survivor="", order=UNSET)
    elif lease.phase is Phase.RETURNING and _were_normal(view):
        lease = replace(lease, phase=Phase.BOTH, survivor="", order=UNSET, established=True)
    elif any(_has_served(view, role) for role in Role):
        lease = replace(lease, established=True)
    for role in Role:
        lease = _watch(view.change(lease), role)
        lease = _retime(view.change(lease), role)
    return lease


def _normal_together(view: View) -> bool:
    """Tell whether both report normal under the grants that they hold, freshly."""
    return all(
        view.confirmed(role)
        and view.fresh(role)
        and view.state(role) is FailoverState.NORMAL
        and view.own(role).report.partner_state == FailoverState.NORMAL
        for role in Role
    )


def _were_normal(view: View) -> bool:
    """Tell whether the two were normal since the return began: one is in a state that comes after it."""
    survivor = Role(view.lease.survivor)
    returner = survivor.other
    back = view.confirmed(returner) and view.grant(returner).start is Start.RECOVER
    if back and view.state(returner) in _AFTER_NORMAL:
        return True
    # What the returner's database records may be from before its return. The survivor was in partner-down since, as
    # nobody returns before it said so; but an older state of its database may be from before that.
    if view.asks(survivor):
        intact = view.own(survivor).database.verdict is DatabaseVerdict.INTACT
        return intact and view.recorded(survivor) in _AFTER_NORMAL
    return view.confirmed(survivor) and view.state(survivor) in _AFTER_NORMAL


def _has_served(view: View, role: Role) -> bool:
    """Tell whether an asking server's own database says that it has served beside its partner."""
    intact = view.own(role).database.verdict is DatabaseVerdict.INTACT
    return view.asks(role) and intact and view.recorded(role) in _AFTER_NORMAL


def _watch(view: View, role: Role) -> ServingLeaseSpec:
    """Note what evidence was there already when an interruption was first heard of."""
    grant, number = view.grant(role), view.own(role).report.interruption
    if not number or grant.watched.interruption == number:
        return view.lease
    watched = Watched(interruption=number, tainted=view.sights[role.other].tainted)
    return with_grant(view.lease, role, replace(grant, watched=watched))


def _retime(view: View, role: Role) -> ServingLeaseSpec:
    """Let a grant's durations follow the policy; the holder goes by them when it has confirmed them."""
    policy, grant = view.policy, entry(view.lease, role).grant
    if not grant.holder:
        return view.lease
    alone = view.lease.phase is not Phase.BOTH and view.lease.survivor == role
    wanted = replace(
        grant,
        duration=durations.text(int(policy.alone if alone else policy.duration)),
        promise=durations.text(int(policy.promise)),
        max_promise=durations.text(int(policy.max_promise)),
        isolation=policy.isolation,
    )
    return view.lease if wanted == grant else with_grant(view.lease, role, wanted)


def _rolled_back(view: View) -> Judgement | None:
    """Return what to do when servers remember a higher epoch than the API has: an old copy of it was restored.

    What it says of grants and survivors may be untrue. Nobody can renew under it, so after the longest permit nobody
    serves under what was forgotten; then the epoch is raised beyond what anybody remembers, and all begin by asking.
    """
    highest = view.forgotten
    if not highest:
        return None
    limit = max(view.policy.alone, view.policy.max_promise, dates.longest_permit(view))
    left = limit + epsilon(limit) - view.rolled_back
    message = f"Servers remember epoch {highest}, the API {view.lease.epoch}: an older copy of it was restored"
    verdict = Verdict(action=Action.NOTHING, reason="WitnessRolledBack", message=message, retry=max(left, 0.0))
    if left > 0:  # those that ask go on writing, so that their silence would say nothing
        return Judgement(verdict=replace(verdict, message=f"{message}. Nobody is granted anything for {left:.0f}s"))
    lease = replace(view.lease, epoch=highest + 1, phase=Phase.BOTH, survivor="", order=UNSET, established=True)
    for role in Role:
        lease = with_grant(lease, role, replace(entry(lease, role).grant, holder="", node=""))
    alone = [role for role in Role if view.recorded(role) is FailoverState.PARTNER_DOWN and view.asks(role)]
    if len(alone) == 1:
        lease = replace(lease, phase=Phase.ALONE, survivor=str(alone[0]))
    return Judgement(verdict=replace(verdict, action=Action.SETTLE), lease=lease)
