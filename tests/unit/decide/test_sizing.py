"""Sizes: whatever is asked for, what comes out is admitted, and lasts as long as it is said to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.decide import hold
from twinlease.decide.permit import epsilon
from twinlease.decide.sizing import Need, duration, size

needs = st.builds(
    Need,
    clients=st.integers(0, 100_000),
    arrivals=st.floats(0, 100_000),
    lease=st.integers(1, 7 * 86400),
    after=st.integers(5, 86400),
    response=st.integers(3, 600),
    outage=st.integers(0, 30 * 86400),
    mclt=st.none() | st.integers(5, 86400),
)


@given(st.integers(5, 86400))
def test_a_permit_ends_with_its_margin_before_the_takeover_and_no_shorter_than_it_must(after: int) -> None:
    found = duration(after)
    assert found >= 2
    assert found + epsilon(found) <= after + 1e-9
    longer = found + 1
    assert longer > 0.8 * after or longer > 12 * 3600 or longer * 101 + 100 > after * 100


def test_the_defaults_are_those_of_the_specification() -> None:
    defaults = PairSpec(primary=Peer(), secondary=Peer())
    found = size(Need(clients=0, arrivals=0, lease=8 * 3600))
    text = (f"{found.duration // 60}m", f"{found.max_promise // 60}m", f"{found.alone_duration // 3600}h")
    times = defaults.serving_lease
    assert text == (times.duration, times.max_promise, times.alone_duration)
    assert f"{found.mclt // 60}m" == defaults.failover.mclt
    assert f"{found.response}s" == defaults.failover.max_response_delay


@given(needs)
def test_free_addresses_last_until_more_may_be_used(need: Need) -> None:
    found = size(need)
    rate = need.arrivals / 3600
    noticed = need.response + need.after
    taken_over = need.outage > noticed
    assert found.own >= rate * (noticed + found.mclt if taken_over else need.outage)
    assert found.free >= 2 * found.own
    last_held = noticed if taken_over else need.outage
    assert found.free >= rate * hold.until(last_held, longest=need.lease)
    assert found.pool == need.clients + found.free
    assert found.mclt >= 5


def test_a_repair_does_not_give_parked_addresses_back() -> None:
    need = Need(clients=0, arrivals=1, lease=30 * 86400, outage=3600)
    assert size(need).free == size(replace(need, outage=72 * 3600)).free >= 1.5 * 30 * 24


@given(needs)
def test_more_of_anything_needs_no_fewer_addresses(need: Need) -> None:
    base = size(need).pool
    assert size(replace(need, clients=need.clients + 10)).pool >= base
    assert size(replace(need, arrivals=need.arrivals + 10)).pool >= base
    assert size(replace(need, outage=need.outage + 3600)).pool >= base
    later = replace(need, response=min(need.response + 60, 600))
    if need.outage > later.response + later.after:  # else the other is back before it is taken over, which spares some
        assert size(later).pool >= base


@pytest.mark.parametrize(
    "changes",
    [
        {"clients": -1},
        {"arrivals": -1.0},
        {"lease": 0},
        {"after": 4},
        {"after": 86401},
        {"mclt": 4},
        {"response": 2},
        {"response": 601},
    ],
)
def test_nonsense_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must"):
        size(Need(**{"clients": 1, "arrivals": 1.0, "lease": 3600, **changes}))  # type: ignore[arg-type]  # nonsense
