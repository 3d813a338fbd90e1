"""When a server may answer, and what it promises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.decide.permit import FOR_EVER, MARGIN, Permit, Promiser, epsilon, period, reborn
from twinlease.guard.fence import ARM_SECONDS, PERIOD_SECONDS
from twinlease.guard.permit import STEPPED_SECONDS

D, X = 240.0, 1800.0
times = st.floats(0, 10_000, allow_nan=False)
lengths = st.floats(1, 4000, allow_nan=False)


def test_the_parts_of_the_margin_fit_into_it() -> None:
    timers = 0.01  # of the kernel: a permit of 500 ms ended after 503 at most (measured)
    assert ARM_SECONDS + timers <= MARGIN / 2, "at least half is left for what is queued"
    tick = PERIOD_SECONDS / 3
    assert tick + STEPPED_SECONDS + ARM_SECONDS + timers <= 2.0


def test_without_anything_nobody_answers() -> None:
    assert Permit().deadline == -math.inf
    assert not Permit().long_wanted(1e9)


def test_a_renewal_counts_from_its_sending_and_less_the_margin() -> None:
    assert Permit().renewal(100.0, D).deadline == 100.0 + D - MARGIN


def test_the_later_of_two_reasons_counts() -> None:
    permit = Permit().renewal(100.0, D).answer(110.0, X)
    assert permit.deadline == 110.0 + X - MARGIN
    assert permit.renounce().deadline == permit.held == 100.0 + D - MARGIN


def test_an_older_answer_than_the_last_changes_nothing() -> None:
    permit = Permit().renewal(100.0, D).answer(110.0, X)
    assert permit.renewal(99.0, 2 * D) == permit
    assert permit.answer(100.0, D) == permit


def test_a_shorter_duration_is_in_force_from_the_sending() -> None:
    permit = Permit().renewal(100.0, D)
    assert permit.sending(60.0).held == 100.0 + 60.0 - MARGIN
    assert permit.sending(900.0) == permit
    assert Permit().sending(60.0) == Permit()


def test_a_step_of_the_clock_leaves_nothing() -> None:
    assert Permit().renewal(100.0, D).answer(100.0, X).stepped().deadline == -math.inf


def test_the_long_promise_is_wanted_after_two_missed_renewals() -> None:
    permit = Permit().renewal(100.0, D)
    assert not permit.long_wanted(100.0 + 2 * period(D))
    assert permit.long_wanted(100.0 + 2 * period(D) + 0.1)


@pytest.mark.parametrize(("duration", "every"), [(240, 40), (3600, 60), (5, 5 / 6), (FOR_EVER, 60)])
def test_how_often_a_permit_is_renewed(duration: float, every: float) -> None:
    assert period(duration) == pytest.approx(every)


@given(times, lengths, times, lengths)
def test_nobody_answers_longer_than_what_was_sent_allows(
    sent: float, held: float, asked: float, promised: float
) -> None:
    permit = Permit().renewal(sent, held).answer(asked, promised)
    assert permit.deadline <= max(sent + held, asked + promised) - MARGIN


@given(st.lists(st.tuples(times, lengths, st.booleans()), min_size=1))
def test_a_promise_is_never_shortened_but_by_renouncing(made: list[tuple[float, float, bool]]) -> None:
    now, promiser = 0.0, Promiser()
    for pause, length, long in made:
        now += pause
        after = promiser.promise(now, length, long=long)
        assert after.until >= max(promiser.until, now + length + epsilon(length))
        assert after.long >= (promiser.long or long)
        promiser = after
    assert promiser.renounced(now, 10.0) == Promiser(until=now + 10.0 + epsilon(10.0))


@given(times, lengths, st.floats(0, 5, allow_nan=False), st.floats(0.99, 1.01))
def test_the_promiser_waits_longer_than_the_other_counts(asked: float, length: float, way: float, rate: float) -> None:
    """Whatever the message takes and however the clocks differ, within 1 %."""
    promiser = Promiser().promise(asked + way, length, long=False)
    ends_there = Permit().renewal(asked, 0.001).answer(asked, length).deadline
    waited = promiser.until - (asked + way)
    assert waited * rate + way >= (ends_there - asked) - 1e-6


def test_reborn_with_what_the_disk_says() -> None:
    assert reborn(0.0, short=D, long=X, on_disk=False) == Promiser(until=D + epsilon(D))
    assert reborn(0.0, short=D, long=X, on_disk=True) == Promiser(until=X + epsilon(X), long=True)
    # A lost disk: the long one, and as many times as it is lost.
    assert reborn(0.0, short=D, long=X, on_disk=None) == Promiser(until=X + epsilon(X), long=True)


def test_a_promise_runs_until_its_end() -> None:
    promiser = Promiser(until=100.0)
    assert promiser.running(99.9)
    assert not promiser.running(100.0)
