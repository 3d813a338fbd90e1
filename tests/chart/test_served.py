"""Every object that the chart renders, judged by a real API server without being stored."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.cases import MATRIX
from tests.chart.cluster import GROUP, Cluster
from tests.chart.plain import CHART, OLDEST_KUBERNETES
from tests.lab import paths
from tests.lab.shell import CommandError
from tests.lab.waiting import until

Json = dict[str, Any]


@pytest.fixture
def prepared(cluster: Cluster, monitored: list[Path]) -> Cluster:
    """Return a cluster that knows all kinds, with the namespaces of the matrix."""
    del monitored
    cluster.kubectl("apply", "--server-side", "--filename", str(paths.REPOSITORY / "crds"))
    for plural in ("dhcpfailoverpairs", "dhcppools"):
        until(f"{plural} are served", partial(cluster.serves, f"{GROUP}/{plural}"), timeout=30.0)
    for name in ("dhcp", "one", "two", "twinlease-system"):
        cluster.make_namespace(name)
    # A pod is judged together with its account.
    cluster.api.post("/api/v1/namespaces/dhcp/serviceaccounts", {"metadata": {"name": "twinlease-operator"}})
    return cluster


def rendered(cluster: Cluster, values: Json) -> str:
    monitors = [f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in ("PodMonitor", "PrometheusRule")]
    options = ["--namespace", "dhcp", "--kube-version", OLDEST_KUBERNETES, *monitors, "--values", "-"]
    return cluster.helm("template", "twinlease", str(CHART), *options, stdin=json.dumps(values))


def judged(cluster: Cluster, text: str) -> list[str]:
    """Return the lines with which the API server takes objects; nothing is stored."""
    apply = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--filename", "-"]
    return cluster.kubectl(*apply, stdin=text).splitlines()


def test_the_api_server_takes_every_object(prepared: Cluster) -> None:
    for case, values in MATRIX.items():
        text = rendered(prepared, values)
        wanted = [each for each in yaml.safe_load_all(text) if each]
        taken = judged(prepared, text)
        assert len(taken) == len(wanted) >= 10, case
        assert all(line.endswith("serverside-applied (server dry run)") for line in taken), case
    assert prepared.lacks("/apis/apps/v1/namespaces/dhcp/deployments/twinlease-operator")


def test_and_would_refuse_what_is_wrong(prepared: Cluster) -> None:
    values = json.loads(json.dumps(MATRIX["pairs and pools"])) | {"podMonitor": {"enabled": True}}
    values["pairs"]["lan"]["spec"]["failover"] = {"mclt": "30m"}
    text = rendered(prepared, values)
    for right, wrong, said in (
        ("enableServiceLinks: false", "enableServiceLink: false", "enableServiceLink"),
        ("maxUnavailable: 1", "maxUnavailable: -1", "must be greater than or equal to 0"),
        ("interval: 15s", "interval: soon", "podMetricsEndpoints"),
        ("mclt: 30m", "mclt: 1s", "mclt"),
    ):
        assert right in text
        with pytest.raises(CommandError) as caught:
            judged(prepared, text.replace(right, wrong))
        assert said in caught.value.output
