"""The panels of a Grafana dashboard as data: what is asked, and how it is drawn.

The JSON is Grafana's own model of a dashboard, of which only what we need is here.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import Struct

Json: TypeAlias = dict[str, Any]

WIDTH = 24
"""Columns of Grafana's grid."""

_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


class Kind(StrEnum):
    """How a panel draws what it is given."""

    STAT = "stat"
    TIMES = "timeseries"
    STATES = "state-timeline"
    TABLE = "table"


class Query(Struct, frozen=True, kw_only=True):
    """One query in PromQL; ``legend`` may name labels in double braces."""

    expr: str
    legend: str = ""
    instant: bool = False


class Meaning(Struct, frozen=True):
    """What a number stands for, and its colour."""

    number: int
    text: str
    colour: str


class Panel(Struct, frozen=True, kw_only=True):
    """One panel.

    Attributes:
        title: Above it.
        description: What it says and when to worry; behind the panel's (i).
        queries: One or more.
        unit: Grafana's id of the unit: ``s``, ``short``, ``reqps``.
        meanings: What numbers stand for.
        limits: From which value on which colour counts, the lowest first; the colour below all is green.
        stacked: Series are drawn one upon the other.
        signed: Values may be below 0.
        width: Columns of 24.
        height: Rows of 30 pixels.
        hidden: Columns of a table that are not shown.
        renamed: Headings of a table's columns, by label.
    """

    title: str
    description: str
    queries: Sequence[Query]
    kind: Kind = Kind.TIMES
    unit: str = "short"
    meanings: Sequence[Meaning] = ()
    limits: Sequence[tuple[float, str]] = ()
    stacked: bool = False
    signed: bool = False
    width: int = 12
    height: int = 7
    hidden: Sequence[str] = ()
    renamed: Mapping[str, str] = {}

    def as_json(self, number: int, x: int, y: int) -> Json:
        """Return the panel as Grafana reads it, at its place."""
        return {
            "id": number,
            "type": str(self.kind),
            "title": self.title,
            "description": self.description,
            "datasource": _SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [self._target(query, place) for place, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
            "transformations": self._transformations(),
        }

    def _target(self, query: Query, place: int) -> Json:
        table = self.kind is Kind.TABLE
        return {
            "refId": chr(ord("A") + place),
            "datasource": _SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "instant": query.instant or table,
            "range": not (query.instant or table),
            "format": "table" if table else "time_series",
        }

    def _defaults(self) -> Json:
        steps: list[Json] = [{"color": "green", "value": None}]
        steps += [{"color": colour, "value": value} for value, colour in self.limits]
        defaults: Json = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}, "mappings": []}
        if self.meanings:
            options = {
                str(each.number): {"text": each.text, "color": each.colour, "index": place}
                for place, each in enumerate(self.meanings)
            }
            defaults["mappings"] = [{"type": "value", "options": options}]
        if self.kind is Kind.TIMES:
            defaults["custom"] = {
                "fillOpacity": 20 if self.stacked else 0,
                "stacking": {"mode": "normal" if self.stacked else "none"},
                "showPoints": "never",
            }
            if not self.signed:
                defaults["min"] = 0
        if self.kind is Kind.STATES:
            defaults["custom"] = {"fillOpacity": 80, "lineWidth": 0}
        return defaults

    def _options(self) -> Json:
        if self.kind is Kind.STAT:
            colours = "background" if self.limits or self.meanings else "none"
            reduce: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
            return {"reduceOptions": reduce, "colorMode": colours, "graphMode": "none", "textMode": "value"}
        if self.kind is Kind.STATES:
            return {"showValue": "auto", "mergeValues": True, "rowHeight": 0.8, "legend": {"showLegend": False}}
        if self.kind is Kind.TABLE:
            return {"cellHeight": "sm", "showHeader": True}
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}

    def _transformations(self) -> list[Json]:
        if self.kind is not Kind.TABLE:
            return []
        hidden = dict.fromkeys(("Time", *self.hidden), True)
        merge: list[Json] = [{"id": "merge", "options": {}}] if len(self.queries) > 1 else []
        return [
            *merge,
            {"id": "organize", "options": {"excludeByName": hidden, "renameByName": dict(self.renamed)}},
        ]


class Row(Struct, frozen=True, kw_only=True):
    """Panels below a heading."""

    title: str
    panels: Sequence[Panel]


def laid_out(rows: Iterable[Row]) -> list[Json]:
    """Return rows and panels with their places on the grid: from left to right, as long as they fit.

    Raises:
        ValueError: A panel is wider than the grid.
    """
    placed: list[Json] = []
    y = 0
    for row in rows:
        heading = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        placed.append(
            {
                "id": len(placed) + 1,
                "type": "row",
                "collapsed": False,
                "title": row.title,
                "gridPos": heading,
                "panels": [],
            }
        )
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if panel.width > WIDTH:
                raise ValueError(f"{panel.title}: width {panel.width} must be at most {WIDTH}")
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            placed.append(panel.as_json(len(placed) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return placed
