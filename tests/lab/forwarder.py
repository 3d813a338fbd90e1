"""The host's way to the API server: a loopback port here, its other end in the management namespace.

Started with an already listening socket, so that the port is known and open before anybody is told it.
No cable leads from the lab into the host: nothing in the lab can reach the host, and nothing leaks out of it.
"""

import asyncio
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tests.lab import netns

_CHUNK = 1 << 16


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass bytes on until the source ends, then end the sink's half, so that the other direction can finish."""
    try:
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except OSError:
        sink.transport.abort()  # one side broke off: so must the other


async def relay(inner: asyncio.StreamReader, outer: asyncio.StreamWriter, target: tuple[str, int]) -> None:
    """Connect one caller with the target until both directions have ended."""
    try:
        reader, writer = await asyncio.open_connection(*target)
    except OSError:
        outer.transport.abort()
        return
    try:
        await asyncio.gather(copy(inner, writer), copy(reader, outer))
    finally:
        for end in (writer, outer):
            end.close()


async def serve(listener: socket.socket, target: tuple[str, int]) -> None:
    """Accept callers for ever."""

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Coroutine[Any, Any, None]:
        return relay(reader, writer, target)

    server = await asyncio.start_server(accept, sock=listener)
    async with server:
        await server.serve_forever()


def main(descriptor: str, namespace: str, host: str, port: str) -> None:
    """Serve the listening socket `descriptor` from within the network namespace."""
    listener = socket.socket(fileno=int(descriptor))
    netns.enter(Path(namespace))
    asyncio.run(serve(listener, (host, int(port))))


if __name__ == "__main__":
    main(*sys.argv[1:])
