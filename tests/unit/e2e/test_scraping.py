"""What Prometheus is told by a PodMonitor and a PrometheusRule."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.scraping import discovered, hastened, jobs, shorter
from tests.lab.paths import REPOSITORY
from twinlease.monitoring.files import ALERTS

Json = dict[str, Any]

FILE = Path("/targets.json")


def monitor(**spec: Any) -> Json:  # noqa: ANN401  # fields of the specification
    endpoint = {"port": "metrics", "interval": "2s", "honorLabels": True}
    given_ = {"selector": {"matchLabels": {"a.b/c-d": "x.y"}}, "podMetricsEndpoints": [endpoint], **spec}
    return {"metadata": {"namespace": "system", "name": "m"}, "spec": given_}


def pod(namespace: str = "system", **status: Any) -> Json:  # noqa: ANN401  # fields of the status
    container = {"name": "c", "ports": [{"name": "metrics", "containerPort": 80}, {"containerPort": 67}]}
    metadata = {"namespace": namespace, "name": "p", "labels": {"a.b/c-d": "x.y"}}
    found = {"phase": "Running", "podIP": "10.0.0.1", **status}
    return {
        "metadata": metadata,
        "spec": {"containers": [container], "initContainers": [{"name": "i"}]},
        "status": found,
    }


def kept(job: Json, labels: dict[str, str]) -> bool:
    """Tell whether Prometheus would scrape a target with these labels."""
    for rule in job["relabel_configs"]:
        value = ";".join(labels.get(each, "") for each in rule.get("source_labels", ()))
        matches = re.fullmatch(rule.get("regex", "(.*)"), value) is not None
        if (rule.get("action") == "keep" and not matches) or (rule.get("action") == "drop" and matches):
            return False
    return True


def scraped(spec: Json, *pods: Json) -> list[str]:
    (job,) = jobs(monitor(**spec), FILE)
    return [each["targets"][0] for each in discovered(pods) if kept(job, each["labels"])]


def test_a_named_port_of_selected_pods_is_scraped_as_the_monitor_says() -> None:
    (job,) = jobs(monitor(), FILE)
    assert (job["honor_labels"], job["scrape_interval"], job["metrics_path"]) == (True, "2s", "/metrics")
    assert scraped({}, pod()) == ["10.0.0.1:80"]
    assert scraped({"selector": {"matchLabels": {"a.b/c-d": "xzy"}}}, pod()) == []


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ({}, ["10.0.0.1:80"]),
        ({"any": True}, ["10.0.0.1:80", "10.0.0.2:80"]),
        ({"matchNames": ["lan"]}, ["10.0.0.2:80"]),
    ],
)
def test_pods_are_looked_for_in_the_monitors_namespace_unless_it_says_otherwise(
    selector: Json, found: list[str]
) -> None:
    assert scraped({"namespaceSelector": selector}, pod(), pod("lan", podIP="10.0.0.2")) == found


def test_pods_that_have_ended_or_have_no_address_are_left_out() -> None:
    assert scraped({}, pod(phase="Failed"), pod(phase="Succeeded"), pod(podIP="")) == []


def test_only_waits_and_intervals_become_shorter() -> None:
    rules = yaml.safe_load((REPOSITORY / ALERTS).read_text(encoding="utf-8"))
    made = hastened(rules, 20)
    for before, after in zip(rules["groups"], made["groups"], strict=True):
        assert (before["interval"], after["interval"]) == ("30s", "1500ms")
        for old, new in zip(before["rules"], after["rules"], strict=True):
            assert {key: old[key] for key in old if key != "for"} == {key: new[key] for key in new if key != "for"}
            assert ("for" in old) == ("for" in new)
    waits = {rule["alert"]: rule.get("for") for group in made["groups"] for rule in group["rules"]}
    assert waits["TwinleasePairDegraded"] == "15000ms"


@given(number=st.integers(1, 1000), unit=st.sampled_from(["s", "m", "h"]), factor=st.integers(1, 60))
def test_a_duration_is_divided_to_the_millisecond(number: int, unit: str, factor: int) -> None:
    whole = number * {"s": 1, "m": 60, "h": 3600}[unit] * 1000
    millis = int(shorter(f"{number}{unit}", factor).removesuffix("ms"))
    assert millis * factor <= whole < (millis + 1) * factor


@pytest.mark.parametrize("wrong", ["", "5", "1m30s", "-5m", "5d"])
def test_a_duration_of_another_form_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number and s, m or h"):
        shorter(wrong, 20)
