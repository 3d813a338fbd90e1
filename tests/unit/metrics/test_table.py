"""The table keeps Prometheus's rules for names, and the project's for labels."""

import re

import pytest

from twinlease.metrics.table import TABLE, Exporter, Kind, Metric

BOUNDED = {
    "namespace", "pair", "server", "role", "pool", "state", "kind", "verdict", "phase", "owner", "type", "status",
    "reason", "action", "which", "revision", "component", "version", "method", "result", "valid",
}  # fmt: skip
"""All labels that there are. Whoever adds one says here that its values are few: never a lease's, never a client's."""


def each(metric: Metric) -> str:
    return metric.name


@pytest.mark.parametrize("metric", TABLE, ids=each)
def test_a_name_says_what_it_is(metric: Metric) -> None:
    assert re.fullmatch(r"twinlease_[a-z][a-z_]*[a-z]", metric.name)
    assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
    assert not metric.name.endswith(("_bucket", "_count", "_sum", "_created"))
    base = metric.name.removesuffix("_total")
    assert base.endswith(f"_{metric.unit}") if metric.unit else not base.endswith(("_seconds", "_bytes"))


@pytest.mark.parametrize("metric", TABLE, ids=each)
def test_labels_are_bounded_and_each_is_there_once(metric: Metric) -> None:
    assert set(metric.labels) <= BOUNDED
    assert len(set(metric.labels)) == len(metric.labels)
    assert bool(metric.values) == (metric.kind is Kind.STATES)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_names_are_there_once_and_every_metric_is_explained() -> None:
    assert len({metric.name for metric in TABLE}) == len(TABLE)
    for metric in TABLE:
        assert metric.help.endswith("."), metric.name
        assert metric.by, metric.name


def test_what_is_of_a_server_comes_from_its_sidecar_and_what_is_of_a_pair_from_the_leader() -> None:
    for metric in TABLE:
        if metric.name.startswith(("twinlease_server_", "twinlease_pool_")):
            assert metric.by == (Exporter.SIDECAR,)
            assert metric.labels[:4] == ("namespace", "pair", "server", "role")
        elif metric.name.startswith("twinlease_pair_"):
            assert metric.by == (Exporter.LEADER,)
            assert metric.labels[:2] == ("namespace", "pair")
