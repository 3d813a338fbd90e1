"""Clients that ask all the time, and the silences that they see."""

from collections.abc import Sequence

import pytest

from benchmarks.asker import Client, longest_silence
from tests.lab.dhcp import Kind, Option, address_bytes
from tests.lab.wire import Packet

ADDRESS, SERVER = "10.250.0.20", "10.250.0.11"


def said(kind: Kind, mac: bytes) -> Packet:
    return Packet(kind, 1, mac, yiaddr=ADDRESS, options={int(Option.SERVER): address_bytes(SERVER)})


def settled(at: float = 0.0) -> Client:
    client = Client(1)
    client.hear(said(Kind.ACK, client.mac), at)
    return client


def test_a_new_client_gets_an_address_and_then_asks_for_it_as_if_it_had_booted() -> None:
    client = Client(1)
    assert client.ask(0.0).kind is Kind.DISCOVER
    request = client.hear(said(Kind.OFFER, client.mac), 0.1)
    assert request is not None
    assert (request.kind, request.requested, request.server) == (Kind.REQUEST, ADDRESS, SERVER)
    before = client.settled
    assert client.hear(said(Kind.ACK, client.mac), 0.2) is None
    assert (before, client.settled) == (False, True)
    reboot = client.ask(0.3)
    assert (reboot.kind, reboot.requested, reboot.server, reboot.ciaddr) == (Kind.REQUEST, ADDRESS, "", "0.0.0.0")
    assert reboot.xid != request.xid


def test_an_offer_to_a_client_that_has_an_address_is_left_alone() -> None:
    client = settled()
    assert client.hear(said(Kind.OFFER, client.mac), 0.1) is None


def test_a_refused_client_asks_for_any_address() -> None:
    client = settled()
    client.hear(said(Kind.NAK, client.mac), 0.1)
    assert client.ask(0.2).kind is Kind.DISCOVER


@pytest.mark.parametrize(("now", "kind"), [(4.9, Kind.REQUEST), (5.1, Kind.DISCOVER)])
def test_only_a_client_that_nobody_has_confirmed_for_long_asks_for_any_address(now: float, kind: Kind) -> None:
    assert settled().ask(now).kind is kind


def test_no_two_clients_share_an_address_or_a_transaction() -> None:
    clients = [Client(number) for number in range(3)]
    packets = [client.ask(0.0) for client in clients for _ in range(100)]
    assert len({packet.mac for packet in packets}) == 3
    assert len({packet.xid for packet in packets}) == 300


@pytest.mark.parametrize(
    ("asked", "answered", "longest"),
    [
        ([1.0, 2.0, 3.0], [1.1, 2.2, 3.1], 0.2),
        ([1.0, 2.0, 3.0, 4.0], [1.1, 4.1], 2.1),
        # The time in which nobody asks is no silence.
        ([1.0, 8.0], [1.1, 8.1], 0.1),
        # What began before the span counts from its first request inside it; what does not end counts to its end.
        ([0.0, 4.0, 4.5], [5.0], 1.0),
        ([1.0, 2.0], [], 9.0),
        ([9.5], [12.0], 0.5),
        ([], [], 0.0),
        ([11.0], [], 0.0),
    ],
)
def test_the_longest_silence_is_what_clients_wait_for(
    asked: Sequence[float], answered: Sequence[float], longest: float
) -> None:
    assert longest_silence(asked, answered, 1.0, 10.0) == pytest.approx(longest)
