"""Interfaces and addresses over rtnetlink: two requests of our own, for a library that knows all of it takes 10 MB.

A node may have hundreds of interfaces (one per pod) and few addresses, so addresses are what is listed, and of the
interfaces only those that carry one. That something changed is learnt from a bare socket whose messages nobody parses.
"""

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence

from twinlease.netlink import messages
from twinlease.netlink.choose import Address, Interface
from twinlease.netlink.messages import NLMSG_DONE, NLMSG_ERROR, RTM_NEWADDR, RTM_NEWLINK, Message
from twinlease.netlink.protocol import NetlinkError

# linux/rtnetlink.h
_GROUP_LINK = 0x1
_GROUP_IPV4_ADDRESS = 0x10

_RECEIVE = 64 * 1024
_ANSWER_SECONDS = 5.0
_ATTEMPTS = 3
# A change comes as several messages (link, addresses, flags): one reading for all of them.
_SETTLE_SECONDS = 0.02


class RouteNetlink:
    """The kernel's answer to ``Links``, in the network namespace of the calling thread.

    Raises:
        NetlinkError: No socket is to be had.
    """

    def __init__(self) -> None:
        self._number = 0
        try:
            self._route = _socket(0)
            self._changes = _socket(_GROUP_LINK | _GROUP_IPV4_ADDRESS)
        except OSError as error:
            raise NetlinkError(f"no netlink socket: {error}") from error
        self._route.settimeout(_ANSWER_SECONDS)

    def read(self, name: str | None) -> tuple[Interface, ...]:
        """Return the interfaces that have IPv4 addresses outside 127.0.0.0/8, and the one of that name even without.

        Raises:
            NetlinkError: No answer.
        """
        try:
            addresses = self._addresses()
            found = [self._interface(addresses.get(index, ()), index=index) for index in addresses]
            if name is not None and all(each is None or each.name != name for each in found):
                found.append(self._interface((), name=name))
        except (OSError, ValueError) as error:
            raise NetlinkError(f"the kernel does not tell its interfaces: {error}") from error
        return tuple(each for each in found if each is not None)

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
        """Return the addresses by interface.

        Raises:
            OSError: No answer, or none that was of one moment.
            ValueError: An answer that is none.
        """
        for _ in range(_ATTEMPTS):
            listed = list(self._asked(messages.list_addresses))
            if any(each.flags & messages.NLM_F_DUMP_INTR for each in listed):
                continue  # something changed meanwhile: some may be missing
            found: dict[int, list[Address]] = {}
            for each in listed:
                said = messages.address(each) if each.kind == RTM_NEWADDR else None
                if said is not None and not said.address.is_loopback:
                    found.setdefault(said.interface, []).append(Address(said.address, said.secondary))
            return found
        raise OSError(errno.EAGAIN, "addresses change all the time")

    def _interface(self, addresses: Sequence[Address], *, index: int = 0, name: str = "") -> Interface | None:
        """Return one interface; None: there is none.

        Raises:
            OSError: No answer.
            ValueError: An answer that is none.
        """
        try:
            answers = [*self._asked(lambda number: messages.get_link(number, index=index, name=name))]
        except OSError as error:
            if error.errno == errno.ENODEV:  # perhaps gone since its addresses were listed
                return None
            raise
        if answers[0].kind != RTM_NEWLINK:
            raise ValueError(f"the answer about an interface is of kind {answers[0].kind}")
        said = messages.link(answers[0])
        return Interface(index=said.number, name=said.name, up=said.up, addresses=tuple(addresses))

    def _asked(self, request: Callable[[int], bytes]) -> Iterator[Message]:
        """Send a request and yield what the kernel answers, to the end of a list or one interface.

        Raises:
            OSError: It refuses, or does not answer in time.
            ValueError: An answer that is none.
        """
        self._number = self._number % 0xFFFFFFFF + 1
        self._route.sendto(request(self._number), (0, 0))
        while True:
            data, _, flags, (sender, _) = self._route.recvmsg(_RECEIVE)
            if sender:  # not the kernel
                continue
            if flags & socket.MSG_TRUNC:
                raise ValueError("a netlink datagram is longer than any that we know")
            for message in messages.messages(data):
                if message.number != self._number:
                    continue  # of a request that was given up
                if message.kind in (NLMSG_DONE, NLMSG_ERROR):
                    if refused := messages.error(message):
                        raise OSError(refused, os.strerror(refused))
                    yield message
                    return
                yield message
                if message.kind == RTM_NEWLINK:
                    return


def _socket(groups: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        made.bind((0, groups))
    except OSError:
        made.close()
        raise
    return made
