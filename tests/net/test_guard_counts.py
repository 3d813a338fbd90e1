"""What the real guard counts of a real dhcpd."""

import signal
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from tests.lab.waiting import until
from tests.net.client import Clients, Kind, hardware_addresses
from tests.net.fenced import serve
from tests.net.guarded import Guard
from tests.net.jig import Jig

LEASES = "dhcpd.leases"


@pytest.fixture
def guard(jig: Jig) -> Iterator[Guard]:
    """A guard that runs, in the primary's place, without a server yet."""
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as made:
        made.start()
        yield made


def test_messages_are_counted_as_clients_see_them(guard: Guard, clients: Clients) -> None:
    serve(guard)
    assert dict(guard.client.status().counts.events) == {}
    macs = hardware_addresses(40)
    leases = clients.lease(macs, timeout=20)
    assert len(leases) == 40
    renewed = clients.renew(macs[0], leases[macs[0]].address, listen=2)
    assert renewed is not None
    assert renewed.kind is Kind.ACK
    refused = clients.reboot(macs[1], IPv4Address("10.99.0.1"), listen=2)
    assert {reply.kind for reply in refused} == {Kind.NAK}
    clients.release(macs[2], leases[macs[2]].address, leases[macs[2]].server)

    def counted() -> bool:
        events = guard.client.status().counts.events
        return (events.get("ack"), events.get("nak"), events.get("release")) == (41, 1, 1)

    until("all are counted", counted, timeout=5)
    said, events = guard.said(), guard.client.status().counts.events
    for name, number in events.items():
        assert number == said.count(f"\nDHCP{name.upper()} "), name


def test_starts_ends_and_edits_are_counted_by_reason(guard: Guard) -> None:
    status = serve(guard)
    assert (status.starts, status.counts.edits, dict(status.counts.exits)) == (1, 1, {}), "an empty lease file was made"
    guard.client.stop(5)
    serve(guard)
    guard.client.close()  # for good: the kernel keeps it silent, its end is still to come
    guard.client.stop(5)
    status = serve(guard, seconds=1.5)
    until("the permit has ended", lambda: not guard.client.status().running, timeout=10)
    status = guard.client.status()
    assert (status.starts, status.counts.edits) == (3, 1)
    assert dict(status.counts.exits) == {"Stopped": 2, "PermitEnded": 1}


@pytest.mark.parametrize(
    "damage",
    [b"lease 10.77.0.100 {\n  starts 4 2026/01/01 00:00:00;\n  ends 4 20", b"\x00" * 100, b"garbage here;\n", b"}\n"],
    ids=["torn", "zeroes", "garbage", "brace"],
)
def test_damage_that_dhcpd_tells_of_is_counted(guard: Guard, clients: Clients, damage: bytes) -> None:
    serve(guard)
    assert len(clients.lease(hardware_addresses(3), timeout=10)) == 3
    guard.client.stop(5)
    assert "damage" not in guard.client.status().counts.events
    with (guard.lease_dir / LEASES).open("ab") as file:
        file.write(damage)
    serve(guard)
    until("damage is counted", lambda: guard.client.status().counts.events.get("damage", 0) >= 1, timeout=5)
    guard.signal(signal.SIGTERM)
