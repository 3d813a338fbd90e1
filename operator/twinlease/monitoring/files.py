"""The files that are made from all this, by their paths in the repository."""

import json
from collections.abc import Mapping

import yaml

from twinlease.monitoring.alert import rules
from twinlease.monitoring.alerts import GROUPS
from twinlease.monitoring.dashboard import dashboard
from twinlease.monitoring.index import index

ALERTS = "charts/twinlease/files/alerts.yaml"
DASHBOARD = "charts/twinlease/files/dashboard.json"
INDEX = "docs/runbooks/README.md"

_HEADER = "# Generated from operator/twinlease/monitoring by `make monitoring`: edit the alerts there, not this file.\n"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, for people to read."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def texts() -> Mapping[str, str]:
    """Return each file's text by its path; the same alerts and panels always give the same."""
    return {ALERTS: _alerts(), DASHBOARD: json.dumps(dashboard(), indent=1) + "\n", INDEX: index(GROUPS)}


def _alerts() -> str:
    return _HEADER + yaml.dump(rules(GROUPS), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
