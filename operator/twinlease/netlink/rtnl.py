"""Interfaces and addresses over rtnetlink.

A node may have hundreds of interfaces (one per pod) and few addresses, so addresses are what is listed, and of the
interfaces only those that carry one. That something changed is learnt from a bare socket whose messages nobody parses.
"""

import errno
import socket
import struct
import sys
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface

from twinlease.netlink.choose import Address, Interface
from twinlease.netlink.protocol import NetlinkError
from twinlease.netlink.route import GET_ADDRESS, GET_LINK, Route, attribute, attributes

# linux/rtnetlink.h, linux/if.h, linux/if_link.h, linux/if_addr.h
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_IFLA_IFNAME = 3
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_GROUP_LINK = 0x1
_GROUP_IPV4_ADDRESS = 0x10
_IFF_UP = 0x1
_IFF_LOWER_UP = 0x10000
_IFA_F_SECONDARY = 0x1

_RECEIVE = 64 * 1024
# A change comes as several messages (link, addresses, flags): one reading for all of them.
_SETTLE_SECONDS = 0.02


class RouteNetlink:
    """The kernel's answer to ``Links``, in the network namespace of the calling thread.

    Raises:
        NetlinkError: No socket is to be had.
    """

    def __init__(self) -> None:
        try:
            self._route = Route()
            self._changes = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
            self._changes.bind((0, _GROUP_LINK | _GROUP_IPV4_ADDRESS))
        except OSError as error:
            raise NetlinkError(f"no netlink socket: {error}") from error

    def read(self, name: str | None) -> tuple[Interface, ...]:
        """Return the interfaces that have IPv4 addresses outside 127.0.0.0/8, and the one of that name even without.

        Raises:
            NetlinkError: No answer.
        """
        try:
            addresses = self._addresses()
            found = [self._interface(_LINK.pack(0, 0, index, 0, 0), had) for index, had in addresses.items()]
            if name is not None and all(link is None or link.name != name for link in found):
                by_name = attribute(_IFLA_IFNAME, name.encode() + b"\0")
                found.append(self._interface(_LINK.pack(0, 0, 0, 0, 0) + by_name, ()))
            return tuple(link for link in found if link is not None)
        except OSError as error:
            raise NetlinkError(f"the kernel does not tell its interfaces: {error}") from error

    def wait(self) -> None:
        """Return when an interface or an address may have changed since the last call of ``read`` or ``wait``.

        Raises:
            NetlinkError: Changes can no longer be seen.
        """
        try:
            self._changes.recv(_RECEIVE)
            time.sleep(_SETTLE_SECONDS)
            while self._changes.recv(_RECEIVE, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            return
        except OSError as error:
            # The kernel had to drop messages: that something changed is all that we want of them.
            if error.errno != errno.ENOBUFS:
                raise NetlinkError(f"the kernel's messages do not come any more: {error}") from error

    def close(self) -> None:
        """Let go of the sockets."""
        self._changes.close()
        self._route.close()

    def _addresses(self) -> dict[int, list[Address]]:
        found: dict[int, list[Address]] = {}
        for body in self._route.every(GET_ADDRESS, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
            _, prefix, few, _, index = _ADDRESS.unpack_from(body)
            had = attributes(body[_ADDRESS.size :])
            # The local end of a point-to-point link is IFA_LOCAL; elsewhere both are the same.
            octets = had.get(_IFA_LOCAL) or had.get(_IFA_ADDRESS)
            if octets is None:
                continue
            address = IPv4Interface((IPv4Address(octets), prefix))
            if not address.is_loopback:
                flags = int.from_bytes(had[_IFA_FLAGS], sys.byteorder) if _IFA_FLAGS in had else few
                found.setdefault(index, []).append(Address(address, bool(flags & _IFA_F_SECONDARY)))
        return found

    def _interface(self, request: bytes, addresses: Sequence[Address]) -> Interface | None:
        try:
            body = self._route.one(GET_LINK, request)
        except OSError as error:
            if error.errno == errno.ENODEV:  # gone since its addresses were listed, or never there
                return None
            raise
        _, _, index, flags, _ = _LINK.unpack_from(body)
        up = _IFF_UP | _IFF_LOWER_UP
        return Interface(
            index=index,
            name=attributes(body[_LINK.size :])[_IFLA_IFNAME].rstrip(b"\0").decode(errors="replace"),
            up=flags & up == up,
            addresses=tuple(addresses),
        )
