"""A few words of the kernel's nf_tables over netlink: batches of messages, and what the kernel says to them.

Names and numbers are those of linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h and linux/netlink.h. An
attribute is four bytes of length and type, then its value, padded to four bytes; numbers in values are big endian.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from twinlease.guard.caps import Capability, permitted

# linux/netfilter.h, linux/netfilter/nf_tables.h: families, hooks, verdicts
NFPROTO_INET, NFPROTO_IPV4, NFPROTO_NETDEV = 1, 2, 5
NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT, NF_NETDEV_EGRESS = 1, 3, 1
NF_DROP, NF_ACCEPT = 0, 1

# enum nft_table_flags; persist is of Linux 6.9
NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST = 0x2, 0x4

# enum nf_tables_msg_types
_NEWTABLE, _DELTABLE, _NEWCHAIN, _GETCHAIN, _NEWRULE, _NEWSET, _NEWSETELEM, _DELSETELEM = 0, 2, 3, 4, 6, 9, 12, 14

_NFNL_SUBSYS_NFTABLES = 10
_NFNL_MSG_BATCH_BEGIN, _NFNL_MSG_BATCH_END = 0x10, 0x11
_NETLINK_NETFILTER = 12
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_CREATE, _NLM_F_APPEND = 0x1, 0x4, 0x400, 0x800
_NLMSG_ERROR = 2
_NLA_F_NESTED = 0x8000

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence number, port
_GENERIC = struct.Struct("!BBH")  # nfgenmsg: family, version, resource
_ERROR = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")
_CHAIN_USE = 6
_RECEIVE = 64 * 1024

UDP, TCP = 17, 6
KEY_PROTOCOL, KEY_MARK = 12, 19
"""How nft lists a set's keys: its numbers of the types inet_proto and mark; the kernel does not mind."""


class NftError(Exception):
    """The kernel refused a batch; nothing of it was done.

    Attributes:
        number: The errno.
        what: Which message it refused; empty: the batch as such, before it looked at any.
    """

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"{what or 'nf_tables'}: {os.strerror(number)}")
        self.number = number
        self.what = what


class Message(NamedTuple):
    """One message of a batch; ``what`` names it in errors."""

    what: str
    kind: int
    flags: int
    family: int
    body: bytes


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nested(kind: int, *inner: bytes) -> bytes:
    """Return an attribute made of others."""
    return attribute(kind | _NLA_F_NESTED, b"".join(inner))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that is a string."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """Return an attribute that is a number of 32 bits."""
    return attribute(kind, struct.pack("!I", value))


# --- tables, chains, sets ---------------------------------------------------------------------------------------------
def new_table(family: int, name: str, flags: int = 0) -> Message:
    """Make a table, or take over one that nobody owns any more."""
    return Message(f"table {name}", _NEWTABLE, _NLM_F_CREATE, family, text(1, name) + number(2, flags))


def delete_table(family: int, name: str) -> Message:
    """Delete a table and all that is in it."""
    return Message(f"table {name}", _DELTABLE, 0, family, text(1, name))


class Chain(NamedTuple):
    """A base chain that lets pass what its rules do not drop.

    Attributes:
        hook: Number of the hook in the table's family.
        device: For the family netdev only.
    """

    family: int
    table: str
    name: str
    hook: int
    priority: int
    device: str = ""


def new_chain(chain: Chain) -> Message:
    """Make a chain."""
    device = text(3, chain.device) if chain.device else b""  # NFTA_HOOK_DEV
    hook = nested(4, number(1, chain.hook), number(2, chain.priority & 0xFFFFFFFF), device)
    body = text(1, chain.table) + text(3, chain.name) + text(7, "filter") + number(5, NF_ACCEPT) + hook
    return Message(f"chain {chain.table} {chain.name} {chain.device}".rstrip(), _NEWCHAIN, _NLM_F_CREATE,
                   chain.family, body)  # fmt: skip


def new_set(family: int, table: str, name: str, key: tuple[int, int]) -> Message:
    """Make a set whose elements have timeouts; the key is a type as nft lists it and a length in bytes."""
    timeouts, index = 0x10, 1  # NFT_SET_TIMEOUT; an id within the batch
    body = text(1, table) + text(2, name) + number(3, timeouts) + number(4, key[0]) + number(5, key[1])
    return Message(f"set {name}", _NEWSET, _NLM_F_CREATE, family, body + number(10, index))


# --- rules ------------------------------------------------------------------------------------------------------------
_REGISTER = 1  # NFT_REG_1
_META_IIFNAME, _META_SKUID, _META_NFPROTO, _META_L4PROTO = 6, 10, 15, 16
_NETWORK, _TRANSPORT = 1, 2  # enum nft_payload_bases
_CMP_EQ, _CMP_NEQ = 0, 1
_LOOKUP_F_INV = 1


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *attributes))  # NFTA_LIST_ELEM


def _meta(key: int) -> bytes:
    return _expression("meta", number(2, key), number(1, _REGISTER))


def _payload(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", number(1, _REGISTER), number(2, base), number(3, offset), number(4, length))


def _compare(value: bytes, operation: int = _CMP_EQ) -> bytes:
    return _expression("cmp", number(1, _REGISTER), number(2, operation), nested(3, attribute(1, value)))


def protocol(which: int) -> bytes:
    """Match a protocol above IP."""
    return _meta(_META_L4PROTO) + _compare(bytes([which]))


def source_port(port: int) -> bytes:
    """Match the source port; the protocol has been matched."""
    return _payload(_TRANSPORT, 0, 2) + _compare(struct.pack("!H", port))


def destination_port(port: int) -> bytes:
    """Match the destination port; the protocol has been matched."""
    return _payload(_TRANSPORT, 2, 2) + _compare(struct.pack("!H", port))


def socket_user(uid: int) -> bytes:
    """Match the user who opened the socket; packet sockets included."""
    return _meta(_META_SKUID) + _compare(struct.pack("=I", uid))


def input_device(name: str) -> bytes:
    """Match the device that a packet came in by, by its exact name."""
    return _meta(_META_IIFNAME) + _compare(name.encode().ljust(16, b"\0"))


def not_from(address: str) -> bytes:
    """Match whatever does not come from an IPv4 address, if it is IPv4."""
    other = _payload(_NETWORK, 12, 4) + _compare(socket.inet_aton(address), _CMP_NEQ)
    return _meta(_META_NFPROTO) + _compare(bytes([NFPROTO_IPV4])) + other


def protocol_not_in(name: str) -> bytes:
    """Match a protocol above IP that is no living element of a set."""
    return _meta(_META_L4PROTO) + _expression("lookup", number(2, _REGISTER), text(1, name), number(5, _LOOKUP_F_INV))


def counter() -> bytes:
    """Count."""
    return _expression("counter")


def verdict(code: int) -> bytes:
    """Drop or accept."""
    return _expression("immediate", number(1, 0), nested(2, nested(2, number(1, code))))


def new_rule(chain: Chain, *expressions: bytes) -> Message:
    """Append a rule to a chain."""
    body = text(1, chain.table) + text(2, chain.name) + nested(4, *expressions)
    return Message(f"rule in {chain.name}", _NEWRULE, _NLM_F_CREATE | _NLM_F_APPEND, chain.family, body)


# --- elements ---------------------------------------------------------------------------------------------------------
def _element(key: bytes, timeout: bytes = b"") -> bytes:
    return nested(3, nested(1, timeout, nested(1, attribute(1, key))))


def add_element(family: int, table: str, name: str, key: bytes, seconds: float) -> Message:
    """Add an element that ends by itself; one that is there already keeps its time.

    Raises:
        ValueError: No time: such an element would never end.
    """
    milliseconds = int(seconds * 1000)
    if milliseconds <= 0:
        raise ValueError(f"an element of {seconds} s")
    element = _element(key, attribute(4, struct.pack("!Q", milliseconds)))  # NFTA_SET_ELEM_TIMEOUT
    return Message(f"element of {name}", _NEWSETELEM, _NLM_F_CREATE, family, text(1, table) + text(2, name) + element)


def delete_element(family: int, table: str, name: str, key: bytes) -> Message:
    """Delete an element; one whose time is over is not there any more."""
    return Message(f"element of {name}", _DELSETELEM, 0, family, text(1, table) + text(2, name) + _element(key))


def flush_set(family: int, table: str, name: str) -> Message:
    """Delete every element."""
    return Message(f"set {name}", _DELSETELEM, 0, family, text(1, table) + text(2, name))


# --- talking to the kernel --------------------------------------------------------------------------------------------
def batch(messages: Sequence[Message], first: int) -> bytes:
    """Return a batch, all or nothing; its messages are numbered from ``first``, where it begins itself."""
    begin = _message(_NFNL_MSG_BATCH_BEGIN, _NLM_F_REQUEST, first, _GENERIC.pack(0, 0, _NFNL_SUBSYS_NFTABLES))
    last = first + len(messages) + 1
    end = _message(_NFNL_MSG_BATCH_END, _NLM_F_REQUEST, last, _GENERIC.pack(0, 0, _NFNL_SUBSYS_NFTABLES))
    inner = (
        _message(
            _NFNL_SUBSYS_NFTABLES << 8 | message.kind,
            _NLM_F_REQUEST | _NLM_F_ACK | message.flags,
            first + index,
            _GENERIC.pack(message.family, 0, 0) + message.body,
        )
        for index, message in enumerate(messages, 1)
    )
    return begin + b"".join(inner) + end


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


class Nftables:
    """A netlink socket; tables with an owner belong to it, and become nobody's when it is closed.

    Both opening it and sending take CAP_NET_ADMIN in effect.

    Raises:
        PermissionError: We may not raise it.
        OSError: The kernel has no netfilter at all.
    """

    def __init__(self) -> None:
        if not permitted(Capability.NET_ADMIN):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._next = 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def commit(self, messages: Sequence[Message]) -> None:
        """Have a batch done, in microseconds, or longer while somebody loads a large ruleset.

        The kernel does it within the call, so whatever it says is there when ``send`` returns.

        Raises:
            NftError: It refused.
        """
        first = self._next
        self._next = first + len(messages) + 2
        self._socket.send(batch(messages, first))
        failed: NftError | None = None
        for sequence, code in self._answers():
            index = sequence - first  # of an earlier batch: below 0
            if 0 <= index <= len(messages) and code:
                failed = failed or NftError(code, messages[index - 1].what if index else "")
            if index == len(messages) or (index == 0 and code):
                break
        else:
            failed = failed or NftError(errno.EIO, "no answer")
        if failed is not None:
            raise failed

    def rules(self, chain: Chain) -> int:
        """Return how many rules a chain has.

        Raises:
            NftError: There is no such chain.
        """
        sequence = self._next
        self._next += 1
        body = _GENERIC.pack(chain.family, 0, 0) + text(1, chain.table) + text(3, chain.name)
        self._socket.send(_message(_NFNL_SUBSYS_NFTABLES << 8 | _GETCHAIN, _NLM_F_REQUEST, sequence, body))
        for kind, answered, answer in self._messages():
            if answered == sequence and kind == _NLMSG_ERROR:
                raise NftError(-_ERROR.unpack_from(answer)[0], f"chain {chain.name}")
            if answered == sequence:
                return _number_in(answer[_GENERIC.size :], _CHAIN_USE)
        raise NftError(errno.EIO, "no answer")

    def _answers(self) -> Iterator[tuple[int, int]]:
        """Yield what the kernel said to messages: sequence number and errno, 0 for done."""
        for kind, sequence, body in self._messages():
            if kind == _NLMSG_ERROR:
                yield sequence, -_ERROR.unpack_from(body)[0]

    def _messages(self) -> list[tuple[int, int, bytes]]:
        """Return what there is to read: kind, sequence number and body of each message."""
        found: list[tuple[int, int, bytes]] = []
        while True:
            try:
                data = self._socket.recv(_RECEIVE)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # some answers are lost
                    raise
                continue
            while len(data) >= _HEADER.size:
                length, kind, _, sequence, _ = _HEADER.unpack_from(data)
                found.append((kind, sequence, data[_HEADER.size : length]))
                data = data[max(_HEADER.size, (length + 3) & ~3) :]


def _number_in(attributes: bytes, wanted: int) -> int:
    """Return the number of 32 bits that is an attribute of a kind; 0 if there is none."""
    while len(attributes) > _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == wanted:
            return int.from_bytes(attributes[_ATTRIBUTE.size : length], "big")
        attributes = attributes[max(_ATTRIBUTE.size, (length + 3) & ~3) :]
    return 0
