"""The server's life: start, stop, change of configuration. One command at a time, never a step of its own accord.

The one exception is the end of the server's permit, which the keeper sees to; permits therefore do not wait in line.

A command is a generator that yields how many seconds it is willing to wait; it is resumed when that time is over or
when the server has ended, whichever comes first. So the order of things stands in one place and nothing blocks.

Whoever asked may be gone before it is their turn: then nothing is done, for the next one judges anew. A command that is
under way goes on to its end, as a server half changed serves nobody; until then nobody else is told how things are.
"""

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import twinlease
from twinlease import logline
from twinlease.engines.process import SURVIVE, EditError, ServerProcess
from twinlease.guard import child
from twinlease.guard.counts import Counts
from twinlease.guard.fence import Fence
from twinlease.guard.keeper import Clocks, Keeper
from twinlease.guard.loop import Loop
from twinlease.guard.others import packet_sockets
from twinlease.guard.permit import Reason
from twinlease.guard.relay import Relay
from twinlease.guard.settings import Settings
from twinlease.guard.storage import Storage
from twinlease.guard.token import pod_token
from twinlease.ipc.protocol import (
    MAX_LOG_LINES,
    MISLED,
    Code,
    FenceSpec,
    Op,
    ProtocolError,
    Request,
    encode_error,
    encode_result,
    fence_of,
)

Steps = Generator[float, None, None]
Reply = Callable[[bytes], None]
Gone = Callable[[], bool]

# A kill cannot be refused, but a process in an uninterruptible system call ends only after it.
_KILL_SECONDS = 30.0
# How often a write that does not end is looked at.
_DISK_SECONDS = 5.0
_STOPPED, _KILLED = "Stopped", "Killed"
_OURS = (_STOPPED, _KILLED)
_BY_PERMIT = (Reason.PERMIT_ENDED, Reason.FENCE_LOST, Reason.LINK_REPLACED, Reason.CLOCK_STEPPED)


class Server(NamedTuple):
    """The server that runs."""

    pid: int
    revision: str
    interface: str
    started_at: float


class Start(NamedTuple):
    """How a server is started, as a request has it."""

    interface: str
    edits: tuple[str, ...]
    parameters: Mapping[str, str | int]
    deadline: float | None
    steps: int
    fence: FenceSpec


class Parts(NamedTuple):
    """What the supervisor works with.

    Attributes:
        engine: How this kind of server is started.
        loop: Who calls us.
        relay: Where its log goes.
        counts: What is counted of it.
        storage: Where its files are.
        fence: What keeps its answers in.
        clocks: What to read the time from.
    """

    engine: ServerProcess
    loop: Loop
    relay: Relay
    counts: Counts
    storage: Storage
    fence: Fence
    clocks: Clocks


class Supervisor:
    """Owns the server's process.

    Args:
        settings: Where things are and how long they may take.
        parts: What to work with.

    Raises:
        OSError: The pod's token can be neither read nor kept.
    """

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self._settings = settings
        self._engine = parts.engine
        self._loop = parts.loop
        self._relay = parts.relay
        self._counts = parts.counts
        self._storage = parts.storage
        self._keeper = Keeper(parts.loop, parts.fence, self._kill, self._log, parts.clocks)
        self._token = pod_token(settings.token)
        self._others = ""
        self._record: tuple[dict[str, Any] | None, str] = (None, "")
        self._server: Server | None = None
        self._starts = 0
        self._last_exit: dict[str, Any] | None = None
        self._wanted_end = ""
        self._misled = False
        self._waiting: deque[tuple[Request, Reply, Gone]] = deque()
        self._settling: list[tuple[Request, Reply]] = []
        self._active: Steps | None = None
        self._gone: Gone = _nobody_gone
        self._finish: Callable[[ProtocolError | None], None] = lambda _: None

    @property
    def running(self) -> bool:
        """Whether the server's process exists."""
        return self._server is not None

    def submit(self, request: Request, reply: Reply, gone: Gone) -> None:
        """Run a request when those before it are done.

        Args:
            request: What is wanted.
            reply: Gets the line of the answer.
            gone: Tells whether whoever asked has hung up.
        """
        if request.op not in (Op.STATUS, Op.PERMIT, Op.CLOSE, Op.KEEP):
            self._waiting.append((request, reply, gone))
            self._next()
            return
        try:
            if request.op == Op.PERMIT:
                self._keeper.extend(request.fields["deadline"], request.fields["steps"])
            elif request.op == Op.CLOSE:
                self._keeper.close()
            elif request.op == Op.KEEP:
                self._keeper.keep()
        except ProtocolError as error:
            self._refuse(request, reply, error)
        else:
            self._settling.append((request, reply))
            if self._active is None or not self._gone():
                self._tell()

    def status(self) -> dict[str, Any]:
        """Return the result of the status operation."""
        server = self._server
        if server is None:
            self._look_around()
        return {
            "version": twinlease.__version__,
            "running": server is not None,
            "pid": server.pid if server else 0,
            "revision": server.revision if server else "",
            "current": self._storage.current(),
            "startedAt": server.started_at if server else 0,
            "starts": self._starts,
            "lastExit": self._last_exit,
            "storageError": self._storage.error() or None,
            "droppedLogBytes": self._relay.dropped,
            "token": self._token,
            "alone": not self._others,
            "others": self._others,
            "record": self._record[0],
            "recordError": self._record[1] or None,
            **self._counts.status(),
            **self._keeper.status(),
        }

    def children_ended(self) -> None:
        """Collect what has ended: the server, or an orphan that PID 1 inherits."""
        for pid, code in child.reap():
            if self._server is not None and pid == self._server.pid:
                self._ended(code)
                self._resume()
                self._next()

    def shut_down(self, done: Callable[[], None]) -> None:
        """Drop whatever is going on, stop the server, take the fence down, then call ``done``."""
        self._waiting.clear()
        self._gone = _nobody_gone
        if self._active is not None:
            self._active.close()

        def finish(error: ProtocolError | None) -> None:
            if error is None:
                self._keeper.release()
            done()

        self._run(self._end(), finish)

    def _next(self) -> None:
        while self._active is None and self._waiting:
            request, reply, gone = self._waiting.popleft()
            if gone():
                self._refuse(request, reply, ProtocolError(Code.GONE, "whoever asked has hung up: nothing is done"))
                continue

            def finish(error: ProtocolError | None, request: Request = request, reply: Reply = reply) -> None:
                if error is None:
                    reply(encode_result(request.id, self.status()))
                else:
                    self._refuse(request, reply, error)

            self._gone = gone
            self._run(self._command(request.op, request.fields), finish)

    def _tell(self) -> None:
        """Answer those who asked how things are."""
        asked, self._settling = self._settling, []
        for request, reply in asked:
            reply(encode_result(request.id, self.status()))

    def _refuse(self, request: Request, reply: Reply, error: ProtocolError) -> None:
        self._log("WARNING", "command failed", {"op": request.op, "code": error.code, "why": error})
        reply(encode_error(ProtocolError(error.code, error.message, request.id)))

    def _command(self, op: str, fields: Mapping[str, Any]) -> Steps:
        if op == Op.APPLY:
            return self._apply(fields["revision"], _start_of(fields))
        if op == Op.START:
            return self._start_current(_start_of(fields), restart=fields["restart"])
        if op == Op.REMEMBER:
            return self._remember(fields.get("record"))
        return self._stop(fields["grace"])

    def _run(self, steps: Steps, finish: Callable[[ProtocolError | None], None]) -> None:
        self._active, self._finish = steps, finish
        self._resume()

    def _resume(self) -> None:
        """Let the active command take its next step."""
        self._loop.cancel("command")
        if self._active is None:
            return
        error = None
        try:
            self._loop.after(next(self._active), "command", self._resume)
        except StopIteration:
            pass
        except ProtocolError as refused:
            error = refused
        else:
            return
        self._active = None
        self._finish(error)
        self._tell()
        self._next()

    def _apply(self, revision: str, start: Start) -> Steps:
        self._keeper.check(start.deadline)
        self._storage.lock()
        self._storage.install(revision)
        before = self._server
        self._storage.room(2 * self._lease_bytes())  # a copy, and the file that the server writes anew
        yield from self._stop(self._settings.grace)
        try:
            yield from self._start(revision, start)
        except ProtocolError:
            if before is not None:
                self._log("WARNING", "back to the configuration that ran before", {"revision": before.revision})
                yield from self._start(before.revision, start._replace(interface=before.interface, edits=()))
            raise
        self._storage.make_current(revision)

    def _start_current(self, start: Start, *, restart: bool) -> Steps:
        self._keeper.check(start.deadline)
        if self._server is not None and not restart:
            raise ProtocolError(Code.START, "a server runs already")
        revision = self._storage.current()
        if not revision:
            raise ProtocolError(Code.NO_CONFIG, "no configuration was ever installed")
        self._storage.lock()
        yield from self._stop(self._settings.grace)
        yield from self._start(revision, start)

    def _remember(self, record: Mapping[str, Any] | None) -> Steps:
        """Keep a record; None: the one that there is, with what we know of the clock."""
        if record is None:
            record = self._storage.record()[0]
        if record is None:
            return
        kept = {**record, MISLED: True} if self._misled else record
        failed: list[ProtocolError] = []
        ended: list[bool] = []

        def work() -> None:
            try:
                self._storage.remember(kept)
            except ProtocolError as error:
                failed.append(error)

        def done() -> None:
            ended.append(True)
            self._resume()

        self._loop.offload(work, done)
        while not ended:
            yield _DISK_SECONDS
        self._record = self._storage.record()
        if failed:
            raise failed[0]

    def _start(self, revision: str, start: Start) -> Steps:
        lock = self._storage.lock()
        # Before anything is done to the leases: a start that is refused has changed nothing.
        self._keeper.prepare(start.interface, os.geteuid(), start.fence)
        self._keep_leases(revision)
        lease_file = self._lease_file
        try:
            prepared = self._engine.prepare(lease_file, start.edits, start.parameters)
        except EditError as error:
            raise ProtocolError(Code.EDIT, str(error)) from error
        if prepared.changed:
            self._counts.edited()
        for note in prepared.notes:
            self._log("INFO", "lease database prepared", {"note": note})
        self._look_around()
        interface = start.interface
        config = self._storage.path(revision)
        argv = self._engine.command(interface=interface, config=config, lease_file=lease_file)
        self._relay.begin()
        self._wanted_end = ""
        self._keeper.check(start.deadline)
        try:
            pid = child.spawn(argv, self._relay.sink, (lock,))
        except OSError as error:
            raise ProtocolError(Code.START, f"cannot run {argv[0]}: {error.strerror}") from error
        self._starts += 1
        self._misled = False
        self._server = Server(pid, revision, interface, time.time())
        self._keeper.begin(start.deadline, start.steps, keeps=SURVIVE in start.edits)
        self._log("INFO", "server started", {"pid": pid, "revision": revision[:12], "interface": interface})
        yield from self._wait_for_end(self._settings.settle)
        if not self.running:
            if self._wanted_end:
                raise ProtocolError(Code.LAPSED, f"the server was killed at once: {self._wanted_end}")
            log = "\n".join((self._last_exit or {}).get("log", ()))
            raise ProtocolError(Code.START, f"the server ended at once:\n{log}"[:8000])

    def _keep_leases(self, revision: str) -> None:
        """See to it that a start with another configuration costs no lease, should the present one have to go on.

        A server drops at its start, before it is known to stay alive, the leases that its configuration has no place
        for. So before a start with anything but what is ``current``, the lease database is copied; the copy goes when
        the new configuration has become current. While there is a copy, no server starts before its records are back:
        also the same configuration once more starts from all of them. Each step may be cut short and repeated, and
        none starts a server when it fails: no server is better than one that gives away held addresses.

        Raises:
            ProtocolError: Code storage.
        """
        self._storage.forget_settled_copy()
        try:
            left = self._storage.copy()
            if left is not None:
                self._engine.restore(self._lease_file, left)
                self._storage.forget_copy(left)
                self._counts.edited()
                self._log("WARNING", "leases restored to those before an unfinished change", {"copy": left.name})
            if revision != self._storage.current():
                self._engine.snapshot(self._lease_file, self._storage.copy_for(revision))
        except EditError as error:
            raise ProtocolError(Code.STORAGE, str(error)) from error

    @property
    def _lease_file(self) -> Path:
        return self._settings.lease_dir / self._engine.lease_file_name

    def _lease_bytes(self) -> int:
        try:
            return self._lease_file.stat().st_size
        except OSError:  # none yet; whatever else is wrong with it, the start will say
            return 0

    def _stop(self, grace: float) -> Steps:
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_SECONDS)):
            if self._server is None:
                return
            if self._wanted_end not in _BY_PERMIT:  # it is dying already
                self._wanted_end = _KILLED if number == signal.SIGKILL else _STOPPED
            os.kill(self._server.pid, number)
            yield from self._wait_for_end(patience)
        if self._server is not None:
            raise ProtocolError(Code.START, "the server does not end: the kernel keeps it in a system call")

    def _end(self) -> Steps:
        """Stop the server for good, so that its partner knows as much as it does."""
        if self._server is not None:
            self._keeper.silence()
            if self._keeper.fenced:
                yield from self._wait_for_end(self._settings.drain)
        yield from self._stop(self._settings.grace)
        if self._misled:  # that it was to be noted was dropped with everything else
            with contextlib.suppress(ProtocolError):
                yield from self._remember(None)

    def _kill(self, reason: str) -> None:
        """Kill the server at once."""
        if self._server is not None:
            self._wanted_end = reason
            os.kill(self._server.pid, signal.SIGKILL)

    def _look_around(self) -> None:
        """See whether a server of ours is about that is not our child, and what is on the disk; while none runs."""
        self._others = "; ".join(filter(None, (self._storage.foreign(), packet_sockets(os.geteuid()))))
        self._record = self._storage.record()

    def _wait_for_end(self, seconds: float) -> Steps:
        deadline = time.monotonic() + seconds
        while self._server is not None and (left := deadline - time.monotonic()) > 0:
            yield left

    def _ended(self, code: int) -> None:
        """Note how the server ended."""
        reason = self._wanted_end or ("Signalled" if code < 0 else "Exited")
        self._last_exit = {
            "time": int(time.time()),
            "code": code,
            "reason": reason,
            "log": list(self._relay.tail(MAX_LOG_LINES)),
        }
        self._counts.exited(reason)
        self._server = None
        self._keeper.ended()
        if (
            reason == Reason.CLOCK_STEPPED
        ):  # its lease file says normal, and its sidecar may not be there to know better
            self._misled = True
            self._waiting.appendleft((Request(0, Op.REMEMBER, {}), _nobody_told, _nobody_gone))
        self._log("INFO" if self._wanted_end in _OURS else "WARNING", "server ended", {"code": code, "reason": reason})

    def _log(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        self._relay.write(logline.line(level, "twinlease.guard", message, fields, time.time()))


def _nobody_told(_: bytes) -> None:
    pass


def _nobody_gone() -> bool:
    return False


def _start_of(fields: Mapping[str, Any]) -> Start:
    return Start(
        fields["interface"],
        tuple(fields["edits"]),
        fields["parameters"],
        fields["deadline"],
        fields["steps"],
        fence_of(fields["fence"]),
    )
