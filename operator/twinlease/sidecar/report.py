"""What the sidecar reports: a pure function of the snapshot. Nothing in it ticks, so nothing is written for nothing."""

import time

from msgspec import UNSET
from msgspec.structs import replace

import twinlease
from twinlease.api.server import Daemon, Exit, FailoverReport, PeerReport, PermitReport, RunningConfig, ServerStatus
from twinlease.api.server import Network as NetworkStatus
from twinlease.api.servinglease import DatabaseVerdict
from twinlease.api.types import Condition
from twinlease.decide.permit import FOR_EVER
from twinlease.ipc.client import LastExit
from twinlease.model import durations
from twinlease.model.states import FailoverState, serves
from twinlease.netlink.choose import Network, NetworkProblem
from twinlease.sidecar import database
from twinlease.sidecar.observed import Observed, Verdict
from twinlease.sidecar.plan import WAITING_FOR_NORMAL, Step
from twinlease.sidecar.tenure import Standing

NETWORK_READY = "NetworkReady"
CONFIG_ACCEPTED = "ConfigAccepted"
RUNNING = "Running"
SERVING = "Serving"
PERMITTED = "Permitted"
KERNEL_FENCE = "KernelFence"
LEASE_DATABASE_INTACT = "LeaseDatabaseIntact"

_TRUE, _FALSE, _UNKNOWN = "True", "False", "Unknown"

_NOT_ACCEPTED = (Verdict.REJECTED, Verdict.FAILED, Verdict.DIGEST_MISMATCH, Verdict.UNREADABLE)
# Where these keep the server from running, how it ended before does not matter.
_NOT_ABOUT_THE_SERVER = ("Paused", "NoNetwork", "Maintenance", "WaitingForGrant")
_SPOILT = (DatabaseVerdict.LOST, DatabaseVerdict.STALE, DatabaseVerdict.SHORT, DatabaseVerdict.FOREIGN)
_OFFSET_MILLIS = 100
_MAX_MESSAGE = 4000
_MAX_ADDRESSES = 64
# The guard's words for a failed start, as the condition says them.
_START_REASONS = {"storage": "StorageNotWritable"}


def report(now: Observed, step: Step) -> ServerStatus:
    """Return the status without the conditions' times.

    Args:
        now: The snapshot.
        step: What ``plan`` said of it: why the server does not run, if it does not.
    """
    generation = now.desired.object.metadata.generation if now.desired else 0
    serving = _serving(now)
    conditions = (
        _network_ready(now),
        _config_accepted(now),
        _running(now, step),
        serving,
        _permitted(now, step),
        _kernel_fence(now),
        _database(now),
    )
    return ServerStatus(
        observed_generation=generation,
        pod_uid=now.pod_uid,
        conditions=tuple(replace(condition, observed_generation=generation) for condition in conditions),
        network=_network(now),
        config=_config(now),
        failover=_failover(now),
        serving=serving.status == _TRUE,
        daemon=_daemon(now),
        permit=_permit(now),
        peer=_peer(now),
        pools=now.pools,
        version=twinlease.__version__,
    )


def dated(status: ServerStatus, before: ServerStatus, at: float) -> ServerStatus:
    """Return a status whose conditions carry the time of their last change, given the status ``before`` it.

    Args:
        status: As ``report`` makes it.
        before: The last one, with its times.
        at: Now, seconds since the epoch.
    """
    known = {condition.type: condition for condition in before.conditions}
    conditions = []
    for condition in status.conditions:
        old = known.get(condition.type)
        unchanged = old is not None and old.status == condition.status and old.last_transition_time
        since = old.last_transition_time if old is not None and unchanged else timestamp(at)
        conditions.append(replace(condition, last_transition_time=since))
    permit, last = status.permit, before.permit
    if (permit.kind, permit.epoch, permit.start) == (last.kind, last.epoch, last.start):
        permit = last
    peer = status.peer
    if abs(peer.clock_offset_millis - before.peer.clock_offset_millis) <= _OFFSET_MILLIS:
        peer = replace(peer, clock_offset_millis=before.peer.clock_offset_millis)
    return replace(status, conditions=tuple(conditions), permit=permit, peer=peer)


def timestamp(seconds: float) -> str:
    """Return RFC 3339 in UTC, whole seconds; empty for 0, which stands for unknown."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""


def _network_ready(now: Observed) -> Condition:
    network = now.network
    if network is None:
        return _condition(NETWORK_READY, _UNKNOWN, "Unknown", "the network has not been looked at yet")
    if isinstance(network, NetworkProblem):
        return _condition(NETWORK_READY, _FALSE, network.reason, network.message)
    if not network.link_up:
        return _condition(NETWORK_READY, _FALSE, "LinkDown", f"interface {network.interface} has no link")
    return _condition(NETWORK_READY, _TRUE, "Found", f"{network.serving} on {network.interface}")


def _config_accepted(now: Observed) -> Condition:
    wanted, candidate = now.wanted_revision, now.candidate
    if not wanted:
        return _condition(CONFIG_ACCEPTED, _UNKNOWN, "NoConfig", "the operator has not given a configuration yet")
    if now.guard is not None and wanted in (now.guard.revision, now.guard.current):
        return _condition(CONFIG_ACCEPTED, _TRUE, "Accepted", f"revision {wanted[:12]}")
    if candidate is None:
        return _condition(CONFIG_ACCEPTED, _UNKNOWN, "Unknown", f"revision {wanted[:12]} has not been checked yet")
    if candidate.verdict in _NOT_ACCEPTED:
        # To the operator both mean the same: this server will not run it.
        reason = Verdict.REJECTED if candidate.verdict is Verdict.FAILED else candidate.verdict
        return _condition(CONFIG_ACCEPTED, _FALSE, reason, candidate.message)
    return _condition(CONFIG_ACCEPTED, _TRUE, "Accepted", f"revision {wanted[:12]}")


def _running(now: Observed, step: Step) -> Condition:
    guard = now.guard
    if now.running and guard is not None:
        waits = step.reason == WAITING_FOR_NORMAL
        message = f"revision {guard.revision[:12]} since {_since(guard.started_at)}" + f"; {step.message}" * waits
        return _condition(RUNNING, _TRUE, step.reason if waits else "Running", message)
    if guard is None:
        status = _FALSE if now.guard_problem else _UNKNOWN
        return _condition(RUNNING, status, "GuardUnreachable", now.guard_problem or "the guard has not been asked yet")
    if step.reason in _NOT_ABOUT_THE_SERVER:
        return _condition(RUNNING, _FALSE, step.reason, step.message)
    if guard.storage_error:
        return _condition(RUNNING, _FALSE, "StorageNotWritable", guard.storage_error)
    if now.failure is not None:
        return _condition(RUNNING, _FALSE, _START_REASONS.get(now.failure.code, "Exited"), now.failure.message)
    return _condition(RUNNING, _FALSE, step.reason, step.message)


def _serving(now: Observed) -> Condition:
    if not now.running:
        return _condition(SERVING, _FALSE, "NotRunning", "the server does not run")
    if now.failover is None:
        return _condition(SERVING, _UNKNOWN, "NoAnswer", "the server does not tell its failover state")
    local, partner = now.failover.local, now.failover.partner
    if serves(local, partner):
        return _condition(SERVING, _TRUE, local.value, f"{local} with the partner in {partner}")
    return _condition(SERVING, _FALSE, local.value, f"{local} with the partner in {partner}: dynamic clients must wait")


def _permitted(now: Observed, step: Step) -> Condition:
    permit = _permit(now)
    if permit.kind != "None":
        how = {
            "Held": "on its own renewals",
            "Promised": "on its partner's promise: its own renewals do not get through",
            "Endless": "without end, as the user wants it (spec.isolation is Serve)",
        }[permit.kind]
        return _condition(
            PERMITTED, _TRUE, permit.kind, f"it may answer {how}, under the grant of epoch {permit.epoch}"
        )
    if now.lease is None:
        return _condition(PERMITTED, _UNKNOWN, "NoServingLease", "the serving lease has not been read yet")
    reason = step.reason if step.reason in {"WaitingForGrant", "Revoked", "PermitEnded", "Maintenance"} else "NoPermit"
    return _condition(PERMITTED, _FALSE, reason, step.message)


def _kernel_fence(now: Observed) -> Condition:
    if now.guard is None:
        return _condition(
            KERNEL_FENCE, _UNKNOWN, "GuardUnreachable", now.guard_problem or "the guard was not asked yet"
        )
    fence = now.guard.fence
    if fence.kernel:
        return _condition(KERNEL_FENCE, _TRUE, fence.reason, fence.message)
    return _condition(KERNEL_FENCE, _UNKNOWN if fence.reason == "NotTried" else _FALSE, fence.reason, fence.message)


def _database(now: Observed) -> Condition:
    problem = now.found.problem if now.verdict is DatabaseVerdict.UNKNOWN else ""
    message = problem or database.words(now.verdict)
    if now.verdict is DatabaseVerdict.INTACT:
        return _condition(LEASE_DATABASE_INTACT, _TRUE, now.verdict, message)
    return _condition(LEASE_DATABASE_INTACT, _FALSE if now.verdict in _SPOILT else _UNKNOWN, now.verdict, message)


def _permit(now: Observed) -> PermitReport:
    """Return why the server may answer; a date that is later at each look is kept by ``dated``."""
    permit, tenure = now.held.permit, now.tenure
    over = tenure.given_up or now.standing is Standing.REVOKED
    if not now.unbroken or over or permit.deadline <= now.boot:
        return PermitReport(kind="None")
    kind = "Endless" if permit.deadline == FOR_EVER else "Held" if permit.held > now.boot else "Promised"
    until = "" if kind == "Endless" else timestamp(now.wall + permit.deadline - now.boot)
    return PermitReport(kind=kind, until=until, epoch=tenure.epoch, start=tenure.start.value)


def _peer(now: Observed) -> PeerReport:
    heard = now.heard
    refused = {reason: 10 ** (len(str(count)) - 1) for reason, count in heard.refused if count}
    offset = round(now.clocks.offset * 1000 / _OFFSET_MILLIS) * _OFFSET_MILLIS
    return PeerReport(heard=heard.lately, clock_offset_millis=offset, refused=refused)


def _network(now: Observed) -> NetworkStatus:
    if not isinstance(now.network, Network):
        return NetworkStatus()
    return NetworkStatus(
        interface=now.network.interface,
        link_up=now.network.link_up,
        address=str(now.network.serving),
        failover_address=str(now.network.failover_address),
        addresses=tuple(map(str, now.network.addresses[:_MAX_ADDRESSES])),
    )


def _config(now: Observed) -> RunningConfig:
    revision = now.guard.revision if now.guard else ""
    refused = now.candidate
    if refused is None or refused.revision == revision or refused.verdict not in _NOT_ACCEPTED:
        return RunningConfig(revision=revision)
    if refused.verdict is Verdict.UNREADABLE:  # nobody has judged it yet
        return RunningConfig(revision=revision)
    return RunningConfig(revision=revision, rejected=refused.revision, message=refused.message[:_MAX_MESSAGE])


def _failover(now: Observed) -> FailoverReport:
    said = now.failover
    if said is None or not now.running:
        return FailoverReport()
    return FailoverReport(
        state=said.local.value,
        since=timestamp(said.since),
        partner_state=said.partner.value,
        partner_since="" if said.partner is FailoverState.UNKNOWN else timestamp(said.partner_since),
        mclt=durations.text(said.mclt) if said.mclt else UNSET,
        unacked_updates=now.unacked_updates,
    )


def _daemon(now: Observed) -> Daemon:
    guard = now.guard
    if guard is None:
        return Daemon(version=now.engine_version)
    return Daemon(
        running=guard.running,
        version=now.engine_version,
        started=timestamp(guard.started_at),
        starts=guard.starts,
        last_exit=_exit(guard.last_exit) if guard.last_exit else UNSET,
    )


def _exit(last: LastExit) -> Exit:
    return Exit(time=timestamp(last.time), code=last.code, reason=last.reason, log=last.log)


def _since(seconds: float) -> str:
    return timestamp(seconds) or "an unknown time"


def _condition(kind: str, status: str, reason: str, message: str) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message[:_MAX_MESSAGE])
