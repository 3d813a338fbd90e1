"""What to do next: a pure function of the snapshot, so that every rule stands in one place.

The order is the order of what must hold first:

1. A server that may not answer any more is stopped: revoked, its permit over, its fence not what was confirmed.
2. An order to enter partner-down is obeyed, once.
3. Whoever is paused is left alone, and whoever is in maintenance is stopped.
4. A running server is stopped for nothing but a checked configuration, from normal, or because the interface that it
   listens on is not the one of that name any more.
5. Nothing is started without a grant that was taken up and a permit that has held ever since. The first start under a
   grant is made as the grant says; any later one only on leases that say normal. Else the grant is given back and
   another asked for. So nothing is started without the API in a new pod: a new incarnation needs a grant.
6. While the API says that the kernel fences it, it is started under a fence that is proven, or not at all.
"""

from enum import StrEnum

from msgspec import Struct

from twinlease.api.permit import Isolation
from twinlease.api.servinglease import DatabaseVerdict
from twinlease.decide import obey
from twinlease.decide.clocks import steps_back
from twinlease.decide.pairview import CLOCK_STEPPED
from twinlease.ipc.protocol import Code
from twinlease.model.states import FailoverState
from twinlease.netlink.choose import Network
from twinlease.sidecar import orders
from twinlease.sidecar.observed import ANNOTATION_ESTABLISHED, CAUGHT_UP, CLOCKS_DIFFER, Observed, Verdict
from twinlease.sidecar.tenure import Standing, resumable

WAITING_FOR_NORMAL = "WaitingForNormal"
"""Reason of a wait with a checked configuration at hand; the server runs on with the one that it has."""

_FRESH = frozenset({FailoverState.UNKNOWN, FailoverState.STARTUP, FailoverState.RECOVER})
_RECOVERING = frozenset({FailoverState.RECOVER, FailoverState.RECOVER_WAIT, FailoverState.RECOVER_DONE})
_NOT_TRIED = "NotTried"
_CLOCKS = {
    CLOCK_STEPPED: "its wall clock stepped",
    CLOCKS_DIFFER: "its wall clock and its partner's differ",
}


class Action(StrEnum):
    """What the agent can do."""

    WAIT = "Wait"
    """Nothing: all is as it shall be, or something else must happen first."""
    FETCH = "Fetch"
    """Read the wanted configuration, compare its digest, let the server's parser check it."""
    APPLY = "Apply"
    """Have the guard install the candidate and start the server anew with it."""
    START = "Start"
    """Have the guard start the configuration that was installed last."""
    STOP = "Stop"
    """Have the guard stop the server so that nothing is lost: no answer any more, let all get to the partner."""
    REVOKE = "Revoke"
    """Have the guard silence the server at once, and stop it."""
    OBEY = "Obey"
    """Do about the order what ``orders.judge`` says."""
    FINISH = "Finish"
    """Let a server that was prepared for partner-down enter it."""


class Step(Struct, frozen=True):
    """The next step; ``reason`` is CamelCase.

    It goes into the condition ``Running`` where the server does not run, and where it waits to be changed.
    """

    action: Action
    reason: str
    message: str


def plan(now: Observed) -> Step:
    """Return the next step."""
    waiting = _unknown(now)
    if waiting is not None:
        return waiting
    for judge in (_may_not_run, _ordered, _obstacle):
        step = judge(now)
        if step is not None:
            return step
    if now.running:
        return _drifted(now) or _running(now)
    return _stopped(now)


def entitled(now: Observed) -> str:  # noqa: PLR0911  # one thing that is missing after the other
    """Return why a server that does not run may not be started now, a sentence; empty: it may."""
    if now.standing is Standing.UNKNOWN and not now.unbroken:
        return "the serving lease has not been read yet: nothing is started without a grant"
    if now.standing is Standing.OFFERED:
        return "a grant is there: it is taken up"
    if now.standing in {Standing.NONE, Standing.REVOKED}:
        return "it asks for a grant"
    if now.tenure.given_up:
        return "it gave its grant back and asks for another"
    if now.wrong_clock:
        return f"{_CLOCKS[now.wrong_clock]}: it gives its grant back"
    if not now.unbroken:
        return "its permit did not hold throughout: it gives its grant back"
    if now.tenure.begun and now.verdict is DatabaseVerdict.UNKNOWN:
        return "its lease database has not been judged yet"
    if now.tenure.begun and not resumable(now.found.recorded, now.verdict):
        return "it was not in contact with its partner when it stopped: it gives its grant back"
    return ""


# --- what comes before everything else --------------------------------------------------------------------------------
def _unknown(now: Observed) -> Step | None:
    if now.desired is None:
        return Step(Action.WAIT, "NoServerObject", "the DHCPServer has not been read yet")
    if now.guard is None:
        return Step(Action.WAIT, "GuardUnreachable", now.guard_problem or "the guard does not answer")
    if not now.found.readable:
        return Step(
            Action.WAIT, "RecordUnreadable", now.found.problem or "the record beside the leases is not read yet"
        )
    return None


def _may_not_run(now: Observed) -> Step | None:  # noqa: PLR0911  # one reason after the other
    """Return the end of a server that may not answer; what is not known is no reason."""
    if not now.running or now.guard is None:
        return None
    if now.standing is Standing.UNKNOWN:
        return None
    if now.standing is not Standing.HELD:
        return Step(Action.REVOKE, "Revoked", f"the grant is not this server's any more ({now.standing})")
    if now.tenure.given_up or now.guard.permit.lapsed or not now.unbroken:
        return Step(Action.REVOKE, "PermitEnded", "the permit to answer has ended")
    if now.stepped and now.stepped == now.guard.started_at and now.state is FailoverState.PARTNER_DOWN:
        # By its clock all that it keeps for the partner's clients ends sooner than by theirs. It starts anew from now.
        return Step(Action.REVOKE, CLOCK_STEPPED, f"{_stepped(now)} while it keeps what others hold")
    if now.behind and now.behind == now.guard.started_at and now.state in CAUGHT_UP:
        return Step(Action.REVOKE, "CutOffBeforeNormal", "it lost its partner after it had caught up: it returns anew")
    if now.misled == now.tenure.epoch:
        return Step(Action.REVOKE, CLOCK_STEPPED, f"{_stepped(now)} in contact with its partner")
    claimed = now.in_force.kernel_fence and now.in_force.isolation is Isolation.FENCE
    if claimed and not now.guard.fence.kernel and now.guard.fence.reason != _NOT_TRIED:
        return Step(Action.STOP, "FenceUnproven", "it was confirmed that the kernel fences it, and that is not proven")
    return None


def _stepped(now: Observed) -> str:
    return "its wall clock stepped" + f" by {now.step:+.1f} s" * bool(now.step)


def _ordered(now: Observed) -> Step | None:
    if orders.unfinished(now):
        return Step(Action.FINISH, "EnteringPartnerDown", "it was prepared for partner-down and waits for the word")
    found = orders.judge(now)
    if found.action is obey.Action.NOTHING:
        return None
    return Step(Action.OBEY, "Ordered", "it is ordered into partner-down" + f": {found.reason}" * bool(found.reason))


def _obstacle(now: Observed) -> Step | None:
    """Return what keeps us from doing anything else."""
    assert now.desired is not None  # noqa: S101  # judged by the caller
    spec = now.desired.object.spec
    if spec.paused:
        # Not even a start after a crash: who pauses a pair wants its servers left alone, to look into one, say.
        return Step(Action.WAIT, "Paused", "the pair is paused")
    if spec.maintenance:
        if now.running:
            return Step(Action.STOP, "Maintenance", "its maintenance is wanted")
        return Step(Action.WAIT, "Maintenance", "its maintenance is wanted: it stays stopped")
    if now.stopping:
        return Step(Action.WAIT, "Ending", "the sidecar ends")
    if not isinstance(now.network, Network):
        return Step(Action.WAIT, "NoNetwork", now.network.message if now.network else "the network is not known yet")
    return None


def _drifted(now: Observed) -> Step | None:
    """Return the clean stop of the one of the two that stops because their clocks have drifted apart."""
    said, role = now.failover, now.role
    if said is None or role is None or not now.answered or not now.clocks.differ:
        return None
    if not steps_back(role, said.local, said.partner):
        return None
    ahead = -now.clocks.offset
    message = f"its wall clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} its partner's: it stops"
    return Step(Action.STOP, CLOCKS_DIFFER, message)


# --- it runs ----------------------------------------------------------------------------------------------------------
def _running(now: Observed) -> Step:
    if _interface_replaced(now):
        # In any failover state: to wait for normal would be to hear no client for as long as the partner is away.
        # Little is lost: since the interface went, it has given no address that the partner does not know.
        return _try(now, Action.STOP, "InterfaceReplaced", "the interface was made anew: the server listens on air")
    if now.desired is None or now.desired.cached or now.wanted_revision in ("", _running_revision(now)):
        return Step(Action.WAIT, "Running", "the server runs")
    step = _wanted(now)
    if step.action is not Action.APPLY:
        return step
    if _both_normal(now):
        return _try(now, step.action, step.reason, step.message)
    if _replaceable(now):
        return _try(now, Action.STOP, "Changing", "it has never served: it is stopped for another configuration")
    return Step(Action.WAIT, WAITING_FOR_NORMAL, _unsettled(now))


def _both_normal(now: Observed) -> bool:
    """Tell whether the running server may be stopped for another configuration and go on after it.

    The operator gives one from normal/normal, but its order may come late: after a time without the API, say. A server
    that lost contact and then stops comes back with records that its partner has replaced meanwhile. So what counts is
    what the server itself says now.
    """
    said = now.failover
    if said is None or not now.answered:
        return False
    return said.local is FailoverState.NORMAL and said.partner is FailoverState.NORMAL


def _replaceable(now: Observed) -> bool:
    """Tell whether the running server was never normal: a first configuration may be what keeps the two from meeting.

    So it is when it never heard of its partner, or neither of them is through its first recovery; one that gives no
    answer at all is believed to be there if the operator never saw the pair serve.
    """
    said = now.failover
    if said is None:
        return now.desired is not None and ANNOTATION_ESTABLISHED not in now.desired.object.metadata.annotations
    if not now.answered:
        return False
    unheard = said.local in _FRESH and said.partner is FailoverState.UNKNOWN
    return unheard or {said.local, said.partner} <= _RECOVERING


def _unsettled(now: Observed) -> str:
    said = now.failover
    states = f"it is in {said.local} with the partner in {said.partner}" if said else "it gives no answer"
    wanted = now.wanted_revision[:12]
    return f"revision {wanted} is checked and waits, for a server is changed only from Normal/Normal: {states}"


# --- it does not run --------------------------------------------------------------------------------------------------
def _stopped(now: Observed) -> Step:
    if now.desired is None or now.desired.cached:
        return _from_memory(now)
    if not now.wanted_revision:
        return Step(Action.WAIT, "NoConfig", "the operator has not given a configuration yet")
    step = _wanted(now)
    if step.action not in {Action.APPLY, Action.START}:
        return step
    return _granted(now, step)


def _from_memory(now: Observed) -> Step:
    """Return what may be done while the API does not answer: the last good configuration goes on, under its permit."""
    if not _current_revision(now):
        return Step(Action.WAIT, "NoConfig", "the API does not answer and no configuration was ever installed")
    step = Step(Action.START, "Starting", "the API does not answer: the last good configuration serves")
    return _granted(now, step)


def _granted(now: Observed, step: Step) -> Step:
    """Return a start if there is leave to make it, else the wait for that."""
    missing = entitled(now)
    if missing:
        if now.failure is not None and now.failure.code == "exited":
            missing = f"{now.failure.message}; {missing}"
        return Step(Action.WAIT, "WaitingForGrant", missing)
    if _unproven(now) and not now.claims:
        return step  # what its failure waited for: nobody relies on the kernel's fence any more
    return _try(now, step.action, step.reason, step.message)


def _unproven(now: Observed) -> bool:
    return now.failure is not None and now.failure.code == Code.UNPROVEN


def startable(now: Observed) -> bool:
    """Tell whether nothing but a grant is missing for a start of a server that does not run."""
    if now.running or now.guard is None or not isinstance(now.network, Network) or not now.wanted_revision:
        return False
    ready = now.guard.alone and now.may_start and now.measured
    return ready and _wanted(now).action in {Action.APPLY, Action.START}


# --- configurations ---------------------------------------------------------------------------------------------------
def _wanted(now: Observed) -> Step:
    """Return the step towards the wanted configuration, whether it may be taken or not."""
    if not now.running and _current_revision(now) == now.wanted_revision:
        return Step(Action.START, "Starting", "the wanted configuration is installed")
    verdict = now.candidate.verdict if now.candidate else None
    message = now.candidate.message if now.candidate else ""
    if verdict is Verdict.ACCEPTED:
        return Step(Action.APPLY, "Starting", "the wanted configuration is checked")
    if not now.running and _current_revision(now) and verdict is not None:
        return Step(Action.START, "Starting", "the wanted configuration is not to be had: the last good one serves")
    if verdict is None or verdict in (Verdict.UNREADABLE, Verdict.DIGEST_MISMATCH):
        return _try(now, Action.FETCH, verdict or "Fetching", message or "the wanted configuration is not here yet")
    if verdict is Verdict.FAILED and not now.running:
        # Nothing is lost by trying again, and what was in the way (an address, a port) may be gone.
        return Step(Action.APPLY, "Exited", message)
    return Step(Action.WAIT, verdict, message)


def _try(now: Observed, action: Action, reason: str, message: str) -> Step:
    """Return a step, or a wait while the pause after its last failure lasts."""
    if now.may_fetch if action is Action.FETCH else now.may_start:
        return Step(action, reason, message)
    if now.failure is not None and not now.running:
        return Step(Action.WAIT, "FenceUnproven" if _unproven(now) else "Exited", now.failure.message)
    return Step(Action.WAIT, reason, message)


def _interface_replaced(now: Observed) -> bool:
    return isinstance(now.network, Network) and now.served_index not in (0, now.network.index)


def _running_revision(now: Observed) -> str:
    return now.guard.revision if now.guard else ""


def _current_revision(now: Observed) -> str:
    return now.guard.current if now.guard else ""
