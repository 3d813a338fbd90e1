"""Who may have an address, and when: single rules by example, the whole by a simulation of what may happen."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.pool import LeaseTime, Options, PoolSpec, Range
from twinlease.api.reservation import ReservationSpec
from twinlease.api.types import ObjectRef
from twinlease.decide import ledger as ledgers
from twinlease.decide.acceptance import Accepted, State
from twinlease.decide.ledger import DYNAMIC, MARGIN, Ledger, LedgerError, Remains, Served
from twinlease.model import spans
from twinlease.model.service import Endpoint, Service
from twinlease.model.states import Role

REF = ObjectRef(name="lan")
PAIR = PairSpec(primary=Peer(node_name="n1", interface="lan0"), secondary=Peer(node_name="n2", interface="lan0"))
ENDPOINTS = {
    role: Endpoint(
        name=f"lan-{role}",
        node=f"node-{role}",
        interface="lan0",
        serving=IPv4Interface(address),
        failover_address=IPv4Interface(address).ip,
        failover_port=647,
    )
    for role, address in ((Role.PRIMARY, "10.0.0.2/24"), (Role.SECONDARY, "10.0.0.3/24"))
}
ALICE, BOB = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
LEASE = 1800
HOST = int(IPv4Address("10.0.0.0"))


def pool(*ranges: tuple[int, int], lease: str = "30m", routers: tuple[str, ...] = ()) -> PoolSpec:
    return PoolSpec(
        pair_ref=REF,
        subnet="10.0.0.0/24",
        ranges=tuple(Range(start=f"10.0.0.{first}", end=f"10.0.0.{last}") for first, last in ranges),
        lease_time=LeaseTime(default=lease),
        options=Options(routers=routers),
    )


def reservation(mac: str, host: int) -> ReservationSpec:
    return ReservationSpec(pair_ref=REF, hardware_address=mac, address=f"10.0.0.{host}")


def state(the_pool: PoolSpec, **reservations: ReservationSpec) -> State:
    return State(
        pair=Accepted(spec=PAIR),
        pools={"office": Accepted(spec=the_pool)},
        reservations={name: Accepted(spec=spec) for name, spec in reservations.items()},
    )


def served(ledger: Ledger) -> Served:
    found = ledgers.serve(ledger, "lan", ENDPOINTS)
    assert found is not None
    return found


def both(revision: str) -> dict[Role, str]:
    return dict.fromkeys(Role, revision)


def published(ledger: Ledger, revision: str) -> Ledger:
    return ledgers.publish(ledger, served(ledger).service, both(revision))


def dynamic(service: Service) -> list[str]:
    return [f"{each.first}-{each.last}" for pool in service.pools for each in pool.ranges]


def fixed(service: Service) -> dict[str, str]:
    return {each.name: str(each.address) for each in service.reservations}


def test_nothing_is_served_before_a_pair_was_ever_accepted() -> None:
    assert ledgers.serve(Ledger(), "lan", ENDPOINTS) is None


def test_what_was_never_published_is_not_held() -> None:
    before = Ledger(accepted=state(pool((10, 20))))
    after = replace(before, accepted=state(pool((10, 20)), alice=reservation(ALICE, 15)))
    found = served(after)
    assert fixed(found.service) == {"alice": "10.0.0.15"}
    assert dynamic(found.service) == ["10.0.0.10-10.0.0.14", "10.0.0.16-10.0.0.20"]


def test_a_reservation_inside_a_published_range_waits_for_both_servers_and_the_longest_lease() -> None:
    ledger = published(Ledger(accepted=state(pool((10, 20)))), "one")
    ledger = replace(ledger, accepted=state(pool((10, 20)), alice=reservation(ALICE, 15)))
    found = served(ledger)
    assert (fixed(found.service), found.waiting["alice"].until) == ({}, None)
    assert dynamic(found.service) == ["10.0.0.10-10.0.0.14", "10.0.0.16-10.0.0.20"]

    ledger = ledgers.publish(ledger, found.service, both("two"))
    half = ledgers.observe(ledger, {Role.PRIMARY: "one", Role.SECONDARY: "two"}, 1000)
    assert served(half).waiting["alice"].until is None

    ledger = ledgers.observe(half, both("two"), 2000)
    assert served(ledger).waiting["alice"].until == 2000 + LEASE + MARGIN == ledgers.wake(ledger)
    assert fixed(served(ledgers.observe(ledger, both("two"), 2000 + LEASE)).service) == {}
    assert fixed(served(ledgers.observe(ledger, both("two"), 2000 + LEASE + MARGIN)).service) == {"alice": "10.0.0.15"}


def test_a_server_that_has_not_reported_confirms_nothing() -> None:
    ledger = published(Ledger(accepted=state(pool((10, 20)))), "one")
    ledger = published(replace(ledger, accepted=state(pool((10, 15)))), "two")
    assert ledgers.observe(ledger, {Role.PRIMARY: "two"}, 1000) == ledger


def test_a_client_may_have_its_own_address_back_at_once() -> None:
    ledger = published(Ledger(accepted=state(pool((10, 20)), alice=reservation(ALICE, 30))), "one")
    ledger = published(replace(ledger, accepted=state(pool((10, 20)))), "two")
    ledger = ledgers.observe(ledger, both("two"), 1000)
    mine = served(replace(ledger, accepted=state(pool((10, 20)), again=reservation(ALICE, 30))))
    assert fixed(mine.service) == {"again": "10.0.0.30"}
    others = served(replace(ledger, accepted=state(pool((10, 20)), bob=reservation(BOB, 30))))
    assert (fixed(others.service), others.waiting["bob"].until) == ({}, 1000 + LEASE + MARGIN)


def test_a_deleted_reservation_s_address_returns_to_its_range_after_the_lease() -> None:
    ledger = published(Ledger(accepted=state(pool((10, 20)), alice=reservation(ALICE, 15))), "one")
    ledger = replace(ledger, accepted=state(pool((10, 20))))
    found = served(ledger)
    assert dynamic(found.service) == ["10.0.0.10-10.0.0.14", "10.0.0.16-10.0.0.20"]
    assert found.held == 1
    ledger = ledgers.observe(ledgers.publish(ledger, found.service, both("two")), both("two"), 1000)
    ledger = ledgers.observe(ledger, both("two"), 1000 + LEASE + MARGIN)
    assert dynamic(served(ledger).service) == ["10.0.0.10-10.0.0.20"]
    assert ledgers.wake(ledger) is None


def test_dynamic_addresses_that_left_do_not_come_back_at_once() -> None:
    ledger = published(Ledger(accepted=state(pool((10, 20)))), "one")
    ledger = published(replace(ledger, accepted=state(pool((10, 14)))), "two")
    ledger = replace(ledger, accepted=state(pool((10, 20))))
    assert dynamic(served(ledger).service) == ["10.0.0.10-10.0.0.14"]


def test_a_change_that_was_taken_back_before_it_was_published_holds_nothing() -> None:
    ledger = published(Ledger(accepted=state(pool((10, 20)))), "one")
    ledger = replace(ledger, accepted=state(pool((10, 14))))
    ledger = replace(ledger, accepted=state(pool((10, 20))))
    assert dynamic(served(ledger).service) == ["10.0.0.10-10.0.0.20"]


def test_two_clients_that_swap_wait_for_each_other_s_leases() -> None:
    ledger = published(Ledger(accepted=state(pool(), alice=reservation(ALICE, 30), bob=reservation(BOB, 31))), "one")
    ledger = replace(ledger, accepted=state(pool(), alice=reservation(ALICE, 31), bob=reservation(BOB, 30)))
    assert fixed(served(ledger).service) == {}
    ledger = ledgers.observe(published(ledger, "two"), both("two"), 1000)
    assert fixed(served(ledger).service) == {}
    ledger = ledgers.observe(ledger, both("two"), 1000 + LEASE + MARGIN)
    assert fixed(served(ledger).service) == {"alice": "10.0.0.31", "bob": "10.0.0.30"}


def test_a_shorter_lease_time_does_not_shorten_what_was_given_before() -> None:
    ledger = published(Ledger(accepted=state(pool((10, 20), lease="24h"))), "one")
    ledger = published(replace(ledger, accepted=state(pool((10, 20), lease="10m"))), "two")
    assert dynamic(served(ledger).service) == ["10.0.0.10-10.0.0.20"]
    ledger = ledgers.observe(ledger, both("two"), 1000)
    ledger = published(replace(ledger, accepted=state(pool((10, 14), lease="10m"))), "three")
    ledger = ledgers.observe(ledger, both("three"), 2000)
    wanted = state(pool((10, 14), lease="10m"), alice=reservation(ALICE, 18))
    assert served(replace(ledger, accepted=wanted)).waiting["alice"].until == 1000 + 86400 + MARGIN


def test_a_ledger_survives_storage() -> None:
    ledger = published(Ledger(accepted=state(pool((10, 20)), alice=reservation(ALICE, 30))), "one")
    assert ledgers.decode(ledgers.encode(ledger)) == ledger
    assert ledgers.encode(ledger) == ledgers.encode(ledgers.decode(ledgers.encode(ledger)))


@pytest.mark.parametrize("stored", [b"", b"junk", ledgers.encode(Ledger())[:-9]])
def test_a_damaged_ledger_is_refused(stored: bytes) -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        ledgers.decode(stored)


def test_a_ledger_of_a_later_version_is_refused() -> None:
    with pytest.raises(LedgerError, match="version 2"):
        ledgers.decode(ledgers.encode(Ledger(version=2)))


def remains(**more: object) -> Remains:
    known = Remains(
        dynamic=((HOST + 10, HOST + 20),),
        fixed={HOST + 30: ALICE},
        subnets=((HOST, HOST + 255),),
        lease=LEASE,
        count=7,
    )
    return replace(known, **more)


def test_without_a_ledger_only_what_is_seen_goes_on() -> None:
    wanted = state(pool((10, 40)), alice=reservation(ALICE, 30), bob=reservation(BOB, 15), eve=reservation(BOB, 50))
    ledger = replace(ledgers.recover(Ledger(), remains()), accepted=wanted)
    assert (ledger.lost, ledger.count) == (True, 8)
    found = served(ledger)
    assert dynamic(found.service) == ["10.0.0.10-10.0.0.14", "10.0.0.16-10.0.0.20"]
    assert fixed(found.service) == {"alice": "10.0.0.30"}
    assert {name: each.until for name, each in found.waiting.items()} == {"bob": None, "eve": None}

    ledger = ledgers.observe(ledger, both("unknown"), 1000)
    assert served(ledger).waiting["eve"].until is None, "what they run may have the address in it"
    ledger = ledgers.observe(ledgers.publish(ledger, found.service, both("next")), both("next"), 1000)
    assert served(ledger).waiting["eve"].until == 1000 + LEASE + MARGIN
    ledger = ledgers.observe(ledger, both("next"), 1000 + LEASE + MARGIN)
    assert set(fixed(served(ledger).service)) == {"alice", "bob", "eve"}


def test_a_reservation_that_was_seen_to_run_is_somebody_s_when_it_moves() -> None:
    ledger = ledgers.recover(Ledger(), remains())
    ledger = replace(ledger, accepted=state(pool((10, 20)), bob=reservation(BOB, 30)))
    assert fixed(served(ledger).service) == {}


def test_the_count_grows_with_every_publication_and_never_falls() -> None:
    first = published(Ledger(accepted=state(pool((10, 20)))), "one")
    second = published(replace(first, accepted=state(pool((10, 15)))), "two")
    assert [each.count for each in (first, published(first, "one"), second)] == [1, 1, 2]
    assert ledgers.withdraw(second).count == 2
    assert ledgers.recover(first, remains(count=0)).count == 2


Owners = Mapping[int, tuple[str, int]]
"""Address -> owner and longest lease."""


def owners(service: Service) -> Owners:
    found = {}
    for each in service.pools:
        for run in each.ranges:
            for number in range(int(run.first), int(run.last) + 1):
                found[number] = (DYNAMIC, each.maximum_lease)
    lease = service.pools[0].maximum_lease if service.pools else 0
    for fix in service.reservations:
        found[int(fix.address)] = (fix.hardware_address, lease)
    return found


class World:
    """Two servers that hand out all that their configuration holds, all the time, and an operator that may die."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.stored = Ledger()
        self.wanted = state(pool())
        self.configs: dict[str, Owners] = {}
        self.orders: dict[Role, str] = {}
        self.marked = 0
        """Count of publications that the DHCPServers carry."""
        self.runs: dict[Role, str] = {}
        self.leases: dict[int, dict[str, int]] = {}
        """Address -> owner -> when the last lease that it may have got ends."""
        self.forgotten: dict[Role, dict[int, int]] = {role: {} for role in Role}
        """Of each server: dynamic addresses whose leases it has forgotten, and when the last of them ends."""

    def reconcile(self, stop_after: int) -> None:
        """Run the operator's steps on what is stored, up to a crash; reports are always true and complete."""
        steps = iter(range(stop_after))
        ledger = self.stored
        settled = {role: run for role, run in self.runs.items() if run == self.orders.get(role)}
        ledger = ledgers.observe(ledger, settled, self.now)
        if self.stored.count < self.marked:
            ledger = ledgers.recover(ledger, self.remains())
        ledger = replace(ledger, accepted=self.wanted)
        if next(steps, None) is None:
            return
        self.stored = ledgers.decode(ledgers.encode(ledger))
        service = served(ledger).service
        revision = str(hash(tuple(sorted(owners(service).items()))))
        ledger = ledgers.publish(ledger, service, both(revision))
        if next(steps, None) is None:
            return
        self.stored = ledgers.decode(ledgers.encode(ledger))
        self.configs[revision] = owners(service)
        for role in (Role.SECONDARY, Role.PRIMARY):
            if next(steps, None) is None:
                return
            self.orders[role] = revision
            self.marked = ledger.count

    def remains(self) -> Remains:
        """Return what can be seen without a ledger, when no reservation is known to be run by both."""
        told = [self.configs[revision] for revision in self.orders.values()]
        each = [{address for address, (owner, _) in found.items() if owner == DYNAMIC} for found in told]
        numbers = set[int]().union(*each[:1]).intersection(*each)
        return remains(
            dynamic=spans.merge((number, number) for number in numbers),
            fixed={},
            count=self.marked,
        )

    def follow(self, role: Role) -> None:
        """Let one server run what it was told."""
        if role not in self.orders or self.runs.get(role) == self.orders[role]:
            return
        self.hand_out()
        old, new = self.configs.get(self.runs.get(role, ""), {}), self.configs[self.orders[role]]
        for address, (owner, _) in old.items():
            if owner == DYNAMIC and new.get(address, ("-", 0))[0] != DYNAMIC:
                self.forgotten[role][address] = self.leases[address][DYNAMIC]
        for address, (owner, _) in new.items():
            if owner == DYNAMIC:
                assert self.forgotten[role].pop(address, 0) <= self.now, f"{IPv4Address(address)} forgotten too early"
        self.runs[role] = self.orders[role]
        self.hand_out()

    def hand_out(self) -> None:
        """Let each server give the longest lease on everything that it has, to whom it may."""
        for run in self.runs.values():
            for address, (owner, lease) in self.configs[run].items():
                holders = self.leases.setdefault(address, {})
                others = [who for who, end in holders.items() if who != owner and end > self.now]
                assert not others, f"{IPv4Address(address)} goes to {owner!r} while {others} may hold it"
                holders[owner] = max(holders.get(owner, 0), self.now + lease)


HOSTS = st.integers(10, 15)
POOLS = st.builds(
    lambda runs, lease: pool(*runs, lease=lease),
    st.sampled_from([((10, 15),), ((10, 12),), ((13, 15),), ((10, 11), (14, 15)), ()]),
    st.sampled_from(["10m", "30m"]),
)
MACS = [ALICE, BOB, "02:00:00:00:00:0c"]
STATES = st.builds(
    lambda the_pool, hosts: state(
        the_pool, **{f"r{n}": reservation(mac, host) for n, (mac, host) in enumerate(zip(MACS, hosts, strict=False))}
    ),
    POOLS,
    st.lists(HOSTS, max_size=3, unique=True),
)
ROUNDS = st.tuples(
    STATES,
    st.sampled_from([0, 1, 2, 3, 4, 4, 4]),  # steps before the operator dies
    st.sampled_from([(), (Role.SECONDARY,), (Role.PRIMARY,), tuple(Role), tuple(Role)]),  # who gets round to following
    st.sampled_from([0, 1, 599, 611, 1799, 1811]),
    st.sampled_from([False, False, False, True]),  # somebody deletes the ledger
)
"""A wish, an operator that carries it out or dies on the way, servers that follow or do not, time, and losses."""


@settings(max_examples=300, deadline=None)
@given(st.lists(ROUNDS, min_size=2, max_size=12))
def test_no_address_ever_has_two_owners(rounds: list[tuple[State, int, tuple[Role, ...], int, bool]]) -> None:
    world = World()
    for wish, steps, followers, seconds, is_lost in rounds:
        world.wanted = wish
        world.stored = Ledger() if is_lost else world.stored
        for _ in range(2):  # the second time it sees what the servers have done
            world.reconcile(steps)
            for role in followers:
                world.follow(role)
        world.hand_out()
        world.now += seconds
        world.hand_out()
    # Left alone, it ends with everything served as wanted, and nothing held.
    for _ in range(4):
        world.reconcile(4)
        for role in Role:
            world.follow(role)
        world.reconcile(4)
        world.hand_out()
        world.now += 2 * LEASE
    assert ledgers.serve(Ledger(accepted=world.wanted), "lan", ENDPOINTS) == served(world.stored)
    again = ledgers.observe(world.stored, world.runs, world.now)
    assert ledgers.publish(again, served(again).service, world.stored.revisions) == again


def test_the_simulation_notices_a_ledger_that_forgets() -> None:
    world = World()
    world.wanted = state(pool((10, 15)))
    world.reconcile(4)
    world.follow(Role.PRIMARY)
    world.wanted = state(pool(), alice=reservation(ALICE, 12))
    world.stored = replace(world.stored, exposures=())
    world.reconcile(4)
    with pytest.raises(AssertionError, match=r"10\.0\.0\.12 goes to"):
        world.follow(Role.PRIMARY)
