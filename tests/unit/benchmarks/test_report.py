"""A verdict follows the unrounded value, and the table hides nothing."""

import pytest

from benchmarks.report import Figure, Target, Verdict, number, table


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (Target(40), 40.0, Verdict.MET),
        (Target(40), 40.0001, Verdict.MISSED),
        (Target(0.98, at_most=False), 0.98, Verdict.MET),
        (Target(0.98, at_most=False), 0.9799, Verdict.MISSED),
        (Target(0.98, at_most=False), float("nan"), Verdict.MISSED),
        (Target(40), float("nan"), Verdict.MISSED),
    ],
)
def test_verdicts(target: Target, value: float, verdict: Verdict) -> None:
    assert Figure("rest", "RSS", value, "MB", target).verdict is verdict


def test_without_a_target_there_is_no_verdict() -> None:
    assert Figure("rest", "RSS", 1, "MB").verdict is Verdict.NONE


@pytest.mark.parametrize(
    ("value", "shown"), [(0.97994, "0.980"), (0.031, "0.031"), (4.5678, "4.57"), (41.98, "42.0"), (774.3, "774")]
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_table_shows_value_target_and_verdict_in_columns() -> None:
    lines = table(
        [
            Figure("rest", "sidecar: RSS", 41.26, "MB", Target(40), "1 pair"),
            Figure("throughput", "managed / bare, median", 0.991, "", Target(0.98, at_most=False)),
        ]
    ).splitlines()
    assert lines[1].split() == ["rest", "sidecar:", "RSS", "41.3", "MB", "≤", "40", "MB", "MISSED", "1", "pair"]
    assert lines[2].split() == ["throughput", "managed", "/", "bare,", "median", "0.991", "≥", "0.98", "met"]
    assert lines[0].index("measured") == lines[1].index("41.3") == lines[2].index("0.991")
