"""Stories: what happens to a pair, and which alerts fire when; judged by Debian's promtool.

Files for promtool are written as JSON, which is YAML.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.rules.happenings import END
from tests.rules.world import STEP_SECONDS, World
from twinlease.monitoring.alert import RUNBOOKS, Alert, rules
from twinlease.monitoring.alerts import GROUPS

ALERTS: Mapping[str, Alert] = {alert.name: alert for group in GROUPS for alert in group.alerts}


class Firing(Struct, frozen=True, kw_only=True):
    """One alert as it fires, its texts as people read them."""

    labels: Mapping[str, str]
    summary: str
    description: str


class Story(Struct, frozen=True, kw_only=True):
    """What happens, and what follows.

    Attributes:
        alert: The one that it is about; empty: none may fire.
        world: What is scraped.
        firing: How it fires, between the two times.
        since: Minutes from which it fires; before that it must not.
        until: Minutes from which it does not any more.
        also: Alerts that may fire in this story as well: it is not about them.
    """

    alert: str
    world: World
    firing: Sequence[Firing] = ()
    since: float = 0.0
    until: float = 0.0
    also: frozenset[str] = frozenset()

    def moments(self) -> list[tuple[float, bool]]:
        """Return the minutes to look at, and whether it fires then."""
        step = STEP_SECONDS / 60
        return [
            (0.0, False),
            (self.since - step, False),
            (self.since, True),
            (self.until - step, True),
            (self.until, False),
        ]


def story(  # noqa: PLR0913  # a story is told with all of it
    alert: str,
    world: World,
    labels: Mapping[str, str],
    texts: tuple[str, str],
    *,
    since: float,
    until: float = END,
    also: frozenset[str] = frozenset(),
) -> Story:
    """Return the story of one alert that fires with these labels, summary and description."""
    firing = Firing(labels=labels, summary=texts[0], description=texts[1])
    return Story(alert=alert, world=world, firing=(firing,), since=since, until=until, also=also)


def document(story: Story, moments: Sequence[tuple[float, bool]], rule_file: Path) -> dict[str, Any]:
    """Return the promtool test of a story: what fires at each moment, of all alerts, and its texts at the first."""
    told = {
        "eval_time": _time(story.since),
        "alertname": story.alert,
        "exp_alerts": [_expected(story.alert, each) for each in story.firing],
    }
    others = "|".join(sorted(story.also))
    checks = [
        {
            "eval_time": _time(minutes),
            "expr": f'ALERTS{{alertstate="firing", alertname!~"{others}"}}',
            "exp_samples": [_sample(story.alert, each) for each in story.firing] if fires else [],
        }
        for minutes, fires in moments
    ]
    test: dict[str, Any] = {
        "interval": f"{STEP_SECONDS}s",
        "input_series": story.world.as_input(),
        "promql_expr_test": checks,
    }
    if story.alert:
        test["alert_rule_test"] = [told]
    return {"rule_files": [str(rule_file)], "evaluation_interval": f"{STEP_SECONDS}s", "tests": [test]}


def _time(minutes: float) -> str:
    return f"{round(minutes * 60)}s"


def _sample(name: str, firing: Firing) -> dict[str, Any]:
    labels = {"alertname": name, "alertstate": "firing", "severity": str(ALERTS[name].severity), **firing.labels}
    return {"labels": "ALERTS{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}", "value": 1}


def _expected(name: str, firing: Firing) -> dict[str, Any]:
    return {
        "exp_labels": {**firing.labels, "severity": str(ALERTS[name].severity)},
        "exp_annotations": {
            "summary": firing.summary,
            "description": firing.description,
            "runbook_url": f"{RUNBOOKS}/{name}.md",
        },
    }


def verdict(story: Story, moments: Sequence[tuple[float, bool]], directory: Path) -> str:
    """Return what promtool finds wrong; empty: nothing."""
    rule_file, test_file = directory / "alerts.yaml", directory / "test.yaml"
    rule_file.write_text(json.dumps(rules(GROUPS)), encoding="utf-8")
    test_file.write_text(json.dumps(document(story, moments, rule_file)), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", test_file], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr
