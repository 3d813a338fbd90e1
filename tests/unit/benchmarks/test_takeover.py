"""The figures of takeovers, and the case that they are measured on."""

from collections.abc import Sequence

import pytest

from benchmarks import takeover
from benchmarks.report import Figure, Verdict
from benchmarks.stage import CannotRunError
from tests.faults.results import Result


def result(serving: float | None, failures: tuple[str, ...] = (), duplicates: int = 0) -> Result:
    figures = {} if serving is None else {"takeover_ms": serving - 100, "serving_ms": serving}
    return Result("takeover", "v", 0.0, "primary", failures, duplicates, figures=figures)


def named(figures: Sequence[Figure], name: str) -> Figure:
    return next(each for each in figures if each.name == name)


def verdicts(figures: Sequence[Figure]) -> set[Verdict]:
    return {each.verdict for each in figures}


def test_quick_takeovers_without_duplicates_meet_their_targets() -> None:
    found = takeover.figures([result(300.0 + number) for number in range(50)])
    assert verdicts(found) == {Verdict.MET, Verdict.NONE}
    assert named(found, "threshold to first answer in partner-down, median").value == pytest.approx(0.3245)
    assert named(found, "threshold to first answer in partner-down, slowest").value == pytest.approx(0.349)
    assert named(found, "threshold to partner-down, slowest").value == pytest.approx(0.249)


def test_one_slow_takeover_of_fifty_misses_the_target() -> None:
    found = takeover.figures([result(1001.0), *[result(300.0)] * 49])
    assert named(found, "threshold to first answer in partner-down, p99").verdict is Verdict.MISSED


def test_one_duplicate_is_a_failure_of_the_benchmark() -> None:
    found = takeover.figures([result(300.0, ("an overlap",), duplicates=1), *[result(300.0)] * 49])
    assert named(found, "addresses that two clients had").verdict is Verdict.MISSED


def test_a_run_without_a_takeover_is_no_quick_one_but_a_failure() -> None:
    found = takeover.figures([result(None, ("never ordered",)), result(300.0)])
    assert named(found, "runs that were not as expected").verdict is Verdict.MISSED
    assert named(found, "threshold to first answer in partner-down, slowest").note == "1 runs"


def test_without_any_takeover_there_are_no_figures() -> None:
    with pytest.raises(CannotRunError, match="in no run"):
        takeover.figures([result(None, ("never ordered",))])


@pytest.mark.parametrize(
    ("count", "percent", "rank"), [(1, 99, 1), (10, 99, 10), (50, 99, 50), (100, 99, 99), (200, 50, 100), (10, 0, 1)]
)
def test_percentiles_are_by_nearest_rank(count: int, percent: float, rank: int) -> None:
    assert takeover.percentile([float(value) for value in range(count, 0, -1)], percent) == rank


def test_the_case_expects_what_the_fault_matrix_expects_of_a_node_without_power() -> None:
    said = " ".join(each.says for each in takeover.CASE.expects)
    assert "the survivor is put into partner-down, at most 1 s after it may be" in said
    assert "the victim is silent from fault" in said
