"""DHCPv4 and ARP frames of a LAN, as clients in every state send them and an observer reads them. Pure.

`dhcp.py` is the short form for a client that only ever asks anew; here is what renewing, rebinding and releasing need
besides: ciaddr, unicast frames, client identifiers, and the requests of others. No VLAN tags, no fragments.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from tests.lab.dhcp import BROADCAST, Kind, address_bytes, checksum, decode_options

NOWHERE = "0.0.0.0"
EVERYWHERE = "255.255.255.255"
CLIENT_PORT, SERVER_PORT = 68, 67
ETHERTYPE_IPV4, ETHERTYPE_ARP = 0x0800, 0x0806

_UDP = 17
_COOKIE = b"\x63\x82\x53\x63"
_BROADCAST_FLAG = 0x8000
_REQUEST_ADDRESS, _LEASE, _KIND, _SERVER, _CLIENT_ID = 50, 51, 53, 54, 61
_ETHERNET = struct.Struct("!6s6sH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP_HEADER = struct.Struct("!HHHH")
_BOOTP = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_PREFIX = (1, ETHERTYPE_IPV4, 6, 4)
_SHORTEST_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Packet:
    """One DHCP message with where it came from and went to.

    Attributes:
        kind: Option 53.
        xid: Transaction id.
        mac: chaddr.
        seconds: For how long the client has been trying.
        broadcast: Whether the client wants its answers broadcast.
        ciaddr: The address that the client says it has.
        yiaddr: The address that a server gives.
        options: All but 53.
        source_mac: Of the Ethernet frame.
        target_mac: Of the Ethernet frame.
        source: Of the IP packet.
        target: Of the IP packet.
    """

    kind: Kind
    xid: int
    mac: bytes
    seconds: int = 0
    broadcast: bool = False
    ciaddr: str = NOWHERE
    yiaddr: str = NOWHERE
    options: Mapping[int, bytes] = field(default_factory=dict)
    source_mac: bytes = b"\0" * 6
    target_mac: bytes = BROADCAST
    source: str = NOWHERE
    target: str = EVERYWHERE

    @property
    def server(self) -> str:
        """The server identifier; empty without one."""
        return self._address(_SERVER)

    @property
    def requested(self) -> str:
        """The address that a client asks for (option 50); empty without one."""
        return self._address(_REQUEST_ADDRESS)

    @property
    def lease(self) -> int | None:
        """The length of the lease in seconds; 0xFFFFFFFF is for ever."""
        value = self.options.get(_LEASE, b"")
        return int.from_bytes(value, "big") if len(value) == 4 else None

    @property
    def client_id(self) -> bytes:
        """The client identifier; empty without one."""
        return self.options.get(_CLIENT_ID, b"")

    def _address(self, option: int) -> str:
        value = self.options.get(option, b"")
        return str(IPv4Address(value)) if len(value) == 4 else ""


@dataclass(frozen=True, slots=True)
class ArpRequest:
    """Somebody asks who has an address."""

    mac: bytes
    address: str
    wanted: str


def client_frame(packet: Packet) -> bytes:
    """Return a client's message as an Ethernet frame, to the server port."""
    return _frame(packet, operation=1, ports=(CLIENT_PORT, SERVER_PORT))


def server_frame(packet: Packet) -> bytes:
    """Return a server's message as an Ethernet frame, to the client port."""
    return _frame(packet, operation=2, ports=(SERVER_PORT, CLIENT_PORT))


def parse(frame: bytes) -> Packet | None:
    """Return the DHCP message in an Ethernet frame, of a client or a server; None when there is no sound one in it.

    BOOTP messages, which have no option 53, are no DHCP messages.
    """
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != _UDP or frame[14] >> 4 != 4:
        return None
    packet = frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
    datagram = packet[(packet[0] & 0x0F) * 4 :] if packet else b""
    payload = datagram[8:]
    if len(payload) < _BOOTP.size or not {67, 68} & set(struct.unpack_from("!HH", datagram)):
        return None
    head = _BOOTP.unpack_from(payload)
    operation, length, xid, seconds, flags, ciaddr, yiaddr = head[0], head[2], *head[4:9]
    options = decode_options(payload[_BOOTP.size :])
    kind = options.pop(_KIND, b"")
    if operation not in {1, 2} or head[-1] != _COOKIE or len(kind) != 1 or kind[0] not in set(Kind):
        return None
    return Packet(
        kind=Kind(kind[0]), xid=xid, mac=head[11][:length], seconds=seconds, broadcast=bool(flags & _BROADCAST_FLAG),
        ciaddr=str(IPv4Address(ciaddr)), yiaddr=str(IPv4Address(yiaddr)), options=options,
        source_mac=frame[6:12], target_mac=frame[:6],
        source=str(IPv4Address(frame[26:30])), target=str(IPv4Address(frame[30:34])),
    )  # fmt: skip


def parse_arp(frame: bytes) -> ArpRequest | None:
    """Return the question in an ARP frame, None when it is no question."""
    if len(frame) < _ETHERNET.size + _ARP.size or frame[12:14] != b"\x08\x06":
        return None
    *prefix, operation, mac, address, _, wanted = _ARP.unpack_from(frame, _ETHERNET.size)
    if tuple(prefix) != _ARP_PREFIX or operation != 1:
        return None
    return ArpRequest(mac, str(IPv4Address(address)), str(IPv4Address(wanted)))


def arp_reply(request: ArpRequest, mac: bytes) -> bytes:
    """Return the answer to an ARP question: that hardware address has it."""
    body = _ARP.pack(*_ARP_PREFIX, 2, mac, address_bytes(request.wanted), request.mac, address_bytes(request.address))
    return _ETHERNET.pack(request.mac, mac, ETHERTYPE_ARP) + body


def _frame(packet: Packet, operation: int, ports: tuple[int, int]) -> bytes:
    head = _BOOTP.pack(
        operation, 1, 6, 0, packet.xid, min(packet.seconds, 0xFFFF), _BROADCAST_FLAG if packet.broadcast else 0,
        address_bytes(packet.ciaddr), address_bytes(packet.yiaddr), b"", b"", packet.mac, b"", b"", _COOKIE,
    )  # fmt: skip
    options = {_KIND: bytes([packet.kind]), **packet.options}
    body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    payload = (head + body + b"\xff").ljust(_SHORTEST_MESSAGE, b"\0")
    # A UDP checksum of zero means that none was computed, which IPv4 allows.
    udp = _UDP_HEADER.pack(*ports, _UDP_HEADER.size + len(payload), 0) + payload
    source, target = address_bytes(packet.source), address_bytes(packet.target)
    header = _IPV4.pack(0x45, 0x10, _IPV4.size + len(udp), 0, 0, 64, _UDP, 0, source, target)
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    return _ETHERNET.pack(packet.target_mac, packet.source_mac, ETHERTYPE_IPV4) + header + udp
