"""Interfaces and addresses over rtnetlink.

A node may have hundreds of interfaces (one per pod) and few addresses, so addresses are what is listed, and of the
interfaces only those that carry one. That something changed is learnt from a bare socket whose messages nobody parses.
"""

import errno
import socket
import time
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface
from typing import Any

from pyroute2 import IPRoute  # type: ignore[import-untyped]  # ships no types
from pyroute2.netlink.exceptions import NetlinkError as KernelError  # type: ignore[import-untyped]  # the same

from twinlease.netlink.choose import Address, Interface
from twinlease.netlink.protocol import NetlinkError

# linux/rtnetlink.h, linux/if.h, linux/if_addr.h
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
            self._route = IPRoute()
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
            indices = list(addresses)
            if name is not None:
                indices += [index for index in self._route.link_lookup(ifname=name) if index not in addresses]
            found = (self._interface(index, addresses.get(index, ())) for index in indices)
            return tuple(link for link in found if link is not None)
        except (KernelError, OSError) as error:
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
        for message in self._route.get_addr(family=socket.AF_INET):
            attributes = _attributes(message)
            # The local end of a point-to-point link is IFA_LOCAL; elsewhere both are the same.
            text = attributes.get("IFA_LOCAL") or attributes.get("IFA_ADDRESS")
            if text is None:
                continue
            address = IPv4Interface(f"{text}/{message['prefixlen']}")
            if not address.is_loopback:
                flags = attributes.get("IFA_FLAGS", message["flags"])
                secondary = bool(flags & _IFA_F_SECONDARY)
                found.setdefault(message["index"], []).append(Address(address, secondary))
        return found

    def _interface(self, index: int, addresses: Sequence[Address]) -> Interface | None:
        try:
            (message,) = self._route.get_links(index)
        except KernelError as error:
            if error.code == errno.ENODEV:  # gone since its addresses were listed
                return None
            raise
        up = _IFF_UP | _IFF_LOWER_UP
        return Interface(
            index=index,
            name=str(_attributes(message)["IFLA_IFNAME"]),
            up=message["flags"] & up == up,
            addresses=tuple(addresses),
        )


def _attributes(message: Mapping[str, Any]) -> dict[str, Any]:
    return dict(message["attrs"])
