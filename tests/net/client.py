"""DHCP clients on a raw socket: any number of them, each with a hardware address of its own, through one interface.

Transaction ids are 32 random bits of the operating system and never two alike; replies are matched by transaction id
and hardware address.
"""

import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Self

from tests.net.jig import Namespace

NONE = IPv4Address(0)
_BROADCAST_MAC = b"\xff" * 6
_ETHERTYPE_IPV4 = 0x0800
_COOKIE = b"\x63\x82\x53\x63"
_RETRY_SECONDS = 1.5
_OFFERED_SECONDS = 120
"""For so long dhcpd keeps what it offered for the client that it offered it to. Source: dhcpdiscover, allocate_lease of
dhcpd 4.4.3; measured."""
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_PROMISC = 263, 1, 1


class Kind(IntEnum):
    """DHCP message types; a BOOTP reply has none."""

    BOOTP = 0
    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7


class Option(IntEnum):
    """DHCP options that these clients use."""

    HOST_NAME = 12
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    MESSAGE_TYPE = 53
    SERVER_IDENTIFIER = 54
    PARAMETER_REQUEST_LIST = 55


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said."""

    kind: Kind
    xid: int
    hardware_address: bytes
    address: IPv4Address
    options: dict[int, bytes]

    @property
    def server(self) -> IPv4Address:
        """The server identifier."""
        return IPv4Address(self.options[Option.SERVER_IDENTIFIER])

    @property
    def lease_seconds(self) -> int:
        """The length of the lease."""
        return int.from_bytes(self.options[Option.LEASE_TIME], "big")


@dataclass(slots=True)
class _Attempt:
    hardware_address: bytes
    started: float
    xid: int
    offer: Reply | None = None
    again: float = 0.0
    done: Reply | None = field(default=None)


class Clients:
    """A crowd of clients on one interface."""

    def __init__(self, interface: str) -> None:
        self._xids: set[int] = set()
        self._offered: dict[IPv4Address, float] = {}
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE_IPV4))
        self._socket.bind((interface, _ETHERTYPE_IPV4))
        membership = struct.pack("IHH8s", socket.if_nametoindex(interface), _PACKET_MR_PROMISC, 0, b"")
        self._socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)

    @classmethod
    @contextmanager
    def on(cls, namespace: Namespace, interface: str = "eth0") -> Iterator[Self]:
        """Open a crowd in a namespace for the length of a block."""
        with namespace.entered():
            clients = cls(interface)
        try:
            yield clients
        finally:
            clients.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def lease(self, hardware_addresses: Iterable[bytes], *, timeout: float) -> dict[bytes, Reply]:
        """Have each client lease an address: discover, take the first offer, request; return the acknowledgements.

        Clients that get none in time are missing in the result.
        """
        now = time.monotonic()
        attempts = {mac: _Attempt(mac, now, self._new_xid()) for mac in hardware_addresses}
        waiting = dict(attempts)
        while waiting and time.monotonic() < now + timeout:
            for attempt in waiting.values():
                self._speak(attempt)
            for reply in self._replies(0.2):
                attempt_of = waiting.get(reply.hardware_address)
                if attempt_of is not None and reply.xid == attempt_of.xid and self._heard(attempt_of, reply):
                    del waiting[reply.hardware_address]
        return {mac: attempt.done for mac, attempt in attempts.items() if attempt.done is not None}

    def kept(self) -> set[IPv4Address]:
        """Return what nobody gets for the time being, for a client was offered it, and has taken another offer."""
        return {each for each, when in self._offered.items() if time.monotonic() < when + _OFFERED_SECONDS}

    def ask(self, hardware_address: bytes, *, listen: float, secs: int = 0) -> list[Reply]:
        """Send one DISCOVER and return everything that comes back within so many seconds."""
        return self._converse(hardware_address, {Option.MESSAGE_TYPE: bytes([Kind.DISCOVER])}, listen, secs)

    def reboot(self, hardware_address: bytes, address: IPv4Address, *, listen: float) -> list[Reply]:
        """Ask for a remembered address, as a client does after a reboot, and return everything that comes back."""
        options = {
            Option.MESSAGE_TYPE: bytes([Kind.REQUEST]),
            Option.REQUESTED_ADDRESS: address.packed,
        }
        return self._converse(hardware_address, options, listen, 0)

    def renew(self, hardware_address: bytes, address: IPv4Address, *, listen: float) -> Reply | None:
        """Ask whoever hears it to extend a lease, as a client does that gets no answer from its own server.

        Returns the first acknowledgement or refusal as soon as it comes.
        """
        options = {Option.MESSAGE_TYPE: bytes([Kind.REQUEST])}
        return next(self._answers(hardware_address, options, listen, 0, address), None)

    def release(self, hardware_address: bytes, address: IPv4Address, server: IPv4Address) -> None:
        """Give a lease back to whoever hears it. Nobody answers that."""
        options = {Option.MESSAGE_TYPE: bytes([Kind.RELEASE]), Option.SERVER_IDENTIFIER: server.packed}
        self._socket.send(_frame(hardware_address, self._new_xid(), 0, options, address))

    def decline(self, hardware_address: bytes, address: IPv4Address, server: IPv4Address) -> None:
        """Say to whoever hears it that somebody else uses an address. Nobody answers that."""
        options = {
            Option.MESSAGE_TYPE: bytes([Kind.DECLINE]),
            Option.REQUESTED_ADDRESS: address.packed,
            Option.SERVER_IDENTIFIER: server.packed,
        }
        self._socket.send(_frame(hardware_address, self._new_xid(), 0, options))

    def bootp(self, hardware_address: bytes, *, listen: float) -> list[Reply]:
        """Ask as a BOOTP client does, which knows no lease time, and return everything that comes back."""
        return self._converse(hardware_address, {}, listen, 0)

    def _converse(self, hardware_address: bytes, options: dict[Option, bytes], listen: float, secs: int) -> list[Reply]:
        return list(self._answers(hardware_address, options, listen, secs))

    def _answers(
        self, hardware_address: bytes, options: dict[Option, bytes], listen: float, secs: int, own: IPv4Address = NONE
    ) -> Iterator[Reply]:
        xid = self._new_xid()
        self._socket.send(_frame(hardware_address, xid, secs, options, own))
        deadline = time.monotonic() + listen
        while (left := deadline - time.monotonic()) > 0:
            yield from (r for r in self._replies(left) if r.xid == xid and r.hardware_address == hardware_address)

    def _speak(self, attempt: _Attempt) -> None:
        now = time.monotonic()
        if now < attempt.again:
            return
        attempt.again = now + _RETRY_SECONDS
        options = {Option.MESSAGE_TYPE: bytes([Kind.DISCOVER])}
        if attempt.offer is not None:
            options = {
                Option.MESSAGE_TYPE: bytes([Kind.REQUEST]),
                Option.REQUESTED_ADDRESS: attempt.offer.address.packed,
                Option.SERVER_IDENTIFIER: attempt.offer.server.packed,
            }
        self._socket.send(_frame(attempt.hardware_address, attempt.xid, int(now - attempt.started), options))

    def _heard(self, attempt: _Attempt, reply: Reply) -> bool:
        """Take a reply in; tell whether the client has its lease."""
        if reply.kind is Kind.OFFER and attempt.offer is None:
            attempt.offer, attempt.again = reply, 0.0
        elif reply.kind is Kind.NAK:
            attempt.offer, attempt.again = None, 0.0
        elif reply.kind is Kind.ACK:
            attempt.done = reply
        return attempt.done is not None

    def _replies(self, wait: float) -> Iterator[Reply]:
        """Wait for a reply, then yield all that are there."""
        while select.select([self._socket], [], [], wait)[0]:
            reply = _parsed(self._socket.recv(2048))
            if reply is not None:
                self._note(reply)
                yield reply
            wait = 0.0

    def _note(self, reply: Reply) -> None:
        if reply.kind is Kind.OFFER:
            self._offered[reply.address] = time.monotonic()
        elif reply.kind is Kind.ACK:
            self._offered.pop(reply.address, None)

    def _new_xid(self) -> int:
        while (xid := int.from_bytes(os.urandom(4), "big")) in self._xids:
            pass
        self._xids.add(xid)
        return xid


def hardware_addresses(count: int, family: int = 0) -> list[bytes]:
    """Return so many locally administered addresses; different families have none in common."""
    return [b"\x02\x00\x5e" + bytes([family]) + index.to_bytes(2, "big") for index in range(count)]


def _frame(
    hardware_address: bytes, xid: int, secs: int, options: dict[Option, bytes], own: IPv4Address = NONE
) -> bytes:
    addresses = (own.packed, b"", b"", b"", hardware_address)
    bootp = struct.pack("!BBBBIHH4s4s4s4s16s192x", 1, 1, 6, 0, xid, secs, 0x8000, *addresses)
    told = dict(options)
    told[Option.PARAMETER_REQUEST_LIST] = bytes([1, 3, 6, Option.HOST_NAME, Option.LEASE_TIME])
    bootp += _COOKIE + b"".join(bytes([code, len(value)]) + value for code, value in told.items()) + b"\xff"
    bootp = bootp.ljust(300, b"\0")
    udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\0" * 4, b"\xff" * 4)
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    return _BROADCAST_MAC + hardware_address + struct.pack("!H", _ETHERTYPE_IPV4) + header + udp


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return int(~(total + (total >> 16)) & 0xFFFF)


def _parsed(frame: bytes) -> Reply | None:
    """Return the server's reply in a frame, None if there is none."""
    packet = frame[14:]
    if len(packet) < 28 or packet[9] != 17:
        return None
    udp = packet[(packet[0] & 0x0F) * 4 :]
    if udp[:4] != struct.pack("!HH", 67, 68):
        return None
    bootp = udp[8:]
    if len(bootp) < 244 or bootp[0] != 2 or bootp[236:240] != _COOKIE:
        return None
    options = dict(_options(bootp[240:]))
    return Reply(
        kind=Kind(options.get(Option.MESSAGE_TYPE, bytes([Kind.BOOTP]))[0]),
        xid=int.from_bytes(bootp[4:8], "big"),
        hardware_address=bootp[28:34],
        address=IPv4Address(bootp[16:20]),
        options=options,
    )


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    index = 0
    while index < len(data) and data[index] != 0xFF:
        if data[index] == 0:
            index += 1
            continue
        length = data[index + 1]
        yield data[index], data[index + 2 : index + 2 + length]
        index += 2 + length
