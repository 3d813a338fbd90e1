"""The pod as the architecture's capability table and the security baseline want it; chunks; rights."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.api.pair import PairSpec
from twinlease.controller.manifests import access, config, pod
from twinlease.controller.manifests.common import Owner
from twinlease.decide.placement import Placement
from twinlease.model.decision import Decision
from twinlease.model.states import Role

OWNER = Owner(namespace="ns", name="p", uid="uid")
PLACED = Placement(decision=Decision(action="Place", reason="Placed", message=""), node="n1")


def spec(**more: object) -> PairSpec:
    peers = {role: {"nodeName": role, "interface": "eth1"} for role in ("primary", "secondary")}
    return msgspec.convert({**peers, **more}, PairSpec)


def built(role: Role = Role.PRIMARY, placement: Placement = PLACED, **more: object) -> dict[str, Any]:
    found: dict[str, Any] = pod.pod(OWNER, spec(**more), role, placement, "image:1")["spec"]
    return found


def test_only_the_server_has_capabilities_and_only_the_three() -> None:
    found = built()
    (server,), (sidecar,) = found["containers"], found["initContainers"]

    assert server["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"],
    }
    assert sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert sidecar["restartPolicy"] == "Always"


def test_the_security_baseline_holds_for_the_pod_and_both_containers() -> None:
    found = built()

    assert found["securityContext"]["runAsNonRoot"] is True
    assert {found["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {6767}
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*found["containers"], *found["initContainers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_token_and_the_key_reach_the_sidecar_only() -> None:
    found = built()
    (server,), (sidecar,) = found["containers"], found["initContainers"]

    assert found["automountServiceAccountToken"] is False
    assert {each["name"] for each in server["volumeMounts"]} == {"run", "leases", "tmp"}
    assert {each["name"] for each in sidecar["volumeMounts"]} == {"run", "leases", "tmp", "omapi", "api-access"}
    leases = {each["name"]: each.get("readOnly", False) for each in sidecar["volumeMounts"]}
    assert leases["leases"] is True


def test_every_port_is_declared_on_the_host() -> None:
    found = built(primary={"nodeName": "n1", "interface": "eth1", "failoverPort": 1647}, omapiPort=7000)

    ports = {(each["hostPort"], each["containerPort"], each["protocol"]) for each in found["containers"][0]["ports"]}
    assert ports == {(67, 67, "UDP"), (1647, 1647, "TCP"), (7000, 7000, "TCP"), (7913, 7913, "TCP")}


def test_without_a_port_there_are_no_metrics() -> None:
    found = built(metricsPort=0)

    assert "metrics" not in {each["name"] for each in found["containers"][0]["ports"]}
    assert {"name": "TWINLEASE_METRICS_PORT", "value": "0"} in found["initContainers"][0]["env"]


def test_a_server_stays_on_a_lost_node_and_off_its_partners() -> None:
    found = built(tolerations=[{"key": "dhcp", "operator": "Exists"}])

    lasting = [each for each in found["tolerations"] if each["key"].startswith("node.kubernetes.io/")]
    assert {each["key"] for each in lasting} == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert not any("tolerationSeconds" in each for each in lasting)
    assert {"key": "dhcp", "operator": "Exists"} in found["tolerations"]
    (apart,) = found["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["labelSelector"] == {"matchLabels": {"twinlease.io/pair": "p", "twinlease.io/role": "secondary"}}


def test_placement_is_no_part_of_the_template() -> None:
    anywhere = Placement(decision=PLACED.decision, selector={"dhcp": "yes"}, avoid=("n2",))
    one, other = (pod.pod(OWNER, spec(), Role.PRIMARY, each, "image:1") for each in (PLACED, anywhere))

    assert one["metadata"]["annotations"] == other["metadata"]["annotations"]
    assert one["spec"]["affinity"] != other["spec"]["affinity"]


@pytest.mark.parametrize(
    "more",
    [
        {"image": "image:2"},
        {"omapiPort": 7000},
        {"metricsPort": 0},
        {"priorityClassName": "high"},
        {"resources": {"server": {"limits": {"memory": "1Gi"}}}},
        {"tolerations": [{"key": "dhcp"}]},
    ],
)
def test_whatever_needs_another_pod_changes_its_template(more: dict[str, Any]) -> None:
    assert pod.template_hash(OWNER, spec(**more), Role.PRIMARY, "image:1") != pod.template_hash(
        OWNER, spec(), Role.PRIMARY, "image:1"
    )


def test_a_node_directory_needs_no_claim() -> None:
    storage = {"nodeDirectory": {"path": "/srv/leases"}}

    assert pod.volume_claim(OWNER, spec(storage=storage), Role.PRIMARY, owned=False) is None
    (leases,) = [each for each in built(storage=storage)["volumes"] if each["name"] == "leases"]
    assert leases["hostPath"] == {"path": "/srv/leases", "type": "Directory"}


def test_the_key_is_sixteen_bytes_in_base64() -> None:
    body = access.secret(OWNER, lambda count: b"\x01" * count)

    assert body["stringData"] == {"secret": "AQEBAQEBAQEBAQEBAQEBAQ=="}


@given(st.text(st.sampled_from("ab\né"), max_size=300), st.integers(1, 40))
def test_chunks_are_the_text_again_and_cut_at_line_ends(text: str, limit: int) -> None:
    found = config.revision(text, limit)

    assert "".join(found.chunks) == text
    for one, _ in pairwise(found.chunks):
        assert one.endswith("\n")
    for chunk in found.chunks:
        assert len(chunk.encode()) <= limit or chunk.count("\n", 0, -1) == 0


def test_a_configuration_has_names_of_its_own_content() -> None:
    bodies = config.config_maps(OWNER, Role.PRIMARY, config.revision("a\nb\n", 2))

    assert [each["metadata"]["name"] for each in bodies] == list(config.revision("a\nb\n", 2).names("p-primary"))
    assert [each["data"]["config"] for each in bodies] == ["a\n", "b\n"]
    assert all(each["immutable"] for each in bodies)
