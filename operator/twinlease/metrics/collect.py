"""From what is so to Prometheus's text: samples of the table's metrics, read at the scrape, in registries of our own.

Nothing is kept between two scrapes, so that what is gone has no series any more.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics import Histogram, disable_created_metrics
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from twinlease.metrics.sample import Observe, Read, Sample
from twinlease.metrics.table import Kind, Metric

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def families(samples: Iterable[Sample]) -> Iterator[Family]:
    """Yield the samples by metric, in the order in which each metric comes first.

    Raises:
        ValueError: A sample has not as many labels as its metric.
    """
    found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for metric, labels, value in samples:
        if len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} has the labels {metric.labels}, not {labels}")
        family = found.get(metric.name)
        if family is None:
            make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            family = found[metric.name] = make(metric.name, metric.help, labels=metric.labels)
        family.add_metric(labels, value)
    yield from found.values()


class _Reading(Collector):
    """Reads when it is asked."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        """Yield what is so now."""
        return families(self._read())


class Exposition:
    """All that one process exports: its own registry, with what Prometheus wants to know of any process.

    Args:
        read: Returns the samples of this moment; called in the thread of whoever scrapes.
    """

    def __init__(self, read: Read) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves this one without types
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Reading(read))
        ProcessCollector(registry=self._registry)

    def timings(self, metric: Metric) -> Observe:
        """Return what takes in a duration (seconds) with the values of its labels; safe to call from any thread.

        Args:
            metric: Of kind ``HISTOGRAM``.
        """
        histogram = Histogram(metric.name, metric.help, metric.labels, registry=self._registry, buckets=metric.buckets)

        def observe(seconds: float, labels: tuple[str, ...]) -> None:
            histogram.labels(*labels).observe(seconds)

        return observe

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)
