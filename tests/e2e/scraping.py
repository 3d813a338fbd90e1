"""What the chart's PodMonitors and PrometheusRule tell Prometheus, as the Prometheus Operator would read them. Pure.

Only what our objects use: selectors by `matchLabels` and `matchNames`, ports by name, `honorLabels`, `interval`.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_UNITS = {"s": 1, "m": 60, "h": 3600}
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")
_NAMESPACE, _POD = "__meta_kubernetes_namespace", "__meta_kubernetes_pod"


def jobs(monitor: Mapping[str, Any], targets: Path) -> list[Json]:
    """Return the scrape configurations of a PodMonitor, one for each endpoint.

    Args:
        monitor: The object, as the API server has it.
        targets: File of what `discovered` finds.
    """
    endpoints = monitor["spec"]["podMetricsEndpoints"]
    return [_job(monitor, number, each, targets) for number, each in enumerate(endpoints)]


def _job(monitor: Mapping[str, Any], number: int, endpoint: Mapping[str, Any], targets: Path) -> Json:
    own = monitor["metadata"]["namespace"], monitor["metadata"]["name"]
    spec = monitor["spec"]
    anywhere = spec.get("namespaceSelector", {})
    wanted = {_label(key): re.escape(value) for key, value in spec["selector"]["matchLabels"].items()}
    wanted[f"{_POD}_container_port_name"] = re.escape(endpoint["port"])
    if not anywhere.get("any"):
        wanted[_NAMESPACE] = "|".join(map(re.escape, anywhere.get("matchNames") or [own[0]]))
    told = {"namespace": _NAMESPACE, "pod": f"{_POD}_name", "container": f"{_POD}_container_name"}
    return {
        "job_name": f"podMonitor/{own[0]}/{own[1]}/{number}",
        "honor_labels": endpoint.get("honorLabels", False),
        "metrics_path": endpoint.get("path", "/metrics"),
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["interval"],
        "file_sd_configs": [{"files": [str(targets)]}],
        "relabel_configs": [
            {"action": "drop", "source_labels": [f"{_POD}_phase"], "regex": "Failed|Succeeded"},
            *({"action": "keep", "source_labels": [label], "regex": regex} for label, regex in wanted.items()),
            *({"source_labels": [source], "target_label": label} for label, source in told.items()),
            {"target_label": "job", "replacement": f"{own[0]}/{own[1]}"},
            {"target_label": "endpoint", "replacement": endpoint["port"]},
        ],
    }


def discovered(pods: Iterable[Mapping[str, Any]]) -> list[Json]:
    """Return every port of every pod as Prometheus' own discovery (`role: pod`) would name it.

    Debian builds Prometheus without that discovery: the lab's observer does it, and hands it over in a file.
    """
    return [
        {"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"], "labels": _meta(pod, container, port)}
        for pod in pods
        if pod["status"].get("podIP")
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
        for port in container.get("ports", ())
    ]


def _meta(pod: Mapping[str, Any], container: Mapping[str, Any], port: Mapping[str, Any]) -> dict[str, str]:
    metadata = pod["metadata"]
    return {
        _NAMESPACE: metadata["namespace"],
        f"{_POD}_name": metadata["name"],
        f"{_POD}_phase": pod["status"].get("phase", ""),
        f"{_POD}_container_name": container["name"],
        f"{_POD}_container_port_name": port.get("name", ""),
        **{_label(key): value for key, value in metadata.get("labels", {}).items()},
    }


def _label(key: str) -> str:
    return f"{_POD}_label_{_UNFIT.sub('_', key)}"


def hastened(rules: Mapping[str, Any], factor: int) -> Json:
    """Return a PrometheusRule's spec as a rule file whose waits are so many times shorter.

    These are each rule's `for`, and the `interval` at which its group is evaluated. All else is as it was: the spans in
    expressions (`[15m]`), and the thresholds.
    """
    return {"groups": [_group(each, factor) for each in rules["groups"]]}


def _group(group: Mapping[str, Any], factor: int) -> Json:
    rules = [{**each, "for": shorter(each["for"], factor)} if "for" in each else each for each in group["rules"]]
    return {**group, "interval": shorter(group["interval"], factor), "rules": rules}


def shorter(duration: str, factor: int) -> str:
    """Return a duration divided: of one number and one unit, as ours are.

    Raises:
        ValueError: It is of another form.
    """
    found = re.fullmatch(r"([0-9]+)([smh])", duration)
    if found is None:
        raise ValueError(f"{duration!r} must be a whole number and s, m or h")
    return f"{int(found[1]) * _UNITS[found[2]] * 1000 // factor}ms"


def configuration(monitors: Iterable[Mapping[str, Any]], rule_file: Path, targets: Path) -> Json:
    """Return the whole configuration."""
    return {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(rule_file)],
        "scrape_configs": [job for each in monitors for job in jobs(each, targets)],
    }
