"""The commands of docs/uninstall.md, in the order in which the page gives them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.operating import administrator
from tests.chart.cluster import GROUP, Cluster
from tests.chart.kubelet import Kubelet, brought_up
from tests.chart.page import commands
from tests.lab import paths
from tests.lab.waiting import until
from twinlease.kube.protocol import CLAIMS, CONFIG_MAPS, PAIRS, PODS, SERVING_LEASES


@pytest.fixture
def kubelet(cluster: Cluster, tmp_path: Path) -> Iterator[Kubelet]:
    """Return what runs the chart's containers; all end with the test."""
    made = Kubelet(cluster, tmp_path)
    yield made
    made.stop()


def test_everything_goes_in_the_order_of_the_page(
    cluster: Cluster, namespace: str, kubelet: Kubelet, tmp_path: Path
) -> None:
    cluster.install(namespace)
    operator = kubelet.operator(namespace)
    world = brought_up(cluster, cluster.make_namespace(f"{namespace}-lan"))
    look, end, drop, sweep, uninstall, definitions = commands("Taking everything away")
    assert look[1:3] == ["get", "dhcp"]
    # kubectl remembers for hours which kinds there are; a user's has seen ours by now.
    assert "dhcpfailoverpair" in cluster.kubectl(*look[1:], f"--cache-dir={tmp_path}")

    seats = [world.seat(role) for role in ("primary", "secondary")]
    cluster.kubectl(*end[1:])
    assert not world.all(PAIRS)
    cluster.kubectl(*drop[1:], "--wait=false")
    for seat in seats:
        assert seat.granted, "the record stays as long as somebody may serve under it"
        seat.release()
    for name in world.pods():
        world.admin.delete(PODS, name, world.namespace, grace_seconds=0)  # as the garbage collector and kubelets do
    until("the operator lets go", lambda: not world.all(SERVING_LEASES), timeout=60.0)
    cluster.kubectl(*sweep[1:], "--wait=false")
    assert not world.all(CONFIG_MAPS)
    assert all("deletionTimestamp" in each["metadata"] for each in world.all(CLAIMS).values())

    operator.terminate()
    assert operator.wait(30) == 0
    assert uninstall[0] == "helm"
    cluster.helm(*(namespace if word == "twinlease-system" else word for word in uninstall[1:]))
    cluster.kubectl(*definitions[1:], "--wait=false")
    until("the kinds are gone", lambda: cluster.lacks(GROUP), timeout=120.0)


def test_what_waits_for_an_operator_that_is_gone_can_be_let_go_by_hand(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("apply", "--server-side", "--filename", str(paths.REPOSITORY / "crds"))
    until("the kind is served", lambda: cluster.serves(f"{GROUP}/dhcpservingleases"), timeout=30.0)
    metadata = {"name": "lan", "namespace": namespace, "finalizers": ["twinlease.io/serving"]}
    body = {"apiVersion": "twinlease.io/v1alpha1", "kind": "DHCPServingLease", "metadata": metadata, "spec": {}}
    admin = administrator(cluster.server)
    admin.request("POST", SERVING_LEASES.path(namespace), body=body)
    cluster.kubectl("delete", "dhcpservingleases", "lan", "--namespace", namespace, "--wait=false")
    assert cluster.serves(SERVING_LEASES.path(namespace, "lan"))
    (patch,) = commands("Where something will not go")
    given = {"NAME": "lan", "NAMESPACE": namespace}
    cluster.kubectl(*(given.get(word, word) for word in patch[1:]))
    assert cluster.lacks(SERVING_LEASES.path(namespace, "lan"))
