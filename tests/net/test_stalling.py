"""Two real servers whose link stalls for less than it takes them to notice, while clients deal with both.

What the latter told its client holds afterwards, whoever serves.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from msgspec.structs import replace

from tests.lab.waiting import until
from tests.net.apart import Client, brief
from tests.net.client import Clients
from tests.net.granting import QUICK
from tests.net.jig import NORMAL, Jig, closing, states
from tests.net.managed import managed
from tests.net.services import PRIMARY, SECONDARY
from tests.net.test_apart import IP, PEOPLE, cut_short, renew, settled, standing
from twinlease.model.service import Service
from twinlease.model.states import Role

How = Literal["released", "expired", "renewed", "declined"]
STALL_SECONDS = 2.5
_STARTING = threading.Lock()
"""All at once they take the processors from each other, until none is there in time."""
HEALED_SECONDS = 8.0
"""TCP tries again after at most as long as it stalled; then the servers tell each other everything."""


class Case(NamedTuple):
    """What the clients did last at the first server, and who looks after the servers.

    Attributes:
        takeover: The first server dies then, and the other one serves alone.
        longest: The leases, seconds.
    """

    how: How
    managed: bool = True
    takeover: bool = False
    longest: int = 24


BARE = Case("released", managed=False)
CASES = (
    BARE, *map(Case, ("released", "expired", "renewed", "declined")), Case("released", takeover=True, longest=75)
)  # fmt: skip


class Outcome(NamedTuple):
    """What became of the clients' leases: how many each server had in the end, and those given away too early."""

    leased: tuple[int, int]
    early: tuple[float, ...]


def service(longest: int) -> Service:
    whole = brief("10.77.0.100", "10.77.0.131", longest=longest)
    return replace(whole, failover=replace(whole.failover, max_response_delay=10))


def stall(jig: Jig, crowd: Clients, people: list[Client], how: How, first: Role) -> None:
    """Have the clients' leases end or renewed at one server, and given at the other, while neither hears the other."""
    if how == "expired":
        time.sleep(max(min(each.ends for each in people) - 1.2 - time.time(), 0))
    began = time.monotonic()
    jig.stall_link()
    jig.reach(first)
    if how == "released":
        for each in people:
            crowd.release(each.mac, each.address, IP[first])
    elif how == "declined":
        for each in people:
            crowd.decline(each.mac, each.address, IP[first])
    elif how == "renewed":
        renew(people)
    jig.reach(first.other)
    time.sleep(0.3)
    renew(people)
    time.sleep(max(STALL_SECONDS - (time.monotonic() - began), 0))
    jig.unstall_link()
    jig.reach(*Role)


def stays_normal(jig: Jig, seconds: float) -> None:
    """See that both servers stay normal: they noticed nothing."""
    with closing(jig.primary.control()) as one, closing(jig.secondary.control()) as other:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert {states(one), states(other)} == {NORMAL}
            time.sleep(0.2)


def leased(files: list[Path], people: list[Client]) -> tuple[int, int]:
    """Return how many of the clients' addresses each server has as leased."""
    one, other = (standing(file, [each.address for each in people]).count("active") for file in files)
    return one, other


def outcome(case: Case, first: Role) -> Outcome:
    """Have clients deal with one server and then with the other while the link stalls; return what became of it."""
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd, ExitStack() as stack:
        files = [server.lease_file for server in jig.servers.values()]
        if case.managed:
            jig.configure(service(case.longest))  # for the control of what the guards start
            pair = stack.enter_context(managed(jig, QUICK, max_lease=case.longest))
            with _STARTING:
                pair.start(service(case.longest))
            files = [member.guard.lease_dir / "dhcpd.leases" for member in pair.members.values()]
        else:
            jig.start(service(case.longest))
        people = settled(crowd)
        stall(jig, crowd, people, case.how, first)
        stays_normal(jig, HEALED_SECONDS)
        counts = leased(files, people)
        if case.takeover:
            survivor = pair.members[first.other]
            pair.members[first].kill()
            until("the survivor is in partner-down", lambda: survivor.states[0] == "PartnerDown", timeout=60)
        early = cut_short(crowd, {each.address: each.ends for each in people})
        return Outcome(counts, tuple(sorted(early)))


@pytest.mark.parametrize("first", Role)
def test_what_was_given_while_the_link_stalled_stays_given(
    first: Role, record_property: Callable[[str, object], None]
) -> None:
    with ThreadPoolExecutor(len(CASES)) as pool:
        found = dict(zip(CASES, pool.map(lambda case: outcome(case, first), CASES), strict=True))
    for case, result in found.items():
        record_property(str(case), f"leased {result.leased} of {PEOPLE}, early {result.early}")
    bare = found.pop(BARE)
    declined = found.pop(Case("declined"))
    assert set(found.values()) == {Outcome((PEOPLE, PEOPLE), ())}
    # Leased again without a client, and nobody's: the one that heard them decline is told of no such lease.
    assert declined.leased[list(Role).index(first.other)] == PEOPLE
    assert not declined.early
    # Else the hazard did not show, and the line above proves nothing.
    assert min(bare.leased) < PEOPLE / 2
    assert bare.early
