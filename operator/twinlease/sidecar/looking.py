"""Looking at everything there is: the objects, the network, the guard, the server, and what became of a renewal."""

import logging
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from twinlease.api.server import ServerSpec
from twinlease.decide.clocks import Agreement, judge, talks
from twinlease.decide.clocks import Verdict as Agreed
from twinlease.decide.pairview import CLOCK_STEPPED
from twinlease.ipc.client import GuardStatus, GuardUnreachable
from twinlease.ipc.protocol import ProtocolError
from twinlease.log import kv
from twinlease.netlink.choose import Network, NetworkProblem, Wanted, choose
from twinlease.netlink.protocol import NetlinkError
from twinlease.sidecar import ownpart
from twinlease.sidecar.board import Board
from twinlease.sidecar.catchingup import CatchingUp
from twinlease.sidecar.clock import StepWatch
from twinlease.sidecar.cutoff import CutOff
from twinlease.sidecar.disk import Disk
from twinlease.sidecar.neighbour import Neighbour
from twinlease.sidecar.observed import Desired, Failure, ServerObject
from twinlease.sidecar.plan import startable
from twinlease.sidecar.record import NotRememberedError, for_pair
from twinlease.sidecar.resending import Resending
from twinlease.sidecar.tenure import Standing, Tenure, given_up, taken_up

if TYPE_CHECKING:
    from twinlease.sidecar.memory import Served

_log = logging.getLogger(__name__)

# How long the API may be silent at our start before what we remember counts.
_API_SECONDS = 5.0
# The guard tells nothing by itself; while the server answers, that alone says almost all.
_GUARD_SECONDS = 5.0
_NETWORK_SECONDS = 30.0
# A server that lived this long has not failed to start: its next start is not made to wait.
_HEALTHY_SECONDS = 60.0


class Looker:
    """Brings the snapshot up to date.

    Args:
        board: Where it is.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._parts = board.parts
        self._boot = board.parts.clocks.boot
        self._began = self._boot()
        self._guard_asked = self._network_read = float("-inf")
        self._network_stale = True
        self._steps = StepWatch(board.parts.clocks)
        self._disk = Disk(board)
        self._cutoff = CutOff(board)
        self._resending = Resending(board)
        self._catching_up = CatchingUp(board)
        self._neighbour = Neighbour(board)
        self.served: Served | None = None
        board.observe(remembered=self._parts.memory.lease())

    def network_changed(self) -> None:
        """Have the network looked at again; for another thread to call."""
        self._network_stale = True

    def last_look(self) -> None:
        """Look at what the end of guard and server leaves."""
        self._board.observe(guard=None, gone=True, stopping=True, failover=None, answered=False, boot=self._boot())
        self._look_at_lease()
        self._disk.last_look()

    def look(self) -> None:
        """Look at everything."""
        self._board.observe(boot=self._boot(), wall=self._parts.clocks.wall(), held=self._parts.keeper.held)
        self._look_at_clock()
        self._look_at_object()
        desired = self._board.now.desired
        if desired is None:
            self.look_at_guard()
            return
        self._parts.lease.begin(desired.object.spec.pair_ref.name)
        self._look_at_network(desired.object.spec)
        self._look_at_server(desired.object.spec)
        self._look_at_lease()
        now = self._board.now
        if now.candidate is not None and now.candidate.revision != now.wanted_revision:
            self._board.observe(candidate=None)
            self._board.fetches.reset()
        self._board.observe(may_fetch=self._board.fetches.ready, may_start=self._board.starts.ready)
        self._conclude()

    def _conclude(self) -> None:
        """Draw what follows from everything together."""
        board = self._board
        self._disk.look()
        self._cutoff.look()
        self._note_misled()
        self._give_up()
        self._neighbour.tell()  # before the promises are looked at: none is made then that was not seen
        self._compare_clocks()
        ready = startable(board.now)
        since = board.now.ready_since
        board.observe(
            ready_since=None if not ready else board.now.boot if since is None else since,
            promiser=self._parts.promises.promiser,
            held=self._parts.keeper.held,
            claims=self._parts.renewal.claims,
        )

    def _compare_clocks(self) -> None:
        """Judge whether the partner's clock and ours agree; without anybody to ask that is not known, and no matter."""
        board, peer = self._board, self._parts.peer
        heard = peer.heard
        found = judge(board.now.clocks, heard.clocks, self._boot())
        if found.verdict != board.now.clocks.verdict:
            grave = found.verdict in (Agreed.DRIFT, Agreed.DIFFER)
            fields = kv(verdict=found.verdict, offset=round(found.offset, 3))
            _log.log(logging.WARNING if grave else logging.INFO, "the partner's clock", extra=fields)
        since = board.now.unmeasured_since
        if found.verdict is not Agreed.UNKNOWN or peer.place is None:
            since = None
        elif since is None:
            since = self._boot()
        board.observe(heard=heard, clocks=found, unmeasured_since=since)

    # --- the API ------------------------------------------------------------------------------------------------------
    def _look_at_clock(self) -> None:
        moved = self._steps.stepped()
        if moved:
            _log.warning("the wall clock stepped: the permit is renewed at once", extra=kv(seconds=round(moved, 3)))
            self._parts.keeper.stepped()
            self._parts.peer.measure()
            now = self._board.now
            since = now.boot if now.heard.lately else now.unmeasured_since  # nobody is waited for who is not there
            self._board.observe(step=moved, clocks=Agreement(), unmeasured_since=since)
            if moved > 0 and now.guard is not None:
                self._board.observe(stepped=now.guard.started_at)
            talked = now.failover is not None and talks(now.failover.local, now.failover.partner)
            if talked or (not now.running and not now.tenure.given_up):
                self._board.observe(misled=now.tenure.epoch)  # the guard saw it first, if it saw it
            self._parts.renewal.submit(ownpart.draft(self._board.now), now=True)

    def _look_at_object(self) -> None:
        latest = self._parts.watcher.latest
        desired = self._board.now.desired
        if latest is None:
            if desired is None and self._boot() - self._began > _API_SECONDS:
                remembered = self._parts.memory.server()
                if remembered is not None:
                    self._board.observe(desired=Desired(object=remembered, cached=True))
            return
        if desired is not None and latest is desired.object:
            return
        self._wanted(latest, desired)
        self._board.observe(desired=Desired(object=latest))

    def _wanted(self, latest: ServerObject, before: Desired | None) -> None:
        if before is None or before.object.spec != latest.spec:
            self._network_stale = True
            self._parts.memory.keep_server(latest)

    def _look_at_lease(self) -> None:
        """Take in the serving lease, and what became of our writes to it."""
        board, durable = self._board, self._parts.durable
        board.observe(lease=self._parts.lease.latest)
        lease, last = board.now.lease, board.now.last_lease
        if last != board.now.remembered:
            self._parts.memory.keep_lease(last)
            board.observe(remembered=last)
        if lease is not None and durable.readable:
            epoch, pair = lease.spec.epoch, self._pair()
            name = "" if board.now.confirmed is None else board.now.confirmed.lineage.id
            try:
                durable.change(
                    lambda old: replace(known := for_pair(old, pair, epoch, name), epoch=max(known.epoch, epoch))
                )
            except NotRememberedError:
                return
        self._take_up()

    def _pair(self) -> str:
        """Return the UID of the pair that this pod was made for; empty where that may not be learnt now."""
        now = self._board.now
        idle = not now.running and not now.tenure.epoch
        return now.desired.pair if idle and now.desired is not None and not now.desired.cached else ""

    def _take_up(self) -> None:
        """Take in that a grant was confirmed."""
        now, written = self._board.now, self._parts.renewal.written
        if written is None or written.own.incarnation != now.incarnation or not written.own.in_force.epoch:
            return
        in_force, grant = written.own.in_force, now.grant
        if in_force.epoch == now.tenure.epoch and not now.tenure.given_up:
            self._keep(replace(now.tenure, in_force=in_force))
        elif grant is not None and now.standing is Standing.OFFERED and in_force.epoch == grant.epoch:
            _log.info("grant taken up", extra=kv(epoch=grant.epoch, start=grant.start, duration=grant.duration))
            self._keep(taken_up(now.incarnation, grant, in_force))

    def _note_misled(self) -> None:
        """Remember beyond the pod's life that the server was killed for its clock: its record says normal."""
        now, durable = self._board.now, self._parts.durable
        if now.wrong_clock != CLOCK_STEPPED or now.running or durable.record.misled or not durable.readable:
            return
        try:
            durable.set(misled=True)
        except NotRememberedError as error:
            _log.warning("cannot remember that the clock stepped", extra=kv(why=error))
            return
        self._board.observe(found=replace(now.found, record=durable.record))

    def _give_up(self) -> None:
        self._board.observe(held=self._parts.keeper.held)  # a grant may have been confirmed a moment ago
        now = self._board.now
        reason = ownpart.gives_up(now)
        if reason and not now.tenure.given_up and self._keep(given_up(now.tenure)):
            _log.info("the grant is given back", extra=kv(epoch=now.tenure.epoch, reason=reason))
            self._parts.keeper.end()

    def _keep(self, tenure: Tenure) -> bool:
        try:
            self._board.keep_tenure(tenure)
        except OSError as error:
            _log.error("cannot remember the grant", extra=kv(why=error))
            return False
        return True

    # --- the network --------------------------------------------------------------------------------------------------
    def _look_at_network(self, spec: ServerSpec) -> None:
        at = self._boot()
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
        if found != self._board.now.network:
            _log.info("network", extra=kv(found=_brief(found)))
            self._board.observe(network=found)

    # --- guard and server ---------------------------------------------------------------------------------------------
    def _look_at_server(self, spec: ServerSpec) -> None:
        probe = self._parts.probe
        if self._board.now.running:
            failover = probe.failover(self.spoken(spec))
            self._board.observe(failover=failover, answered=probe.answered)
        self._resending.look(self.spoken(spec))
        self._catching_up.look(spec)
        self._note_silence()
        due = self._boot() - self._guard_asked >= _GUARD_SECONDS
        if due or not (self._board.now.running and probe.answered):
            self.look_at_guard()
        if self._board.now.running:
            self._count(spec)
        else:
            probe.forget()
            self._board.observe(failover=None, answered=False)

    def _note_silence(self) -> None:
        now = self._board.now
        silent = now.running and not now.answered
        self._board.observe(dumb_since=(now.dumb_since if now.dumb_since is not None else now.boot) if silent else None)

    def spoken(self, spec: ServerSpec) -> ServerSpec:
        """Return the spec with the control interface that the running server has, which a wanted one may change."""
        guard, served = self._board.now.guard, self.served
        if guard is None or guard.revision == self._board.now.wanted_revision or not (served and served.omapi_port):
            return spec
        return replace(spec, failover_name=served.failover_name, omapi_port=served.omapi_port)

    def look_at_guard(self) -> None:
        """Ask the guard now."""
        self._guard_asked = self._boot()
        now = self._board.now
        try:
            self.guard_said(self._parts.guard.status())
        except (GuardUnreachable, ProtocolError) as error:
            if now.guard is not None or not now.guard_problem:
                _log.warning("no guard", extra=kv(why=error))
            self._board.observe(guard=None, guard_problem=str(error))

    def guard_said(self, status: GuardStatus, *, expected: bool = False) -> None:
        """Take in the guard's view; judge an end of the server that nobody asked for.

        Args:
            status: What it says.
            expected: It is the answer to a command of ours.
        """
        self._guard_asked = self._boot()
        before = self._board.now.guard
        self._parts.durable.read(status)
        if not self._board.now.token and status.token:
            self._begin(status)
        if self._parts.keeper.saw(status):
            self._parts.renewal.submit(ownpart.draft(self._board.now), now=True)
        if before is not None and before.running and not expected and status.started_at != before.started_at:
            self._ended(before, status)
        self._board.observe(guard=status, guard_problem="")

    def _begin(self, status: GuardStatus) -> None:
        """Go on from what another process of this sidecar knew, in the same pod."""
        self._board.observe(token=status.token)
        incarnation = self._board.now.incarnation
        try:
            tenure = self._parts.memory.tenure()
        except (OSError, msgspec.MsgspecError) as error:
            _log.error("cannot read which grant was taken up", extra=kv(why=error))
            self._board.observe(token="")
            return
        if tenure.incarnation == incarnation:
            self._board.observe(tenure=tenure)
            self._parts.keeper.adopt(tenure.epoch, status)
        if status.running:
            self._recognise(status)
        _log.info("incarnation", extra=kv(name=incarnation, epoch=self._board.now.tenure.epoch))

    def _recognise(self, status: GuardStatus) -> None:
        """Find out on which interface a server was started that was there before us."""
        served = self._parts.memory.served()
        known = served is not None and served.started_at == status.started_at
        if known:
            self.served = served
        self._board.observe(served_index=served.index if served is not None and known else 0)

    def was_stopped(self, status: GuardStatus, why: str) -> None:
        """Take in that the server was stopped by us, and why: nobody else will tell.

        Args:
            status: What the guard says after it. It may have been killing the server itself, for its clock.
            why: Why we did it, a sentence.
        """
        if not status.running:
            how = _stepped(status) or why
            self._board.observe(failure=Failure(code="exited", message=f"the server was stopped: {how}"))

    def _ended(self, before: GuardStatus, status: GuardStatus) -> None:
        last = status.last_exit
        how = _stepped(status) or (f"{last.reason}, code {last.code}" if last else "with its guard")
        _log.warning("the server ended", extra=kv(how=how, pid=before.pid))
        if self._parts.clocks.wall() - before.started_at < _HEALTHY_SECONDS:
            pause = self._board.starts.failed()
            _log.info("pause before the next start", extra=kv(seconds=pause))
        else:
            self._board.starts.reset()
        if not status.running:
            self._board.observe(failure=Failure(code="exited", message=f"the server ended: {how}"))

    def _count(self, spec: ServerSpec) -> None:
        if self._parts.probe.count(spec):
            usage = self._parts.probe.usage
            self._board.observe(pools=usage.pools, unacked_updates=usage.unacked_updates)


def _wanted(spec: ServerSpec) -> Wanted:
    return Wanted(
        interface=spec.interface or None,
        address=IPv4Address(spec.address) if spec.address else None,
        failover_address=IPv4Address(spec.failover_address) if spec.failover_address else None,
        subnets=tuple(map(IPv4Network, spec.subnets)),
    )


def _stepped(status: GuardStatus) -> str:
    """Return why the guard killed the server, a sentence, if it did for its clock."""
    last = status.last_exit
    stepped = last is not None and last.reason == CLOCK_STEPPED
    return f"its wall clock stepped by {status.clock_step:+.1f} s" if stepped else ""


def _brief(found: Network | NetworkProblem) -> str:
    if isinstance(found, NetworkProblem):
        return f"{found.reason}: {found.message}"
    return f"{found.serving} on {found.interface}, link {'up' if found.link_up else 'down'}"
