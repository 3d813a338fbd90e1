"""The loop: look, decide, do, report. Everything that decides is elsewhere, and pure."""

import logging
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.server import ServerSpec, ServerStatus
from twinlease.engines.protocol import CheckError, Engine
from twinlease.ipc.client import GuardClient, GuardStatus, GuardUnreachable, Start
from twinlease.ipc.protocol import Code, FenceSpec, Mode, ProtocolError
from twinlease.log import kv
from twinlease.netlink.choose import Network, NetworkProblem, Wanted, choose
from twinlease.netlink.protocol import Links, NetlinkError
from twinlease.sidecar.backoff import Backoff
from twinlease.sidecar.configs import ConfigSource
from twinlease.sidecar.memory import Memory, Served
from twinlease.sidecar.observed import Candidate, Desired, Failure, Observed, ServerObject, Verdict
from twinlease.sidecar.plan import Action, Step, plan
from twinlease.sidecar.probe import Probe
from twinlease.sidecar.publisher import Publisher
from twinlease.sidecar.report import dated, report
from twinlease.sidecar.settings import Settings
from twinlease.sidecar.watcher import Watcher

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
"""How often the server is asked."""

# How long the API may be silent at our start before what we remember counts.
_API_SECONDS = 5.0
# The guard tells nothing by itself; while the server answers, that alone says almost all.
_GUARD_SECONDS = 5.0
_NETWORK_SECONDS = 30.0
_STOP_GRACE_SECONDS = 5.0
# A server that lived this long has not failed to start: its next start is not made to wait.
_HEALTHY_SECONDS = 60.0
_LOGGED = 300
"""Characters of a message that go into the log; the status has all of it."""


class Parts(Struct, frozen=True, kw_only=True):
    """What the agent works with; ``main`` puts it together, and tests put in what they like."""

    settings: Settings
    engine: Engine
    guard: GuardClient
    links: Links
    watcher: Watcher
    publisher: Publisher
    configs: ConfigSource
    probe: Probe
    memory: Memory


class Agent:
    """Looks after one server.

    Args:
        parts: What to work with.
        wake: Set by anybody who has news.
    """

    def __init__(self, parts: Parts, wake: threading.Event) -> None:
        self._parts = parts
        self._wake = wake
        self._began = time.monotonic()
        self._now = Observed()
        self._start_backoff = Backoff(1.0, 30.0)
        self._fetch_backoff = Backoff(1.0, 10.0)
        self._guard_asked = self._network_read = float("-inf")
        self._network_stale = True
        self._reported = ServerStatus()
        self._reported_uid: str | None = None
        self._said: Step | None = None
        self._served: Served | None = None

    def run(self, stopping: Callable[[], bool]) -> None:
        """Look after the server until told to stop; the server goes on."""
        while not stopping():
            step = self.turn()
            if step.action is Action.WAIT:
                self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def turn(self) -> Step:
        """Look once, take the step that follows, report; return the step."""
        self._look()
        step = plan(self._now)
        if step != self._said:
            self._said = step
            _log.info("next step", extra=kv(action=step.action, reason=step.reason, why=step.message[:_LOGGED]))
        if step.action is not Action.WAIT:
            self._act(step.action)
            self._look()
        self._report(plan(self._now))
        return step

    def network_changed(self) -> None:
        """Have the network looked at again; for another thread to call."""
        self._network_stale = True
        self._wake.set()

    # --- looking ------------------------------------------------------------------------------------------------------
    def _look(self) -> None:
        self._look_at_object()
        if self._now.desired is None:
            self._look_at_guard()
            return
        spec = self._now.desired.object.spec
        self._look_at_network(spec)
        self._look_at_server(spec)
        if self._now.candidate is not None and self._now.candidate.revision != self._now.wanted_revision:
            self._observe(candidate=None)
            self._fetch_backoff.reset()
        self._observe(may_fetch=self._fetch_backoff.ready, may_start=self._start_backoff.ready)

    def _look_at_object(self) -> None:
        latest = self._parts.watcher.latest
        desired = self._now.desired
        if latest is None:
            if desired is None and time.monotonic() - self._began > _API_SECONDS:
                remembered = self._parts.memory.server()
                if remembered is not None:
                    self._observe(desired=Desired(object=remembered, cached=True))
            return
        if desired is not None and latest is desired.object:
            return
        if desired is None or desired.cached or desired.object.metadata.uid != latest.metadata.uid:
            self._adopt(latest)
        if desired is None or desired.object.spec != latest.spec:
            self._network_stale = True
            self._parts.memory.keep_server(latest)
        self._observe(desired=Desired(object=latest))

    def _adopt(self, found: ServerObject) -> None:
        """Go on from what was reported before us: times, and a configuration that this pod's server did not bear."""
        self._reported = found.status
        self._reported_uid = found.metadata.uid
        refused = found.status.config
        wanted = found.spec.config.revision if found.spec.config else ""
        if refused.rejected == wanted != "" and found.status.pod_uid == self._parts.settings.pod_uid:
            candidate = Candidate(revision=wanted, verdict=Verdict.REJECTED, message=refused.message)
            self._observe(candidate=candidate)

    def _look_at_network(self, spec: ServerSpec) -> None:
        at = time.monotonic()
        if not self._network_stale and at - self._network_read < _NETWORK_SECONDS:
            return
        self._network_stale = False
        self._network_read = at
        wanted = _wanted(spec)
        try:
            found: Network | NetworkProblem = choose(self._parts.links.read(wanted.interface), wanted)
        except NetlinkError as error:
            _log.warning("cannot read the network", extra=kv(why=error))
            self._network_stale = True
            return
        if found != self._now.network:
            _log.info("network", extra=kv(found=_brief(found)))
            self._observe(network=found)

    def _look_at_server(self, spec: ServerSpec) -> None:
        probe = self._parts.probe
        if self._now.running:
            failover = probe.failover(self._spoken(spec))
            self._observe(failover=failover, answered=probe.answered)
        due = time.monotonic() - self._guard_asked >= _GUARD_SECONDS
        if due or not (self._now.running and probe.answered):
            self._look_at_guard()
        if self._now.running:
            self._count(spec)
        else:
            probe.forget()
            self._observe(failover=None, answered=False)

    def _spoken(self, spec: ServerSpec) -> ServerSpec:
        """Return the spec with the control interface that the running server has, which a wanted one may change."""
        guard, served = self._now.guard, self._served
        if guard is None or guard.revision == self._now.wanted_revision or not (served and served.omapi_port):
            return spec
        return replace(spec, failover_name=served.failover_name, omapi_port=served.omapi_port)

    def _look_at_guard(self) -> None:
        self._guard_asked = time.monotonic()
        try:
            self._guard_said(self._parts.guard.status())
        except (GuardUnreachable, ProtocolError) as error:
            if self._now.guard is not None or not self._now.guard_problem:
                _log.warning("no guard", extra=kv(why=error))
            self._observe(guard=None, guard_problem=str(error))

    def _guard_said(self, status: GuardStatus) -> None:
        """Take in the guard's view; judge an end of the server that nobody asked for."""
        before = self._now.guard
        if before is None and status.running:
            self._recognise(status)
        if before is not None and before.running and (not status.running or status.started_at != before.started_at):
            self._ended(before, status)
        self._observe(guard=status, guard_problem="")

    def _recognise(self, status: GuardStatus) -> None:
        """Find out on which interface a server was started that was there before us."""
        served = self._parts.memory.served()
        known = served is not None and served.started_at == status.started_at
        if known:
            self._served = served
        self._observe(served_index=served.index if served is not None and known else 0)

    def _ended(self, before: GuardStatus, status: GuardStatus) -> None:
        last = status.last_exit
        how = f"{last.reason}, code {last.code}" if last else "with its guard"
        _log.warning("the server ended", extra=kv(how=how, pid=before.pid))
        if time.time() - before.started_at < _HEALTHY_SECONDS:
            pause = self._start_backoff.failed()
            _log.info("pause before the next start", extra=kv(seconds=pause))
        else:
            self._start_backoff.reset()
        if not status.running:
            self._observe(failure=Failure(code="exited", message=f"the server ended: {how}"))

    def _count(self, spec: ServerSpec) -> None:
        if self._parts.probe.count(spec):
            usage = self._parts.probe.usage
            self._observe(pools=usage.pools, unacked_updates=usage.unacked_updates)
            self._report_again()

    # --- doing --------------------------------------------------------------------------------------------------------
    def _act(self, action: Action) -> None:
        if action is Action.FETCH:
            self._fetch()
            return
        network = self._now.network
        assert isinstance(network, Network)  # noqa: S101  # the plan does nothing else without one
        try:
            self._command(action, network)
        except GuardUnreachable as error:
            _log.warning("no guard", extra=kv(why=error))
            self._observe(guard=None, guard_problem=str(error))
        except ProtocolError as error:
            self._refused(action, error)
            self._after_refusal(network)

    def _command(self, action: Action, network: Network) -> None:
        guard = self._parts.guard
        if action is Action.RESTART:
            self._started(guard.stop(_STOP_GRACE_SECONDS), 0)
        if action is Action.APPLY:
            self._started(guard.apply(self._now.wanted_revision, self._start(network)), network.index)
        else:
            self._started(guard.start(self._start(network)), network.index)

    def _start(self, network: Network) -> Start:
        """Return how the server is started: with a permit without end, and its control interface closed to others."""
        desired = self._now.desired
        omapi_port = desired.object.spec.omapi_port if desired is not None else 0
        fence = FenceSpec(Mode.PROCESS, "", failover_port=0, omapi_port=omapi_port, peer_port=0)
        return Start(network.interface, fence, deadline=None)

    def _started(self, status: GuardStatus, index: int) -> None:
        """Take in the answer to a command that succeeded."""
        self._parts.probe.forget()
        self._guard_asked = time.monotonic()
        self._observe(guard=status, failure=None, failover=None, answered=False, served_index=index)
        if status.running:
            self._keep_served(status, index)
            _log.info("server started", extra=kv(revision=status.revision[:12], pid=status.pid))

    def _keep_served(self, status: GuardStatus, index: int) -> None:
        """Remember how the server was started, and where it is asked: its configuration's place, not a wanted one's."""
        name, port = "", 0
        desired = self._now.desired
        if desired is not None and status.revision == self._now.wanted_revision:
            name, port = desired.object.spec.failover_name, desired.object.spec.omapi_port
        elif self._served is not None:
            name, port = self._served.failover_name, self._served.omapi_port
        self._served = Served(status.started_at, index, name, port)
        self._parts.memory.keep_served(self._served)

    def _refused(self, action: Action, error: ProtocolError) -> None:
        """Take in that a command failed."""
        pause = self._start_backoff.failed()
        _log.warning("command failed", extra=kv(action=action, code=error.code, why=error, pause=pause))
        self._observe(failure=Failure(code=error.code, message=error.message))
        if action is not Action.APPLY:
            return
        if error.code == Code.START:
            verdict = Candidate(revision=self._now.wanted_revision, verdict=Verdict.FAILED, message=error.message)
            self._observe(candidate=verdict)
        elif error.code in (Code.DIGEST, Code.NO_CONFIG):
            self._observe(candidate=None)

    def _after_refusal(self, network: Network) -> None:
        """See what runs after a command that failed: nothing, or what ran before, started anew by the guard."""
        self._observe(guard=None)
        self._look_at_guard()
        if self._now.guard is not None and self._now.running:
            self._observe(served_index=network.index)
            self._keep_served(self._now.guard, network.index)

    def _fetch(self) -> None:
        desired = self._now.desired
        wanted = desired.object.spec.config if desired else None
        if not wanted:
            return
        candidate = self._parts.configs.obtain(wanted, self._parts.engine)
        _log.info("configuration checked", extra=kv(revision=candidate.revision[:12], verdict=candidate.verdict))
        if candidate.verdict in (Verdict.UNREADABLE, Verdict.DIGEST_MISMATCH):
            self._fetch_backoff.failed()
        else:
            self._fetch_backoff.reset()
        self._observe(candidate=candidate)

    # --- reporting ----------------------------------------------------------------------------------------------------
    def _report(self, step: Step) -> None:
        if self._now.desired is None or self._now.desired.cached:
            return  # nothing to report to, or nothing that could be reported against
        if not self._now.engine_version:
            self._observe(engine_version=self._engine_version())
        status = report(self._now, step, self._parts.settings.pod_uid)
        status = dated(status, self._reported, time.time())
        if status != self._reported:
            self._reported = status
            self._parts.publisher.submit(status)

    def _report_again(self) -> None:
        """Have the status written once more if the API holds another one: somebody else changed it."""
        desired = self._now.desired
        publisher = self._parts.publisher
        if desired is not None and not desired.cached and publisher.idle and desired.object.status != self._reported:
            publisher.submit(self._reported)

    def _engine_version(self) -> str:
        try:
            return self._parts.engine.version()
        except CheckError as error:
            return f"unknown: {error}"[:200]

    def _observe(self, **changes: object) -> None:
        self._now = replace(self._now, **changes)


def _wanted(spec: ServerSpec) -> Wanted:
    return Wanted(
        interface=spec.interface or None,
        address=IPv4Address(spec.address) if spec.address else None,
        failover_address=IPv4Address(spec.failover_address) if spec.failover_address else None,
        subnets=tuple(map(IPv4Network, spec.subnets)),
    )


def _brief(found: Network | NetworkProblem) -> str:
    if isinstance(found, NetworkProblem):
        return f"{found.reason}: {found.message}"
    return f"{found.serving} on {found.interface}, link {'up' if found.link_up else 'down'}"
