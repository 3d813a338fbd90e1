"""Trying what the fence is to stop: whether it does is found out before the server starts, not believed.

A child sends, as the server would, one raw frame on the device and one UDP packet, both from port 67. Neither does
harm if it gets out: the frame is addressed to its own sender, the packet to this machine, both to the discard port
and with one byte that is no DHCP message.
"""

import errno
import os
import select
import signal
import socket
import struct
from collections.abc import Callable

from twinlease.guard.caps import Capability, raised

SERVER_PORT = 67
_DISCARD_PORT = 9
_HERE = "127.0.0.1"
_ETHERTYPE_IPV4 = b"\x08\x00"
_SECONDS = 2.0
_MAX_ANSWER = 4096


def leaks(device: str) -> str:
    """Return what the fence lets out, or why that cannot be tried; empty if it stops everything.

    Forks; takes some milliseconds. Wants CAP_NET_RAW permitted.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, _found(device).encode())
        finally:
            os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], _SECONDS)
        answer = os.read(reading, _MAX_ANSWER).decode() if ready else "\n"
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    said, _, complete = answer.rpartition("\n")
    return said if complete == "." else f"the self-test did not end: {said}".rstrip(": ")


def _found(device: str) -> str:
    """Return what was found, ended by a mark: half an answer is none."""
    signal.set_wakeup_fd(-1)  # the parent's loop is not to hear of our signals
    with raised(Capability.NET_RAW):
        try:
            frame = _raw_frame(device)
            packet = _udp_packet()
        except OSError as error:
            return f"a self-test on {device} is not possible: {error.strerror}\n."
        problems = [
            _problem(f"a raw frame on {device}", frame, errno.ENOBUFS),
            _problem("a UDP packet", packet, errno.EPERM),
        ]
    return "; ".join(filter(None, problems)) + "\n."


def _problem(what: str, send: Callable[[], object], expected: int) -> str:
    try:
        send()
    except OSError as error:
        return "" if error.errno == expected else f"{what} fails, but with {error.strerror}"
    return f"{what} gets out"


def _raw_frame(device: str) -> Callable[[], object]:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((device, 0))
    own = sock.getsockname()[4][:6].ljust(6, b"\0")
    return lambda: sock.send(own + own + _ETHERTYPE_IPV4 + _packet())


def _udp_packet() -> Callable[[], object]:
    # Header and all: a socket bound to port 67 is not to be had beside somebody else's.
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    return lambda: sock.sendto(_packet(), (_HERE, 0))


def _packet() -> bytes:
    udp = struct.pack("!HHHH", SERVER_PORT, _DISCARD_PORT, 9, 0) + b"\xff"
    here = socket.inet_aton(_HERE)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 1, socket.IPPROTO_UDP, 0, here, here)
    return header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + udp


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
