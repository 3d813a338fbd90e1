"""Install, upgrade, rollback and uninstall by the real Helm: what changes, what stays, and what is refused."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.cases import PAIR, POOL
from tests.chart.cluster import GROUP, Cluster
from tests.chart.plain import CHART, MANIFESTS
from tests.chart.table import README
from tests.lab import paths
from tests.lab.shell import CommandError
from tests.lab.waiting import until

Json = dict[str, Any]

DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/twinlease-operator"
POLICY = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/twinlease-serving-lease"


def lane(namespace: str) -> str:
    """Return a pair and a pool as a user applies them."""
    objects = []
    for kind, name, given in (("DHCPFailoverPair", "lan", PAIR), ("DHCPPool", "office", POOL)):
        metadata = {"name": name, "namespace": namespace}
        objects.append({"apiVersion": "twinlease.io/v1alpha1", "kind": kind, "metadata": metadata, **given})
    return yaml.safe_dump_all(objects)


def path(namespace: str, plural: str, name: str) -> str:
    return f"{GROUP}/namespaces/{namespace}/{plural}/{name}"


def uids(cluster: Cluster, namespace: str) -> list[str]:
    """Return the UIDs of the user's pair and pool."""
    places = (("dhcpfailoverpairs", "lan"), ("dhcppools", "office"))
    return [cluster.api.get(path(namespace, *place))["metadata"]["uid"] for place in places]


def knows(definition: Json, field: str) -> bool:
    """Tell whether a definition has a field of the specification."""
    (version,) = definition["spec"]["versions"]
    return field in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


@pytest.fixture
def older(tmp_path: Path) -> str:
    """Return a chart of an earlier version: its pools have no lease times, and it runs another image."""
    chart = tmp_path / "twinlease"
    subprocess.run(["cp", "--recursive", str(CHART), str(chart)], check=True, timeout=60)
    file = chart / "files/crds/twinlease.io_dhcppools.yaml"
    definition = yaml.safe_load(file.read_text(encoding="utf-8"))
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["leaseTime"]
    spec["x-kubernetes-validations"] = [
        each for each in spec["x-kubernetes-validations"] if "leaseTime" not in str(each)
    ]
    file.write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    (chart / "Chart.yaml").write_text(
        (CHART / "Chart.yaml").read_text(encoding="utf-8").replace("version: 0.1.0-dev.0", "version: 0.0.1"),
        encoding="utf-8",
    )
    return str(chart)


def refusal(cluster: Cluster, namespace: str, **more: Any) -> str:  # noqa: ANN401  # what `install` takes
    """Return with which words an installation is refused."""
    with pytest.raises(CommandError) as caught:
        cluster.install(namespace, **more)
    return caught.value.output


def commands(said: str, cluster: Cluster) -> None:
    """Run the kubectl commands that a message gives."""
    found = re.findall(r"^ +kubectl (.+)$", said, re.MULTILINE)
    assert found
    for line in found:
        cluster.kubectl(*shlex.split(line))


# --- the way of a release ---------------------------------------------------------------------------------------------
def test_install_and_one_apply_of_a_pair_suffice(cluster: Cluster, namespace: str) -> None:
    said = cluster.install(namespace)
    assert cluster.serves(DEPLOYMENT.format(namespace))
    until("pairs are served", lambda: cluster.serves(f"{GROUP}/dhcpfailoverpairs"), timeout=30.0)
    manifest = re.search(r"--filename - <<'END'\n(?P<text>.*?)\n +END\n", said, re.DOTALL)
    assert manifest is not None, said
    text = "\n".join(line[5:] for line in manifest["text"].splitlines())
    # Another test may have made it: then the notes leave that out.
    for create in re.findall(r"kubectl (create namespace .+)$", said, re.MULTILINE):
        assert cluster.kubectl(*shlex.split(create)) == "namespace/dhcp created\n"
    (label,) = re.findall(r"kubectl (label namespace .+)$", said, re.MULTILINE)
    cluster.kubectl(*shlex.split(label))
    enforced = cluster.api.get("/api/v1/namespaces/dhcp")["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "privileged"
    (apply,) = re.findall(r"kubectl (apply .+) <<'END'$", said, re.MULTILINE)
    cluster.kubectl(*shlex.split(apply), stdin=text)
    assert cluster.serves(path("dhcp", "dhcpfailoverpairs", "lan"))
    assert cluster.serves(path("dhcp", "dhcppools", "office"))
    assert f"kubectl rollout status deployment/twinlease-operator --namespace {namespace}" in said
    assert f"helm test twinlease --namespace {namespace}" in said


def test_definitions_are_upgraded_rolled_back_and_kept_with_all_that_users_made(
    cluster: Cluster, namespace: str, older: str
) -> None:
    cluster.helm("install", "twinlease", older, "--namespace", namespace, "--wait=hookOnly")
    until("pools are served", lambda: cluster.serves(f"{GROUP}/dhcppools"), timeout=30.0)
    assert not knows(cluster.definition("dhcppools"), "leaseTime")
    cluster.kubectl("apply", "--filename", "-", stdin=lane(namespace))
    mine = uids(cluster, namespace)

    cluster.upgrade(namespace, values={"replicas": 3})
    assert knows(cluster.definition("dhcppools"), "leaseTime")
    assert cluster.api.get(DEPLOYMENT.format(namespace))["spec"]["replicas"] == 3
    assert uids(cluster, namespace) == mine

    cluster.helm("rollback", "twinlease", "1", "--namespace", namespace, "--wait=hookOnly")
    assert not knows(cluster.definition("dhcppools"), "leaseTime")
    assert cluster.api.get(DEPLOYMENT.format(namespace))["spec"]["replicas"] == 2
    assert uids(cluster, namespace) == mine

    cluster.helm("uninstall", "twinlease", "--namespace", namespace)
    until("the operator is gone", lambda: cluster.lacks(DEPLOYMENT.format(namespace)), timeout=30.0)
    assert cluster.lacks(POLICY)
    assert "deletionTimestamp" not in cluster.definition("dhcppools")["metadata"]
    assert uids(cluster, namespace) == mine

    cluster.install(namespace)
    assert knows(cluster.definition("dhcppools"), "leaseTime")
    assert uids(cluster, namespace) == mine


def test_pairs_from_values_come_with_an_upgrade_and_outlive_their_line_and_the_release(
    cluster: Cluster, namespace: str
) -> None:
    wanted = {"pairs": {"lan": PAIR}, "pools": {"office": POOL}}
    said = refusal(cluster, namespace, values=wanted)
    assert "pairs and pools need kinds that this first install brings" in said
    assert cluster.lacks(DEPLOYMENT.format(namespace))
    cluster.install(namespace)
    until("pairs are served", lambda: cluster.serves(f"{GROUP}/dhcpfailoverpairs"), timeout=30.0)
    cluster.upgrade(namespace, values=wanted)
    mine = uids(cluster, namespace)
    cluster.upgrade(namespace)
    assert uids(cluster, namespace) == mine
    cluster.helm("uninstall", "twinlease", "--namespace", namespace)
    assert uids(cluster, namespace) == mine


def test_monitors_come_when_the_cluster_knows_them(cluster: Cluster, namespace: str) -> None:
    said = cluster.install(namespace, values={"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}})
    assert "podMonitor.enabled: no PodMonitor was made" in said
    assert "prometheusRule.enabled: no PrometheusRule was made" in said
    assert cluster.serves(DEPLOYMENT.format(namespace))


def test_monitors_are_there_where_the_cluster_knows_them(
    cluster: Cluster, monitored: list[Path], namespace: str
) -> None:
    del monitored
    said = cluster.install(namespace, values={"podMonitor": {"enabled": True}})
    assert "no PodMonitor was made" not in said
    monitors = cluster.api.get(f"/apis/monitoring.coreos.com/v1/namespaces/{namespace}/podmonitors")["items"]
    assert [each["metadata"]["name"] for each in monitors] == ["twinlease-operator", "twinlease-servers"]


def test_the_readmes_commands_install_and_upgrade_and_keep_what_was_set(cluster: Cluster, namespace: str) -> None:
    lines = README.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    install, upgrade = (shlex.split(line) for line in lines if line.startswith(("helm install", "helm upgrade")))
    place = f"{namespace}-new"
    given = {"twinlease-system": place, "charts/twinlease": str(CHART), "image.tag=TAG": "image.tag=next"}
    given["image.repository=REGISTRY/twinlease"] = "image.repository=registry.example/twinlease"

    def image() -> str:
        (container,) = cluster.api.get(DEPLOYMENT.format(place))["spec"]["template"]["spec"]["containers"]
        return str(container["image"])

    cluster.helm(*(given.get(word, word) for word in install[1:]), "--set", "replicas=3")
    assert image() == "registry.example/twinlease:dev"
    cluster.helm(*(given.get(word, word) for word in upgrade[1:]))
    assert image() == "registry.example/twinlease:next"
    assert cluster.api.get(DEPLOYMENT.format(place))["spec"]["replicas"] == 3


# --- what is refused --------------------------------------------------------------------------------------------------
def test_a_second_install_says_which_is_the_first(cluster: Cluster, namespace: str) -> None:
    cluster.install(namespace)
    for place in (namespace, cluster.make_namespace(f"{namespace}-other")):
        said = refusal(cluster, place, name="second")
        assert f'twinlease is in this cluster already, as release "twinlease" in namespace "{namespace}"' in said
        assert f"helm upgrade twinlease charts/twinlease --namespace {namespace}" in said
    assert "cannot reuse a name that is still in use" in refusal(cluster, namespace)


def test_beside_plain_manifests_it_says_how_to_take_them_away(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("apply", "--server-side", "--filename", str(paths.REPOSITORY / "crds"))
    cluster.kubectl("apply", "--server-side", "--filename", str(MANIFESTS))
    said = refusal(cluster, namespace, values={"crds": {"install": False}})
    assert "twinlease is in this cluster already, applied with kubectl" in said
    commands(said.replace("manifests/", str(MANIFESTS)).replace("--filename", "--wait=false --filename"), cluster)
    until("the policy is gone", lambda: cluster.lacks(POLICY), timeout=30.0)
    cluster.install(namespace, values={"crds": {"install": False}})
    assert cluster.serves(DEPLOYMENT.format(namespace))


def test_older_definitions_that_are_nobodys_are_handed_over_by_the_commands_of_the_message(
    cluster: Cluster, namespace: str, older: str
) -> None:
    cluster.kubectl("apply", "--server-side", "--filename", f"{older}/files/crds")
    until("pools are served", lambda: cluster.serves(f"{GROUP}/dhcppools"), timeout=30.0)
    cluster.kubectl("apply", "--filename", "-", stdin=lane(namespace))
    mine = uids(cluster, namespace)
    said = refusal(cluster, namespace)
    assert "These definitions are in this cluster already and belong to no release, or to another: dhcpfailover" in said
    assert "\nOf another version than this chart: dhcppools.twinlease.io.\n" in said
    assert "and try again with --force-conflicts (Helm 4):" in said
    commands(said, cluster)
    assert "conflict" in refusal(cluster, namespace)
    cluster.upgrade(namespace, "--install", "--force-conflicts")
    assert knows(cluster.definition("dhcppools"), "leaseTime")
    assert uids(cluster, namespace) == mine


def test_definitions_that_are_kept_apart_must_be_there_and_of_this_version(
    cluster: Cluster, namespace: str, older: str
) -> None:
    apart = {"crds": {"install": False}}
    said = refusal(cluster, namespace, values=apart)
    assert "crds.install is false, and these definitions are not in this cluster: dhcpfailoverpairs.tw" in said
    cluster.kubectl("apply", "--server-side", "--filename", f"{older}/files/crds")
    said = refusal(cluster, namespace, values=apart)
    assert "these definitions in this cluster are of another version than this chart: dhcppools.twinlease.io." in said
    commands(
        said.replace("Apply those of this version first: ", "  ").replace("crds/", f"{paths.REPOSITORY}/crds"), cluster
    )
    cluster.install(namespace, values=apart)
    assert cluster.serves(DEPLOYMENT.format(namespace))
    cluster.helm("uninstall", "twinlease", "--namespace", namespace)
    assert "deletionTimestamp" not in cluster.definition("dhcppools")["metadata"]


def test_a_served_namespace_must_exist(cluster: Cluster, namespace: str) -> None:
    said = refusal(cluster, namespace, values={"watchNamespaces": [f"{namespace}-lan"]})
    assert f'watchNamespaces names "{namespace}-lan", and there is no such namespace' in said
    assert f"kubectl create namespace {namespace}-lan" in said


def test_helms_notes_say_what_one_replica_means(cluster: Cluster, namespace: str) -> None:
    said = cluster.install(namespace, values={"replicas": 1})
    assert "replicas is 1: while that operator is away, nobody takes over" in said
    budget = cluster.api.get(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/twinlease-operator")
    assert json.loads(json.dumps(budget["spec"]))["maxUnavailable"] == 1
