"""One alert as data, and the rules that Prometheus reads.

Every alert about a pair carries ``namespace`` and ``pair``: by them Alertmanager may let one inhibit another.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import Struct

Json: TypeAlias = dict[str, Any]

RUNBOOKS = "docs/runbooks"
"""Where the pages are in the repository; each alert's is ``<name>.md`` below it.

The chart puts ``prometheusRule.runbookBaseURL`` in its place.
"""

INTERVAL = "30s"
"""How often the rules are evaluated."""

_NAME = re.compile(r"Twinlease[A-Z][A-Za-z]+")
_DURATION = re.compile(r"(0|[1-9][0-9]*)[smh]")


class Severity(StrEnum):
    """How soon somebody must look."""

    CRITICAL = "critical"
    """Now: clients are not answered, or addresses are not safe."""
    WARNING = "warning"
    """Today: clients are served, and the next fault may end that."""
    INFO = "info"
    """When there is time."""


class Alert(Struct, frozen=True, kw_only=True):
    """One alert.

    Attributes:
        name: CamelCase, with the project's name in front; its runbook is ``docs/runbooks/<name>.md``.
        expr: PromQL. What it selects is wrong.
        wait: For how long without a break before it fires, as Prometheus writes durations; ``0s``: at once.
        severity: How soon somebody must look.
        summary: One line, the pair in front.
        description: What is so, with numbers, and where to look first.
    """

    name: str
    expr: str
    wait: str
    severity: Severity
    summary: str
    description: str

    def __post_init__(self) -> None:
        """Refuse what Prometheus would take and nobody would find.

        Raises:
            ValueError: The name or the duration is not of the form that all have.
        """
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} must be CamelCase and begin with Twinlease")
        if not _DURATION.fullmatch(self.wait):
            raise ValueError(f"{self.name}: {self.wait!r} must be a whole number and s, m or h")

    def as_rule(self) -> Json:
        """Return the rule as Prometheus reads it."""
        rule: Json = {"alert": self.name, "expr": self.expr}
        if self.wait != "0s":
            rule["for"] = self.wait
        return rule | {
            "labels": {"severity": str(self.severity)},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}/{self.name}.md",
            },
        }


class Group(Struct, frozen=True, kw_only=True):
    """Alerts that are evaluated together."""

    name: str
    alerts: Sequence[Alert]


def rules(groups: Iterable[Group]) -> Json:
    """Return the spec of a PrometheusRule, which is a rule file of Prometheus as well.

    Raises:
        ValueError: Two alerts have one name.
    """
    groups = list(groups)
    names = [alert.name for group in groups for alert in group.alerts]
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"given twice: {', '.join(doubles)}")
    return {
        "groups": [
            {"name": group.name, "interval": INTERVAL, "rules": [alert.as_rule() for alert in group.alerts]}
            for group in groups
        ]
    }
