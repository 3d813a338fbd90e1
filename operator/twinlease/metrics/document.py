"""``docs/metrics.md``, from the table."""

from collections.abc import Iterable

from twinlease.metrics.table import PAIR, TABLE, Exporter, Kind, Metric

_HEAD = """\
# Metrics

<!-- Generated from operator/twinlease/metrics/table.py by `make metrics-doc`: edit the table, not this file. -->

Every sidecar and every replica of the operator serves `/metrics` in Prometheus's text format. A server's series come
from its own sidecar, so that they are there while the API is not. What takes both servers to tell comes from the
operator that leads; the other replica says only that it does not. Whatever is gone has no series any more at the next
scrape. There is no series per lease or client.

| who | where | how |
|---|---|---|
| sidecar | the node's address, port `spec.metricsPort` of the pair (7913; 0: nowhere) | `/metrics`, `/healthz` |
| operator | its pod's address, port `--http-port` or `TWINLEASE_HTTP_PORT` (8080 in the manifests; 0: nowhere) | \
`/metrics`, `/healthz`, `/readyz` |

Scrape with `honor_labels: true` (PodMonitor: `honorLabels: true`): `namespace` is the pair's, not the operator's own. A
sidecar's port is open to whoever reaches the node's address: it tells states, counts and names of pools, no secret, no
address of a client. It takes GET only, 8 connections at a time, 8 KiB and 5 s for each, and makes its answer at most
twice a second.

Types: *states* are gauges, one for each value of the last label, 1 for the present one and 0 for all others; *info* is
a gauge that is always 1 and says something by its labels. Counters begin anew with the process that counts. Beside
these each process has Prometheus's usual `process_*` series.
"""

_SECTIONS = (
    ("Every process", (Exporter.SIDECAR, Exporter.OPERATOR), False),
    ("A server, from its sidecar", (Exporter.SIDECAR,), True),
    ("A pair, from the operator that leads", (Exporter.LEADER,), True),
    ("The operator that leads", (Exporter.LEADER,), False),
    ("Every replica of the operator", (Exporter.OPERATOR,), False),
)
"""Title, who exports what stands there, and whether it is about a pair."""


def markdown(table: Iterable[Metric] = TABLE) -> str:
    """Return the whole document; the same table always gives the same text."""
    metrics = tuple(table)
    sections = [
        _section(title, [each for each in metrics if (each.by, each.labels[:2] == PAIR) == (by, of_pair)])
        for title, by, of_pair in _SECTIONS
    ]
    return "\n".join([_HEAD, *filter(None, sections)])


def _section(title: str, metrics: list[Metric]) -> str:
    if not metrics:
        return ""
    common = _common(metrics)
    labels = f"Labels of all: {_names(common)}.\n\n" if common else ""
    rows = "\n".join(_row(each, common) for each in metrics)
    return f"## {title}\n\n{labels}| name | type | labels | |\n|---|---|---|---|\n{rows}\n"


def _common(metrics: list[Metric]) -> tuple[str, ...]:
    """Return the labels with which all begin."""
    first = metrics[0].labels
    length = next(
        (at for at in range(len(first)) if any(each.labels[: at + 1] != first[: at + 1] for each in metrics)),
        len(first),
    )
    return first[:length]


def _row(metric: Metric, common: tuple[str, ...]) -> str:
    text = metric.help
    if metric.kind is Kind.STATES:
        text += f" Values: {', '.join(metric.values)}."
    if metric.kind is Kind.HISTOGRAM:
        text += f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)} s."
    return f"| `{metric.name}` | {metric.kind} | {_names(metric.labels[len(common) :])} | {text} |"


def _names(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{each}`" for each in labels)
