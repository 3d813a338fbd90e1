"""The sidecar's end: one connection per call, so that either side may restart at any time."""

import itertools
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from twinlease.ipc.framing import LineBuffer
from twinlease.ipc.protocol import Code, FenceSpec, Op, ProtocolError, Request, decode_reply, encode_request

# What the guard may rightly take: its own limits for stopping, checking and starting, and a large lease database.
_STATUS_SECONDS = 2.0
_PERMIT_SECONDS = 1.0
_COMMAND_SECONDS = 60.0


class GuardUnreachable(Exception):  # noqa: N818  # a state, named as the status names it
    """Nobody answers on the guard's socket, or not in time."""


class LastExit(NamedTuple):
    """How the server last ended.

    Attributes:
        time: Seconds since the epoch.
        code: Exit status; negative: ended by that signal.
        reason: CamelCase.
        log: Its last lines.
    """

    time: int
    code: int
    reason: str
    log: tuple[str, ...]


class PermitStatus(NamedTuple):
    """Until when the running server may answer.

    Attributes:
        deadline: Seconds of CLOCK_BOOTTIME; None: without end; 0: there is no permit.
        lapsed: It ended or was closed; the process that had it never gets another one.
    """

    deadline: float | None
    lapsed: bool


class FenceStatus(NamedTuple):
    """Whether the kernel enforces the permit, as proven at the last start; ``reason`` is CamelCase."""

    kernel: bool
    reason: str
    message: str


class Start(NamedTuple):
    """How the server is to be started.

    Attributes:
        interface: The device that it serves on.
        fence: How it is fenced, and for whom its ports are open.
        deadline: Seconds of CLOCK_BOOTTIME until which it may answer; None: without end.
        edits: Named edits of the lease database, of the engine.
        parameters: What the edits need.
        steps: ``clock_steps`` of the guard that were known when the deadline was reckoned.
    """

    interface: str
    fence: FenceSpec
    deadline: float | None
    edits: Sequence[str] = ()
    parameters: Mapping[str, str | int] = MappingProxyType({})
    steps: int = 0

    def fields(self) -> dict[str, Any]:
        """Return it as it stands in a request."""
        return {
            "interface": self.interface,
            "edits": list(self.edits),
            "parameters": dict(self.parameters),
            "deadline": self.deadline,
            "steps": self.steps,
            "fence": self.fence.fields(),
        }


class Counts(NamedTuple):
    """What the guard has counted since it runs.

    Attributes:
        events: What the server's log told of, by kind (``ServerProcess.tally``).
        exits: Ends of the server, by reason.
        edits: Edits of the lease database before a start.
    """

    events: Mapping[str, int] = MappingProxyType({})
    exits: Mapping[str, int] = MappingProxyType({})
    edits: int = 0


class GuardStatus(NamedTuple):
    """What the guard says of itself and its server.

    Attributes:
        version: The guard's version.
        pid: The server's process in the guard's process namespace; 0 if none runs.
        revision: Of the configuration that the server runs; empty if none runs.
        current: Revision that ``start`` would run; empty if there is none.
        started_at: Seconds since the epoch; 0 if no server runs.
        starts: Since the guard runs.
        storage_error: Why the lease directory cannot be used; empty if it can.
        dropped_log_bytes: Of the server's log, because nobody read the guard's output.
        token: Random, hex, made once per pod; gone with the boot.
        permit: Until when the server may answer.
        fence: What the kernel does about it.
        alone: No DHCP server of ours but the guard's own child is on this machine.
        others: What was found otherwise; empty if alone.
        record: What ``remember`` has kept; None if there is nothing, or nothing readable.
        record_error: Why the record cannot be read; empty if it can.
        clock_steps: Steps of the wall clock of more than 2 s since the guard runs.
        clock_step: The size of the last one, seconds; 0: there was none.
        counts: For the metrics; nothing: the guard is an older one.
    """

    version: str
    running: bool
    pid: int
    revision: str
    current: str
    started_at: float
    starts: int
    last_exit: LastExit | None
    storage_error: str
    dropped_log_bytes: int
    token: str
    permit: PermitStatus
    fence: FenceStatus
    alone: bool
    others: str
    record: dict[str, Any] | None
    record_error: str
    clock_steps: int
    clock_step: float
    counts: Counts = Counts()


class GuardClient:
    """Asks the guard.

    Args:
        path: The guard's socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = itertools.count(1)

    def status(self) -> GuardStatus:
        """Ask how things are.

        Raises:
            GuardUnreachable: No answer.
            ProtocolError: Guard and sidecar do not understand each other.
        """
        return _status(self._call(Op.STATUS, {}, _STATUS_SECONDS))

    def permit(self, deadline: float | None, steps: int = 0) -> GuardStatus:
        """Let the running server answer until ``deadline``, seconds of CLOCK_BOOTTIME; None: without end.

        One that was reckoned before a step of the wall clock lengthens nothing: ``steps`` tells how many
        ``clock_steps`` were known.

        Raises:
            GuardUnreachable: No answer.
            ProtocolError: Code lapsed: nothing runs, or nothing that may ever be extended again.
        """
        return _status(self._call(Op.PERMIT, {"deadline": deadline, "steps": steps}, _PERMIT_SECONDS))

    def close(self) -> GuardStatus:
        """End the running server's permit now, for good; harmless if nothing runs. Errors as ``status``."""
        return _status(self._call(Op.CLOSE, {}, _PERMIT_SECONDS))

    def keep(self) -> GuardStatus:
        """Say that the running server is to keep what others hold, in partner-down, from now on.

        By a wall clock that steps forward it would do so too briefly: it is killed for one, until it ends.

        Raises:
            GuardUnreachable: No answer.
            ProtocolError: Code lapsed: nothing runs.
        """
        return _status(self._call(Op.KEEP, {}, _PERMIT_SECONDS))

    def apply(self, revision: str, start: Start) -> GuardStatus:
        """Have a candidate installed, and the server started anew with it.

        Raises:
            GuardUnreachable: No answer; the command may go on nevertheless.
            ProtocolError: It failed; the code says how.
        """
        return _status(self._call(Op.APPLY, {"revision": revision, **start.fields()}, _COMMAND_SECONDS))

    def start(self, start: Start, *, restart: bool = False) -> GuardStatus:
        """Have the server started with the configuration that was installed last; errors as ``apply``.

        Args:
            start: How.
            restart: Stop one that runs first; without it a running one is an error.
        """
        return _status(self._call(Op.START, {"restart": restart, **start.fields()}, _COMMAND_SECONDS))

    def remember(self, record: Mapping[str, Any]) -> GuardStatus:
        """Have the durable record replaced; it is on the disk when this returns. Errors as ``apply``."""
        return _status(self._call(Op.REMEMBER, {"record": dict(record)}, _COMMAND_SECONDS))

    def stop(self, grace: float) -> GuardStatus:
        """Have the server stopped, by force after ``grace`` seconds; errors as ``apply``."""
        return _status(self._call(Op.STOP, {"grace": grace}, _COMMAND_SECONDS))

    def _call(self, op: str, fields: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        request = Request(next(self._numbers), op, fields)
        deadline = time.monotonic() + timeout
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(timeout)
                sock.connect(str(self._path))
                sock.sendall(encode_request(request))
                return decode_reply(_line(sock, deadline), request.id)
        except OSError as error:
            raise GuardUnreachable(f"no answer from the guard on {self._path}: {error}") from error


def _line(sock: socket.socket, deadline: float) -> bytes:
    buffer = LineBuffer()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(left)
        data = sock.recv(65536)
        if not data:
            raise ConnectionError("the guard hung up")
        for line in buffer.feed(data):
            return line


def _status(result: Mapping[str, Any]) -> GuardStatus:
    """Read a status; what a newer guard adds is ignored, what is missing is an error."""
    try:
        last, permit, fence = result["lastExit"], result["permit"], result["fence"]
        return GuardStatus(
            version=str(result["version"]),
            running=bool(result["running"]),
            pid=int(result["pid"]),
            revision=str(result["revision"]),
            current=str(result["current"]),
            started_at=float(result["startedAt"]),
            starts=int(result["starts"]),
            last_exit=None
            if last is None
            else LastExit(int(last["time"]), int(last["code"]), str(last["reason"]), tuple(map(str, last["log"]))),
            storage_error=str(result["storageError"] or ""),
            dropped_log_bytes=int(result["droppedLogBytes"]),
            token=str(result["token"]),
            permit=PermitStatus(_deadline(permit["deadline"]), bool(permit["lapsed"])),
            fence=FenceStatus(bool(fence["kernel"]), str(fence["reason"]), str(fence["message"])),
            alone=bool(result["alone"]),
            others=str(result["others"]),
            record=None if result["record"] is None else dict(result["record"]),
            record_error=str(result["recordError"] or ""),
            clock_steps=int(result["clockSteps"]),
            clock_step=float(result["clockStep"]),
            counts=Counts(_numbers(result.get("events")), _numbers(result.get("exits")), int(result.get("edits") or 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(Code.BAD_REQUEST, f"the guard's status lacks or garbles {error}") from error


def _numbers(counted: Mapping[str, Any] | None) -> Mapping[str, int]:
    """Return what was counted, by kind."""
    return {str(name): int(number) for name, number in dict(counted or {}).items()}


def _deadline(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]  # the caller takes what this raises
