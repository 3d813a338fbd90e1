"""How long free addresses last."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.decide.runway import LEAST_SECONDS, WINDOW_SECONDS, Track, counted, runway, usable
from twinlease.model.states import FailoverState


def track(*counts: tuple[float, int], key: object = "k") -> Track:
    found = Track()
    for at, addresses in counts:
        found = counted(found, key, addresses, at)
    return found


def test_the_rate_of_the_window_tells_when_none_is_left() -> None:
    # 10 of 100 in 100 s: 90 last another 900 s.
    found = track((0, 100), (50, 95), (100, 90))

    assert runway(found, 100) == pytest.approx(900)
    assert runway(found, 400) == pytest.approx(600)
    assert runway(found, 5000) == 0


@pytest.mark.parametrize("counts", [((0, 10),), ((0, 10), (30, 5)), ((0, 10), (100, 10)), ((0, 10), (100, 11)), ()])
def test_what_does_not_become_less_or_is_too_young_has_no_end(counts: tuple[tuple[float, int], ...]) -> None:
    assert runway(track(*counts), 100) == math.inf


def test_nothing_left_is_the_end_at_once() -> None:
    assert runway(track((0, 0)), 0) == 0


def test_another_state_begins_anew() -> None:
    found = counted(track((0, 100), (100, 50)), "another", 25, 110)

    assert runway(found, 110) == math.inf
    assert runway(counted(found, "another", 20, 210), 210) == pytest.approx(400)


def test_a_burst_of_long_ago_is_forgotten() -> None:
    found = track((0, 1000), *((100 + 10 * number, 500) for number in range(200)))

    assert runway(found, 2090) == math.inf


@pytest.mark.parametrize(
    ("state", "peers_too", "expected"),
    [
        (FailoverState.NORMAL, False, 30),
        (FailoverState.COMMUNICATIONS_INTERRUPTED, False, 10),
        (FailoverState.PARTNER_DOWN, False, 10),
        (FailoverState.PARTNER_DOWN, True, 30),
    ],
)
def test_whose_addresses_count(state: FailoverState, peers_too: bool, expected: int) -> None:  # noqa: FBT001  # a case
    assert usable(state, own=10, peer=20, peers_too=peers_too) == expected


@given(st.lists(st.tuples(st.floats(0.1, 120), st.integers(0, 1 << 20)), max_size=300))
def test_it_is_never_negative_and_keeps_little(steps: list[tuple[float, int]]) -> None:
    at, found = 0.0, Track()
    for step, addresses in steps:
        at += step
        found = counted(found, "k", addresses, at)
        assert runway(found, at) >= 0
        assert len(found.points) <= WINDOW_SECONDS / LEAST_SECONDS + 2
