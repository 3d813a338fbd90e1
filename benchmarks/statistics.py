"""The arithmetic: medians, their confidence intervals, paired ratios. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""Least coverage of an interval."""


class TooFewError(ValueError):
    """So few values that no interval covers the median with enough confidence."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a median; ``coverage`` is the exact one, at least what was asked for."""

    low: float
    high: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Round:
    """Exchanges per second of one round: managed, bare, bare, managed (A B B A), so that a drift cancels out."""

    managed: tuple[float, float]
    bare: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Managed as a share of bare.

        Raises:
            ZeroDivisionError: The bare pair served nobody.
        """
        return sum(self.managed) / sum(self.bare)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the order-statistics interval of the median: distribution-free, exact for independent values.

    The k-th smallest and k-th largest of n values enclose the median unless fewer than k values lie on one side of
    it, and how many do is binomial (n, 1/2). k is the largest that still covers with the confidence asked for.

    Raises:
        TooFewError: Even the smallest and the largest do not.
    """
    ordered = sorted(values)
    n = len(ordered)
    best: Interval | None = None
    for k in range(1, n // 2 + 1):
        coverage = 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n
        if coverage < confidence:
            break
        best = Interval(ordered[k - 1], ordered[n - k], coverage)
    if best is None:
        raise TooFewError(f"{n} values give no {confidence:.0%} interval of their median: at least 6 are needed")
    return best


def median(values: Sequence[float]) -> float:
    """Return the median.

    Raises:
        ValueError: There are no values.
    """
    return statistics.median(values)
