"""The decision about a pair's service, rule by rule: what holds, on what evidence, and what would change it. Pure.

``partnerdown.judge`` stops at the first rule that does not hold; people want to see all of them. A property test holds
the two together: a survivor is ordered into partner-down exactly when every rule holds that is told here.
"""

from collections.abc import Iterator

from msgspec import Struct

from twinlease.api.permit import Isolation, PartnerDownMode
from twinlease.api.servinglease import DatabaseVerdict, Evidence, Phase
from twinlease.decide import starts
from twinlease.decide.evidence import Proof, stopped
from twinlease.decide.obey import INTERRUPTED
from twinlease.decide.pairview import View
from twinlease.decide.partnerdown import (
    cut_off,
    in_partner_down,
    left_to_return,
    mclt_changed,
    outstanding,
    shorter,
    waived,
)
from twinlease.model import durations
from twinlease.model.states import Role

START = "Start"
"""The rule under which a server's wish to start is told."""

_COMMAND = "kubectl twinlease partner-down"


class Rule(Struct, frozen=True, kw_only=True):
    """One rule as it stands.

    Attributes:
        role: The server that the rule would let take over, or start.
        name: CamelCase, from a closed set.
        holds: It is fulfilled.
        message: The evidence; a sentence, without any number that time changes.
        remedy: What would change it; empty where it holds.
        retry: Seconds until time alone may change it; None: it cannot.
    """

    role: Role
    name: str
    holds: bool
    message: str
    remedy: str = ""
    retry: float | None = None


def account(view: View) -> tuple[Rule, ...]:
    """Return what is judged of either server now; empty while there is nothing to judge: both serve, or one alone."""
    found: list[Rule] = []
    for role in Role:
        asked = starts.judge(view, role)
        if asked is not None:
            found.append(_start(role, asked.verdict.reason, asked.verdict.message, asked.verdict.retry))
        elif _considered(view, role):
            found += takeover(view, role)
    return tuple(found)


def _considered(view: View, role: Role) -> bool:
    """Tell whether it is a question whether a server takes over."""
    if not view.confirmed(role) or outstanding(view) is not None:
        return False
    if view.lease.phase is not Phase.BOTH:
        return cut_off(view, role) or left_to_return(view, role) is not None
    if in_partner_down(view, role):
        return False
    other = role.other
    if not view.fresh(role) and (view.fresh(other) or view.asks(other)):
        return False  # it is the other one that anything is asked about
    alone = view.asks(other) or view.late(other) or not view.confirmed(other)
    return view.state(role) in INTERRUPTED or alone


def takeover(view: View, role: Role) -> Iterator[Rule]:
    """Yield the rules by which a server is ordered into partner-down, in the order in which they are judged."""
    proof, (excused, why) = stopped(view, role.other), waived(view, role)
    yield _grant(view, role)
    yield _report(view, role)
    yield _admission(view, role)
    yield _database(view, role)
    yield _interrupted(view, role)
    yield from _mclt(view, role)
    yield _mode(view, role, proof, excused=excused)
    yield _lasted(view, role, why if excused else "")
    yield _partner(view, role, proof)


def _grant(view: View, role: Role) -> Rule:
    if view.confirmed(role):
        message = f"The {role} serves under the grant of epoch {view.grant(role).epoch}, which it confirmed"
        return Rule(role=role, name="Grant", holds=True, message=message)
    message = f"The {role} does not serve under a confirmed grant"
    return Rule(role=role, name="Grant", holds=False, message=message, remedy=f"the {role} takes up its grant")


def _report(view: View, role: Role) -> Rule:
    if view.fresh(role):
        return Rule(role=role, name="Report", holds=True, message=f"The {role} renews as often as it should")
    remedy = f"a renewal of the {role}: its sidecar must reach the API"
    message = f"The {role} has not renewed lately: nothing is known of it"
    return Rule(role=role, name="Report", holds=False, message=message, remedy=remedy)


def _admission(view: View, role: Role) -> Rule:
    if view.policy.guarded:
        message = "Each server can write its own part of the serving lease only: the admission policy is in force"
        return Rule(role=role, name="AdmissionPolicy", holds=True, message=message)
    message = "The ValidatingAdmissionPolicy twinlease-serving-lease or its binding is not as shipped"
    remedy = "apply manifests/admission.yaml as shipped"
    return Rule(role=role, name="AdmissionPolicy", holds=False, message=message, remedy=remedy)


def _database(view: View, role: Role) -> Rule:
    verdict = view.own(role).database.verdict
    if verdict is DatabaseVerdict.INTACT:
        message = f"The lease database of the {role} is the one that was confirmed"
        return Rule(role=role, name="LeaseDatabase", holds=True, message=message)
    message = f"The lease database of the {role} is not verified: {verdict}"
    remedy = f"the {role} confirms its lease database, which it does once it serves in contact"
    return Rule(role=role, name="LeaseDatabase", holds=False, message=message, remedy=remedy)


def _interrupted(view: View, role: Role) -> Rule:
    state, number = view.state(role), view.own(role).report.interruption
    if cut_off(view, role):
        which = f", interruption number {number}" if number else ""
        return Rule(role=role, name="CutOff", holds=True, message=f"The {role} is in {state}{which}")
    left = left_to_return(view, role)
    if left is not None:
        message = f"The survivor is gone while the {role} was on its way back: what it promised must end first"
        return Rule(role=role, name="CutOff", holds=False, message=message, remedy="time", retry=left)
    message = f"The {role} is in {state}: it is not cut off from its partner"
    remedy = f"the {role} loses the failover link"
    return Rule(role=role, name="CutOff", holds=False, message=message, remedy=remedy)


def _mclt(view: View, role: Role) -> Iterator[Rule]:
    mine = view.own(role).report.mclt
    if not durations.seconds(mine):
        message = f"The {role} has not learnt the MCLT yet"
        remedy = f"the {role} meets its partner, from which it learns the MCLT"
        yield Rule(role=role, name="MCLT", holds=False, message=message, remedy=remedy)
        return
    changed = mclt_changed(view, role.other, view.lease.mclt.until or shorter(view, role))
    if changed is None:
        yield Rule(role=role, name="MCLT", holds=True, message=f"The {role} goes by an MCLT of {mine}")
        return
    message = f"The MCLT was changed: the {role.other} may have promised leases by that of {view.lease.mclt.duration}"
    remedy = f"the {role.other} being proven to be stopped for that long"
    yield Rule(role=role, name="MCLT", holds=False, message=message, remedy=remedy, retry=changed[1])


def _mode(view: View, role: Role, proof: Proof, *, excused: bool) -> Rule:
    mode = view.policy.mode
    by_hand = mode is PartnerDownMode.MANUAL and proof.evidence is Evidence.CONFIRMED
    if mode is PartnerDownMode.AUTOMATIC or excused or by_hand:
        why = ": a human took the step" if by_hand else ", but this step needs nobody" if excused else ""
        why = "" if mode is PartnerDownMode.AUTOMATIC else why
        message = f"The mode is {mode} (spec.partnerDown.mode){why}"
        return Rule(role=role, name="Mode", holds=True, message=message)
    remedy = "spec.partnerDown.mode: Automatic"
    if mode is PartnerDownMode.MANUAL:
        remedy += f"; or {_COMMAND}, if the {role.other} is dead"
    message = f"The mode is {mode} (spec.partnerDown.mode)"
    return Rule(role=role, name="Mode", holds=False, message=message, remedy=remedy)


def _lasted(view: View, role: Role, why: str) -> Rule:
    after = durations.text(int(view.policy.after))
    if why:
        message = f"The {role} need not wait for {after} (spec.partnerDown.after): {why}"
        return Rule(role=role, name="Interruption", holds=True, message=message)
    left = view.policy.after - view.own(role).report.interrupted_millis / 1000 - view.sights[role].age
    if left <= 0:
        message = f"The interruption has lasted {after} (spec.partnerDown.after) without a break"
        return Rule(role=role, name="Interruption", holds=True, message=message)
    message = f"The interruption must last {after} (spec.partnerDown.after) without a break"
    if not cut_off(view, role):
        return Rule(role=role, name="Interruption", holds=False, message=message, remedy="an interruption")
    remedy = f"time; a planned stop (spec.{role.other}.maintenance) needs none"
    return Rule(role=role, name="Interruption", holds=False, message=message, remedy=remedy, retry=left)


def _partner(view: View, role: Role, proof: Proof) -> Rule:
    message = proof.waiting or proof.message
    if proof:
        return Rule(role=role, name="PartnerStopped", holds=True, message=f"{message} ({proof.evidence})")
    return Rule(
        role=role,
        name="PartnerStopped",
        holds=False,
        message=message,
        remedy=_evidence_wanted(view, role.other, proof),
        retry=proof.retry,
    )


def _evidence_wanted(view: View, role: Role, proof: Proof) -> str:
    """Return what would prove that a server is stopped."""
    node = view.grant(role).node or view.own(role).node
    ways = ["time"] if proof.retry is not None else []
    ways.append(f"the {role} back on its node, or stopped cleanly")
    if node and not view.heard(role):
        ways.append(f"if node {node} is off for good, its taint node.kubernetes.io/out-of-service")
        ways.append(f"if the {role} is dead, {_COMMAND}")
    force = view.own(role).in_force
    if view.confirmed(role) and force.isolation is Isolation.FENCE and not force.kernel_fence and proof.retry is None:
        ways.append("spec.fence: Process, if it is enough for you that the guard kills it")
    return "; ".join(ways)


def _start(role: Role, reason: str, message: str, retry: float | None) -> Rule:
    remedy = _WOULD_START.get(reason, "" if retry is None else "time")
    return Rule(role=role, name=START, holds=False, message=f"{reason}: {message}", remedy=remedy, retry=retry)


_ADOPT = "a human: annotate the pair twinlease.io/adopt-leases or twinlease.io/discard-leases, SERVER@EPOCH"
_WOULD_START = {
    "OldServerRuns": "the end of the daemon on its node, or proof that its node is off",
    "LeaseDatabaseUnknown": "a lease directory that can be read: look at the server's log",
    "LeaseDatabaseFound": _ADOPT,
    "LeaseDatabaseLost": (
        "time; a return of the partner with an intact lease database; or a human who acknowledges that the leases are "
        "lost: annotate the pair twinlease.io/acknowledge-lost-leases, PAIR@EPOCH"
    ),
    "NoSafeServer": (
        "the partner back on its node; proof that it is stopped, by time where its permit ends, or by the taint "
        f"node.kubernetes.io/out-of-service of its node; or, if it is dead, {_COMMAND}"
    ),
    "NotReady": "network and configuration of this server: look at the conditions of its DHCPServer",
    "ClockSkew": "clocks that agree: look after the time service of both nodes",
    "PartnerFirst": "the start of its partner",
    "PartnerTakesOver": "the partner in partner-down, which follows by itself as soon as its rules hold",
    "PartnerStarts": "the start of its partner",
    "OrderPending": "the answer of the survivor to its order",
    "WaitingForPartner": "the partner, or time",
    "PolicyMissing": "apply manifests/admission.yaml as shipped",
    "Manual": f"spec.partnerDown.mode: Automatic; or, if the partner is dead, {_COMMAND}",
    "Never": f"spec.partnerDown.mode: Automatic; or, if the partner is dead, {_COMMAND}",
    "MCLTLowered": "time, once the partner is proven to be stopped",
}
