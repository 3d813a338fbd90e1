"""The loop: look, decide, do, tell. Everything that decides is elsewhere, and pure."""

import fcntl
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from twinlease.api.server import ServerStatus
from twinlease.engines.protocol import CheckError
from twinlease.ipc.client import GuardUnreachable
from twinlease.ipc.protocol import ProtocolError
from twinlease.log import kv
from twinlease.sidecar import ownpart
from twinlease.sidecar.board import Board, Parts
from twinlease.sidecar.doing import Doer
from twinlease.sidecar.holding import EVERY_SECONDS, Holder
from twinlease.sidecar.looking import Looker
from twinlease.sidecar.measured import Seen, Tally, tracked
from twinlease.sidecar.mending import Mender
from twinlease.sidecar.observed import Candidate, Verdict
from twinlease.sidecar.plan import Action, Step, plan
from twinlease.sidecar.report import dated, report

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
"""How often the server is asked."""

RELEASE_SECONDS = 2.0
"""How long the end of a pod's sidecar may wait for the word that its daemon is dead to arrive."""

_RELEASE_EVERY_SECONDS = 0.02
_LOGGED = 300
"""Characters of a message that go into the log; the status has all of it."""


class Agent:
    """Looks after one server.

    Attributes:
        seen: The last look, for the metrics; None: there was none yet. For other threads to read.

    Args:
        parts: What to work with.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._board = Board(parts)
        self._looker = Looker(self._board)
        self._holder = Holder(parts.leases, parts.clocks.wall)
        self._doer = Doer(self._board, self._looker, self._holder.log)
        self._mender = Mender(parts.leases, parts.clocks.wall)
        self._reported = ServerStatus()
        self._reported_uid: str | None = None
        self._counted: object = None
        self._said: Step | None = None
        self._tracked: object = None
        self.seen: Seen | None = None

    def run(self, stopping: Callable[[], bool]) -> None:
        """Look after the server until told to stop; the server goes on."""
        while not stopping():
            step = self.turn()
            if step.action is Action.WAIT:
                busy = self._holder.busy or self._mender.busy
                self._parts.wake.wait(EVERY_SECONDS if busy else TICK_SECONDS)
            self._parts.wake.clear()

    def turn(self) -> Step:
        """Look once, take the step that follows, tell; return the step."""
        self._look()
        step = plan(self._board.now)
        if step != self._said:
            self._said = step
            _log.info("next step", extra=kv(action=step.action, reason=step.reason, why=step.message[:_LOGGED]))
        if step.action is not Action.WAIT:
            self._doer.do(step)
            self._look()
        self._parts.renewal.submit(ownpart.draft(self._board.now))
        self._report(plan(self._board.now))
        if step.action is Action.WAIT:
            self._hold()
        return step

    def network_changed(self) -> None:
        """Have the network looked at again; for another thread to call."""
        self._looker.network_changed()
        self._parts.wake.set()

    def farewell(self) -> None:
        """Give the grant back if the whole pod ends: then the daemon is dead, and its guard left word of that.

        If only this process ends, the guard is there, and nothing is done: the next one goes on.
        """
        if not self._pod_ends():
            return
        self._looker.last_look()
        board = self._board
        tenure = board.now.tenure
        if not tenure.epoch or board.now.standing != "Held":
            return
        try:
            board.keep_tenure(replace(tenure, given_up=True))
        except OSError as error:
            _log.warning("the grant is not given back", extra=kv(why=error))
            return
        self._parts.renewal.submit(ownpart.draft(board.now), now=True)
        until = time.monotonic() + RELEASE_SECONDS
        while not self._released(tenure.epoch) and time.monotonic() < until:
            time.sleep(_RELEASE_EVERY_SECONDS)
        _log.info("the pod ends", extra=kv(epoch=tenure.epoch, released=self._released(tenure.epoch)))

    def _released(self, epoch: int) -> bool:
        written = self._parts.renewal.written
        return written is not None and written.own.released == epoch

    def _pod_ends(self) -> bool:
        """Tell whether the guard has ended and nothing of it is left."""
        try:
            self._parts.guard.status()
        except GuardUnreachable:
            settings = self._parts.settings
            return (settings.run_dir / "stopped").exists() and unlocked(settings.lease_dir / "server.lock")
        except ProtocolError:
            pass
        return False

    def _hold(self) -> None:
        desired = self._board.now.desired
        if desired is not None:
            control = self._parts.probe.control(self._looker.spoken(desired.object.spec))
            self._holder.tend(self._board.now, control)
            self._mender.tend(self._board.now, control)

    def _look(self) -> None:
        before = self._board.now.desired
        self._looker.look()
        desired = self._board.now.desired
        if desired is None or desired.cached:
            return
        if before is None or before.cached or before.object.metadata.uid != desired.object.metadata.uid:
            self._adopt()
        self._doer.see_order()

    def _adopt(self) -> None:
        """Go on from what was reported before us: times, and a configuration that this pod's server did not bear."""
        desired = self._board.now.desired
        if desired is None:
            return
        found = desired.object
        self._reported = found.status
        self._reported_uid = found.metadata.uid
        refused = found.status.config
        wanted = found.spec.config.revision if found.spec.config else ""
        if refused.rejected == wanted != "" and found.status.pod_uid == self._parts.settings.pod_uid:
            candidate = Candidate(revision=wanted, verdict=Verdict.REJECTED, message=refused.message)
            self._board.observe(candidate=candidate)

    def _report(self, step: Step) -> None:
        now = self._board.now
        if now.desired is None:
            return  # nothing to report to
        if not now.engine_version and not now.desired.cached:
            self._board.observe(engine_version=self._engine_version())
        found = report(self._board.now, step)
        self._see(found)
        if now.desired.cached:
            return  # nothing that could be reported against
        status = dated(found, self._reported, time.time())
        if status != self._reported:
            self._reported = status
            self._parts.publisher.submit(status)
        elif now.pools is not self._counted:
            self._counted = now.pools
            self._report_again()

    def _see(self, status: ServerStatus) -> None:
        """Keep what was seen for whoever scrapes."""
        now, runways = self._board.now, self.seen.runways if self.seen is not None else {}
        if now.pools is not self._tracked:
            self._tracked = now.pools
            runways = tracked(runways, now)
        self.seen = Seen(now=now, status=status, runways=runways)

    def tally(self) -> Tally:
        """Return what the other threads have counted; for another thread to call."""
        renewal, peer = self._parts.renewal, self._parts.peer
        return Tally(
            renewals=renewal.succeeded,
            failures=renewal.failed,
            renewed=None if renewal.written is None else renewal.written.sent,
            requests=peer.requests,
            promises=peer.promises,
            transitions=self._parts.probe.transitions,
            mended=self._mender.mended,
        )

    def _report_again(self) -> None:
        """Have the status written once more if the API holds another one: somebody else changed it."""
        desired, publisher = self._board.now.desired, self._parts.publisher
        if desired is not None and publisher.idle and desired.object.status != self._reported:
            publisher.submit(self._reported)

    def _engine_version(self) -> str:
        try:
            return self._parts.engine.version()
        except CheckError as error:
            return f"unknown: {error}"[:200]


def unlocked(path: Path) -> bool:
    """Tell whether nobody holds a lock; where that cannot be tried, the guard's word has to do."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        os.close(fd)
    return True
