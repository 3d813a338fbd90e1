"""Whether a server counts as stopped, and on what evidence; what is missing otherwise. Pure.

A server that is merely not heard of may be serving. What counts is that it cannot: it gave its grant back, another
incarnation proves that it is gone, or its permit has ended and the kernel sees to it that nothing leaves the node.
"""

from msgspec import UNSET, Struct

from twinlease.api.permit import Fence, Isolation
from twinlease.api.servinglease import Evidence, Phase
from twinlease.decide.pairview import View
from twinlease.model.states import Role


class Proof(Struct, frozen=True, kw_only=True):
    """The verdict on one server.

    Attributes:
        evidence: ``NONE``: it may be serving.
        message: What proves it, or what is missing; a sentence.
        retry: Seconds until time alone may change the verdict; None: it cannot.
        waiting: The message without that time, where there is one.
    """

    evidence: Evidence = Evidence.NONE
    message: str
    retry: float | None = None
    waiting: str = ""

    def __bool__(self) -> bool:
        """Tell whether the server counts as stopped."""
        return self.evidence is not Evidence.NONE


def stopped(view: View, role: Role) -> Proof:  # noqa: PLR0911  # one kind of evidence after the other
    """Return whether a server counts as stopped.

    Used up by what follows from it: the epoch rises, and the holder is cleared. So no evidence serves twice.
    """
    grant, own = view.grant(role), view.own(role)
    if not grant.holder:
        return _revoked(view, role)
    if view.released(role):
        return Proof(evidence=Evidence.RELEASED, message=f"The {role} was stopped and gave its grant back")
    if own.asks is not UNSET and own.asks.stopped and own.asks.incarnation != grant.holder and own.node == grant.node:
        message = f"The {role} is back on node {own.node} and finds no daemon of its former self there"
        return Proof(evidence=Evidence.PROVEN_STOPPED, message=message)
    if _confirmed(view, role):
        return _by_a_human(role)
    if _newly_tainted(view, role):
        message = f"Node {grant.node} of the {role} was declared out of service during this interruption"
        return Proof(evidence=Evidence.OUT_OF_SERVICE, message=message)
    if own.incarnation != grant.holder:
        return Proof(message=f"The {role}'s former self may still run beside the one that asks: {_both(view, role)}")
    if not view.confirmed(role):
        return Proof(evidence=Evidence.NEVER_CONFIRMED, message=f"The {role} has not taken up its grant")
    return _expired(view, role)


def _revoked(view: View, role: Role) -> Proof:
    """Judge a server without a grant: after an order that was refused it may still answer as long as it ever could."""
    own, other = view.own(role), view.own(role.other)
    if own.asks is not UNSET and own.asks.stopped:
        return Proof(evidence=Evidence.PROVEN_STOPPED, message=f"The {role} has no grant, and asks for one")
    if own.released and own.released == view.grant(role).epoch:
        return Proof(evidence=Evidence.RELEASED, message=f"The {role} was stopped and gave its last grant back")
    fenced = own.in_force.isolation is Isolation.FENCE
    left = view.expiry(role) - view.sights[role].silent
    unaware = bool(view.grant(role).epoch) and own.in_force.epoch == view.grant(role).epoch
    # Whoever vouched for its end was wrong if the order was refused, and it may not have heard of anything. Where its
    # silence is no evidence, that one's word must not serve for a later interruption either.
    if unaware and view.lease.phase is Phase.BOTH and (endless := _endless(view, role)) is not None:
        return _by_a_human(role) if _confirmed(view, role) else endless
    if unaware and fenced and left > 0:
        return _answers(role, left)
    if view.grant(role).epoch and other.report.promising:
        return _promised(view, role)
    return Proof(evidence=Evidence.NO_HOLDER, message=f"The {role} has no grant to serve")


def _confirmed(view: View, role: Role) -> bool:
    return view.sights[role].confirmed and not view.heard(role)


def _by_a_human(role: Role) -> Proof:
    return Proof(evidence=Evidence.CONFIRMED, message=f"A human confirmed that the {role} is dead")


def _promised(view: View, role: Role) -> Proof:
    wait = max(0.1, view.own(role.other).report.promise_seconds - view.sights[role.other].silent)
    message = f"The {role.other} promised the {role} to wait; that may run for {_span(wait)} more"
    return Proof(message=message, retry=wait, waiting=f"The {role.other} promised the {role} to wait")


def _answers(role: Role, left: float) -> Proof:
    message = f"The {role} may answer for {_span(left)} more on its last renewal"
    return Proof(message=message, retry=left, waiting=f"The {role} may answer on its last renewal")


def _both(view: View, role: Role) -> str:
    own = view.own(role)
    found = own.asks is not UNSET and own.asks.stopped
    return f"it asks from node {own.node}, not {view.grant(role).node}" if found else "its guard finds another daemon"


def _newly_tainted(view: View, role: Role) -> bool:
    """Tell whether a node was declared out of service within the partner's present interruption."""
    watched, report = view.grant(role.other).watched, view.own(role.other).report
    seen = report.interruption != 0 and watched.interruption == report.interruption and not watched.tainted
    return seen and view.sights[role].tainted and not view.heard(role)


def _endless(view: View, role: Role) -> Proof | None:
    """Return why a server's silence is no evidence however long it lasts; None: it may become one."""
    own = view.own(role)
    if own.in_force.isolation is Isolation.SERVE:
        return Proof(message=f"The {role} serves without end (spec.isolation is Serve): its silence is no evidence")
    if not own.in_force.kernel_fence and view.policy.fence is Fence.KERNEL:
        message = f"The end of the {role}'s permit is no evidence: its kernel fence was not proven (KernelFence=False)"
        return Proof(message=message)
    return None


def _expired(view: View, role: Role) -> Proof:
    if (endless := _endless(view, role)) is not None:
        return endless
    other = view.own(role.other)
    limit = view.expiry(role)
    left = limit - view.sights[role].silent
    if left > 0:
        return _answers(role, left)
    if other.report.promising:
        return _promised(view, role)
    message = f"The {role} has not renewed for {_span(limit)}: its permit has ended, and nothing is promised to it"
    return Proof(evidence=Evidence.EXPIRED, message=message)


def _span(seconds: float) -> str:
    return f"{seconds:.0f}s"
