"""Our netlink messages against those of nft itself."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from twinlease.guard import nft
from twinlease.guard.nft import NFPROTO_INET, NFPROTO_NETDEV, Chain, Message

KNOWN = {
    name: (int(kind, 16), int(flags, 16), bytes.fromhex(body))
    for name, kind, flags, body in (
        line.split()
        for line in Path(__file__).with_name("nft-messages.txt").read_text(encoding="ascii").splitlines()
        if not line.startswith("#")
    )
}
OUT = Chain(NFPROTO_INET, "t", "out", nft.NF_INET_LOCAL_OUT, -300)
GATE = (
    nft.protocol(nft.UDP),
    nft.source_port(67),
    nft.socket_user(6767),
    nft.protocol_not_in("permit"),
    nft.counter(),
    nft.verdict(nft.NF_DROP),
)
PARTNER_ONLY = (
    nft.protocol(nft.TCP),
    nft.destination_port(647),
    nft.not_from("10.0.0.2"),
    nft.verdict(nft.NF_DROP),
)
MESSAGES = {
    "device-chain": nft.new_chain(Chain(NFPROTO_NETDEV, "t", "out", nft.NF_NETDEV_EGRESS, 0, "lo")),
    "chain": nft.new_chain(OUT),
    "gate": nft.new_rule(OUT, *GATE),
    "partner-only": nft.new_rule(OUT, *PARTNER_ONLY),
    "loopback": nft.new_rule(OUT, nft.input_device("lo"), nft.verdict(nft.NF_ACCEPT)),
    "element": nft.add_element(NFPROTO_INET, "t", "permit", b"\x11", 1.0),
    "no-element": nft.delete_element(NFPROTO_INET, "t", "permit", b"\x11"),
    "flush": nft.flush_set(NFPROTO_INET, "t", "permit"),
    "delete": nft.delete_table(NFPROTO_INET, "t"),
}

Tree = list[tuple[int, object]]


def sent(message: Message) -> bytes:
    """Return the one message of a batch, as it goes to the kernel."""
    data = nft.batch([message], 1)
    return data[20:-20]


def tree(data: bytes) -> Tree:
    """Return attributes in the order of their kinds; nested ones as trees. Set ids, which nft adds, are left out."""
    return sorted(((kind, value) for kind, value in attributes(data)), key=lambda each: each[0])


def attributes(data: bytes) -> Iterator[tuple[int, object]]:
    while data:
        length, kind = struct.unpack_from("=HH", data)
        value = data[4:length]
        yield kind & 0x3FFF, tree(value) if kind & 0x8000 else value
        data = data[(length + 3) & ~3 :]


def without_set_ids(found: object) -> object:
    """Drop what nft adds where it has just loaded a set: attribute 4 with the value 1 beside a set's name."""
    if not isinstance(found, list):
        return found
    named = any(value == b"permit\0" for _, value in found)
    return [
        (kind, without_set_ids(value)) for kind, value in found if not (named and (kind, value) == (4, b"\0\0\0\1"))
    ]


@pytest.mark.parametrize("name", KNOWN)
def test_messages_are_those_of_nft(name: str) -> None:
    kind, flags, body = KNOWN[name]
    message = sent(MESSAGES[name])
    _, our_kind, our_flags, _, _ = struct.unpack_from("=IHHII", message)
    acknowledged = 0x4
    assert (our_kind, our_flags) == (kind, flags | acknowledged)
    assert message[16:20] == body[:4]
    assert tree(message[20:]) == without_set_ids(tree(body[4:]))


def test_a_batch_is_framed_and_numbered() -> None:
    data = nft.batch([nft.delete_table(NFPROTO_INET, "t"), nft.delete_table(NFPROTO_NETDEV, "t")], 7)
    found = []
    while data:
        length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
        found.append((kind, sequence, data[16:20]))
        data = data[length:]
    assert found == [
        (0x10, 7, b"\0\0" + struct.pack("!H", 10)),
        (0xA02, 8, bytes([1, 0, 0, 0])),
        (0xA02, 9, bytes([5, 0, 0, 0])),
        (0x11, 10, b"\0\0" + struct.pack("!H", 10)),
    ]


@pytest.mark.parametrize("seconds", [0, 0.0009, -1])
def test_no_element_is_without_an_end(seconds: float) -> None:
    with pytest.raises(ValueError, match="an element of"):
        nft.add_element(NFPROTO_INET, "t", "permit", b"\x11", seconds)
