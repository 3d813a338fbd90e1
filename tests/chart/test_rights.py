"""The rights that the chart gives: enough for the operator's work, as its Deployment says it, and not more."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.operating import account, administrator
from tests.api.scene import merge
from tests.chart.cluster import Cluster
from tests.chart.kubelet import Kubelet, brought_up
from tests.lab.waiting import until
from twinlease.kube.protocol import PODS, ROLES, SERVING_LEASES, ApiError

Json = dict[str, Any]
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
PLAIN = ("pods", "configmaps", "secrets", "serviceaccounts", "persistentvolumeclaims")

# What an attacker would want of the operator's token, and what nobody needs: verbs, group, resource, name.
FORBIDDEN = (
    ("get list watch update patch delete deletecollection", "", "secrets", ""),
    ("update patch deletecollection", "", "pods", ""),
    ("create get", "", "pods/exec", ""),
    ("create get", "", "pods/attach", ""),
    ("get", "", "pods/log", ""),
    ("patch", "", "pods/ephemeralcontainers", ""),
    ("create", "", "serviceaccounts/token", ""),
    ("get update delete", "", "serviceaccounts", ""),
    ("delete", "", "persistentvolumeclaims", ""),
    ("create update patch delete", "", "nodes", ""),
    ("get create", "", "nodes/proxy", ""),
    ("get list create update patch delete", "", "namespaces", ""),
    ("impersonate", "", "users", ""),
    ("impersonate", "", "groups", ""),
    ("impersonate", "", "serviceaccounts", ""),
    ("escalate bind update delete", "rbac.authorization.k8s.io", "roles", ""),
    ("update delete", "rbac.authorization.k8s.io", "rolebindings", ""),
    ("get list create update patch delete bind escalate", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("get list create update patch delete", "rbac.authorization.k8s.io", "clusterrolebindings", ""),
    ("create update patch delete", "twinlease.io", "dhcpfailoverpairs", ""),
    ("create update patch delete", "twinlease.io", "dhcppools", ""),
    ("create update patch delete", "twinlease.io", "dhcpreservations", ""),
    ("create update patch delete", "admissionregistration.k8s.io", "validatingadmissionpolicies", ""),
    ("create update patch delete", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", ""),
    ("get", "admissionregistration.k8s.io", "validatingadmissionpolicies", "another"),
    ("create patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", ""),
    ("get list create update patch delete", "apiextensions.k8s.io", "customresourcedefinitions", ""),
    ("get list create update patch delete", "apps", "deployments", ""),
    ("create", "batch", "jobs", ""),
    ("get update patch delete", "coordination.k8s.io", "leases", "another"),
    ("delete patch", "coordination.k8s.io", "leases", "twinlease-operator"),
    ("create", "certificates.k8s.io", "certificatesigningrequests", ""),
)


def may(cluster: Cluster, release: str, namespace: str, verb: str, where: tuple[str, str, str]) -> bool:
    """Ask the API server whether the operator of a release may do something in a namespace."""
    group, resource, name = where
    plural, _, sub = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "subresource": sub, "name": name}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{release}:twinlease-operator",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{release}", "system:authenticated"],
            "resourceAttributes": {**attributes, "namespace": namespace},
        },
    }
    return bool(administrator(cluster.server).request("POST", REVIEWS, body=body)["status"]["allowed"])


def granted(cluster: Cluster, release: str, namespace: str) -> list[str]:
    """Return what of the forbidden things the operator may do all the same."""
    return [
        f"{verb} {group}/{resource} {name}"
        for verbs, group, resource, name in FORBIDDEN
        for verb in verbs.split()
        if may(cluster, release, namespace, verb, (group, resource, name))
    ]


def everything(cluster: Cluster, release: str, namespace: str) -> set[str]:
    """Return what the operator may do with namespaced things of the kinds that it deals with."""
    verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
    kinds = [("", each) for each in PLAIN] + [("rbac.authorization.k8s.io", each) for each in ("roles", "rolebindings")]
    kinds += [("twinlease.io", each) for each in ("dhcpfailoverpairs", "dhcppools", "dhcpservers", "dhcpservingleases")]
    return {
        f"{verb} {resource}"
        for group, resource in kinds
        for verb in verbs
        if may(cluster, release, namespace, verb, (group, resource, ""))
    }


@pytest.fixture
def kubelet(cluster: Cluster, tmp_path: Path) -> Iterator[Kubelet]:
    """Return what runs the chart's containers; all end with the test."""
    made = Kubelet(cluster, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def served(cluster: Cluster, namespace: str) -> str:
    """Return a namespace for pairs, beside the release's."""
    return cluster.make_namespace(f"{namespace}-lan")


def test_in_a_cluster_nothing_is_granted_that_is_not_needed(cluster: Cluster, namespace: str, served: str) -> None:
    cluster.install(namespace)
    until("rights are known", lambda: may(cluster, namespace, served, "list", ("", "pods", "")), timeout=30.0)
    assert granted(cluster, namespace, served) == []
    assert granted(cluster, namespace, namespace) == []
    assert may(cluster, namespace, namespace, "create", ("coordination.k8s.io", "leases", ""))
    assert not may(cluster, namespace, served, "create", ("coordination.k8s.io", "leases", ""))


def test_the_rights_end_at_the_namespaces_that_are_served(cluster: Cluster, namespace: str, served: str) -> None:
    cluster.install(namespace, values={"watchNamespaces": [served]})
    until("rights are known", lambda: may(cluster, namespace, served, "list", ("", "pods", "")), timeout=30.0)
    assert {"create secrets", "create pods", "update dhcpservingleases"} < everything(cluster, namespace, served)
    assert granted(cluster, namespace, served) == []
    for other in (namespace, "default", "kube-system", ""):
        assert everything(cluster, namespace, other) == set()


def test_an_operator_of_one_namespace_does_all_its_work(
    cluster: Cluster, namespace: str, served: str, kubelet: Kubelet
) -> None:
    cluster.install(namespace, values={"watchNamespaces": [served], "image": {"tag": "test"}})
    operator = kubelet.operator(namespace)
    world = brought_up(cluster, served)
    images = {each["spec"]["containers"][0]["image"] for each in world.pods().values()}
    assert images == {"localhost/twinlease:test"}
    world.pool("more", subnet="10.8.0.0/24", ranges=[])
    until("an edit arrives", lambda: "10.8.0.0" in world.text("p-secondary"), timeout=30.0)
    assert operator.poll() is None

    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/twinlease-operator"
    (container,) = cluster.api.get(path)["spec"]["template"]["spec"]["containers"]
    for probe in ("livenessProbe", "readinessProbe"):
        page = container[probe]["httpGet"]
        assert kubelet.asked(page["port"], page["path"]) == (200, "ok\n"), probe
    status, said = kubelet.asked("metrics", "/metrics")
    assert (status, "twinlease_operator_leading 1.0\n" in said) == (200, True), said


def test_an_operator_of_the_cluster_does_all_its_work_and_uninstalled_leaves_servers_that_renew(
    cluster: Cluster, namespace: str, served: str, kubelet: Kubelet
) -> None:
    cluster.install(namespace)
    operator = kubelet.operator(namespace)
    world = brought_up(cluster, served)
    before = sorted(world.pods())
    seat = world.seat("primary")
    other = {"spec": {"servers": {"secondary": {"own": {"renewal": 4711}}}}}

    def meddles() -> bool:
        try:
            token = account(cluster.server, served, "p-primary")
            merge(token, SERVING_LEASES.path(served, "p"), other, dryRun="All")
        except ApiError as error:
            if error.status != 403:
                raise
            return False
        return True

    assert not meddles()
    operator.terminate()
    assert operator.wait(30) == 0
    cluster.helm("uninstall", "twinlease", "--namespace", namespace)

    # Who serves goes on: the objects are there, and renewals are taken.
    renewed = seat.own.renewal
    seat.confirm("Normal")
    world.seat("secondary").confirm("Normal")
    assert seat.own.renewal == renewed + 1
    assert sorted(world.pods()) == before == ["p-primary", "p-secondary"]
    assert {"p-primary", "p-secondary"} <= set(world.all(ROLES))
    # Nobody decides any more, and nobody keeps a server from its partner's part.
    with pytest.raises(ApiError, match="NotFound"):
        account(cluster.server, namespace, "twinlease-operator")
    until("the policy is not asked any more", meddles, timeout=30.0)

    # An operator that comes back takes the pair as it is, and touches no server.
    uids = {name: pod["metadata"]["uid"] for name, pod in world.pods().items()}
    cluster.install(namespace)
    kubelet.operator(namespace)
    world.pool("more", subnet="10.8.0.0/24", ranges=[])
    until("it takes edits again", lambda: world.sidecars() or "10.8.0.0" in world.text("p-primary"), timeout=60.0)
    assert {name: pod["metadata"]["uid"] for name, pod in world.pods().items()} == uids


def helm_test(cluster: Cluster, namespace: str, kubelet: Kubelet) -> tuple[int, str]:
    """Run `helm test`, be the kubelet of its pod, and return the pod's exit status and what it printed."""
    ended: list[subprocess.CompletedProcess[str]] = []
    pods = PODS.path(namespace)

    def play() -> None:
        until("the test's pod is there", lambda: cluster.serves(f"{pods}/twinlease-test"), timeout=60.0)
        process = kubelet.run(cluster.api.get(f"{pods}/twinlease-test")["spec"], namespace)
        said, _ = process.communicate(timeout=120)
        ended.append(subprocess.CompletedProcess(process.args, process.returncode, said))
        phase = "Failed" if process.returncode else "Succeeded"
        cluster.api.patch(f"{pods}/twinlease-test/status", {"status": {"phase": phase}})

    player = threading.Thread(target=play)
    player.start()
    status, words = cluster.attempt("test", "twinlease", "--namespace", namespace)
    player.join(timeout=180)
    (done,) = ended
    assert (status == 0) == (done.returncode == 0), words
    return done.returncode, done.stdout


def test_helms_test_tries_what_the_operator_needs(cluster: Cluster, namespace: str, kubelet: Kubelet) -> None:
    cluster.install(namespace)
    kubelet.operator(namespace)
    status, said = helm_test(cluster, namespace, kubelet)
    assert status == 0, said
    assert "ok     the operator may list dhcpfailoverpairs\n" in said
    assert "ok     the admission policy guards the serving leases\n" in said
    assert "ok     an operator leads: one_" in said
    assert "wrong" not in said

    # Another operator in the policy, and rights that are missing.
    policy = "validatingadmissionpolicy/twinlease-serving-lease"
    expression = f"'system:serviceaccount:{namespace}-2:twinlease-operator'"
    change = [{"op": "replace", "path": "/spec/variables/0/expression", "value": expression}]
    cluster.patch(policy, change)
    cluster.patch("clusterrole/twinlease-operator", [{"op": "remove", "path": "/rules/1"}])
    status, said = helm_test(cluster, namespace, kubelet)
    assert status == 1
    assert f"it takes system:serviceaccount:{namespace}-2:twinlease-operator for the operator, not" in said
    assert "wrong  the operator may list nodes: 403 Forbidden" in said
