"""Asking rtnetlink: one request, all of its answers. netlink(7), rtnetlink(7).

On the standard library: a library that knows all of netlink is a quarter of the memory that a sidecar may have.
"""

import os
import socket
import struct
from collections.abc import Iterator

# linux/netlink.h, linux/rtnetlink.h
GET_LINK, GET_ADDRESS = 18, 22
_REQUEST, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x300, 0x10
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence number, port
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_ERRNO = struct.Struct("=i")
_TYPE = 0x3FFF  # without the flags of nested attributes and of byte order

_RECEIVE = 64 * 1024
_SECONDS = 2.0


class Route:
    """A socket for questions, in the network namespace of the calling thread.

    Raises:
        OSError: No socket is to be had.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.settimeout(_SECONDS)
        self._number = 0

    def one(self, kind: int, body: bytes) -> bytes:
        """Return the body of the only answer.

        Raises:
            OSError: What the kernel says, or no answer within 2 s.
        """
        return next(self._answers(kind, 0, body))

    def every(self, kind: int, body: bytes) -> list[bytes]:
        """Return the bodies of all answers; errors as ``one``, and if something changed meanwhile."""
        return list(self._answers(kind, _DUMP, body))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _answers(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        self._number += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, self._number, 0)
        self._socket.send(header + body)
        while True:
            data = self._socket.recv(_RECEIVE)
            at = 0
            while at + _HEADER.size <= len(data):
                length, answer, answered, number, _ = _HEADER.unpack_from(data, at)
                content = data[at + _HEADER.size : at + length]
                at += max(_HEADER.size, _aligned(length))
                if number != self._number:  # of a question that nobody waits for any more
                    continue
                if answered & _DUMP_INTERRUPTED:
                    raise InterruptedError("the list changed while it was read")
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    code = -_ERRNO.unpack_from(content)[0]
                    raise OSError(code, os.strerror(code))
                yield content


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Return attributes by their type; the last counts."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        found[kind & _TYPE] = data[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, _aligned(length))
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3
