"""The real guard around a real dhcpd: a change of configuration that does not come to its end costs no lease."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.waiting import until
from tests.net.client import Clients, hardware_addresses
from tests.net.guarded import INTERFACE, Guard, connection, start
from tests.net.jig import NORMAL, Jig, await_states, closing
from tests.net.services import PRIMARY, service
from tests.unit.engines.cases import run
from twinlease.ipc.protocol import Code, Op, ProtocolError, Request, encode_request
from twinlease.model.states import Role


@pytest.fixture
def guard(jig: Jig) -> Iterator[Guard]:
    """A guard that runs, in the primary's place, without a server yet."""
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as made:
        made.start()
        yield made


HELD = service(run("10.77.0.100", "10.77.0.107"))
ELSEWHERE = service(run("10.77.0.120", "10.77.0.127"))
"""With this one dhcpd drops every lease of the former at its start."""


def states_of(lease_file: Path) -> dict[str, str]:
    """Return the binding state of each address by its last record."""
    records = re.finditer(
        r"^lease (\S+) \{.*?^  binding state (\w+)", lease_file.read_text("ascii"), re.DOTALL | re.MULTILINE
    )
    return {record[1]: record[2] for record in records}


def active(guard: Guard) -> set[str]:
    """Return the addresses that a guard's server knows to be held."""
    return {address for address, state in states_of(guard.lease_dir / "dhcpd.leases").items() if state == "active"}


def copies(guard: Guard) -> list[Path]:
    """Return the copies of the lease file that are kept for a configuration that is not current yet."""
    return list(guard.lease_dir.glob("leases-before-*"))


@pytest.fixture
def held(jig: Jig, guard: Guard, clients: Clients) -> set[str]:
    """Addresses that clients hold, of a pair whose primary the guard runs."""
    jig.secondary.configure(HELD)
    jig.secondary.start()
    guard.client.apply(guard.offer(guard.engine.render(HELD, Role.PRIMARY)), start())
    with closing(jig.secondary.control()) as control:
        await_states(control, NORMAL, timeout=20)
    addresses = {str(reply.address) for reply in clients.lease(hardware_addresses(6), timeout=15).values()}
    assert len(addresses) == 6
    until("the primary knows them all", lambda: active(guard) == addresses, timeout=10)
    assert copies(guard) == []
    return addresses


def gives_none_again(clients: Clients, held: set[str]) -> None:
    """See that nobody else gets what is held."""
    others = clients.lease(hardware_addresses(6, family=7), timeout=6).values()
    assert held.isdisjoint(str(reply.address) for reply in others)


def test_a_change_that_fails_costs_no_lease(jig: Jig, guard: Guard, clients: Clients, held: set[str]) -> None:
    before = guard.client.status().revision
    # The parser takes it; dhcpd reads the leases, drops them, and then has no subnet for its interface.
    text = guard.engine.render(ELSEWHERE, Role.PRIMARY)
    jig.primary.namespace.ip(f"address del {PRIMARY} dev {INTERFACE}")
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            guard.client.apply(guard.offer(text), start())
        assert caught.value.code == Code.START
    assert len(copies(guard)) == 1
    jig.primary.namespace.ip(f"address add {PRIMARY} dev {INTERFACE}")
    assert guard.client.start(start()).revision == before
    assert active(guard) == held
    assert copies(guard) == []
    gives_none_again(clients, held)


def test_a_change_that_is_cut_short_costs_no_lease(guard: Guard, clients: Clients, held: set[str]) -> None:
    before = guard.client.status()
    revision = guard.offer(guard.engine.render(ELSEWHERE, Role.PRIMARY))
    with connection(guard) as sock:
        sock.sendall(encode_request(Request(1, Op.APPLY, {"revision": revision, **start().fields()})))
        until("dhcpd has dropped the leases", lambda: not active(guard), timeout=10, every=0.002)
        guard.signal(signal.SIGKILL)
    assert len(copies(guard)) == 1
    guard.start()
    assert guard.client.status().current == before.revision
    assert guard.client.start(start()).revision == before.revision
    assert active(guard) == held
    assert copies(guard) == []
    gives_none_again(clients, held)


def test_a_change_that_succeeds_leaves_no_copy(guard: Guard, held: set[str]) -> None:
    revision = guard.offer(guard.engine.render(ELSEWHERE, Role.PRIMARY))
    assert guard.client.apply(revision, start()).current == revision
    assert held
    assert active(guard) == set()
    assert copies(guard) == []


def test_without_the_records_of_a_copy_nothing_starts(guard: Guard, held: set[str]) -> None:
    before = guard.client.status()
    (guard.lease_dir / f"leases-before-{'0' * 64}").mkdir()  # neither to be read nor removed
    guard.client.stop(5)
    with pytest.raises(ProtocolError) as caught:
        guard.client.start(start())
    assert caught.value.code == Code.STORAGE
    assert not guard.client.status().running
    (guard.lease_dir / f"leases-before-{'0' * 64}").rmdir()
    assert guard.client.start(start()).revision == before.revision
    assert active(guard) == held


def test_a_change_that_only_the_new_one_does_not_survive_goes_back_with_every_lease(
    guard: Guard, clients: Clients, held: set[str]
) -> None:
    before = guard.client.status().revision
    revision = guard.offer(guard.engine.render(ELSEWHERE, Role.PRIMARY))
    with pytest.raises(ProtocolError) as caught:
        # There is no such interface, and dhcpd sees that only after it has dropped the leases.
        guard.client.apply(revision, start(interface="eth9"))
    assert caught.value.code == Code.START
    assert guard.client.status().revision == before
    assert active(guard) == held
    assert copies(guard) == []
    gives_none_again(clients, held)
