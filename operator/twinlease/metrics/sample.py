"""One value of one series; imports nothing of prometheus_client, which costs memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from twinlease.metrics.table import Metric


class Sample(NamedTuple):
    """One series and its value; ``labels`` are the values of the metric's labels, in its order."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


Read = Callable[[], Iterable[Sample]]
"""Returns the samples of this moment."""

Observe = Callable[[float, tuple[str, ...]], None]
"""Takes in a duration (seconds), with the values of its labels; to be called from any thread."""


def states(metric: Metric, labels: tuple[str, ...], present: str) -> Iterator[Sample]:
    """Yield one sample for each value of the last label: 1 for the present one, 0 for the others.

    Args:
        metric: Of kind ``STATES``.
        labels: Values of all labels but the last.
        present: The present value; one that the metric does not know: all are 0.
    """
    for value in metric.values:
        yield Sample(metric, (*labels, value), float(value == present))
