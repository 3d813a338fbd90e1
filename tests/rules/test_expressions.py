"""What alerts ask for is what is exported: metrics, labels, and the values that they can have."""

import re

import pytest

from tests.rules.promql import problems, selected
from tests.rules.promtool import ALERTS
from tests.rules.source import said
from twinlease.monitoring.promql import told

_ASKED = re.compile(r'with printf "((?:[^"\\]|\\.)*)"')


def test_what_no_metric_has_is_found() -> None:
    assert problems('twinlease_nothing{a="b"}') == ["no metric twinlease_nothing"]
    assert problems('twinlease_server_state{pool="x"}') == ["twinlease_server_state has no label pool"]
    assert problems('twinlease_server_state{state=~"Normal|Fine"}') == ["twinlease_server_state is never Fine"]
    assert problems("max by (pod) (twinlease_server_serving)") == ["nothing has a label pod"]
    assert not problems('max by (namespace, pair) (twinlease_server_state{state="Normal"} == 1)')


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_what_is_exported(name: str) -> None:
    alert = ALERTS[name]
    asked = [found.replace('\\"', '"') for found in _ASKED.findall(alert.description)]
    assert len(asked) == alert.description.count("| query")
    assert [found for query in (alert.expr, *asked) for found in problems(query)] == []


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_about_a_pair_says_which(name: str) -> None:
    """By these two labels, and only if both are there, Alertmanager lets one alert inhibit another."""
    about_all = {"TwinleaseOperatorAbsent", "TwinleaseOperatorNotLeading", "TwinleaseAdmissionPolicyMissing"}
    said = "$labels.namespace" in ALERTS[name].summary + ALERTS[name].description
    assert said == (name not in about_all)


@pytest.mark.parametrize("name", ALERTS)
def test_a_description_has_a_number(name: str) -> None:
    assert re.search(r"\$value|\| first \||\d", ALERTS[name].description)


def test_a_number_is_asked_for_by_the_alerts_own_labels() -> None:
    assert told("max(a{PAIR} and b{SERVER})", " So FOUND.", "value") == (
        '{{ with printf "max(a{namespace=%q,pair=%q} and b{namespace=%q,server=%q})" $labels.namespace $labels.pair '
        "$labels.namespace $labels.server | query }} So {{ . | first | value }}.{{ end }}"
    )


@pytest.mark.parametrize("name", ALERTS)
def test_the_reasons_that_an_alert_waits_for_are_given_by_the_code(name: str) -> None:
    where = {
        "twinlease_pair_verdict": ("decide",),
        "twinlease_pair_condition": ("controller", "model"),
        "twinlease_server_exits_total": ("guard", "ipc"),
    }
    for metric, matchers in selected(ALERTS[name].expr):
        for label in ("reason", "type"):
            wanted = {each for each in matchers.get(label, "").split("|") if each}
            assert wanted <= said(*where[metric]) if wanted else True, (metric, wanted)
