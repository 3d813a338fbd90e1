"""What the kernel says over rtnetlink, and what it might not."""

import errno
import struct
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.netlink import messages
from twinlease.netlink.messages import NLMSG_DONE, NLMSG_ERROR, RTM_NEWADDR, RTM_NEWLINK, Message

ADDRESS, LOCAL, FLAGS, NAME = 1, 2, 8, 3


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def address(*attributes: bytes, flags: int = 0, family: int = 2) -> Message:
    return Message(RTM_NEWADDR, 0, 1, struct.pack("=BBBBI", family, 24, flags, 0, 7) + b"".join(attributes))


def packed(text: str) -> bytes:
    return IPv4Address(text).packed


def test_a_request_is_found_again_as_a_message() -> None:
    (listing,) = messages.messages(messages.list_addresses(9))
    assert (listing.kind, listing.flags, listing.number, listing.body[0]) == (22, 0x301, 9, 2)
    both = messages.get_link(1, index=4) + messages.get_link(2, name="eth0.100")
    by_index, by_name = messages.messages(both)
    assert messages.link(by_index) == (4, "", False)
    assert messages.link(by_name) == (0, "eth0.100", False)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (address(attribute(ADDRESS, packed("10.0.0.1"))), ("10.0.0.1/24", False)),
        (address(attribute(ADDRESS, packed("10.0.0.2")), attribute(LOCAL, packed("10.0.0.1"))), ("10.0.0.1/24", False)),
        (address(attribute(ADDRESS, packed("10.0.0.1")), flags=1), ("10.0.0.1/24", True)),
        # The long flags count where both are there.
        (address(attribute(ADDRESS, packed("10.0.0.1")), attribute(FLAGS, b"\1\0\0\0")), ("10.0.0.1/24", True)),
        (address(attribute(ADDRESS, packed("10.0.0.1")), attribute(FLAGS, bytes(4)), flags=1), ("10.0.0.1/24", False)),
    ],
)
def test_an_address(found: Message, expected: tuple[str, bool]) -> None:
    text, secondary = expected
    assert messages.address(found) == (7, IPv4Interface(text), secondary)


@pytest.mark.parametrize("found", [address(), address(attribute(ADDRESS, bytes(16)), family=10)])
def test_what_is_no_ipv4_address_is_none(found: Message) -> None:
    assert messages.address(found) is None


def test_an_interface_is_up_with_a_carrier_only() -> None:
    def link(flags: int) -> Message:
        return Message(RTM_NEWLINK, 0, 1, struct.pack("=BxHiII", 0, 1, 3, flags, 0) + attribute(NAME, b"eth0\0"))

    assert messages.link(link(0x10001)) == (3, "eth0", True)
    assert [messages.link(link(flags)).up for flags in (0x1, 0x10000, 0)] == [False, False, False]


def test_an_error_is_a_number_of_errno_and_an_end_is_none() -> None:
    assert messages.error(Message(NLMSG_ERROR, 0, 1, struct.pack("=i", -errno.ENODEV) + bytes(16))) == errno.ENODEV
    assert messages.error(Message(NLMSG_DONE, 0, 1, bytes(4))) == 0
    assert messages.error(Message(NLMSG_DONE, 0, 1, b"")) == 0


@given(st.binary(max_size=300))
def test_whatever_comes_is_understood_or_refused(data: bytes) -> None:
    try:
        for message in messages.messages(data):
            for read in (messages.address, messages.link, messages.error):
                try:
                    read(message)
                except ValueError:
                    continue
    except ValueError:
        return


@given(st.lists(st.tuples(st.sampled_from([16, 20, 24]), st.integers(0, 9)), max_size=5), st.integers(1, 30))
def test_a_datagram_that_is_cut_off_is_refused(kinds: list[tuple[int, int]], cut: int) -> None:
    whole = b"".join(struct.pack("=IHHII", 20, kind, 0, number, 0) + b"body" for kind, number in kinds)
    assert [(each.kind, each.number, each.body) for each in messages.messages(whole)] == [
        (kind, number, b"body") for kind, number in kinds
    ]
    if cut % 20 and len(whole) > cut:
        with pytest.raises(ValueError, match="netlink message"):
            list(messages.messages(whole[:-cut]))
