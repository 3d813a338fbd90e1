"""Whether two wall clocks agree, and which of two servers steps back if they do not."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.decide.clocks import (
    AGAIN_SECONDS,
    FRESH_SECONDS,
    LIMIT_SECONDS,
    SAMPLES,
    Agreement,
    Sample,
    Verdict,
    judge,
    steps_back,
    talks,
)
from twinlease.model.states import FailoverState as S
from twinlease.model.states import Role, serves

NOW = 1000.0
DIFFERED = Agreement(verdict=Verdict.DIFFER, offset=4.0)
AGREED = Agreement(verdict=Verdict.AGREE)


def samples(*offsets: float, trip: float = 0.002, age: float = 0.0) -> list[Sample]:
    """Return measurements a second apart, the last one so many seconds old."""
    return [Sample(offset, trip, NOW - age - place) for place, offset in enumerate(reversed(offsets))][::-1]


@pytest.mark.parametrize(
    ("before", "measured", "verdict"),
    [
        (AGREED, [], Verdict.UNKNOWN),
        (AGREED, samples(9.0, 9.0), Verdict.UNKNOWN),
        (AGREED, samples(9.0, 9.0, 9.0, age=FRESH_SECONDS), Verdict.UNKNOWN),
        (DIFFERED, samples(9.0, 9.0, 9.0, age=FRESH_SECONDS), Verdict.UNKNOWN),
        (AGREED, samples(9.0, 9.0, 9.0), Verdict.DIFFER),
        (AGREED, samples(-9.0, -9.0, -9.0), Verdict.DIFFER),
        (AGREED, samples(0.0, 9.0, 9.0, 9.0), Verdict.DIFFER),
        (AGREED, samples(9.0, 0.0, 9.0), Verdict.AGREE),
        (AGREED, samples(9.0, 9.0, 9.0, 0.0), Verdict.AGREE),
        (AGREED, samples(3.0, 3.0, 3.0), Verdict.DRIFT),
        (AGREED, samples(3.01, 3.01, 3.01), Verdict.DIFFER),
        # A slow answer proves less.
        (AGREED, samples(3.01, 3.01, 3.01, trip=0.1), Verdict.DRIFT),
        (AGREED, samples(9.0, 9.0, 9.0, trip=20.0), Verdict.AGREE),
        (AGREED, samples(0.9, 0.9, 0.9), Verdict.AGREE),
        (AGREED, samples(1.1, -1.1, 1.1), Verdict.DRIFT),
        # What differed must come nearer before it agrees.
        (DIFFERED, samples(2.5, 2.5, 2.5), Verdict.DIFFER),
        (DIFFERED, samples(1.9, 2.5, 1.9), Verdict.DIFFER),
        (DIFFERED, samples(1.9, 1.9, 1.9), Verdict.DRIFT),
        (DIFFERED, samples(0.0, 0.0, 0.0), Verdict.AGREE),
    ],
)
def test_so_many_fresh_measurements_in_a_row_decide(
    before: Agreement, measured: list[Sample], verdict: Verdict
) -> None:
    assert judge(before, measured, NOW).verdict is verdict


def test_the_measurement_with_the_shortest_trip_is_told_and_a_difference_does_not_waver() -> None:
    measured = [Sample(4.9, 0.5, NOW - 2), Sample(5.2, 0.001, NOW - 1), Sample(5.4, 0.2, NOW)]
    assert judge(AGREED, measured, NOW).offset == 5.2
    assert judge(Agreement(verdict=Verdict.DIFFER, offset=4.6), measured, NOW).offset == 4.6
    assert judge(Agreement(verdict=Verdict.DIFFER, offset=4.1), measured, NOW).offset == 5.2
    assert judge(Agreement(verdict=Verdict.DIFFER, offset=-5.2), measured, NOW).offset == 5.2


@given(
    st.floats(-20, 20),
    st.lists(st.floats(0, 3), min_size=SAMPLES, max_size=SAMPLES),
    st.sampled_from([AGREED, DIFFERED]),
)
def test_what_the_network_delays_is_never_taken_for_a_difference(
    true: float, trips: list[float], before: Agreement
) -> None:
    # Wherever within its trip the answer was given, the measurement is off by no more than half of it.
    measured = [
        Sample(true + trip / 2 * (-1) ** place, trip, NOW - SAMPLES + place) for place, trip in enumerate(trips)
    ]
    found = judge(before, measured, NOW).verdict
    if abs(true) <= (AGAIN_SECONDS if before.differ else LIMIT_SECONDS):
        assert found is not Verdict.DIFFER


STATES = tuple(product(S, S))


def test_only_one_of_the_two_steps_back_and_never_the_only_one_that_serves() -> None:
    for local, partner in STATES:
        for role in Role:
            mine, theirs = steps_back(role, local, partner), steps_back(role.other, partner, local)
            assert not (mine and theirs), (local, partner)
            if mine:
                assert talks(local, partner)
                assert not serves(local, partner) or serves(partner, local)
    assert steps_back(Role.SECONDARY, S.NORMAL, S.NORMAL)
    assert not steps_back(Role.PRIMARY, S.NORMAL, S.NORMAL)
    for role in Role:
        assert steps_back(role, S.RECOVER_WAIT, S.PARTNER_DOWN)
        assert not steps_back(role, S.PARTNER_DOWN, S.RECOVER_WAIT)
        assert not steps_back(role, S.COMMUNICATIONS_INTERRUPTED, S.NORMAL)


def test_who_may_be_in_contact() -> None:
    alone = {S.UNKNOWN, S.STARTUP, S.COMMUNICATIONS_INTERRUPTED, S.RESOLUTION_INTERRUPTED, S.PAUSED, S.SHUTDOWN}
    for local, partner in STATES:
        if local is S.PARTNER_DOWN:
            assert talks(local, partner) is (partner in {S.RECOVER, S.RECOVER_WAIT, S.RECOVER_DONE})
        else:
            assert talks(local, partner) is (local not in alone)
