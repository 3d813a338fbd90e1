"""Lines out of a byte stream, with a bound."""

from collections.abc import Iterator

from twinlease.ipc.protocol import MAX_LINE, Code, ProtocolError


class LineBuffer:
    """Collects what was received until it is a line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each line that ``data`` completes, without its end.

        Raises:
            ProtocolError: A line, complete or not, is longer than ``MAX_LINE``.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if len(line) >= MAX_LINE:
                raise _too_long()
            yield line
        if len(self._rest) >= MAX_LINE:
            raise _too_long()


def _too_long() -> ProtocolError:
    return ProtocolError(Code.BAD_REQUEST, f"a message of more than {MAX_LINE} bytes")
