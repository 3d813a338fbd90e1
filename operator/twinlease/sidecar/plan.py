"""What to do next: a pure function of the snapshot, so that every rule stands in one place."""

from enum import StrEnum

from msgspec import Struct

from twinlease.model.states import FailoverState
from twinlease.netlink.choose import Network
from twinlease.sidecar.observed import ANNOTATION_ESTABLISHED, Observed, Verdict

WAITING_FOR_NORMAL = "WaitingForNormal"
"""Reason of a wait with a checked configuration at hand; the server runs on with the one that it has."""

_FRESH = frozenset({FailoverState.UNKNOWN, FailoverState.STARTUP, FailoverState.RECOVER})
_RECOVERING = frozenset({FailoverState.RECOVER, FailoverState.RECOVER_WAIT, FailoverState.RECOVER_DONE})


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
    RESTART = "Restart"
    """Have the guard stop the server and start it again."""


class Step(Struct, frozen=True):
    """The next step; ``reason`` is CamelCase.

    It goes into the condition ``Running`` where the server does not run, and where it waits to be changed.
    """

    action: Action
    reason: str
    message: str


def plan(now: Observed) -> Step:
    """Return the next step.

    The order is the order of what must hold first. A running server is never stopped for want of anything: only for
    a configuration that was checked, while the pair is normal, or because the interface that it listens on is not the
    one of that name any more.

    The latter happens in any failover state. To wait for normal would be to hear no client for as long as the partner
    is away, and that may be for good. Little is lost: since the interface went, the server has not given any address
    that the partner does not know; what it had not passed on before, a crash would lose as well.
    """
    waiting = _obstacle(now)
    if waiting is not None:
        return waiting
    if now.running and _interface_replaced(now):
        return _try(now, Action.RESTART, "InterfaceReplaced", "the interface was made anew: the server listens on air")
    if now.running and now.wanted_revision in ("", _running_revision(now)):
        return Step(Action.WAIT, "Running", "the server runs")
    if not now.wanted_revision:
        return Step(Action.WAIT, "NoConfig", "the operator has not given a configuration yet")
    if now.running or _current_revision(now) != now.wanted_revision:
        return _towards_wanted(now)
    return _try(now, Action.START, "Starting", "the wanted configuration is installed")


def _obstacle(now: Observed) -> Step | None:
    """Return what keeps us from doing anything at all."""
    if now.desired is None:
        return Step(Action.WAIT, "NoServerObject", "the DHCPServer has not been read yet")
    if now.guard is None:
        return Step(Action.WAIT, "GuardUnreachable", now.guard_problem or "the guard does not answer")
    if now.desired.object.spec.paused:
        # Not even a start after a crash: who pauses a pair wants its servers left alone, to look into one, say.
        return Step(Action.WAIT, "Paused", "the pair is paused")
    if not isinstance(now.network, Network):
        return Step(Action.WAIT, "NoNetwork", now.network.message if now.network else "the network is not known yet")
    if now.desired.cached:
        return _from_memory(now)
    return None


def _from_memory(now: Observed) -> Step:
    """Return what may be done while the API does not answer: keep the last good configuration serving, nothing new.

    Is a start without the API safe? What we remember is in the pod's own memory-backed volume, so it was the operator
    that put this server with these leases on this node, and the volume would be gone had the pod been replaced. A
    second server on the same leases is kept out by the guard's lock. The configuration may be an older one than the
    operator wants by now, but whatever the newer one takes away or gives to others, the operator relies on only when
    this server has reported that it runs it. And nobody is in partner-down against us, for nothing in this version
    declares it; once something does, this start needs a permit like every other.
    """
    if now.running:
        return Step(Action.WAIT, "Running", "the server runs")
    if not _current_revision(now):
        return Step(Action.WAIT, "NoConfig", "the API does not answer and no configuration was ever installed")
    return _try(now, Action.START, "Starting", "the API does not answer: the last good configuration serves")


def _towards_wanted(now: Observed) -> Step:
    """Return the step towards a configuration that is neither running nor installed."""
    verdict = now.candidate.verdict if now.candidate else None
    message = now.candidate.message if now.candidate else ""
    if verdict is Verdict.ACCEPTED and now.running and not _changeable(now):
        return Step(Action.WAIT, WAITING_FOR_NORMAL, _unsettled(now))
    if verdict is Verdict.ACCEPTED:
        return _try(now, Action.APPLY, "Starting", "the wanted configuration is checked")
    if not now.running and _current_revision(now) and verdict is not None:
        return _try(
            now, Action.START, "Starting", "the wanted configuration is not to be had: the last good one serves"
        )
    if verdict is None or verdict in (Verdict.UNREADABLE, Verdict.DIGEST_MISMATCH):
        return _try(now, Action.FETCH, verdict or "Fetching", message or "the wanted configuration is not here yet")
    if verdict is Verdict.FAILED and not now.running:
        # Nothing is lost by trying again, and what was in the way (an address, a port) may be gone.
        return _try(now, Action.APPLY, "Exited", message)
    return Step(Action.WAIT, verdict, message)


def _changeable(now: Observed) -> bool:
    """Tell whether the running server may be stopped for another configuration.

    The operator gives one from normal/normal, but its order may come late: after a time without the API, say. A server
    that lost contact and then stops comes back with records that its partner has replaced meanwhile. So what counts is
    what the server itself says now. It may be changed before it was ever normal, for a first configuration may be what
    keeps the two from meeting: when it never heard of its partner, or neither of them is through its first recovery;
    one that gives no answer at all is believed to be there if the operator never saw the pair serve.
    """
    said = now.failover
    if said is None:
        return now.desired is not None and ANNOTATION_ESTABLISHED not in now.desired.object.metadata.annotations
    if not now.answered:
        return False
    if said.local is FailoverState.NORMAL and said.partner is FailoverState.NORMAL:
        return True
    unheard = said.local in _FRESH and said.partner is FailoverState.UNKNOWN
    return unheard or {said.local, said.partner} <= _RECOVERING


def _unsettled(now: Observed) -> str:
    said = now.failover
    states = f"it is in {said.local} with the partner in {said.partner}" if said else "it gives no answer"
    wanted = now.wanted_revision[:12]
    return f"revision {wanted} is checked and waits, for a server is changed only from Normal/Normal: {states}"


def _try(now: Observed, action: Action, reason: str, message: str) -> Step:
    """Return a step, or a wait while the pause after its last failure lasts."""
    if now.may_fetch if action is Action.FETCH else now.may_start:
        return Step(action, reason, message)
    if now.failure is not None and not now.running:
        return Step(Action.WAIT, "Exited", now.failure.message)
    return Step(Action.WAIT, reason, message)


def _interface_replaced(now: Observed) -> bool:
    return isinstance(now.network, Network) and now.served_index not in (0, now.network.index)


def _running_revision(now: Observed) -> str:
    return now.guard.revision if now.guard else ""


def _current_revision(now: Observed) -> str:
    return now.guard.current if now.guard else ""
