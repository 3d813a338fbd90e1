"""Two real servers that are cut off from each other for a while, serve the same clients, and meet again.

Nobody may get an address whose lease still runs by what either of them told its client.
"""

import random
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

import pytest

from tests.lab.waiting import until
from tests.net.apart import Client, brief, interrupt
from tests.net.client import Clients, hardware_addresses
from tests.net.jig import Jig
from tests.net.managed import managed
from tests.net.services import PRIMARY, SECONDARY
from twinlease.model.states import Role

How = Literal["released", "expired", "renewed"]
LONGEST = 24  # it takes the servers up to 9 s to meet again
SERVICE = brief("10.77.0.100", "10.77.0.131", longest=LONGEST)
PEOPLE = 24
IP = {Role.PRIMARY: PRIMARY.ip, Role.SECONDARY: SECONDARY.ip}


def early(how: How, first: Role, *, held: bool) -> list[float]:
    """Have clients deal with one server and then with the other; return by how much their leases were cut short.

    Args:
        how: What they did last at the first server: they released, never came again, or renewed.
        first: That server.
        held: Our sidecars look after the servers.
    """
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd, ExitStack() as stack:
        files = {role: server.lease_file for role, server in jig.servers.items()}
        if held:
            jig.configure(SERVICE)  # for the control of what the guards start
            pair = stack.enter_context(managed(jig, max_lease=LONGEST))
            pair.start(SERVICE)
            files = {role: member.guard.lease_dir / files[role].name for role, member in pair.members.items()}
        else:
            jig.start(SERVICE)
        people = settled(crowd)
        addresses = [each.address for each in people]
        interrupt(jig)
        jig.reach(first)
        if how == "renewed":
            renew(people)
        elif how == "released":
            for each in people:
                crowd.release(each.mac, each.address, IP[first])
        jig.reach(first.other)
        apart = time.monotonic()
        # So long that what was held once must be held again, or that leases expire.
        while time.monotonic() < apart + LONGEST * (1.2 if held or how == "expired" else 0.5):
            renew(people)
            time.sleep(LONGEST / 5)
        wanted = {"active"} if held else left(how, first)
        until(f"only {wanted}", lambda: set(standing(files[first], addresses)) <= wanted, timeout=LONGEST / 2)
        renew(people)
        jig.reach(*Role)
        jig.mend_link()
        jig.await_normal()
        return cut_short(crowd, {each.address: each.ends for each in people})


def left(how: How, first: Role) -> set[str]:
    """Return what a server that nobody looks after may say of leases that it has not heard of any more."""
    if how == "expired" and first is Role.SECONDARY:
        # A secondary's timer that runs out in normal touches no active lease and sets no next one: such leases stay
        # active beyond their end until something else happens in the pool. Source: dhcpd's pool_timer(), and measured.
        return {"expired", "active"}
    return {{"renewed": "active"}.get(how, how)}


def settled(crowd: Clients, count: int = PEOPLE, family: int = 0) -> list[Client]:
    """Return clients whose first, short leases are over."""
    people = [Client(crowd, mac) for mac in hardware_addresses(count, family)]
    for _ in range(2):
        for mac, ack in crowd.lease([each.mac for each in people], timeout=15).items():
            each = people[int.from_bytes(mac[-2:], "big")]
            each.address, each.server, each.ends = ack.address, ack.server, time.time() + ack.lease_seconds
        time.sleep(1.5)  # both have told each other
    assert len({each.address for each in people}) == count
    return people


def renew(people: list[Client]) -> None:
    """Have all of them extend their leases, in any order: the servers tell each other in theirs."""
    for each in random.sample(people, len(people)):
        each.renew()


def standing(lease_file: Path, addresses: list[IPv4Address]) -> list[str]:
    """Return the states of addresses in a server's lease file."""
    text = lease_file.read_text()
    records = [text.rpartition(f"lease {address} {{")[2] for address in addresses]
    return [record.partition("\n  binding state ")[2].partition(";")[0] for record in records]


def cut_short(crowd: Clients, ends: dict[IPv4Address, float], *, former: Sequence[bytes] = ()) -> list[float]:
    """Have strangers ask until no lease runs any more; return how long those still ran that they were given.

    Args:
        crowd: Who asks.
        ends: When the leases end.
        former: Clients that had the addresses before, and are strangers now.
    """
    strangers = [*former, *hardware_addresses(40, family=7)]
    found: list[float] = []
    while time.time() < max(ends.values()):
        for ack in crowd.lease(strangers, timeout=1.6).values():
            left = ends.pop(ack.address, 0.0) - time.time()
            if left > 0:
                found.append(round(left, 1))
        if not ends:
            break
    return found


@pytest.mark.parametrize("first", Role)
def test_whatever_clients_did_at_one_server_they_keep_what_the_other_gave_them(
    first: Role, record_property: Callable[[str, object], None]
) -> None:
    hows: list[How] = ["released", "expired", "renewed"]
    cases = [(how, held) for how in hows for held in (False, True)]
    with ThreadPoolExecutor(len(cases)) as pool:
        results = list(pool.map(lambda case: early(case[0], first, held=case[1]), cases))
    found = dict(zip(cases, results, strict=True))
    for (how, held), cut in found.items():
        record_property(f"{how}, {'held' if held else 'plain'}", f"{len(cut)} of {PEOPLE} early, {sorted(cut)}")
    assert [found[how, True] for how in hows] == [[], [], []]
    # Else the hazard did not show, and the line above proves nothing. With expired ones it does not always.
    assert found["released", False]
    assert found["renewed", False]


def test_a_sidecar_that_begins_anew_without_the_api_holds_all_the_same(jig: Jig, clients: Clients) -> None:
    jig.configure(SERVICE)
    with managed(jig, max_lease=LONGEST) as pair:
        pair.start(SERVICE)
        people = settled(clients)
        addresses = [each.address for each in people]
        with pair.api.unreachable():
            sidecar = pair.primary.sidecar
            sidecar.signal(signal.SIGKILL)
            said = len(sidecar.said())
            sidecar.start()
            until("it knows its server", lambda: "incarnation" in sidecar.said()[said:], timeout=15)
            interrupt(jig)
            jig.reach(Role.PRIMARY)
            for each in people:
                clients.release(each.mac, each.address, IP[Role.PRIMARY])
            leases = pair.primary.guard.lease_dir / jig.primary.lease_file.name
            until("all were released", lambda: leases.read_text().count("binding state released") >= PEOPLE, timeout=5)
            until("all are held", lambda: set(standing(leases, addresses)) == {"active"}, timeout=10)
