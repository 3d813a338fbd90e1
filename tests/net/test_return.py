"""Coming back with real daemons: what a mere restart loses, and what our ways of starting keep."""

import calendar
import re
import time
from concurrent.futures import ThreadPoolExecutor
from signal import SIGKILL

import pytest

from tests.lab.waiting import until
from tests.net.apart import ALONE, INTERRUPTED, LONGEST, MCLT, Client, brief, interrupt
from tests.net.client import Clients, hardware_addresses
from tests.net.jig import NORMAL, Jig, Server, await_states, closing, states
from tests.net.services import PRIMARY, SECONDARY
from twinlease.model.states import FailoverState, Role

LONG = 60
FIRST, LAST = "10.77.0.100", "10.77.0.131"


def ends(server: Server) -> dict[str, int]:
    """Return when the active leases of a server's file end."""
    found = re.findall(r"^lease (\S+) \{\n((?:  .*\n)*)\}\n", server.lease_file.read_text(), re.MULTILINE)
    return {
        address: calendar.timegm(time.strptime(match[1], "%Y/%m/%d %H:%M:%S"))
        for address, record in dict(found).items()
        if "\n  binding state active;\n" in record and (match := re.search(r"^  ends \d (.*);$", record, re.MULTILINE))
    }


def settled(jig: Jig) -> None:
    """Wait until neither server owes the other an acknowledgement, and both have written what they know."""
    for server in jig.servers.values():
        with closing(server.control()) as control:
            until("quiet", lambda: control.failover().unacked_updates == 0, timeout=10)
    previous: list[bytes] = []
    for _ in range(100):
        now = [server.lease_file.read_bytes() for server in jig.servers.values()]
        if now == previous:
            return
        previous = now
        time.sleep(2)  # the span in which nothing is written
    raise AssertionError("they never settle")


def renew_at_its_own(jig: Jig, client: Client) -> int:
    """Have a client's own server, alone, extend its lease, as in an undisturbed pair."""
    jig.reach(Role.PRIMARY if client.server == PRIMARY.ip else Role.SECONDARY)
    return client.renew()


def with_long_leases(jig: Jig, crowd: Clients, count: int = 12) -> list[Client]:
    """Start a pair, and have clients with leases that both servers know."""
    jig.start(brief(FIRST, LAST, longest=LONG))
    people = [Client(crowd, mac) for mac in hardware_addresses(count)]
    assert all(client.lease(10) for client in people)
    # The first renewal tells the partner of a longer lease; with its acknowledgement the next one is long.
    until("long leases", lambda: min([renew_at_its_own(jig, client) for client in people]) > MCLT, timeout=8, every=0.3)
    jig.reach(*Role)
    settled(jig)
    return people


def regressed(*, properly: bool) -> tuple[int, int]:
    """Have both servers, cut off from each other, extend the same leases, and the secondary come back.

    Returns how many leases the primary knew, and how many of them end earlier afterwards, to its own knowledge.
    """
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd:
        people = with_long_leases(jig, crowd)
        interrupt(jig)
        for role in (Role.SECONDARY, Role.PRIMARY):  # the primary's is the later, and what the clients go by
            jig.reach(role)
            for client in people:
                client.renew()
            later = time.time() + 2
            until("a later second", lambda: time.time() >= later, timeout=5)  # noqa: B023  # called at once
        known = ends(jig.primary)
        jig.secondary.stop()
        jig.mend_link()
        if properly:
            jig.primary.stop()
            jig.primary.survive(LONG)
            jig.secondary.recover()
        else:
            jig.secondary.start()
        jig.await_normal(timeout=30)
        settled(jig)
        after = ends(jig.primary)
        return len(known), sum(after.get(address, 0) < end for address, end in known.items())


def test_a_mere_restart_in_an_interruption_loses_the_others_news_and_ours_does_not() -> None:
    with ThreadPoolExecutor(2) as pool:
        mere, proper = pool.map(lambda properly: regressed(properly=properly), (False, True))
    assert mere[0] == proper[0] == 12
    assert mere[1] > 0, "the hazard that is guarded against did not show"
    assert proper[1] == 0


def test_who_died_in_normal_resumes_and_all_is_kept(jig: Jig, clients: Clients) -> None:
    people = with_long_leases(jig, clients)
    jig.secondary.signal(SIGKILL)
    assert jig.secondary.recorded().local is FailoverState.NORMAL
    with closing(jig.primary.control()) as control:
        await_states(control, INTERRUPTED, timeout=5)
    for client in people:
        client.renew()
    known = ends(jig.primary)
    jig.secondary.start()
    jig.await_normal()
    settled(jig)
    for server in jig.servers.values():
        after = ends(server)
        assert all(after[str(client.address)] >= client.ends - 2 for client in people)
    assert all(ends(jig.primary)[address] >= end for address, end in known.items())


def test_who_was_emptied_waits_for_mclt_and_learns_everything(jig: Jig, clients: Clients) -> None:
    people = with_long_leases(jig, clients)
    jig.secondary.signal(SIGKILL)
    jig.primary.stop()
    jig.primary.survive(LONG)
    begin = time.monotonic()
    jig.secondary.start("empty")
    assert (jig.secondary.directory / "dhcpd.leases.set-aside").exists()
    seen = set()
    with closing(jig.secondary.control()) as control:
        until("normal", lambda: (seen.add(states(control)), states(control) == NORMAL)[1], timeout=30, every=0.02)
    assert time.monotonic() - begin >= MCLT - 1
    assert FailoverState.RECOVER_WAIT in {pair[0] for pair in seen if pair}
    settled(jig)
    assert {str(client.address) for client in people} <= ends(jig.secondary).keys()


def test_a_survivor_that_restarts_alone_keeps_what_it_kept(jig: Jig, clients: Clients) -> None:
    people = with_long_leases(jig, clients)
    jig.secondary.signal(SIGKILL)
    for _ in range(2):
        jig.primary.signal(SIGKILL)
        begin = time.time()
        assert (jig.primary.survive(LONG).local, jig.primary.recorded().partner) == ALONE
        after = ends(jig.primary)
        assert all(after[str(client.address)] >= begin + LONG for client in people)


@pytest.mark.parametrize("role", Role)
def test_the_first_server_of_a_pair_serves_alone(role: Role, jig: Jig, clients: Clients) -> None:
    """Never connected, so nobody has a half of the addresses yet."""
    jig.configure(brief("10.77.0.100", "10.77.0.107"))
    status = jig.servers[role].survive(LONGEST)
    assert status.mclt == MCLT
    got: set[str] = set()
    crowding = hardware_addresses(16)
    while len(got) < 8 and time.time() < status.since + 4 * MCLT:
        for ack in clients.lease(crowding, timeout=1.0).values():
            assert 0 < ack.lease_seconds <= MCLT
            got.add(str(ack.address))
    assert len(got) == 8


def test_updates_are_acknowledged_once_the_traffic_has_ended(jig: Jig, clients: Clients) -> None:
    jig.start(brief(FIRST, LAST, longest=LONG))
    assert len(clients.lease(hardware_addresses(30), timeout=20)) >= 28
    begin = time.monotonic()
    for server in jig.servers.values():
        with closing(server.control()) as control:
            until("drained", lambda: control.failover().unacked_updates == 0, timeout=5, every=0.01)
    assert time.monotonic() - begin < 5
    for server in jig.servers.values():
        server.stop()
        assert server.recorded().local in {FailoverState.NORMAL, FailoverState.COMMUNICATIONS_INTERRUPTED}
    held = [set(ends(server)) for server in jig.servers.values()]
    assert held[0] == held[1]
