"""The chart as a release on the lab: installed, tried, upgraded and taken away by the real Helm."""

import json
from pathlib import Path
from typing import Any

from tests.lab import monitoring, paths
from tests.lab.cluster import Lab
from tests.lab.helm import Helm
from tests.lab.waiting import until

NAME, NAMESPACE = "twinlease", "twinlease-system"
CHART = paths.REPOSITORY / "charts" / "twinlease"
SCRAPED_EVERY = "2s"
OPERATORS = "app.kubernetes.io/name=twinlease,app.kubernetes.io/component=operator"

_MONITORED = ("podMonitor.enabled=true", "prometheusRule.enabled=true", f"podMonitor.interval={SCRAPED_EVERY}")
_KINDS = ("podmonitors", "prometheusrules")
_SERVED_SECONDS = 30.0


class Release:
    """One release of the chart.

    Args:
        lab: The cluster.
        home: Where Helm keeps its own things.
    """

    def __init__(self, lab: Lab, home: Path) -> None:
        self._lab = lab
        self._helm = Helm(home, lab.kubeconfig)

    def install(self, *values: str) -> str:
        """Install or upgrade to the chart as it is, with monitors and alerts; return what Helm printed.

        Controllers learn of new kinds half a minute late, so that what was deleted would wait for them: they are
        started anew where the definitions came with this.
        """
        known = self._knows("dhcpfailoverpairs.twinlease.io")
        for kind in _KINDS:
            if not self._knows(f"{kind}.monitoring.coreos.com"):
                self._define()
        said = self.helm(
            "upgrade", "--install", NAME, str(CHART), "--create-namespace", "--wait", *_set(_MONITORED, values)
        )
        if not known:
            self._lab.restart_controllers()
        return said

    def upgrade(self, *values: str) -> str:
        """Upgrade as the chart's README says, and return what Helm printed."""
        return self.helm("upgrade", NAME, str(CHART), "--reset-then-reuse-values", "--wait", *_set(values))

    def uninstall(self) -> str:
        """Take the release away, and return what Helm printed."""
        return self.helm("uninstall", NAME, "--wait")

    def test(self) -> str:
        """Have the release tried, and return what Helm and the pod that tries it printed."""
        return self.helm("test", NAME, "--logs")

    def helm(self, *arguments: str) -> str:
        """Run a command of Helm in the release's namespace."""
        return self._helm(*arguments, "--namespace", NAMESPACE)

    def monitors(self) -> list[dict[str, Any]]:
        """Return the PodMonitors, as the API server took them."""
        return list(self._monitoring("podmonitors"))

    def rules(self) -> dict[str, Any]:
        """Return the specification of the PrometheusRule."""
        (rule,) = self._monitoring("prometheusrules")
        return dict(rule["spec"])

    def pods(self) -> dict[str, str]:
        """Return the operators' pods that are not on their way out: name -> UID."""
        said = self._lab.kubectl("get", "pods", f"--namespace={NAMESPACE}", f"--selector={OPERATORS}", "--output=json")
        found = [each["metadata"] for each in json.loads(said)["items"]]
        return {each["name"]: each["uid"] for each in found if "deletionTimestamp" not in each}

    def _monitoring(self, plural: str) -> list[dict[str, Any]]:
        path = f"/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/{plural}"
        return list(self._lab.api.get(path)["items"])

    def _knows(self, name: str) -> bool:
        return bool(self._lab.kubectl("get", "crd", name, "--ignore-not-found", "--output=name"))

    def _define(self) -> None:
        """Let the cluster know the Prometheus Operator's kinds, without which the chart makes no objects of them."""
        arguments = [word for file in monitoring.definitions() for word in ("--filename", str(file))]
        self._lab.kubectl("apply", "--server-side", *arguments)
        self._lab.kubectl(
            "wait", "--for=condition=Established", "crd", *(f"{kind}.monitoring.coreos.com" for kind in _KINDS)
        )
        groups = ("api-resources", "--api-group=monitoring.coreos.com", "--no-headers")
        until("the kinds are served", lambda: all(kind in self._lab.kubectl(*groups) for kind in _KINDS),
              timeout=_SERVED_SECONDS, every=0.2)  # fmt: skip


def _set(*groups: tuple[str, ...]) -> list[str]:
    return [word for values in groups for each in values for word in ("--set", each)]
