"""Watching one network device: whether its name still means what it meant. rtnetlink(7)."""

import contextlib
import errno
import socket
import struct

_RTMGRP_LINK = 1
_RTM_DELLINK = 17
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence number, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_RECEIVE = 64 * 1024


class LinkWatch:
    """Hears of changes of any device; says whether one is still the same. Needs no capability."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_LINK))
        self._device = ""
        self._index = 0

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something has changed."""
        return self._socket.fileno()

    def begin(self, device: str) -> None:
        """Remember what a name means now."""
        self._heard()
        self._device, self._index = device, index_of(device)

    def replaced(self) -> str:
        """Return what happened to the device since ``begin``, as a sentence; empty if it is the one that it was."""
        deleted = self._index in self._heard()
        if not self._index:  # there was none: the server says so better than we do
            return ""
        index = index_of(self._device)
        if deleted or not index:
            return f"{self._device} was deleted or renamed"
        return f"{self._device} is another device now" if index != self._index else ""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _heard(self) -> set[int]:
        """Return the devices that were deleted according to what there is to read."""
        deleted: set[int] = set()
        while True:
            try:
                data = self._socket.recv(_RECEIVE)
            except BlockingIOError:
                return deleted
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # some news are lost; the name's meaning is looked up anyway
                    raise
                continue
            at = 0
            while at + _HEADER.size + _LINK.size <= len(data):
                length, kind, *_ = _HEADER.unpack_from(data, at)
                family, _, index, *_ = _LINK.unpack_from(data, at + _HEADER.size)
                # A bridge says so too, of another family, when a port leaves it.
                if kind == _RTM_DELLINK and family == socket.AF_UNSPEC:
                    deleted.add(index)
                at += max(_HEADER.size, (length + 3) & ~3)


def index_of(device: str) -> int:
    """Return a device's index, 0 if there is none of that name."""
    with contextlib.suppress(OSError):
        return socket.if_nametoindex(device)
    return 0
