"""The guard's socket: accepts the sidecar, refuses everybody else, hands requests on one at a time."""

import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path

from twinlease.guard.loop import READ, Loop
from twinlease.ipc.framing import LineBuffer
from twinlease.ipc.protocol import ProtocolError, Request, decode_request, encode_error

Submit = Callable[[Request, Callable[[bytes], None], Callable[[], bool]], None]
Note = Callable[[str], None]

_MAX_CONNECTIONS = 16
_CREDENTIALS = struct.Struct("3i")
_RECEIVE = 16 * 1024


class Listener:
    """Listens on a Unix socket of mode 0600.

    Args:
        loop: Who calls us.
        path: The socket; whatever is there is replaced, for the directory is ours.
        submit: Runs a request, calls back with the line of the answer, and may ask whether the client has hung up.
        note: Logs a sentence.
    """

    def __init__(self, loop: Loop, path: Path, submit: Submit, note: Note) -> None:
        self._loop = loop
        self._submit = submit
        self._note = note
        self._open: set[_Connection] = set()
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(mask)
        self._socket.listen(_MAX_CONNECTIONS)
        loop.watch(self._socket.fileno(), READ, self._accept)

    def _accept(self) -> None:
        try:
            accepted, _ = self._socket.accept()
        except OSError:  # it hung up while it waited
            return
        _, uid, _ = _CREDENTIALS.unpack(
            accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size),
        )
        if uid != os.geteuid():
            self._note(f"refused a connection of uid {uid}")
            accepted.close()
        elif len(self._open) >= _MAX_CONNECTIONS:
            self._note("refused a connection: too many")
            accepted.close()
        else:
            accepted.setblocking(False)  # noqa: FBT003  # the standard library's own signature
            self._open.add(_Connection(self._loop, accepted, self._submit, self._open.discard))


class _Connection:
    """One client: what it sent and is not yet answered."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        submit: Submit,
        forget: Callable[["_Connection"], None],
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._submit = submit
        self._forget = forget
        self._buffer = LineBuffer()
        self._lines: deque[bytes] = deque()
        self._busy = False
        self._closed = False
        loop.watch(sock.fileno(), READ, self._readable)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        try:
            self._lines.extend(self._buffer.feed(data))
        except ProtocolError as error:
            # Where the next message would begin is anybody's guess.
            self._send(encode_error(error))
            self._close()
            return
        self._work()

    def _work(self) -> None:
        while self._lines and not self._busy and not self._closed:
            if self._gone():
                # What a dead sidecar wanted is not done in its name: the next one may know better.
                self._close()
                return
            self._busy = True
            try:
                self._submit(decode_request(self._lines.popleft()), self._answered, self._gone)
            except ProtocolError as error:
                self._answered(encode_error(error))
        if self._closed:
            return
        # One request at a time: who sends more waits in the kernel's buffer, not in ours.
        if self._busy:
            self._loop.unwatch(self._socket.fileno())
        else:
            self._loop.watch(self._socket.fileno(), READ, self._readable)

    def _gone(self) -> bool:
        """Tell whether the client has hung up, whatever there is still to read of it."""
        if self._closed:
            return True
        poll = select.poll()
        poll.register(self._socket, 0)  # what is told without being asked for: that the other end is closed
        return bool(poll.poll(0))

    def _answered(self, line: bytes) -> None:
        self._busy = False
        self._send(line)
        # Not within the answer: a client with many requests would be answered ever deeper in the stack.
        self._loop.after(0, f"client {id(self)}", self._work)

    def _send(self, line: bytes) -> None:
        if self._closed:
            return
        try:
            complete = self._socket.send(line) == len(line)
        except OSError:
            complete = False
        if not complete:  # it does not read its answers
            self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.cancel(f"client {id(self)}")
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._forget(self)
