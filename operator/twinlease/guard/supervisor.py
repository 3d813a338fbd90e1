"""The server's life: start, stop, change of configuration. One command at a time, never a step of its own accord.

A command is a generator that yields how many seconds it is willing to wait; it is resumed when that time is over or
when the server has ended, whichever comes first. So the order of things stands in one place and nothing blocks.
"""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import twinlease
from twinlease import logline
from twinlease.engines.process import EditError, ServerProcess
from twinlease.guard import child
from twinlease.guard.loop import Loop
from twinlease.guard.relay import Relay
from twinlease.guard.settings import Settings
from twinlease.guard.storage import Storage
from twinlease.ipc.protocol import (
    MAX_LOG_LINES,
    Code,
    Op,
    ProtocolError,
    Request,
    encode_error,
    encode_result,
)

Steps = Generator[float, None, None]
Reply = Callable[[bytes], None]

# A kill cannot be refused, but a process in an uninterruptible system call ends only after it.
_KILL_SECONDS = 30.0


class Server(NamedTuple):
    """The server that runs."""

    pid: int
    revision: str
    interface: str
    started_at: float


class Supervisor:
    """Owns the server's process.

    Args:
        settings: Where things are and how long they may take.
        engine: How this kind of server is started.
        loop: Who calls us.
        relay: Where its log goes.
        storage: Where its files are.
    """

    def __init__(self, settings: Settings, engine: ServerProcess, loop: Loop, relay: Relay, storage: Storage) -> None:
        self._settings = settings
        self._engine = engine
        self._loop = loop
        self._relay = relay
        self._storage = storage
        self._server: Server | None = None
        self._starts = 0
        self._last_exit: dict[str, Any] | None = None
        self._wanted_end = ""
        self._waiting: deque[tuple[Request, Reply]] = deque()
        self._active: Steps | None = None
        self._finish: Callable[[ProtocolError | None], None] = lambda _: None

    @property
    def running(self) -> bool:
        """Whether the server's process exists."""
        return self._server is not None

    def submit(self, request: Request, reply: Reply) -> None:
        """Run a request when those before it are done; ``reply`` gets the line of the answer."""
        if request.op == Op.STATUS:
            reply(encode_result(request.id, self.status()))
            return
        self._waiting.append((request, reply))
        self._next()

    def status(self) -> dict[str, Any]:
        """Return the result of the status operation."""
        server = self._server
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
            "token": "",
            "permit": {"deadline": None if server else 0, "lapsed": False},
            "fence": {"kernel": False, "reason": "NotTried", "message": "no server was started yet"},
            "alone": False,
            "others": "not looked for",
            "record": None,
            "recordError": None,
            "clockSteps": 0,
        }

    def children_ended(self) -> None:
        """Collect what has ended: the server, or an orphan that PID 1 inherits."""
        for pid, code in child.reap():
            if self._server is not None and pid == self._server.pid:
                self._ended(code)
                self._resume()

    def shut_down(self, done: Callable[[], None]) -> None:
        """Drop whatever is going on, stop the server, then call ``done``."""
        self._waiting.clear()
        if self._active is not None:
            self._active.close()
        self._run(self._stop(self._settings.grace), lambda _: done())

    def _next(self) -> None:
        while self._active is None and self._waiting:
            request, reply = self._waiting.popleft()

            def finish(error: ProtocolError | None, request: Request = request, reply: Reply = reply) -> None:
                if error is None:
                    reply(encode_result(request.id, self.status()))
                else:
                    self._log("WARNING", "command failed", {"op": request.op, "code": error.code, "why": error})
                    reply(encode_error(ProtocolError(error.code, error.message, request.id)))

            self._run(self._command(request.op, request.fields), finish)

    def _command(self, op: str, fields: Mapping[str, Any]) -> Steps:
        if op == Op.APPLY:
            return self._apply(fields["revision"], fields["interface"], fields["edits"])
        if op == Op.START:
            if fields["restart"]:
                raise ProtocolError(Code.START, "restart is not there yet")
            return self._start_current(fields["interface"], fields["edits"])
        if op == Op.STOP:
            return self._stop(fields["grace"])
        raise ProtocolError(Code.UNKNOWN_OP, f"{op} is not there yet")

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
        self._next()

    def _apply(self, revision: str, interface: str, edits: Sequence[str]) -> Steps:
        self._storage.lock()
        self._storage.install(revision)
        before = self._server
        self._storage.room(2 * self._lease_bytes())  # a copy, and the file that the server writes anew
        yield from self._stop(self._settings.grace)
        try:
            yield from self._start(revision, interface, edits)
        except ProtocolError:
            if before is not None:
                self._log("WARNING", "back to the configuration that ran before", {"revision": before.revision})
                yield from self._start(before.revision, before.interface, ())
            raise
        self._storage.make_current(revision)

    def _start_current(self, interface: str, edits: Sequence[str]) -> Steps:
        if self._server is not None:
            raise ProtocolError(Code.START, "a server runs already")
        revision = self._storage.current()
        if not revision:
            raise ProtocolError(Code.NO_CONFIG, "no configuration was ever installed")
        yield from self._start(revision, interface, edits)

    def _start(self, revision: str, interface: str, edits: Sequence[str]) -> Steps:
        lock = self._storage.lock()
        self._keep_leases(revision)
        lease_file = self._lease_file
        try:
            for note in self._engine.prepare(lease_file, edits, {}).notes:
                self._log("INFO", "lease database prepared", {"note": note})
        except EditError as error:
            raise ProtocolError(Code.EDIT, str(error)) from error
        config = self._storage.path(revision)
        argv = self._engine.command(interface=interface, config=config, lease_file=lease_file)
        self._relay.begin()
        self._wanted_end = ""
        try:
            pid = child.spawn(argv, self._relay.sink, (lock,))
        except OSError as error:
            raise ProtocolError(Code.START, f"cannot run {argv[0]}: {error.strerror}") from error
        self._starts += 1
        self._server = Server(pid, revision, interface, time.time())
        self._log("INFO", "server started", {"pid": pid, "revision": revision[:12], "interface": interface})
        yield from self._wait_for_end(self._settings.settle)
        if not self.running:
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
            self._wanted_end = "Killed" if number == signal.SIGKILL else "Stopped"
            os.kill(self._server.pid, number)
            yield from self._wait_for_end(patience)
        if self._server is not None:
            raise ProtocolError(Code.START, "the server does not end: the kernel keeps it in a system call")

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
        self._server = None
        self._log("INFO" if self._wanted_end else "WARNING", "server ended", {"code": code, "reason": reason})

    def _log(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        self._relay.write(logline.line(level, "twinlease.guard", message, fields, time.time()))
