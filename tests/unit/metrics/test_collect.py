"""What is read is what Prometheus's own parser finds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from twinlease.metrics import table
from twinlease.metrics.collect import Exposition, families
from twinlease.metrics.sample import Sample, states
from twinlease.metrics.table import Exporter, Kind, Metric

ME = ("ns", "lan", "lan-primary", "primary")


def parsed(exposition: Exposition) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return all series of ours."""
    found = text_string_to_metric_families(exposition.text().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in found
        for sample in family.samples
        if sample.name.startswith("twinlease_")
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_a_state_set_has_a_series_for_each_value_and_one_of_them_is_1() -> None:
    made = parsed(Exposition(lambda: states(table.STATE, ME, "Normal")))

    assert len(made) == len(table.STATE.values) > 10
    assert sum(made.values()) == 1
    assert made[key(table.STATE.name, **dict(zip(table.STATE.labels, (*ME, "Normal"), strict=True)))] == 1


def test_a_series_is_gone_at_the_scrape_after_what_it_was_about() -> None:
    there = [Sample(table.RUNNING, ME, 1.0)]
    exposition = Exposition(lambda: list(there))

    assert len(parsed(exposition)) == 1
    there.clear()
    assert parsed(exposition) == {}


def test_no_bound_is_a_value_too() -> None:
    (value,) = parsed(Exposition(lambda: [Sample(table.PERMIT_REMAINING, ME, math.inf)])).values()

    assert value == math.inf


def test_durations_are_counted_by_bucket() -> None:
    exposition = Exposition(list)
    observe = exposition.timings(table.RECONCILE_SECONDS)
    for seconds in (0.002, 0.2, 100.0):
        observe(seconds, ("ok",))
    made, name = parsed(exposition), table.RECONCILE_SECONDS.name

    assert made[key(f"{name}_bucket", result="ok", le="0.005")] == 1
    assert made[key(f"{name}_bucket", result="ok", le="0.5")] == 2
    assert made[key(f"{name}_bucket", result="ok", le="+Inf")] == 3
    assert made[key(f"{name}_sum", result="ok")] == pytest.approx(100.202)
    assert not any("created" in series for series, _ in made)


def test_the_registry_is_our_own() -> None:
    Exposition(list).timings(table.API_REQUEST_SECONDS)

    assert not any(family.name.startswith("twinlease") for family in REGISTRY.collect())
    assert b"process_resident_memory_bytes" in Exposition(list).text()


def test_a_sample_with_other_labels_than_its_metric_is_a_fault() -> None:
    with pytest.raises(ValueError, match="twinlease_server_running has the labels"):
        list(families([Sample(table.RUNNING, ("ns",), 1.0)]))


@given(
    kind=st.sampled_from([Kind.GAUGE, Kind.COUNTER, Kind.INFO]),
    series=st.dictionaries(
        st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))),
        st.floats(allow_nan=False),
        max_size=5,
    ),
)
def test_whatever_a_label_holds_is_found_again(kind: Kind, series: dict[tuple[str, str], float]) -> None:
    name = "twinlease_some_total" if kind is Kind.COUNTER else "twinlease_some"
    metric = Metric(
        name=name, kind=kind, help='A "help"\nwith\\all.', labels=("pool", "reason"), by=(Exporter.SIDECAR,)
    )
    made = parsed(Exposition(lambda: [Sample(metric, labels, value) for labels, value in series.items()]))

    assert made == {key(name, pool=pool, reason=reason): value for (pool, reason), value in series.items()}
