"""Doing what the plan says: commands to the guard, with what must be remembered before them."""

import logging
import time
from collections.abc import Callable

from msgspec.structs import replace

from twinlease.api.permit import Fence
from twinlease.api.server import ServerSpec
from twinlease.api.servinglease import Answer, Answered
from twinlease.decide import obey
from twinlease.engines.protocol import BindingLog, ControlError
from twinlease.ipc.client import GuardStatus, GuardUnreachable, Start
from twinlease.ipc.protocol import Code, FenceSpec, Mode, ProtocolError
from twinlease.log import kv
from twinlease.model.states import FailoverState, Role
from twinlease.netlink.choose import Network
from twinlease.sidecar import orders
from twinlease.sidecar.board import Board
from twinlease.sidecar.entering import Entered, enter, enter_running
from twinlease.sidecar.looking import Looker
from twinlease.sidecar.memory import Served
from twinlease.sidecar.observed import Candidate, Failure, Verdict
from twinlease.sidecar.plan import Action, Step
from twinlease.sidecar.record import NotRememberedError
from twinlease.sidecar.tenure import AGAIN, RESUME, SURVIVE, edits

_log = logging.getLogger(__name__)

_STOP_GRACE_SECONDS = 5.0
_REVOKE_GRACE_SECONDS = 0.5
_DRAIN_SECONDS = 2.0
_DRAIN_EVERY_SECONDS = 0.05


class Doer:
    """Carries steps out.

    Args:
        board: The snapshot.
        looker: Takes in what the guard answers.
        log: Reads the server's lease database, or what is not read yet of it.
    """

    def __init__(self, board: Board, looker: Looker, log: Callable[[], BindingLog]) -> None:
        self._board = board
        self._looker = looker
        self._log = log
        self._parts = board.parts
        self._order_seen: dict[int, float] = {}

    def see_order(self) -> None:
        """Note when an order was first seen."""
        order = orders.order_of(self._board.now)
        if order is not None:
            self._order_seen.setdefault(order.epoch, self._parts.clocks.boot())

    def do(self, step: Step) -> None:
        """Take a step; what fails is noted, and tried again when the plan says so."""
        try:
            self._do(step)
        except GuardUnreachable as error:
            _log.warning("no guard", extra=kv(why=error))
            self._board.observe(guard=None, guard_problem=str(error))
        except ProtocolError as error:
            self._refused(step.action, error)
        except (NotRememberedError, OSError) as error:
            pause = self._board.starts.failed()
            _log.warning("cannot go on", extra=kv(action=step.action, why=error, pause=pause))

    def _do(self, step: Step) -> None:
        if step.action is Action.FETCH:
            self._fetch()
        elif step.action is Action.REVOKE:
            self._parts.guard.close()
            self._stop(_REVOKE_GRACE_SECONDS, step.message)
        elif step.action is Action.STOP:
            self._quiet()
            self._stop(_STOP_GRACE_SECONDS, step.message)
        elif step.action is Action.OBEY:
            self._obey()
        elif step.action is Action.FINISH:
            self._finish()
        elif step.action in {Action.APPLY, Action.START}:
            self._start(step.action)

    # --- starting -----------------------------------------------------------------------------------------------------
    def _start(self, action: Action) -> None:
        now = self._board.now
        first = not now.tenure.begun
        named = edits(now.tenure.start, now.verdict) if first else AGAIN
        surviving = SURVIVE in named
        # Before it is done: whoever comes after us must not do it a second time.
        self._board.keep_tenure(replace(now.tenure, begun=True, surviving=surviving))
        if action is Action.APPLY and now.running:
            self._quiet()
        command = self._command(action, now.wanted_revision, named)
        try:
            if not surviving:
                self._started(command())
                self._start_anew(first)
                return
            entered = self._enter(command)
        except ProtocolError as error:
            if first and error.code == Code.UNPROVEN:  # nothing was done
                self._board.keep_tenure(replace(self._board.now.tenure, begun=False, surviving=False))
            raise
        if entered.problem and entered.status is not None:
            self._said(self._parts.guard.stop(_REVOKE_GRACE_SECONDS))
        self._start_anew(first)

    def _start_anew(self, first: bool) -> None:  # noqa: FBT001  # one call says all
        """Take in that a start as the grant says was made: that the clock stepped before it matters no more."""
        if first and self._parts.durable.record.misled:
            self._parts.durable.set(misled=False)

    def _command(self, action: Action, revision: str, named: tuple[str, ...]) -> Callable[[], GuardStatus]:
        """Return the guard's command for a start, with the permit as it is when it is called."""
        network = self._board.now.network
        assert isinstance(network, Network)  # noqa: S101  # the plan starts nothing without one
        spec = self._spec
        hold = self._board.now.longest if {SURVIVE, RESUME} & {*named} else 0
        parameters: dict[str, str | int] = {}
        if named:
            parameters = {"relationship": spec.failover_name, "role": str(spec.role)}
        if hold:
            parameters["hold"] = hold

        def command() -> GuardStatus:
            deadline, steps = self._parts.keeper.starts()
            fence = _fence(spec)._replace(proven=self._parts.renewal.claims)
            start = Start(network.interface, fence, deadline, named, parameters, steps)
            if action is Action.APPLY:
                return self._parts.guard.apply(revision, start)
            return self._parts.guard.start(start, restart=action is Action.OBEY)

        return command

    def _enter(self, command: Callable[[], GuardStatus]) -> Entered:
        """Have a server started that enters partner-down, and take in what became of it."""
        since = int(self._parts.clocks.wall())
        self._parts.probe.forget()
        control = self._parts.probe.control(self._looker.spoken(self._spec))
        entered = enter(control, command, since=since)
        if entered.failed is not None:
            raise entered.failed
        if entered.status is not None:
            self._started(entered.status)
            self._board.observe(failover=entered.failover, answered=entered.failover is not None)
        level = logging.WARNING if entered.problem else logging.INFO
        _log.log(level, "partner-down entered", extra=kv(problem=entered.problem or "none", millis=entered.millis))
        if entered.problem:
            self._board.starts.failed()
        else:
            self._board.keep_tenure(replace(self._board.now.tenure, surviving=False))
        return entered

    def _finish(self) -> None:
        """Let a server enter partner-down that a sidecar before us prepared for it."""
        control = self._parts.probe.control(self._looker.spoken(self._spec))
        try:
            said = control.enter_partner_down()
        except ControlError as error:
            _log.warning("partner-down is not entered yet", extra=kv(why=error))
            return
        self._board.keep_tenure(replace(self._board.now.tenure, surviving=False))
        self._board.observe(failover=said, answered=True)

    @property
    def _spec(self) -> ServerSpec:
        desired = self._board.now.desired
        assert desired is not None  # noqa: S101  # the plan does nothing without one
        return desired.object.spec

    # --- stopping -----------------------------------------------------------------------------------------------------
    def _stop(self, grace: float, why: str) -> None:
        status = self._parts.guard.stop(grace)
        self._said(status)
        self._looker.was_stopped(status, why)

    def _quiet(self) -> None:
        """Let nobody be answered any more, and everything that was get through to the partner."""
        guard = self._board.now.guard
        if guard is None or not guard.fence.kernel:
            return  # without the kernel's fence only its end keeps a server silent
        self._parts.keeper.ends()
        self._parts.guard.close()
        control = self._parts.probe.control(self._looker.spoken(self._spec))
        until = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < until:
            try:
                said = control.failover()
            except ControlError:
                return
            if not said.unacked_updates or said.local is not FailoverState.NORMAL:
                return
            time.sleep(_DRAIN_EVERY_SECONDS)

    # --- the order ----------------------------------------------------------------------------------------------------
    def _obey(self) -> None:
        self._parts.promises.suspend()
        try:
            # With what holds at this moment: from here on nothing is promised that could not be seen.
            self._looker.look()
            order, found = orders.order_of(self._board.now), orders.judge(self._board.now)
            if order is None:
                return
            if found.action is obey.Action.ANSWER:
                self._answer(order.epoch, found.answer, found.reason)
            elif found.action is obey.Action.EXECUTE and not self._board.now.longest:
                self._answer(order.epoch, Answer.REFUSED, "NoMaxLease")
            elif found.action is obey.Action.EXECUTE:
                self._execute(order.epoch)
        finally:
            self._parts.promises.resume()

    def _execute(self, epoch: int) -> None:
        _log.info("order is carried out", extra=kv(epoch=epoch))
        if self._board.now.state is FailoverState.PARTNER_DOWN:  # else whoever comes after us takes it for our doing
            self._board.keep_tenure(replace(self._board.now.tenure, surviving=True))
        self._parts.durable.set(consumed=epoch)
        self._board.observe(found=replace(self._board.now.found, record=self._parts.durable.record))
        running = self._enter_running()
        if running is not None and running.problem:
            self._board.keep_tenure(replace(self._board.now.tenure, surviving=False))
            self._answer(epoch, Answer.REFUSED, running.problem)
            return
        if running is not None:
            self._answer(epoch, Answer.EXECUTED, "PartnerDown")
            return
        self._board.keep_tenure(replace(self._board.now.tenure, surviving=True))
        entered = self._enter(self._command(Action.OBEY, "", (SURVIVE,)))
        if entered.problem:
            self._said(self._parts.guard.stop(_REVOKE_GRACE_SECONDS))
            self._answer(epoch, Answer.UNKNOWN, entered.problem)
        else:
            self._answer(epoch, Answer.EXECUTED, "PartnerDown")

    def _enter_running(self) -> Entered | None:
        """Have the server enter partner-down while it runs; None: that is no way for it."""
        try:  # first of all, so that no step of the clock falls between what is reckoned by it and who watches it
            self._parts.guard.keep()
        except (GuardUnreachable, ProtocolError) as error:
            _log.warning("partner-down is not entered without a stop", extra=kv(why=error))
            return None
        self._board.observe(stepped=0.0)  # what stepped before does no harm: nothing was kept by it
        control = self._parts.probe.control(self._looker.spoken(self._spec))
        now, wall = self._board.now, self._parts.clocks.wall
        entered = enter_running(control, self._log(), wall, hold=now.longest, role=Role(self._spec.role))
        if entered is None:
            return None
        self._board.observe(failover=entered.failover, answered=True)
        level = logging.WARNING if entered.problem else logging.INFO
        fields = kv(problem=entered.problem or "none", millis=entered.millis, running=True)
        _log.log(level, "partner-down entered", extra=fields)
        return entered

    def _answer(self, epoch: int, result: Answer, reason: str) -> None:
        answered = Answered(epoch=epoch, result=result, reason=reason[:64])
        self._parts.durable.set(answered=answered)
        self._board.observe(found=replace(self._board.now.found, record=self._parts.durable.record))
        seen = self._order_seen.get(epoch)
        took = None if seen is None else round((self._parts.clocks.boot() - seen) * 1000)
        _log.info("order answered", extra=kv(epoch=epoch, result=result, reason=reason, millis=took))

    # --- what the guard answers ---------------------------------------------------------------------------------------
    def _said(self, status: GuardStatus) -> None:
        """Take in the answer to a command that succeeded."""
        self._parts.probe.forget()
        self._looker.guard_said(status, expected=True)
        self._board.observe(failover=None, answered=False)

    def _started(self, status: GuardStatus) -> None:
        network = self._board.now.network
        index = network.index if isinstance(network, Network) and status.running else 0
        self._said(status)
        self._board.observe(failure=None, served_index=index)
        if status.running:
            self._keep_served(status, index)
            fields = kv(revision=status.revision[:12], pid=status.pid, fence=status.fence.reason)
            _log.info("server started", extra=fields)

    def _keep_served(self, status: GuardStatus, index: int) -> None:
        """Remember how the server was started, and where it is asked: its configuration's place, not a wanted one's."""
        name, port = "", 0
        before = self._looker.served
        if status.revision == self._board.now.wanted_revision:
            name, port = self._spec.failover_name, self._spec.omapi_port
        elif before is not None:
            name, port = before.failover_name, before.omapi_port
        self._looker.served = Served(status.started_at, index, name, port)
        self._parts.memory.keep_served(self._looker.served)

    def _refused(self, action: Action, error: ProtocolError) -> None:
        """Take in that a command failed, and see what runs now: nothing, or what ran before, started anew."""
        board = self._board
        pause = board.starts.failed()
        _log.warning("command failed", extra=kv(action=action, code=error.code, why=error, pause=pause))
        board.observe(failure=Failure(code=error.code, message=error.message))
        if action is Action.APPLY and error.code == Code.START:
            verdict = Candidate(revision=board.now.wanted_revision, verdict=Verdict.FAILED, message=error.message)
            board.observe(candidate=verdict)
        elif action is Action.APPLY and error.code in (Code.DIGEST, Code.NO_CONFIG):
            board.observe(candidate=None)
        board.observe(guard=None)
        self._looker.look_at_guard()
        network, guard = board.now.network, board.now.guard
        if isinstance(network, Network) and guard is not None and guard.running:
            board.observe(served_index=network.index)
            self._keep_served(guard, network.index)

    # --- configurations -----------------------------------------------------------------------------------------------
    def _fetch(self) -> None:
        wanted = self._spec.config
        if not wanted:
            return
        candidate = self._parts.configs.obtain(wanted, self._parts.engine)
        _log.info("configuration checked", extra=kv(revision=candidate.revision[:12], verdict=candidate.verdict))
        if candidate.verdict in (Verdict.UNREADABLE, Verdict.DIGEST_MISMATCH):
            self._board.fetches.failed()
        else:
            self._board.fetches.reset()
        self._board.observe(candidate=candidate)


def _fence(spec: ServerSpec) -> FenceSpec:
    """Return how a server is fenced, and for whom its ports are open."""
    partner = spec.partner.failover_address if spec.partner else ""
    partner_port = spec.partner.failover_port if spec.partner else 0
    return FenceSpec(
        Mode.KERNEL if spec.fence is Fence.KERNEL else Mode.PROCESS,
        partner,
        failover_port=spec.failover_port,
        omapi_port=spec.omapi_port,
        peer_port=spec.peer_port,
        partner_port=partner_port,
    )
