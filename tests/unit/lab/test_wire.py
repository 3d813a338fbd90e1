"""DHCP and ARP frames, there and back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import dhcp, wire
from tests.lab.dhcp import Kind
from tests.lab.wire import Packet

MAC, SERVER_MAC = bytes.fromhex("0a0000000001"), bytes.fromhex("020000000001")
RENEWAL = Packet(
    Kind.REQUEST, 0xDEADBEEF, MAC, seconds=7, ciaddr="10.0.0.9", options={61: b"\x01abc", 55: b"\x01\x03"},
    source_mac=MAC, target_mac=SERVER_MAC, source="10.0.0.9", target="10.0.0.1",
)  # fmt: skip
ACK = Packet(
    Kind.ACK, 1, MAC, broadcast=True, yiaddr="10.0.0.9",
    options={54: b"\x0a\0\0\1", 51: b"\0\0\0\x1e", 50: b"\x0a\0\0\x09"}, source="10.0.0.1", source_mac=SERVER_MAC,
)  # fmt: skip


def test_a_clients_message_is_read_as_it_was_sent() -> None:
    assert wire.parse(wire.client_frame(RENEWAL)) == RENEWAL


def test_a_servers_message_is_read_as_it_was_sent() -> None:
    read = wire.parse(wire.server_frame(ACK))
    assert read == ACK
    assert (read.server, read.lease, read.requested, read.client_id) == ("10.0.0.1", 30, "10.0.0.9", b"")


def test_both_readers_of_frames_agree() -> None:
    theirs = dhcp.parse_reply(wire.server_frame(ACK))
    assert theirs is not None
    assert (theirs.kind, theirs.transaction, theirs.mac, theirs.address) == (Kind.ACK, 1, MAC, "10.0.0.9")
    ours = wire.parse(dhcp.client_frame(dhcp.Message(Kind.DISCOVER, 5, MAC, seconds=3)))
    assert ours == Packet(Kind.DISCOVER, 5, MAC, seconds=3, broadcast=True, source_mac=MAC)


def test_the_header_is_sound_and_goes_to_the_servers_port() -> None:
    frame = wire.client_frame(RENEWAL)
    assert frame[:12] == SERVER_MAC + MAC
    assert dhcp.checksum(frame[14:34]) == 0
    assert frame[34:38] == b"\0\x44\0\x43"
    assert len(frame) >= 14 + 20 + 8 + 300


def test_for_how_long_a_client_asks_does_not_overflow() -> None:
    read = wire.parse(wire.client_frame(replace(RENEWAL, seconds=70_000)))
    assert read is not None
    assert read.seconds == 0xFFFF


@given(st.integers(0, 341))
def test_a_torn_frame_is_none_or_the_whole(length: int) -> None:
    read = wire.parse(wire.server_frame(ACK)[:length])
    assert read is None or read.xid == ACK.xid


@given(st.binary(max_size=400))
def test_nonsense_is_no_message(tail: bytes) -> None:
    head = wire.server_frame(ACK)[:42]
    read = wire.parse(head + tail)
    assert read is None or read.kind in set(Kind)
    wire.parse(tail)
    wire.parse_arp(tail)


@pytest.mark.parametrize(
    ("at", "value"),
    [(12, 0x86), (14, 0x65), (23, 6), (42, 3), (278, 0), (284, 99)],
    ids=["ethertype", "version", "protocol", "operation", "cookie", "type"],
)
def test_a_frame_with_another_field_is_none(at: int, value: int) -> None:
    frame = bytearray(wire.server_frame(replace(ACK, options={})))
    frame[at] = value
    assert wire.parse(bytes(frame)) is None


def test_arp_is_answered_to_the_asker() -> None:
    asked = bytes.fromhex("ffffffffffff 020000000001 0806 0001 0800 06 04 0001")
    asked += SERVER_MAC + bytes([10, 0, 0, 1]) + bytes(6) + bytes([10, 0, 0, 9])
    question = wire.parse_arp(asked)
    assert question == wire.ArpRequest(SERVER_MAC, "10.0.0.1", "10.0.0.9")
    reply = wire.arp_reply(question, MAC)
    assert reply[:14] == SERVER_MAC + MAC + b"\x08\x06"
    assert reply[20:] == b"\0\2" + MAC + bytes([10, 0, 0, 9]) + SERVER_MAC + bytes([10, 0, 0, 1])
    assert wire.parse_arp(reply) is None
