"""Raw sockets on the LAN's interfaces that let only DHCP (and ARP) through, and count what they lose."""

import ctypes
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab import netns
from tests.lab.wire import CLIENT_PORT, ETHERTYPE_ARP, ETHERTYPE_IPV4, SERVER_PORT

_ETH_P_ALL = 0x0003
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 1, 6, 23
_PACKET_MR_PROMISC = 1
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 26, 33, 35  # <asm-generic/socket.h>
_RECEIVE_BYTES = 16 << 20  # tens of thousands of messages
_LONGEST_FRAME = 4096
_ANCILLARY_BYTES = 64
_MOST_BELIEVABLE_AGE = 60.0  # seconds
_INSTRUCTION = struct.Struct("HBBI")
_STATISTICS = struct.Struct("II")
_TIMESPEC = struct.Struct("qq")


@dataclass(frozen=True, slots=True)
class Tap:
    """Where to listen and speak.

    Attributes:
        segment: What reports call this part of the LAN.
        namespace: The network namespace's file.
        link: An interface in it past which all traffic of the clients goes: theirs, or the switch's port to them. (The
            switch itself also hears frames that it then drops, and no client gets.)
    """

    segment: str
    namespace: Path
    link: str = "eth0"


class RawSocket:
    """A promiscuous packet socket on a tap's interface: IPv4 UDP with port 67 or 68 at either end, and ARP if wanted.

    Args:
        tap: Where.
        outgoing: Also hear what leaves by that interface. Never what this socket itself sent.
        arp: Also hear ARP.
    """

    def __init__(self, tap: Tap, *, outgoing: bool, arp: bool) -> None:
        with netns.entered(tap.namespace):
            # Protocol 0 hears nothing yet: the filter is in place before the first frame.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            index = socket.if_nametoindex(tap.link)
        try:
            self._prepare(outgoing=outgoing, arp=arp)
            self._socket.bind((tap.link, _ETH_P_ALL))
            membership = struct.pack("IHH8s", index, _PACKET_MR_PROMISC, 0, b"")
            self._socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        except BaseException:
            self._socket.close()
            raise
        self._dropped = 0

    def _prepare(self, *, outgoing: bool, arp: bool) -> None:
        self._socket.settimeout(0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, int(not outgoing))
        # The kernel copies program and header during the call: neither need live longer.
        program = _program(arp=arp)
        code = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("HP", len(program) // _INSTRUCTION.size, ctypes.addressof(code))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._socket.fileno()

    def send(self, frame: bytes) -> bool:
        """Send a frame; return False if it does not fit the queue, or has no carrier: it is lost, as on any wire."""
        try:
            self._socket.send(frame)
        except OSError:
            return False
        return True

    def frames(self) -> Iterator[tuple[float, bytes]]:
        """Yield what has arrived: the time on `time.monotonic()`'s clock at which the kernel saw it, and the frame."""
        while True:
            try:
                frame, ancillary, *_ = self._socket.recvmsg(_LONGEST_FRAME, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            yield _seen_at(ancillary), frame

    def dropped(self) -> int:
        """Return how many frames the kernel had no room for since the socket was opened."""
        statistics = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        self._dropped += _STATISTICS.unpack(statistics)[1]  # reading resets the kernel's counters
        return self._dropped

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _seen_at(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Return when a frame was seen.

    The kernel tells the wall clock's time, and that clock may be stepped: only the frame's age is taken from it.
    """
    now = time.monotonic()
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(value[: _TIMESPEC.size])
            age: float = time.time() - (seconds + nanoseconds / 1e9)
            if 0 <= age <= _MOST_BELIEVABLE_AGE:
                return now - age
    return now


def _program(*, arp: bool) -> bytes:
    """Return the packet filter (classic BPF) as machine code."""
    load_half, load_byte, load_indexed, load_header_length, equal, give_back = 0x28, 0x30, 0x48, 0xB1, 0x15, 0x06
    refuse, accept = 12, 13  # the last two instructions

    def jump(at: int, value: int, yes: int, no: int) -> tuple[int, int, int, int]:
        return equal, yes - at - 1, no - at - 1, value

    ethertype, protocol, ip, ports = 12, 23, 14, (14, 16)
    code = [
        (load_half, 0, 0, ethertype),
        jump(1, ETHERTYPE_ARP, accept if arp else refuse, 2),
        jump(2, ETHERTYPE_IPV4, 3, refuse),
        (load_byte, 0, 0, protocol),
        jump(4, socket.IPPROTO_UDP, 5, refuse),
        (load_header_length, 0, 0, ip),
        (load_indexed, 0, 0, ports[0]),
        jump(7, SERVER_PORT, accept, 8),
        jump(8, CLIENT_PORT, accept, 9),
        (load_indexed, 0, 0, ports[1]),
        jump(10, SERVER_PORT, accept, 11),
        jump(11, CLIENT_PORT, accept, refuse),
        (give_back, 0, 0, 0),
        (give_back, 0, 0, _LONGEST_FRAME),
    ]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in code)
