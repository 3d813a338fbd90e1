"""DHCP on the wire, and reading what client programs say."""

import struct

import pytest

from tests.lab import clients, dhcp
from tests.lab.dhcp import Kind, Message, Option

MAC = bytes.fromhex("060102030405")


def reply_frame(message: Message) -> bytes:
    """Return a server's frame, made from a client's by turning it round."""
    frame = bytearray(dhcp.client_frame(message))
    frame[34:38] = struct.pack("!HH", 67, 68)
    frame[42] = 2
    return bytes(frame)


def an_offer() -> Message:
    seconds = (600).to_bytes(4, "big")
    options: dict[int, bytes] = {Option.SERVER: dhcp.address_bytes("10.250.0.11"), Option.LEASE_SECONDS: seconds}
    return Message(Kind.OFFER, 0xDEADBEEF, MAC, 3, "10.250.0.100", options)


def test_a_reply_is_read_as_it_was_sent() -> None:
    read = dhcp.parse_reply(reply_frame(an_offer()))
    assert read is not None
    assert (read.kind, read.transaction, read.mac, read.seconds, read.address) == (
        Kind.OFFER, 0xDEADBEEF, MAC, 3, "10.250.0.100",
    )  # fmt: skip
    assert (read.server, read.lease_seconds) == ("10.250.0.11", 600)


def test_a_clients_frame_is_a_sound_broadcast() -> None:
    frame = dhcp.client_frame(an_offer())
    assert frame[:14] == b"\xff" * 6 + MAC + b"\x08\x00"
    assert dhcp.checksum(frame[14:34]) == 0
    assert len(frame) - 14 == int.from_bytes(frame[16:18], "big")
    assert frame[34:38] == struct.pack("!HH", 68, 67)
    assert dhcp.parse_reply(frame) is None  # other clients' questions are no answers


def test_the_checksum_is_the_one_of_the_standard() -> None:
    assert dhcp.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


def test_no_part_of_a_frame_is_taken_for_a_whole() -> None:
    whole = reply_frame(an_offer())
    for length in range(len(whole)):
        read = dhcp.parse_reply(whole[:length])
        assert read is None or read.transaction == 0xDEADBEEF  # cut in the padding: still whole


def test_options_after_the_end_and_padding_are_ignored() -> None:
    frame = bytearray(reply_frame(an_offer()))
    at = 42 + 240
    frame[at : at + 8] = bytes([0, 0, 53, 1, 5, 255, 54, 4])
    read = dhcp.parse_reply(bytes(frame))
    assert read is not None
    assert (read.kind, read.server) == (Kind.ACK, None)


def test_a_question_sent_to_the_clients_port_is_no_answer() -> None:
    frame = bytearray(reply_frame(an_offer()))
    frame[42] = 1
    assert dhcp.parse_reply(bytes(frame)) is None


def test_udhcpcs_words() -> None:
    lease = clients.udhcpc_lease("PATH=/bin\nip=10.250.0.100\nserverid=10.250.0.11\nlease=600\nrouter=10.250.0.1\n")
    assert lease == clients.Lease("10.250.0.100", "10.250.0.11", 600)
    assert lease.options["router"] == "10.250.0.1"
    with pytest.raises(clients.NoLeaseError):
        clients.udhcpc_lease("PATH=/bin\n")


def test_dhclients_words() -> None:
    said = "reason=BOUND\nnew_ip_address=10.250.0.101\nnew_dhcp_server_identifier=10.250.0.12\nnew_dhcp_lease_time=60\n"
    lease = clients.dhclient_lease(said + "new_routers=10.250.0.1\n")
    assert lease == clients.Lease("10.250.0.101", "10.250.0.12", 60)
    assert lease.options["routers"] == "10.250.0.1"
    with pytest.raises(clients.NoLeaseError):
        clients.dhclient_lease("reason=FAIL\n")


def test_made_up_clients_are_bounded_in_number() -> None:
    for count, macs in ((0, []), (10_000, None), (2, ["06:00:00:00:00:01"])):
        with pytest.raises(ValueError, match="want 1 to 5000"):
            clients.acquire_many("nowhere", count, macs=macs)


def test_made_up_addresses_are_local_and_no_groups() -> None:
    addresses = {clients.random_mac() for _ in range(50)}
    assert len(addresses) == 50
    assert all(int(each[:2], 16) & 3 == 2 for each in addresses)
