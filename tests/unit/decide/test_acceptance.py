"""What counts: the new specification where all fits together, else the last good one."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from twinlease.api.failover import Failover
from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.pool import Options, PoolSpec, Range
from twinlease.api.reservation import ReservationSpec
from twinlease.api.server import MOST_POOLS
from twinlease.api.types import ObjectRef
from twinlease.decide.acceptance import Accepted, Objects, State, Verdict, accept
from twinlease.model.decision import Problem
from twinlease.model.objects import Candidate
from twinlease.model.territory import Foreign, Pools, Reservations, Surroundings

REF = ObjectRef(name="lan")
NOWHERE = Surroundings()
SPEC = PairSpec(primary=Peer(node_name="n1", interface="lan0"), secondary=Peer(node_name="n2", interface="lan0"))
PAIR = Candidate(name="lan", uid="lan", generation=1, created="1", spec=SPEC)


def pool(name: str, subnet: str, *, created: str = "1", routers: tuple[str, ...] = ()) -> Candidate[PoolSpec]:
    base = subnet.rpartition(".")[0]
    spec = PoolSpec(
        pair_ref=REF,
        subnet=subnet,
        ranges=(Range(start=f"{base}.100", end=f"{base}.110"),),
        options=Options(routers=routers),
    )
    return Candidate(name=name, uid=name, generation=1, created=created, spec=spec)


def reservation(name: str, mac: int, address: str, *, created: str = "1") -> Candidate[ReservationSpec]:
    spec = ReservationSpec(pair_ref=REF, hardware_address=f"02:00:00:00:00:{mac:02x}", address=address)
    return Candidate(name=name, uid=name, generation=1, created=created, spec=spec)


OFFICE = pool("office", "10.0.0.0/24")
THREE = tuple(reservation(name, number, f"10.0.0.{number}") for number, name in enumerate("abc", 1))


def decided(before: State, *, surroundings: Surroundings = NOWHERE, **objects: object) -> Verdict:
    pools = objects.get("pools", (OFFICE,))
    reservations = objects.get("reservations", ())
    assert isinstance(pools, tuple)
    assert isinstance(reservations, tuple)
    return accept(before, Objects(pair=PAIR, pools=pools, reservations=reservations), surroundings)


def addresses(verdict: Verdict) -> dict[str, str]:
    return {name: each.spec.address for name, each in sorted(verdict.state.reservations.items())}


def test_all_that_is_right_counts() -> None:
    verdict = decided(State(), reservations=(reservation("a", 1, "10.0.0.5"),))
    assert verdict.state.pair == Accepted(uid="lan", generation=1, spec=SPEC)
    assert addresses(verdict) == {"a": "10.0.0.5"}
    assert (verdict.pair, verdict.pools, verdict.reservations) == ((), {}, {})


def test_a_wrong_change_of_a_pair_keeps_the_last_good_one() -> None:
    before = decided(State()).state
    wrong = replace(SPEC, failover=Failover(split=128, hba=":".join(["ff"] * 32)))
    changed = replace(PAIR, generation=2, spec=wrong)
    verdict = accept(before, Objects(pair=changed, pools=(OFFICE,)), NOWHERE)
    assert verdict.state == before
    assert [each.path for each in verdict.pair] == ["spec.failover.hba"]


def test_what_its_nodes_say_against_a_running_pair_is_told_but_does_not_stop_it() -> None:
    before = decided(State()).state
    against = Problem(path="spec.primary.interface", value="lan0", allowed="be an interface of node n1")
    verdict = accept(before, Objects(pair=PAIR, pair_problems=(against,), pools=(OFFICE,)), NOWHERE)
    assert (verdict.state, verdict.pair) == (before, (against,))
    new = accept(State(), Objects(pair=PAIR, pair_problems=(against,)), NOWHERE)
    assert (new.state.pair, new.pair) == (None, (against,))


def test_a_wrong_change_keeps_the_last_good_one_and_a_wrong_new_object_does_not_count() -> None:
    before = decided(State(), reservations=(reservation("a", 1, "10.0.0.5"),)).state
    verdict = decided(
        before, reservations=(reservation("a", 1, "10.9.0.5"), reservation("new", 2, "10.0.0.0", created="2"))
    )
    assert addresses(verdict) == {"a": "10.0.0.5"}
    assert str(verdict.reservations["a"][0]) == (
        "spec.address: '10.9.0.5' must lie inside the subnet of a pool of pair lan: 10.0.0.0/24 (office)"
    )
    assert "network's or the broadcast address of DHCPPool office" in str(verdict.reservations["new"][0])


def test_an_unreadable_object_keeps_its_last_good_specification() -> None:
    before = decided(State(), reservations=(reservation("a", 1, "10.0.0.5"),)).state
    wrong = Problem(path="spec.address", value="5", allowed="be text")
    unreadable: Candidate[ReservationSpec] = Candidate(name="a", uid="a", spec=None, unreadable=(wrong,))
    verdict = decided(before, reservations=(unreadable,))
    assert (addresses(verdict), verdict.reservations) == ({"a": "10.0.0.5"}, {"a": (wrong,)})


def test_of_two_new_ones_the_older_wins() -> None:
    verdict = decided(
        State(),
        reservations=(reservation("a", 1, "10.0.0.5", created="2"), reservation("b", 2, "10.0.0.5", created="1")),
    )
    assert addresses(verdict) == {"b": "10.0.0.5"}
    assert "DHCPReservation b reserves" in str(verdict.reservations["a"][0])


def test_what_did_not_change_wins_over_an_older_object_that_did() -> None:
    before = decided(
        State(), reservations=(reservation("a", 1, "10.0.0.5"), reservation("b", 2, "10.0.0.6", created="2"))
    ).state
    verdict = decided(
        before, reservations=(reservation("a", 1, "10.0.0.6"), reservation("b", 2, "10.0.0.6", created="2"))
    )
    assert addresses(verdict) == {"a": "10.0.0.5", "b": "10.0.0.6"}
    assert list(verdict.reservations) == ["a"]


def test_one_client_has_one_reservation() -> None:
    verdict = decided(
        State(), reservations=(reservation("a", 1, "10.0.0.5"), reservation("b", 1, "10.0.0.6", created="2"))
    )
    assert [each.path for each in verdict.reservations["b"]] == ["spec.hardwareAddress"]


def test_two_swap_and_three_rotate() -> None:
    before = decided(
        State(), reservations=tuple(reservation(n, i, f"10.0.0.{i}") for i, n in enumerate("abc", 1))
    ).state
    swapped = (reservation("a", 1, "10.0.0.2"), reservation("b", 2, "10.0.0.1"), reservation("c", 3, "10.0.0.3"))
    assert addresses(decided(before, reservations=swapped)) == {"a": "10.0.0.2", "b": "10.0.0.1", "c": "10.0.0.3"}
    rotated = (reservation("a", 1, "10.0.0.2"), reservation("b", 2, "10.0.0.3"), reservation("c", 3, "10.0.0.1"))
    assert addresses(decided(before, reservations=rotated)) == {"a": "10.0.0.2", "b": "10.0.0.3", "c": "10.0.0.1"}


def test_a_chain_whose_end_is_refused_stays_as_it_was() -> None:
    before = decided(
        State(), reservations=tuple(reservation(n, i, f"10.0.0.{i}") for i, n in enumerate("abc", 1))
    ).state
    moved = (reservation("a", 1, "10.0.0.2"), reservation("b", 2, "10.0.0.3"), reservation("c", 3, "10.9.9.9"))
    verdict = decided(before, reservations=moved)
    assert addresses(verdict) == {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}
    assert "DHCPReservation b reserves" in str(verdict.reservations["a"][0])


def test_an_object_that_is_gone_leaves_and_one_of_its_name_inherits_nothing() -> None:
    before = decided(State(), reservations=(reservation("a", 1, "10.0.0.5"),)).state
    assert addresses(decided(before)) == {}
    again = replace(reservation("a", 1, "10.9.9.9"), uid="another")
    assert addresses(decided(before, reservations=(again,))) == {}


def test_overlapping_subnets_of_one_pair_and_of_two() -> None:
    foreign = Surroundings(foreign=(Foreign(pair="other", pool="theirs", subnet="10.2.0.0/16"),))
    verdict = decided(
        State(),
        surroundings=foreign,
        pools=(OFFICE, pool("wide", "10.0.0.0/16", created="2"), pool("far", "10.2.3.0/24")),
    )
    assert list(verdict.state.pools) == ["office"]
    assert "DHCPPool office serves" in str(verdict.pools["wide"][0])
    assert "DHCPPool theirs of pair other serves" in str(verdict.pools["far"][0])


def test_a_pair_has_no_more_pools_than_its_servers_can_be_told() -> None:
    many = tuple(pool(f"pool-{number:04}", f"10.{number // 256}.{number % 256}.0/24") for number in range(MOST_POOLS))
    before = decided(State(), pools=many)
    assert not before.pools
    verdict = decided(before.state, pools=(pool("one-more", "10.99.0.0/24", created="0"), *many))
    assert [str(each) for each in verdict.pools.pop("one-more")] == [
        f"spec.pairRef.name: 'lan' must be a pair with fewer than {MOST_POOLS} pools"
    ]
    assert (verdict.state, verdict.pools) == (before.state, {})


def test_a_changed_pool_does_not_take_a_reserved_address_for_its_router() -> None:
    fixed = reservation("a", 1, "10.0.0.5")
    before = decided(State(), reservations=(fixed,)).state
    routed = pool("office", "10.0.0.0/24", routers=("10.0.0.5",))
    verdict = decided(before, pools=(routed,), reservations=(fixed,))
    assert verdict.state == before
    assert [each.path for each in verdict.pools["office"]] == ["spec.options.routers[0]"]
    # Nor while the reservation tries to leave but cannot.
    verdict = decided(before, pools=(routed,), reservations=(reservation("a", 1, "10.9.9.9"),))
    assert verdict.state == before
    # It may when the reservation does leave.
    verdict = decided(before, pools=(routed,), reservations=(reservation("a", 1, "10.0.0.6"),))
    assert (verdict.pools, addresses(verdict)) == ({}, {"a": "10.0.0.6"})


def test_without_its_pool_a_reservation_is_out_and_says_why() -> None:
    fixed = reservation("a", 1, "10.0.0.5")
    before = decided(State(), reservations=(fixed,)).state
    verdict = decided(before, pools=(), reservations=(fixed,))
    assert addresses(verdict) == {}
    assert "it has none" in str(verdict.reservations["a"][0])


NAMES = "abcd"
RESERVATIONS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 4), st.sampled_from([1, 2, 3, 4, 255])),
    unique_by=lambda each: each[0],
    max_size=4,
).map(lambda found: tuple(reservation(name, mac, f"10.0.0.{host}") for name, mac, host in found))
POOLS = st.sampled_from([(), (OFFICE,), (pool("office", "10.0.0.0/24", routers=("10.0.0.2",)),)])


def fits(state: State) -> bool:
    """Tell whether a state is right as a whole, object by object."""
    pools = Pools(NOWHERE)
    for name, accepted in state.pools.items():
        if pools.conflicts(accepted.spec, {}):
            return False
        pools.add(name, accepted.spec)
    reservations = Reservations(pools, NOWHERE)
    for name, fixed in state.reservations.items():
        if reservations.conflicts(fixed.spec):
            return False
        reservations.add(name, fixed.spec)
    return True


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(POOLS, RESERVATIONS), max_size=6))
def test_the_whole_always_fits_and_deciding_again_changes_nothing(
    history: list[tuple[tuple[Candidate[PoolSpec], ...], tuple[Candidate[ReservationSpec], ...]]],
) -> None:
    state = State()
    for pools, reservations in history:
        verdict = decided(state, pools=pools, reservations=reservations)
        assert fits(verdict.state)
        for each in reservations:
            counted = verdict.state.reservations.get(each.name)
            if each.name in verdict.reservations:
                assert counted is None or counted == state.reservations[each.name]
            else:
                assert counted is not None
                assert counted.spec == each.spec
            kept = state.reservations.get(each.name)
            pool_stays = verdict.state.pools == state.pools
            if kept is not None and pool_stays:
                assert counted is not None, "the last good one keeps serving"
        again = decided(verdict.state, pools=pools, reservations=reservations)
        assert again == verdict
        state = verdict.state
