"""From specifications to what an engine renders, and how long ten thousand reservations take."""

import time
from ipaddress import IPv4Address, IPv4Interface

from twinlease.api.failover import Failover
from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.pool import LeaseTime, Options, PoolSpec, Range
from twinlease.api.reservation import ReservationSpec
from twinlease.api.types import ObjectRef
from twinlease.decide.acceptance import Objects, State, accept
from twinlease.model.build import build, failover
from twinlease.model.objects import Candidate
from twinlease.model.service import Endpoint
from twinlease.model.states import Role
from twinlease.model.territory import Surroundings

REF = ObjectRef(name="lan")
PAIR = PairSpec(primary=Peer(node_name="n1", interface="lan0"), secondary=Peer(node_name="n2", interface="lan0"))
ENDPOINTS = {
    role: Endpoint(
        name=f"lan-{role}",
        node=f"node-{role}",
        interface="lan0",
        serving=IPv4Interface(serving),
        failover_address=IPv4Address(link),
        failover_port=647,
    )
    for role, serving, link in (
        (Role.PRIMARY, "10.0.0.12/16", "10.0.0.12"),
        (Role.SECONDARY, "10.0.0.13/16", "10.0.0.16"),
    )
}


def reservation(number: int, address: str) -> ReservationSpec:
    octets = number.to_bytes(3, "big").hex(":")
    return ReservationSpec(pair_ref=REF, hardware_address=f"02:00:00:{octets}".upper(), address=address)


def test_ranges_are_sorted_merged_and_carved() -> None:
    spec = PoolSpec(
        pair_ref=REF,
        subnet="10.0.0.0/16",
        ranges=(Range(start="10.0.0.20", end="10.0.0.29"), Range(start="10.0.0.10", end="10.0.0.19")),
        options=Options(routers=("10.0.0.22",)),
    )
    service = build("lan", PAIR, {"office": spec}, {"a": reservation(1, "10.0.0.25")}, ENDPOINTS)
    (pool,) = service.pools
    assert [f"{each.first}-{each.last}" for each in pool.ranges] == [
        "10.0.0.10-10.0.0.11",
        "10.0.0.14-10.0.0.15",
        "10.0.0.17-10.0.0.21",
        "10.0.0.23-10.0.0.24",
        "10.0.0.26-10.0.0.29",
    ]
    (fixed,) = service.reservations
    assert fixed.hardware_address == "02:00:00:00:00:01"


def test_lease_times_that_are_left_out() -> None:
    def times(lease: LeaseTime) -> tuple[int, int, int]:
        spec = PoolSpec(pair_ref=REF, subnet="10.0.0.0/16", lease_time=lease)
        (pool,) = build("lan", PAIR, {"office": spec}, {}, ENDPOINTS).pools
        return pool.minimum_lease, pool.default_lease, pool.maximum_lease

    assert times(LeaseTime()) == (300, 1800, 1800)
    assert times(LeaseTime(default="1m")) == (60, 60, 60)
    assert times(LeaseTime(default="1h", minimum="30m", maximum="2h")) == (1800, 3600, 7200)


def test_the_failover_parameters_have_the_defaults_of_real_life() -> None:
    found = failover("lan", PAIR)
    assert (found.mclt, found.split, found.hba, found.max_response_delay) == (1800, 128, None, 30)
    assert (found.max_unacked_updates, found.load_balance_max_seconds) == (3, 3)
    other = PairSpec(primary=PAIR.primary, secondary=PAIR.secondary, failover=Failover(hba=":".join(["f0"] * 32)))
    assert (failover("lan", other).split, failover("lan", other).hba) == (None, b"\xf0" * 32)


def test_the_order_of_objects_makes_no_difference() -> None:
    pools = {
        name: PoolSpec(pair_ref=REF, subnet=subnet)
        for name, subnet in (("b", "10.0.0.0/24"), ("a", "10.0.1.0/24"), ("c", "10.0.2.0/24"))
    }
    fixed = {str(number): reservation(number, f"10.0.1.{number}") for number in (3, 1, 2)}
    one = build("lan", PAIR, pools, fixed, ENDPOINTS)
    other = build("lan", PAIR, dict(sorted(pools.items())), dict(sorted(fixed.items())), ENDPOINTS)
    assert one == other


def test_ten_thousand_reservations_take_well_under_a_second() -> None:
    pool = PoolSpec(pair_ref=REF, subnet="10.0.0.0/16", ranges=(Range(start="10.0.100.0", end="10.0.200.0"),))
    first = int(IPv4Address("10.0.90.0"))
    objects = Objects(
        pair=Candidate(name="lan", uid="lan", spec=PAIR),
        pools=(Candidate(name="office", uid="office", spec=pool),),
        reservations=tuple(
            Candidate(
                name=f"r{number}", uid=str(number), spec=reservation(number, str(IPv4Address(first + 2 * number)))
            )
            for number in range(10_000)
        ),
    )
    start = time.process_time()
    verdict = accept(State(), objects, Surroundings())
    spent = time.process_time() - start
    assert verdict.reservations == {}
    assert len(verdict.state.reservations) == 10_000
    assert spent < 1.0
