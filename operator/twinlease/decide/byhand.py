"""A server in partner-down that nobody ordered there: somebody else's hand, or its daemon's own doing. Pure.

Such a one gives out its partner's free addresses an MCLT later, whether the partner serves or not, and its partner
knows of none of them. So it goes before its partner, in partner-down as it should be; where it is stopped and does not
come back, its partner waits for an MCLT, after which no such lease runs any more: nobody acknowledged them.
"""

from twinlease.api.servinglease import DatabaseVerdict, Phase
from twinlease.decide.evidence import stopped
from twinlease.decide.obey import INTERRUPTED
from twinlease.decide.pairview import View
from twinlease.model import durations
from twinlease.model.states import FailoverState, Role

REASON = "PartnerDownByHand"


def is_down(view: View, role: Role) -> bool:
    """Tell whether a server is in partner-down without an order, or was when it stopped."""
    if view.lease.phase is not Phase.BOTH:
        return False
    if view.confirmed(role):
        return view.state(role) is FailoverState.PARTNER_DOWN
    return view.recorded(role) is FailoverState.PARTNER_DOWN


def left(view: View, role: Role) -> float | None:
    """Return in how many seconds the last lease ends that a server gave out of its partner's addresses; None: unknown.

    It must be stopped for the MCLT.
    """
    if not stopped(view, role):
        return None
    return durations.seconds(view.lease.mclt.duration) - view.sights[role].gone


def said(view: View) -> str:
    """Return what is to be said of a pair with a server that somebody put into partner-down; empty: there is none."""
    for role in Role:
        other = role.other
        if not (is_down(view, role) and view.confirmed(role) and view.fresh(role)):
            continue
        if view.asks(other):
            return f"The {role} was put into partner-down by hand: the {other} waits until it has been started anew"
        if view.confirmed(other) and view.fresh(other) and view.state(other) in INTERRUPTED:
            return (
                f"The {role} was put into partner-down by hand while the {other} serves: both may give one address to "
                f"two clients. Mend the link between them, or stop the {role} (spec.{role}.maintenance)"
            )
        if view.late(other):
            return (
                f"The {role} was put into partner-down by hand. If the {other} is dead, stop the {role} and let it "
                f"start again (spec.{role}.maintenance true, then false): it extends the leases that the {other} may "
                "have renewed"
            )
    return ""


def to_restart(view: View) -> Role | None:
    """Return who is to stop and to start anew, with everything extended, since its partner waits for that.

    An order would not do: it is in partner-down, and would answer so. Only while all is there that it needs to be
    granted its start at once.
    """
    for role in Role:
        other = role.other
        runs = is_down(view, role) and view.confirmed(role) and view.fresh(role) and _intact(view, role)
        may = view.policy.guarded and not view.lease.mclt.until
        if runs and may and view.asks(other) and stopped(view, other):
            return role
    return None


def _intact(view: View, role: Role) -> bool:
    return view.own(role).database.verdict is DatabaseVerdict.INTACT
