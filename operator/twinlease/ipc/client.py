"""The sidecar's end: one connection per call, so that either side may restart at any time."""

import itertools
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twinlease.ipc.framing import LineBuffer
from twinlease.ipc.protocol import Code, Op, ProtocolError, Request, decode_reply, encode_request

# What the guard may rightly take: its own limits for stopping, checking and starting, and a large lease database.
_STATUS_SECONDS = 2.0
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

    def apply(self, revision: str, interface: str, edits: Sequence[str] = ()) -> GuardStatus:
        """Have a candidate installed, and the server started anew with it.

        Raises:
            GuardUnreachable: No answer; the command may go on nevertheless.
            ProtocolError: It failed; the code says how.
        """
        fields = {"revision": revision, "interface": interface, "edits": list(edits)}
        return _status(self._call(Op.APPLY, fields, _COMMAND_SECONDS))

    def start(self, interface: str, edits: Sequence[str] = ()) -> GuardStatus:
        """Have the server started with the configuration that was installed last; errors as ``apply``."""
        return _status(self._call(Op.START, {"interface": interface, "edits": list(edits)}, _COMMAND_SECONDS))

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
        last = result["lastExit"]
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
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(Code.BAD_REQUEST, f"the guard's status lacks or garbles {error}") from error
