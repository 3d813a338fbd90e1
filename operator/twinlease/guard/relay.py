"""The server's log, from its pipe to our standard output.

Nothing here may ever make the server wait: its end of the pipe does not block (it drops what does not fit), we read in
big chunks at most some twenty times a second however fast it writes, and what our own reader does not take is dropped
and counted.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable

from twinlease.guard.loop import READ, WRITE, Loop

_CHUNK = 64 * 1024
_PIPE_BYTES = 256 * 1024
_PENDING_BYTES = 256 * 1024
_TAIL_BYTES = 8 * 1024
_TAIL_LINE = 400
# After each reading: a burst is collected in the pipe instead of waking us for every line.
_PAUSE_SECONDS = 0.05


def _nobody(_: bytes) -> None:
    pass


class Relay:
    """Forwards the log and remembers its end.

    Args:
        loop: Who calls us.
        output: File descriptor of our standard output; becomes non-blocking.
        watch: Gets all that the server writes, chunk by chunk; must be quick.
    """

    def __init__(self, loop: Loop, output: int, watch: Callable[[bytes], None] = _nobody) -> None:
        self.dropped = 0
        self._watch = watch
        self._loop = loop
        self._output = output
        self._pending = bytearray()
        self._gap = 0
        self._tail = b""
        self._source, self.sink = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # beyond a user's allowance: the default size serves as well
            fcntl.fcntl(self.sink, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._blocking = os.get_blocking(output)
        os.set_blocking(output, False)
        self._listen()

    def write(self, line: str) -> None:
        """Put a line of our own into the log."""
        self._send(line.encode(errors="replace") + b"\n")

    def begin(self) -> None:
        """Forget the tail: another server starts."""
        self._drain()
        self._tail = b""
        self._watch(b"\n")  # whatever the one before did not finish

    def tail(self, lines: int) -> tuple[str, ...]:
        """Return the last lines that the server wrote, each cut to a sensible length."""
        self._drain()
        text = self._tail.decode(errors="replace").splitlines()
        return tuple(line[:_TAIL_LINE] for line in text[-lines:] if line.strip())

    def close(self) -> None:
        """Forward what is left, as far as our reader takes it, and leave our output as it was."""
        self._drain()
        self._loop.cancel("relay")
        for fd in (self._source, self._output):
            self._loop.unwatch(fd)
        os.close(self._source)
        os.close(self.sink)
        os.set_blocking(self._output, self._blocking)

    def _listen(self) -> None:
        self._loop.watch(self._source, READ, self._ready)

    def _ready(self) -> None:
        self._loop.unwatch(self._source)
        self._drain()
        self._loop.after(_PAUSE_SECONDS, "relay", self._listen)

    def _drain(self) -> None:
        # Bounded: a server that writes faster than we read must not keep us from everything else.
        for _ in range(1 + _PIPE_BYTES // _CHUNK):
            try:
                chunk = os.read(self._source, _CHUNK)
            except BlockingIOError:
                return
            self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
            self._watch(chunk)
            self._send(chunk)

    def _send(self, chunk: bytes) -> None:
        if len(self._pending) + len(chunk) > _PENDING_BYTES:
            self._flush()
        if len(self._pending) + len(chunk) > _PENDING_BYTES:
            self._gap += len(chunk)
            self.dropped += len(chunk)
            return
        if self._gap:
            self._pending += b"\n(%d bytes of log dropped here: nobody read it)\n" % self._gap
            self._gap = 0
        self._pending += chunk
        self._flush()

    def _flush(self) -> None:
        while self._pending:
            try:
                sent = os.write(self._output, self._pending)
            except BlockingIOError:
                self._loop.watch(self._output, WRITE, self._flush)
                return
            except OSError:  # nobody holds the other end any more
                self.dropped += len(self._pending)
                sent = len(self._pending)
            del self._pending[:sent]
        self._loop.unwatch(self._output)
