"""What results prove, and the table that says so."""

from pathlib import Path

import pytest

from tests.faults.results import Result, append, bound, load, percentile, report


@pytest.mark.parametrize("runs", [20, 60, 300, 1000])
def test_without_a_failure_the_bound_is_the_rule_of_three(runs: int) -> None:
    assert bound(0, runs) == pytest.approx(1 - 0.05 ** (1 / runs), abs=1e-9)
    assert 0 < 3 / runs - bound(0, runs) < 0.15 * 3 / runs


def test_few_runs_prove_little() -> None:
    assert bound(0, 1) == pytest.approx(0.95)
    assert bound(0, 3) == pytest.approx(0.6316, abs=1e-4)


def test_failures_raise_the_bound() -> None:
    # Values of the beta distribution's 95 % quantile (a = failures + 1, b = runs - failures).
    assert bound(1, 20) == pytest.approx(0.2161, abs=1e-4)
    assert bound(2, 20) == pytest.approx(0.2826, abs=1e-4)
    assert bound(3, 3) == 1.0


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([5.0], 0.99) == 5.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0
    assert percentile([float(each) for each in range(1, 101)], 0.99) == 99.0


def result(case: str = "isolated", *failures: str, **figures: float) -> Result:
    return Result(case, "v1", 1.0, "primary", failures, figures=figures)


def test_runs_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "matrix.jsonl"
    written = [result(takeover_ms=120.0), result("isolated", "a duplicate")]
    for each in written:
        append(file, each)
    assert load(file) == written


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    file = tmp_path / "matrix.jsonl"
    append(file, result())
    with file.open("a") as lines:
        lines.write("{}\n")
    with pytest.raises(ValueError, match=r"matrix\.jsonl:2"):
        load(file)


def test_the_report_has_a_row_for_each_case_and_one_for_all() -> None:
    runs = [result(takeover_ms=100.0), result(takeover_ms=300.0), result("api-cut", "it stopped")]
    lines = report(runs).splitlines()
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[2:5]}
    assert set(rows) == {"isolated", "api-cut", "**all**"}
    assert rows["isolated"][:6] == ["2", "0", "0", "0", "78%", "200 / 300"]
    assert rows["api-cut"][:6] == ["1", "1", "0", "0", "100%", ""]
    assert rows["**all**"][:4] == ["3", "1", "0", "0"]
    assert "Runs with a duplicate: 0 of 3" in lines[-1]


def test_no_results_make_an_empty_table() -> None:
    assert "| **all** | 0 |" in report([])
