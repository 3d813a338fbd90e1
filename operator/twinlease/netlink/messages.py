"""Messages of rtnetlink, as far as links and IPv4 addresses need them. Pure.

Formats and numbers: netlink(7), rtnetlink(7); linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h, linux/if_link.h.
"""

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x300, 0x10

_AF_INET = 2
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
_IFA_F_SECONDARY = 0x1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFLA_IFNAME = 3
_TYPE = 0x3FFF  # the two bits above say how an attribute is coded

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence number, port
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_NUMBER = struct.Struct("=I")
_ERROR = struct.Struct("=i")
_ADDRESS_BYTES = 4


class Message(NamedTuple):
    """One message of the kernel's."""

    kind: int
    flags: int
    number: int
    body: bytes


class AddressMessage(NamedTuple):
    """An address of an interface, which is told by its index."""

    interface: int
    address: IPv4Interface
    secondary: bool


class LinkMessage(NamedTuple):
    """An interface: its index, its name, and whether it is set up and has a carrier."""

    number: int
    name: str
    up: bool


def list_addresses(number: int) -> bytes:
    """Return the request for all IPv4 addresses."""
    return _request(RTM_GETADDR, NLM_F_DUMP, number, _ADDRESS.pack(_AF_INET, 0, 0, 0, 0))


def get_link(number: int, *, index: int = 0, name: str = "") -> bytes:
    """Return the request for one interface, by index or by name."""
    body = _LINK.pack(0, 0, index, 0, 0)
    if name:
        value = name.encode() + b"\0"
        body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), _IFLA_IFNAME) + value
        body += bytes(-len(body) % 4)
    return _request(RTM_GETLINK, 0, number, body)


def _request(kind: int, flags: int, number: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, number, 0) + body


def messages(data: bytes) -> Iterator[Message]:
    """Yield the messages of one datagram.

    Raises:
        ValueError: It is cut off, or none.
    """
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise ValueError("a netlink message is cut off")
        length, kind, flags, number, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            raise ValueError("a netlink message has no right length")
        yield Message(kind, flags, number, data[at + _HEADER.size : at + length])
        at += (length + 3) & ~3


def error(message: Message) -> int:
    """Return the error that an end or an error message carries, a number of ``errno``; 0: none.

    Raises:
        ValueError: It is cut off.
    """
    if len(message.body) < _ERROR.size:
        if message.kind == NLMSG_DONE:
            return 0
        raise ValueError("a netlink error is cut off")
    return -int(_ERROR.unpack_from(message.body)[0])


def address(message: Message) -> AddressMessage | None:
    """Return what a message says of an address; None: it is no IPv4 address.

    Raises:
        ValueError: It is cut off.
    """
    if len(message.body) < _ADDRESS.size:
        raise ValueError("an address message is cut off")
    family, prefix, flags, _, index = _ADDRESS.unpack_from(message.body)
    attributes = _attributes(message.body, _ADDRESS.size)
    # The local end of a point-to-point link is IFA_LOCAL; elsewhere both are the same.
    value = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS) or b""
    if family != _AF_INET or len(value) != _ADDRESS_BYTES:
        return None
    if len(more := attributes.get(_IFA_FLAGS, b"")) == _NUMBER.size:
        (flags,) = _NUMBER.unpack(more)
    found = IPv4Interface((IPv4Address(value), prefix))
    return AddressMessage(index, found, bool(flags & _IFA_F_SECONDARY))


def link(message: Message) -> LinkMessage:
    """Return what a message says of an interface.

    Raises:
        ValueError: It is cut off.
    """
    if len(message.body) < _LINK.size:
        raise ValueError("a link message is cut off")
    _, _, index, flags, _ = _LINK.unpack_from(message.body)
    name = _attributes(message.body, _LINK.size).get(_IFLA_IFNAME, b"").rstrip(b"\0")
    up = _IFF_UP | _IFF_LOWER_UP
    return LinkMessage(index, name.decode(errors="replace"), flags & up == up)


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size or at + length > len(body):
            raise ValueError("a netlink attribute has no right length")
        found[kind & _TYPE] = body[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found
