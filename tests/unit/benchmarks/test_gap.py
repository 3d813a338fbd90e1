"""The figures of deaths."""

from collections.abc import Sequence

import pytest

from benchmarks import gap
from benchmarks.gap import Death, Gaps
from benchmarks.report import Figure, Verdict
from benchmarks.stage import CannotRunError
from tests.faults.runner import roles


def deaths(*entered: tuple[float, float]) -> list[Death]:
    return [Death("primary", bare_first=False, died=Gaps(0.02, 0.02), entered=Gaps(*each)) for each in entered]


def named(figures: Sequence[Figure], name: str) -> Figure:
    return next(each for each in figures if each.name == name)


def test_gaps_like_those_of_the_bare_pair_are_no_worse() -> None:
    found = gap.figures(deaths((0.1, 0.2), (0.2, 0.1), (0.1, 0.1), (0.2, 0.2), (0.1, 0.2), (0.2, 0.1)))
    assert named(found, "partner-down: managed / bare, median").value == pytest.approx(1.0)
    assert named(found, "partner-down: managed / bare, interval's lower end").verdict is Verdict.MET


def test_gaps_that_are_longer_every_time_are_worse_and_it_is_said_by_how_much() -> None:
    found = gap.figures(deaths(*[(0.3, 0.01)] * 6))
    assert named(found, "partner-down: managed / bare, interval's lower end").verdict is Verdict.MISSED
    assert named(found, "partner-down: managed - bare, median").value == pytest.approx(290)
    assert named(found, "peer dies: managed / bare, interval's lower end").verdict is Verdict.MET


def test_too_few_deaths_give_no_verdict() -> None:
    with pytest.raises(CannotRunError, match="no verdict"):
        gap.figures(deaths(*[(0.1, 0.1)] * 5))


def test_each_victim_has_both_orders_and_a_drift_cancels_out() -> None:
    plan = [(roles(number), gap.bare_is_first(number)) for number in range(8)]
    assert len(set(plan[:4])) == 4
    assert plan[:4] == plan[4:]
    turns = [first for _, first in plan[:4]]
    assert turns == [False, False, True, True]
