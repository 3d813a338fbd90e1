"""What a query asks for: the metrics that it names, and the labels that it compares or groups by."""

import re
from collections.abc import Iterator, Mapping

from twinlease.metrics.table import TABLE, Kind, Metric

_SELECTOR = re.compile(r"(twinlease_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*(?:"([^"]*)"|%q)')
_GROUPING = re.compile(r"\b(?:by|on|ignoring|group_left|without)\s*\(([^)]*)\)")

BY_NAME: Mapping[str, Metric] = {
    name: each
    for each in TABLE
    for name in (
        [f"{each.name}{suffix}" for suffix in ("_bucket", "_sum", "_count")]
        if each.kind is Kind.HISTOGRAM
        else [each.name]
    )
}


def selected(query: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each metric with its matchers: label and value; the value is empty where it is filled in later."""
    for found in _SELECTOR.finditer(query):
        yield found[1], {match[1]: match[2] or "" for match in _MATCHER.finditer(found[2] or "")}


def groupings(query: str) -> set[str]:
    """Return the labels by which something is grouped or joined."""
    return {label.strip() for found in _GROUPING.finditer(query) for label in found[1].split(",") if label.strip()}


def problems(query: str) -> list[str]:
    """Return what a query names that no metric has."""
    found, labels = [], {"le", "component", "kind"}
    for name, matchers in selected(query):
        metric = BY_NAME.get(name)
        if metric is None:
            found.append(f"no metric {name}")
            continue
        known = {*metric.labels, *(["le"] if metric.kind is Kind.HISTOGRAM else [])}
        labels |= known
        found += [f"{name} has no label {label}" for label in matchers if label not in known]
        if metric.kind is Kind.STATES and (wanted := matchers.get(metric.labels[-1])):
            found += [f"{name} is never {value}" for value in wanted.split("|") if value not in metric.values]
    return found + [f"nothing has a label {label}" for label in groupings(query) if label not in labels]
