"""Figures, targets, verdicts, and the table that shows them. Pure."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a figure says about its target."""

    MET = "met"
    MISSED = "MISSED"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A limit; the figure must not pass it."""

    limit: float
    at_most: bool = True

    def judge(self, value: float) -> Verdict:
        """Compare a value, unrounded, with the limit."""
        holds = (operator.le if self.at_most else operator.ge)(value, self.limit)
        return Verdict.MET if holds else Verdict.MISSED

    def __str__(self) -> str:
        """Return it as the table shows it."""
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value."""

    part: str
    name: str
    value: float
    unit: str
    target: Target | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether the target is met; nothing where there is none."""
        return self.target.judge(self.value) if self.target else Verdict.NONE


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as aligned columns."""
    rows = [("part", "figure", "measured", "target", "verdict", "")]
    rows += [
        (
            each.part,
            each.name,
            f"{number(each.value)} {each.unit}".strip(),
            f"{each.target} {each.unit}".strip() if each.target else "",
            str(each.verdict),
            each.note,
        )
        for each in figures
    ]
    return "\n".join(_aligned(rows)) + "\n"


def number(value: float) -> str:
    """Return a value with as many decimals as its size deserves."""
    decimals = next((places for least, places in ((100, 0), (10, 1), (1, 2)) if abs(value) >= least), 3)
    return f"{value:.{decimals}f}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
