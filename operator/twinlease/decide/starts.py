"""How a server that asks for a grant may start: Fresh, Resume, Recover, Survive, or not yet. Pure.

**Whoever stopped in contact with its partner, with the lease database that was confirmed, may resume. Everybody else
comes back only after the other was ordered into partner-down, and takes its leases over.**

The two sides are never both started to recover, and a server whose lease database is not the confirmed one is never the
survivor while the other's may be better.
"""

from msgspec import UNSET, Struct
from msgspec.structs import replace

from twinlease.api.permit import PartnerDownMode
from twinlease.api.servinglease import (
    DatabaseVerdict,
    Evidence,
    Phase,
    ServingLeaseSpec,
    Start,
)
from twinlease.decide import byhand, dates
from twinlease.decide.evidence import stopped
from twinlease.decide.obey import INTERRUPTED, MAY_BE_PROMISED, RETURNING
from twinlease.decide.pairview import View, entry, with_grant
from twinlease.decide.partnerdown import Action, Judgement, Verdict, executed, mclt_changed
from twinlease.model import durations
from twinlease.model.states import FailoverState, Role

_BLANK = frozenset({DatabaseVerdict.VIRGIN, DatabaseVerdict.SPENT})
_MOMENT = 10.0  # seconds; two nodes that get their power back together have their networks within it


class Way(Struct, frozen=True, kw_only=True):
    """How a server may start: ``start``, or why not yet."""

    start: Start | None = None
    reason: str
    message: str
    retry: float | None = None


def judge(view: View, role: Role) -> Judgement | None:
    """Return what becomes of a server's wish for a grant; None: it has none."""
    if not view.asks(role):
        return None
    way = _way(view, role)
    lease = None if way.start is None else _granted(view, role, way.start)
    verdict = Verdict(
        action=Action.NOTHING if lease is None else Action.GRANT,
        reason=way.reason,
        message=way.message,
        survivor=view.lease.survivor,
        retry=way.retry,
    )
    return Judgement(verdict=verdict, lease=lease)


def _way(view: View, role: Role) -> Way:
    asks, found = view.own(role).asks, view.own(role).database
    assert asks is not UNSET  # noqa: S101  # judged by the caller
    if not asks.stopped:
        return _wait("OldServerRuns", f"The {role} asks to start, but its guard finds another daemon on the node")
    proof = stopped(view, role)
    if not proof:
        return _wait("OldServerRuns", proof.message)
    if found.verdict is DatabaseVerdict.UNKNOWN:
        return _wait("LeaseDatabaseUnknown", f"The {role}'s lease database cannot be judged: {found.message}")
    if found.verdict is DatabaseVerdict.FOREIGN and not (view.sights[role].adopt or view.sights[role].discard):
        return _foreign(view, role)
    way = _by_phase(view, role)
    if asks.skew_millis and way.start is not None:
        way = _apart(view, role, way)
    if way.start is not None and not asks.ready:
        return _wait("NotReady", f"The {role} may start ({way.start}) as soon as network and configuration are there")
    return way


def _by_phase(view: View, role: Role) -> Way:
    survivor = view.lease.survivor
    if view.lease.phase is Phase.BOTH:
        adopted = view.sights[role].adopt and _verdict(view, role) is DatabaseVerdict.FOREIGN
        if adopted and not view.confirmed(role.other):
            message = f"The {role} starts on the lease database that was found, as a human decided"
            return _go(Start.RESUME, "Adopted", message)
        return _together(view, role) if view.lease.established else _first(view, role)
    if role == survivor:
        return _survivor_again(view, role)
    return _behind_survivor(view, role)


# --- their clocks differ ----------------------------------------------------------------------------------------------
def _apart(view: View, role: Role, way: Way) -> Way:
    """Judge the start of a server whose wall clock was measured to differ from its partner's.

    It harms nobody alone, and so does the other; what must not be is that both serve, in contact. So it waits while the
    other serves or is about to. Where neither does, whoever is granted first keeps the other waiting: the primary, if
    it can start. A first start of both at once becomes the start of one.
    """
    other = role.other
    if way.start is Start.SURVIVE:
        return way
    if _serves(view, other):
        return _wait("ClockSkew", f"{_skew(view, role)}: it starts when they agree; the {other} serves")
    if way.start is not Start.FRESH or not view.asks(other):
        return way  # one that began afresh serves nobody until the two have met; then one of them steps back
    if role is Role.SECONDARY and _ready(view, other):
        return _wait("ClockSkew", f"{_skew(view, role)}: it starts when they agree; the {other} starts first")
    if not (proof := stopped(view, other)):
        return _wait("NoSafeServer", f"{_skew(view, role)}, so that one serves alone. {proof.message}", proof.retry)
    refused = _takeover_refused(view, role)
    return refused or _go(Start.SURVIVE, "ClockSkew", f"{_skew(view, role)}: the {role} serves alone, as survivor")


def _serves(view: View, role: Role) -> bool:
    """Tell whether a server serves, or was granted a start after which it will whatever its partner does."""
    held = bool(view.grant(role).holder) and not view.released(role) and not view.asks(role)
    # Its sidecar may tell the time for ever beside a daemon that hangs, and be all that is left of it.
    if stopped(view, role).evidence not in {Evidence.NONE, Evidence.NEVER_CONFIRMED}:
        return False
    by_itself = view.grant(role).start not in {Start.RECOVER, Start.FRESH}
    return held and (by_itself or view.own(role).report.serving)


def _skew(view: View, role: Role) -> str:
    asks = view.own(role).asks
    ahead = 0.0 if asks is UNSET else -asks.skew_millis / 1000
    way = "ahead of" if ahead > 0 else "behind"
    return f"The wall clock of the {role} is {abs(ahead):.1f}s {way} the {role.other}'s"


# --- before the two ever served together ------------------------------------------------------------------------------
def _first(view: View, role: Role) -> Way:
    other = role.other
    partner = view.own(other).database.verdict
    blank = partner in _BLANK or partner is DatabaseVerdict.INTACT or view.sights[other].discard
    mine = _verdict(view, role) in _BLANK or _intact(view, role) or view.sights[role].discard
    seen = bool(view.own(other).incarnation) and view.sights[other].age < float("inf")
    if seen and (blank if mine else _never_normal(view, other)):
        return _go(Start.FRESH, "Fresh", f"The {role} starts for the first time, and its partner is as new")
    if view.own(other).incarnation and partner is DatabaseVerdict.FOREIGN:
        return _wait("LeaseDatabaseFound", f"The {role} waits: a foreign lease database was found on the {other}")
    return _lone_first(view, role)


def _never_normal(view: View, role: Role) -> bool:
    """Tell whether a server proves that the pair has served nobody yet: it is here, and was never normal."""
    served = {FailoverState.NORMAL, FailoverState.COMMUNICATIONS_INTERRUPTED, FailoverState.PARTNER_DOWN}
    if view.asks(role):
        return _verdict(view, role) is not DatabaseVerdict.UNKNOWN and view.recorded(role) not in served
    return view.confirmed(role) and view.fresh(role) and view.state(role) in {*RETURNING, FailoverState.STARTUP}


def _lone_first(view: View, role: Role) -> Way:
    """The first boot of one server whose partner does not show up."""
    asks = view.own(role).asks
    assert asks is not UNSET  # noqa: S101  # judged by the caller
    # Alone it gets a configuration only when the operator has waited for the partner: that wait counts.
    waited = max(asks.waiting_millis / 1000 + view.sights[role].age, view.sights[role].waiting)
    left = view.policy.after - waited
    if left > 0:
        message = f"The {role} is ready; it waits {left:.0f}s more for the {role.other}, which has never been seen"
        return _wait("WaitingForPartner", message, retry=left)
    if not (proof := stopped(view, role.other)):
        return _wait("NoSafeServer", f"The {role} could serve alone. {proof.message}", retry=proof.retry)
    if (refused := _takeover_refused(view, role)) is not None:
        return refused
    message = f"The {role.other} has not shown up for {view.policy.after:.0f}s: the {role} serves alone, as survivor"
    return _go(Start.SURVIVE, "FirstAlone", message)


# --- both may serve ---------------------------------------------------------------------------------------------------
def _together(view: View, role: Role) -> Way:  # noqa: PLR0911  # one case after the other
    other = role.other
    if not _intact(view, role):
        return _damaged(view, role)
    if byhand.is_down(view, other):
        return _behind_unordered(view, role)
    if view.resumable(role):
        if view.asks(other) and _has_news(view, other):
            if not _ready(view, other):
                return _in_a_moment(view, role) or _take_over(view, role)
            return _wait("PartnerFirst", f"The {role} waits: the {other} served on after it and starts first")
        return _go(Start.RESUME, "Resume", f"The {role} stopped in contact with its partner: it goes on where it was")
    if view.confirmed(other) and not view.asks(other) and view.fresh(other):
        message = f"The {role} {_ended(view, role)}: it waits until the {other} was ordered into partner-down"
        return _wait("PartnerTakesOver", message)
    if view.asks(other) and _ready(view, other) and _has_news(view, other) and _precedes(view, other, role):
        return _wait("PartnerFirst", f"The {role} waits: the {other} starts first, in partner-down")
    return _take_over(view, role)


def _behind_unordered(view: View, role: Role) -> Way:
    """An intact server whose partner is in partner-down without an order, or was: that one goes first."""
    other = role.other
    if view.asks(other) and _intact(view, other) and _ready(view, other) and _precedes(view, other, role):
        return _wait("PartnerFirst", f"The {role} waits: the {other} starts first, in partner-down")
    left = byhand.left(view, other)
    if left is None:
        return _wait("PartnerTakesOver", f"The {role} waits: the {other} is in partner-down, and must be ordered first")
    if left > 0:
        message = (
            f"The {other} was in partner-down without an order: the addresses of the {role} that it gave out are free "
            f"in {left:.0f}s, then the {role} serves"
        )
        return _wait(byhand.REASON, message, retry=left)
    return _take_over(view, role)


def _in_a_moment(view: View, role: Role) -> Way | None:
    """Let a partner that served on and is not ready yet have a moment: after a power failure both are back at once."""
    asks = view.own(role).asks
    ready = asks.waiting_millis / 1000 + view.sights[role].age if asks is not UNSET else _MOMENT
    if ready >= _MOMENT:
        return None
    message = f"The {role} waits: the {role.other} served on after it, and has {_MOMENT - ready:.0f}s more to get ready"
    return _wait("PartnerFirst", message, retry=_MOMENT - ready)


def _damaged(view: View, role: Role) -> Way:
    """The database is not the one that was confirmed: it never starts first while the other's may be intact."""
    other, verdict = role.other, _verdict(view, role)
    if _begins_anew(view, other):
        if _never_normal(view, other):
            return _go(Start.FRESH, "BegunAnew", f"Both lease databases are lost, and the {other} begins anew already")
        return _wait("PartnerStarts", f"The {role} waits until the {other} has begun anew")
    if view.confirmed(other) and not view.asks(other) and view.fresh(other):
        message = f"The {role}'s lease database is {verdict}: it waits until the {other} was ordered into partner-down"
        return _wait("PartnerTakesOver", message)
    if view.asks(other) and _intact(view, other):
        return _wait("PartnerFirst", f"The {role}'s lease database is {verdict}: the {other} starts first")
    return _nothing_left(view, role)


def _begins_anew(view: View, role: Role) -> bool:
    """Tell whether a server was granted a fresh start and has not been normal since: it knows of no lease at all."""
    if _intact(view, role) and view.own(role).lineage.newest:
        return False
    grant, state = view.grant(role), view.state(role)
    begun = {*RETURNING, FailoverState.STARTUP, FailoverState.UNKNOWN}
    unused = not view.confirmed(role) or (view.fresh(role) and state in begun)
    return bool(grant.holder) and grant.start is Start.FRESH and not view.asks(role) and unused


def _nothing_left(view: View, role: Role) -> Way:
    """Nobody has an intact lease database: only time, or a human, makes it safe to begin anew."""
    other, verdict = role.other, _verdict(view, role)
    left = 0.0 if view.give_up else dates.until_last_lease_ends(view)
    both = view.asks(other) and not _intact(view, other)
    if not both and (proof := stopped(view, other)).evidence.value == "None":
        message = f"The {role}'s lease database is {verdict}, and the {other} may have an intact one. {proof.message}"
        return _wait("NoSafeServer", message, retry=proof.retry)
    if left > 0:
        message = (
            f"The {role}'s lease database is {verdict} and the {other}'s is not to be had: clients may hold leases "
            f"until {dates.text(view.now + left)}, which nobody knows"
        )
        return _wait("LeaseDatabaseLost", message, retry=left)
    if both:
        return _go(Start.FRESH, "BegunAnew", "Both lease databases are lost and every lease has ended: both begin anew")
    if (refused := _step_refused(view, role)) is not None:
        return refused
    return _go(Start.SURVIVE, "BegunAnew", f"Every lease that is not known any more has ended: the {role} begins anew")


def _take_over(view: View, role: Role) -> Way:
    """An intact server that may not resume, with nobody to take over from."""
    proof = stopped(view, role.other)
    if not proof:
        message = f"The {role} {_ended(view, role)} and may not resume. {proof.message}"
        return _wait("NoSafeServer", message, retry=proof.retry)
    if (refused := _takeover_refused(view, role)) is not None:
        return refused
    return _go(
        Start.SURVIVE, "Survive", f"The {role} has the latest leases and starts in partner-down. {proof.message}"
    )


def _takeover_refused(view: View, role: Role) -> Way | None:
    """Return why a server does not take over now from one that is stopped."""
    if (refused := _step_refused(view, role)) is not None:
        return refused
    lowered = mclt_changed(view, role.other, view.lease.mclt.until)
    return None if lowered is None else _wait("MCLTLowered", lowered[0], retry=lowered[1])


def _step_refused(view: View, role: Role) -> Way | None:
    """Return why a server is not put into partner-down at its start: whose word is it, and who takes that step?

    A partner that asks has proven its stop by itself; a human who vouches for it, or for the leases, took the step.
    """
    if not view.policy.guarded:
        message = (
            "The ValidatingAdmissionPolicy twinlease-serving-lease or its binding is not as shipped: no word is trusted"
        )
        return _wait("PolicyMissing", message)
    known = view.asks(role.other) or view.sights[role.other].confirmed or view.give_up
    if view.policy.mode is not PartnerDownMode.AUTOMATIC and not known:
        mode = view.policy.mode
        return _wait(str(mode), f"The {role} would start in partner-down now, but spec.partnerDown.mode is {mode}")
    return None


# --- one is the survivor ----------------------------------------------------------------------------------------------
def _survivor_again(view: View, role: Role) -> Way:
    if _intact(view, role) or (not view.lease.established and _verdict(view, role) in _BLANK):
        if (wait := _still_promised(view, role)) is not None:
            return wait
        return _go(Start.SURVIVE, "SurviveAgain", f"The {role} is the survivor and starts again in partner-down")
    other = role.other
    if view.asks(other) and _intact(view, other):
        return _wait("PartnerFirst", f"The {role}'s lease database is lost: the {other} takes over from it")
    if view.confirmed(other) and view.state(other) in RETURNING:
        return _wait(
            "PartnerTakesOver", f"The {role}'s lease database is lost: the {other}, on its way back, takes over"
        )
    return _nothing_left(view, role)


def _still_promised(view: View, role: Role) -> Way | None:
    """A survivor that never entered partner-down may have promised its partner something since it was chosen.

    It would have refused the order for that. One whose database says partner-down had nothing to refuse, and has
    promised nothing since.
    """
    order = view.lease.order
    known = order is not UNSET and order.evidence not in MAY_BE_PROMISED
    if known or view.recorded(role) is FailoverState.PARTNER_DOWN or view.grant(role.other).holder:
        return None
    proof = stopped(view, role.other)
    return None if proof else _wait("NoSafeServer", f"The {role} could survive. {proof.message}", retry=proof.retry)


def _behind_survivor(view: View, role: Role) -> Way:
    survivor = role.other
    down, asking = _down_since(view, survivor, view.grant(role).epoch), view.asks(survivor)
    if not down and not asking and not _given_up(view, survivor):
        return _wait("OrderPending", f"The {survivor} has not said yet that it is in partner-down")
    if not down and asking and _intact(view, survivor):
        return _wait("PartnerFirst", f"The {role} waits: the {survivor} starts first, in partner-down")
    # Who took nothing over, or lost what it took over, has nothing to give to the one that returns.
    lost = view.lease.established and (not _intact(view, survivor) if asking else not down)
    if lost:
        return _instead(view, role) if _intact(view, role) else _nothing_left(view, role)
    return _go(
        Start.RECOVER, "Recover", f"The {role} returns: it takes over the leases of the {survivor} and then serves"
    )


def _instead(view: View, role: Role) -> Way:
    """An intact server whose survivor has nothing to give it: what that one promised ends within the MCLT."""
    left = durations.seconds(view.lease.mclt.duration) - view.sights[role.other].gone
    if left > 0:
        message = f"The survivor has no leases to give: its promises end in {left:.0f}s, then the {role} serves"
        return _wait("SurvivorLost", message, retry=left)
    if (refused := _takeover_refused(view, role)) is not None:
        return refused
    return _go(Start.SURVIVE, "SurvivorLost", f"The survivor has no leases to give: the {role} takes over from it")


def _given_up(view: View, survivor: Role) -> bool:
    """Tell whether a survivor will not go into partner-down any more.

    One that was just granted its start has time to begin: else the two would take turns without end.
    """
    proof = stopped(view, survivor)
    if proof.evidence is Evidence.NEVER_CONFIRMED:
        return view.sights[survivor].silent > view.policy.after
    return bool(proof)


def _down_since(view: View, survivor: Role, epoch: int) -> bool:
    """Tell whether a survivor went into partner-down as such after an epoch: by its answer, or by a start that says so.

    Each return needs one of its own: the two may have been normal since the last one, and the survivor serves on its
    own in communications-interrupted while its latest word is still of partner-down.
    """
    order, grant = view.lease.order, view.grant(survivor)
    if view.confirmed(survivor) and view.state(survivor) in {*INTERRUPTED, FailoverState.NORMAL}:
        return False  # its partner was there meanwhile, grant or not
    if order is not UNSET:
        return order.epoch > epoch and executed(view, survivor)
    return grant.epoch > epoch and view.confirmed(survivor) and view.state(survivor) is FailoverState.PARTNER_DOWN


def _foreign(view: View, role: Role) -> Way:
    other = role.other
    if view.lease.established and view.confirmed(other) and not view.asks(other):
        return _by_phase(view, role)  # the partner's is intact and running: this one is set aside, nothing is lost
    message = (
        f"The {role}'s disk holds a lease database of another server or an earlier pair, with "
        f"{view.own(role).database.held} leases that still run: adopt or discard it"
    )
    return _wait("LeaseDatabaseFound", message)


# --- what all have in common ------------------------------------------------------------------------------------------
def _verdict(view: View, role: Role) -> DatabaseVerdict:
    return view.own(role).database.verdict


def _intact(view: View, role: Role) -> bool:
    return _verdict(view, role) is DatabaseVerdict.INTACT


def _has_news(view: View, role: Role) -> bool:
    """Tell whether an asking server may know of leases that its partner does not."""
    return _intact(view, role) and view.recorded(role) is not FailoverState.NORMAL


def _ended(view: View, role: Role) -> str:
    """Return how an asking server that may not resume stopped."""
    recorded = view.recorded(role)
    return "was stopped when its clock stepped" if recorded is FailoverState.NORMAL else f"stopped in {recorded}"


def _ready(view: View, role: Role) -> bool:
    """Tell whether an asking server could start: who cannot keeps nobody waiting, for either may survive."""
    asks = view.own(role).asks
    return asks is not UNSET and asks.ready


def _precedes(view: View, role: Role, other: Role) -> bool:
    """Tell which of two that both served apart starts first: the one with the latest transaction, else the primary.

    But one that was in partner-down comes before one that was not, which knows nothing of what it gave out.
    """
    mine, theirs = (
        (view.recorded(each) is FailoverState.PARTNER_DOWN, view.own(each).lineage.newest) for each in (role, other)
    )
    return mine > theirs or (mine == theirs and role is Role.PRIMARY)


def _granted(view: View, role: Role, start: Start) -> ServingLeaseSpec:
    """Return the lease with a grant: one more epoch, a holder in place of the one that is proven to be over."""
    lease, policy, own = view.lease, view.policy, view.own(role)
    asks = own.asks
    assert asks is not UNSET  # noqa: S101  # judged by the caller
    epoch = lease.epoch + 1
    alone = start is Start.SURVIVE
    grant = replace(
        view.grant(role),
        holder=asks.incarnation,
        node=own.node,
        epoch=epoch,
        start=start,
        duration=durations.text(int(policy.alone if alone else policy.duration)),
        promise=durations.text(int(policy.promise)),
        max_promise=durations.text(int(policy.max_promise)),
        isolation=policy.isolation,
    )
    lease = with_grant(replace(lease, epoch=epoch), role, grant)
    if start is Start.SURVIVE:
        # Whoever held the other grant is proven to be over; without a holder it cannot come back by itself.
        gone = entry(lease, role.other).grant
        lease = with_grant(lease, role.other, replace(gone, holder="", node=""))
        return replace(lease, phase=Phase.ALONE, survivor=str(role), order=UNSET)
    if start is Start.RECOVER:
        return replace(lease, phase=Phase.RETURNING)
    if start is Start.FRESH:
        return replace(lease, phase=Phase.BOTH, survivor="", order=UNSET, established=lease.established)
    return replace(lease, established=lease.established or view.sights[role].adopt)


def _go(start: Start, reason: str, message: str) -> Way:
    return Way(start=start, reason=reason, message=message)


def _wait(reason: str, message: str, retry: float | None = None) -> Way:
    return Way(reason=reason, message=message, retry=retry)
