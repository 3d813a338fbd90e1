"""DHCPv4 on the wire, as far as a client needs it: frames to bytes and back. Pure."""

import ipaddress
import struct
from dataclasses import dataclass, field
from enum import IntEnum

BROADCAST = b"\xff" * 6
_CLIENT_PORT, _SERVER_PORT = 68, 67
_ETHERTYPE_IPV4 = 0x0800
_UDP = 17
_COOKIE = b"\x63\x82\x53\x63"
_BOOTP = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_PAD, _END = 0, 255


class Kind(IntEnum):
    """The values of option 53."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    """The options the lab's client sends or reads."""

    REQUESTED_ADDRESS = 50
    LEASE_SECONDS = 51
    KIND = 53
    SERVER = 54
    PARAMETERS = 55


@dataclass(frozen=True, slots=True)
class Message:
    """One DHCP message; `transaction` and `mac` are what a reply is matched by."""

    kind: Kind
    transaction: int
    mac: bytes
    seconds: int = 0
    address: str = "0.0.0.0"  # yiaddr: what a server gives
    options: dict[int, bytes] = field(default_factory=dict)

    @property
    def server(self) -> str | None:
        """The server identifier."""
        return self._address_option(Option.SERVER)

    @property
    def lease_seconds(self) -> int | None:
        """For how long the address is given."""
        value = self.options.get(Option.LEASE_SECONDS, b"")
        return int.from_bytes(value, "big") if len(value) == 4 else None

    def _address_option(self, option: Option) -> str | None:
        value = self.options.get(option, b"")
        return str(ipaddress.IPv4Address(value)) if len(value) == 4 else None


def address_bytes(address: str) -> bytes:
    """Return an IPv4 address as it is sent."""
    return ipaddress.IPv4Address(address).packed


def client_frame(message: Message) -> bytes:
    """Return the Ethernet frame a client broadcasts."""
    udp_payload = _encode(message, operation=1)
    # A UDP checksum of zero means none was computed, which IPv4 allows.
    udp = struct.pack("!HHHH", _CLIENT_PORT, _SERVER_PORT, 8 + len(udp_payload), 0) + udp_payload
    nowhere, everywhere = b"\0" * 4, b"\xff" * 4
    header = _IPV4.pack(0x45, 0x10, 20 + len(udp), 0, 0, 64, _UDP, 0, nowhere, everywhere)
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    return BROADCAST + message.mac + _ETHERTYPE_IPV4.to_bytes(2, "big") + header + udp


def parse_reply(frame: bytes) -> Message | None:
    """Return the server's message in an Ethernet frame, or None when there is no sound one in it."""
    if len(frame) < 34 or int.from_bytes(frame[12:14], "big") != _ETHERTYPE_IPV4 or frame[23] != _UDP:
        return None
    packet = frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
    datagram = packet[(packet[0] & 0x0F) * 4 :] if packet else b""
    if len(datagram) < 8 or int.from_bytes(datagram[2:4], "big") != _CLIENT_PORT:
        return None
    return _decode(datagram[8:])


def checksum(data: bytes) -> int:
    """Return the Internet checksum."""
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _encode(message: Message, operation: int) -> bytes:
    zero = b"\0" * 4
    given = address_bytes(message.address)
    broadcast_flag = 0x8000  # a synthetic client has no address at which it could be reached otherwise
    head = _BOOTP.pack(
        operation, 1, 6, 0, message.transaction, message.seconds, broadcast_flag,
        zero, given, zero, zero, message.mac, b"", b"", _COOKIE,
    )  # fmt: skip
    options = {int(Option.KIND): bytes([message.kind]), **message.options}
    body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    return (head + body + bytes([_END])).ljust(300, b"\0")


def _decode(payload: bytes) -> Message | None:
    if len(payload) < _BOOTP.size:
        return None
    operation, _, length, _, transaction, seconds, _, _, given, _, _, hardware, *_, cookie = _BOOTP.unpack_from(payload)
    if operation != 2 or cookie != _COOKIE:
        return None
    options = decode_options(payload[_BOOTP.size :])
    kind = options.get(Option.KIND, b"")
    if len(kind) != 1 or kind[0] not in set(Kind):
        return None
    address = str(ipaddress.IPv4Address(given))
    return Message(Kind(kind[0]), transaction, hardware[:length], seconds, address, options)


def decode_options(body: bytes) -> dict[int, bytes]:
    """Return the options after the magic cookie; the parts of one that was split are joined (RFC 3396)."""
    options: dict[int, bytes] = {}
    at = 0
    while at + 1 < len(body) and body[at] != _END:
        if body[at] == _PAD:
            at += 1
            continue
        code, length = body[at], body[at + 1]
        options[code] = options.get(code, b"") + body[at + 2 : at + 2 + length]
        at += 2 + length
    return options
