"""The real Helm, and one real API server for the session on which each test finds nothing of the chart."""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.chart.cluster import Cluster
from tests.lab import monitoring
from tests.lab.apiserver import ApiServer
from tests.lab.helm import Helm
from tests.lab.waiting import until

_MONITORING = "/apis/monitoring.coreos.com/v1"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return a Helm that knows no cluster."""
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return the session's cluster; tests take `cluster`."""
    with ApiServer() as server:
        yield Cluster(server, Helm(tmp_path_factory.mktemp("helm"), server.kubeconfig))


@pytest.fixture
def cluster(running: Cluster) -> Iterator[Cluster]:
    """Return a cluster without anything of the chart; what a test leaves is taken away."""
    yield running
    running.clean()


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """Return the name of a new namespace."""
    return cluster.make_namespace(f"chart-{next(_numbers)}")


@pytest.fixture
def monitored(cluster: Cluster) -> Iterator[list[Path]]:
    """Let the cluster know the Prometheus Operator's kinds during the test."""
    files = monitoring.definitions()
    arguments = [word for file in files for word in ("--filename", str(file))]
    cluster.kubectl("apply", "--server-side", *arguments)
    for kind in monitoring.KINDS:
        until(f"{kind} are served", partial(cluster.serves, f"/apis/monitoring.coreos.com/v1/{kind}"), timeout=30.0)
    yield files
    cluster.kubectl("delete", *arguments)
    for kind in monitoring.KINDS:
        until(
            f"{kind} are gone", lambda k=kind: not cluster.serves(f"/apis/monitoring.coreos.com/v1/{k}"), timeout=30.0
        )
