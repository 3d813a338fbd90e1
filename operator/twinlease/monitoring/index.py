"""The list of runbooks, and how Alertmanager keeps quiet about what follows from something worse."""

import re
from collections.abc import Iterable

import yaml

from twinlease.monitoring.alert import Alert, Group, Json

_TITLES = {
    "twinlease.service": "Service",
    "twinlease.leases": "Addresses and leases",
    "twinlease.permit": "Permits, fences, clocks",
    "twinlease.upkeep": "Upkeep",
}

_INTRO = """\
<!-- Generated from operator/twinlease/monitoring by `make monitoring`: edit the alerts there, not this file. -->
<!-- not run unless marked: it needs a pair in trouble -->
# Runbooks

One page for each alert. All have the same shape: what it means for clients now, how long until it hurts, how to look,
what the operator does by itself, what to do, and what never to do. In the commands `NAMESPACE`, `PAIR` and `SERVER` are
the alert's labels (a server without such a label is `PAIR-primary` or `PAIR-secondary`), and `SYSTEM` is the operator's
namespace.

**critical**: clients are not answered, or addresses are not safe; now. **warning**: clients are served, and the next
fault may end that; today. **info**: when there is time.

No alert fires for a rollout, which takes a server out for seconds to minutes, nor for a server in maintenance
(`spec.PEER.maintenance`), for up to four hours also while its node is off; nor for what a pair is to do without
(`spec.metricsPort` 0, `spec.fence` Process, `spec.isolation` Serve).
"""

_QUIET = """\
## One fault, one call

The alerts leave out what another one of the same pair says better. What is left can be kept quiet in Alertmanager:

```yaml
"""


def inhibitions() -> list[Json]:
    """Return what of Alertmanager's configuration keeps it quiet about a pair of which something worse is known."""
    worse = {
        "TwinleaseNoServerServing": "Twinlease(PairDegraded|PartnerDown|TakeoverWaiting|SidecarAbsent|ServerStuck)",
        "TwinleasePartnerDown": "Twinlease(RenewalsFailing|PromisesFailing|GuardUnreachable)",
        "TwinleaseTakeoverWaiting": "TwinleasePairDegraded",
    }
    return [
        {
            "source_matchers": [f"alertname = {name}"],
            "target_matchers": [f"alertname =~ {less}"],
            "equal": ["namespace", "pair"],
        }
        for name, less in worse.items()
    ]


def index(groups: Iterable[Group]) -> str:
    """Return the page."""
    sections = [f"## {_TITLES[group.name]}\n\n{_table(group.alerts)}" for group in groups]
    quiet = yaml.safe_dump({"inhibit_rules": inhibitions()}, sort_keys=False, width=120)
    return "\n".join((_INTRO, *sections, f"{_QUIET}{quiet}```\n"))


def _table(alerts: Iterable[Alert]) -> str:
    rows = [
        f"| [{each.name}]({each.name}.md) | {each.severity} | {each.wait} | {plain(each.summary)} |" for each in alerts
    ]
    return "\n".join(("| alert | severity | after | says |", "|---|---|---|---|", *rows)) + "\n"


def plain(text: str) -> str:
    """Return an annotation without its template: the labels' names in capitals."""
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: found[1].upper(), text)
