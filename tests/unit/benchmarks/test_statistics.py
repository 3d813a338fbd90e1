"""The interval must cover what it claims, and a drift of the machine must not look like a difference."""

import random

import pytest

from benchmarks.statistics import Interval, Round, TooFewError, median, median_interval


def test_ten_values_give_the_second_and_the_ninth() -> None:
    interval = median_interval([10, 1, 9, 2, 8, 3, 7, 4, 6, 5])
    assert interval == Interval(2, 9, 1 - 2 * 11 / 1024)


@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (7, 1, 7), (9, 2, 8), (20, 6, 15)])
def test_ranks_agree_with_published_tables(n: int, low: int, high: int) -> None:
    interval = median_interval(list(range(1, n + 1)))
    assert (interval.low, interval.high) == (low, high)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_too_few_values_give_no_interval(n: int) -> None:
    with pytest.raises(TooFewError, match="at least 6"):
        median_interval(list(range(n)))


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    source = random.Random(3)  # noqa: S311 - a simulation
    trials = 4000
    covered = 0
    for _ in range(trials):
        interval = median_interval([source.expovariate(1.0) for _ in range(10)])
        covered += interval.low <= 0.6931 <= interval.high
    assert covered / trials == pytest.approx(1 - 2 * 11 / 1024, abs=0.01)


def test_a_steady_drift_cancels_out_of_a_round() -> None:
    speeds = [1000.0, 900.0, 800.0, 700.0]
    assert Round((speeds[0], speeds[3]), (speeds[1], speeds[2])).ratio == 1


def test_a_slower_managed_pair_shows() -> None:
    assert Round((90, 90), (100, 100)).ratio == pytest.approx(0.9)


def test_a_bare_pair_that_serves_nobody_is_no_victory() -> None:
    with pytest.raises(ZeroDivisionError):
        _ = Round((1, 1), (0, 0)).ratio


def test_the_median_of_an_even_number_lies_between() -> None:
    assert median([4, 1, 3, 2]) == 2.5
