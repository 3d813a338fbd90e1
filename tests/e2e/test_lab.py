"""The lab itself: what it offers is there, and each fault has its effect, and loses it when it is mended."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import clients, leftovers, netns
from tests.lab.cluster import Lab
from tests.lab.dhcp import checksum
from tests.lab.leftovers import LeftoversError
from tests.lab.model import CLIENTS, MANAGEMENT_ADDRESS, MANAGEMENT_NAMESPACE, NODES, PROJECT_IMAGE, STORAGE_CLASS
from tests.lab.processes import in_namespace
from tests.lab.shell import succeeds
from tests.lab.switch import DIRECTIONS, Direction
from tests.lab.waiting import until

N1, N2, N3 = NODES
LEFT, RIGHT = CLIENTS


def reaches(namespace: str, address: str) -> bool:
    """Say whether one echo request is answered."""
    return succeeds(in_namespace(namespace, ["busybox", "ping", "-c", "1", "-W", "1", address]))


def api_answers(namespace: str) -> bool:
    """Say whether a connection to the API server can be made."""
    with netns.entered(netns.path(namespace)):
        probe = socket.socket()
    with probe:
        probe.settimeout(1)
        return probe.connect_ex((MANAGEMENT_ADDRESS, 443)) == 0


@pytest.fixture
def addressed(lab: Lab) -> Iterator[dict[str, str]]:
    """The two clients with an address each, so that pings can tell who is connected."""
    given = {LEFT.namespace: "10.250.0.201", RIGHT.namespace: "10.250.0.202"}
    for namespace, address in given.items():
        lab.exec_client(["ip", "addr", "add", f"{address}/24", "dev", "eth0"], namespace)
    yield given
    for namespace in given:
        lab.exec_client(["ip", "addr", "flush", "dev", "eth0"], namespace)


def test_a_second_lab_is_refused_and_the_first_one_named(lab: Lab) -> None:
    with pytest.raises(LeftoversError, match=rf"(?s)booted .*{MANAGEMENT_NAMESPACE}.*--force"):
        leftovers.refuse(lab.directory)


def test_kubectl_works_from_the_host(lab: Lab) -> None:
    nodes = json.loads(lab.kubectl("get", "nodes", "--output=json"))["items"]
    addresses = {each["metadata"]["name"]: each["status"]["addresses"][0]["address"] for each in nodes}
    assert addresses == {each.name: each.management_address for each in NODES}


def test_nodes_leave_the_hosts_kernel_settings_alone(lab: Lab) -> None:
    # The kubelet's view: a pod on the node has one of its own.
    kubelet = next(pid for pid in lab.node_processes("n1") if _command(pid) == "kubelet")
    inside = Path(f"/proc/{kubelet}/root/proc/sys/kernel/panic")
    assert inside.read_text(encoding="utf-8") == "10"  # what a kubelet sets at its start
    assert inside.stat().st_dev != Path("/proc/sys/kernel/panic").stat().st_dev


def _command(pid: int) -> str:
    """Return the name of a process; none if it has ended since it was listed."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_pod_gets_a_disk_a_sidecar_and_the_api(lab: Lab, scratch: str) -> None:
    lab.kubectl("apply", "--namespace", scratch, "--filename=-", stdin=json.dumps(disk_claim()))
    lab.kubectl("apply", "--namespace", scratch, "--filename=-", stdin=json.dumps(disk_writer()))
    lab.kubectl("wait", "--namespace", scratch, "--for=condition=Ready", "pod/writer", "--timeout=60s", timeout=70)
    assert "wrote" in lab.kubectl("logs", "--namespace", scratch, "writer", "--container=writer")
    written = lab.kubectl("exec", "--namespace", scratch, "writer", "--container=writer", "--", "cat", "/data/file")
    assert written == "kept\n"
    (volume,) = {
        each["metadata"]["name"]: each["metadata"]["name"].rpartition("-")[2]
        for each in json.loads(lab.kubectl("get", "pv", "--output=json"))["items"]
        if each["spec"].get("claimRef", {}).get("namespace") == scratch
    }.values()
    file = lab.machines["n2"].directory / f"mnt/disks/{volume}/file"
    assert file.read_text(encoding="utf-8") == "kept\n"
    assert [each for each in lab.faults.wipe("n2") if each.endswith("/file")]
    assert not file.exists()


def test_a_deleted_claims_volume_can_be_had_again(lab: Lab, scratch: str) -> None:
    before = json.loads(lab.kubectl("get", "pv", "n3-v1", "--output=json"))["metadata"]["uid"]
    claim = disk_claim()
    claim["spec"]["volumeName"] = "n3-v1"  # bound at once, without a pod
    lab.kubectl("apply", "--namespace", scratch, "--filename=-", stdin=json.dumps(claim))
    phase = ["get", "pv", "n3-v1", "--output=jsonpath={.status.phase}"]
    until("the volume is bound", lambda: lab.kubectl(*phase) == "Bound", timeout=30)
    (lab.machines["n3"].directory / "mnt/disks/v1/old").touch()
    lab.kubectl("delete", "pvc", "disk", "--namespace", scratch)
    until("the volume is released", lambda: lab.kubectl(*phase) == "Released", timeout=30)
    assert lab.recycle_volumes() == ["n3-v1"]
    until("the volume is available", lambda: lab.kubectl(*phase) == "Available", timeout=30)
    assert not list((lab.machines["n3"].directory / "mnt/disks/v1").iterdir())
    assert json.loads(lab.kubectl("get", "pv", "n3-v1", "--output=json"))["metadata"]["uid"] == before


def test_clients_can_be_added_to_either_side(lab: Lab) -> None:
    namespace = lab.add_client("extra", "right")
    try:
        lab.exec_client(["ip", "addr", "add", "10.250.0.203/24", "dev", "eth0"], namespace)
        assert reaches(namespace, N1.lan_address)
    finally:
        lab.remove_client("extra")
    assert namespace not in netns.names()


def test_power_off_is_sudden_and_power_on_brings_the_node_back(breakable: Lab) -> None:
    lab = breakable
    kept = lab.machines["n1"].directory / "srv/kept"
    kept.write_text("x", encoding="utf-8")
    lab.faults.power_off("n1")
    assert not reaches(N2.namespace, N1.lan_address)
    assert not lab.node_processes("n1")
    lab.await_node("n1", ready=False, timeout=30)
    lab.faults.power_on("n1")
    lab.await_node("n1", ready=True, timeout=60)
    assert reaches(N2.namespace, N1.lan_address)
    assert kept.exists()


def test_a_frozen_node_is_noticed_and_goes_on_when_thawed(breakable: Lab) -> None:
    lab = breakable
    lab.faults.freeze("n2")
    assert reaches(N1.namespace, N2.lan_address)  # its kernel goes on
    lab.await_node("n2", ready=False, timeout=30)
    lab.faults.thaw("n2")
    lab.await_node("n2", ready=True, timeout=30)


def test_cutting_the_api_cuts_nothing_else(breakable: Lab) -> None:
    lab = breakable
    lab.faults.cut("n3", "api")
    assert not api_answers(N3.namespace)
    assert reaches(N3.namespace, N2.management_address)
    assert reaches(N3.namespace, N2.lan_address)
    lab.await_node("n3", ready=False, timeout=30)
    lab.faults.heal("n3", "api")
    assert api_answers(N3.namespace)
    lab.await_node("n3", ready=True, timeout=60)


@pytest.mark.parametrize("direction", [*DIRECTIONS, None])
def test_cutting_the_lan_cuts_nothing_else(
    breakable: Lab, addressed: dict[str, str], direction: Direction | None
) -> None:
    lab = breakable
    client = next(iter(addressed))
    assert reaches(client, N1.lan_address)
    lab.faults.cut("n1", "lan", direction)
    assert not reaches(client, N1.lan_address)
    assert reaches(client, N2.lan_address)
    assert reaches(N1.namespace, N2.management_address)
    assert api_answers(N1.namespace)
    lab.faults.heal("n1", "lan")
    assert reaches(client, N1.lan_address)


def test_one_way_cuts_lose_one_direction_only(breakable: Lab) -> None:
    for direction in DIRECTIONS:
        heard = direction == "out"
        breakable.faults.cut("n1", "lan", direction)
        assert broadcast_is_heard(LEFT.namespace, "eth0", N1.namespace, "lan0") is heard
        assert broadcast_is_heard(N1.namespace, "lan0", LEFT.namespace, "eth0") is not heard
        breakable.faults.heal("n1", "lan", direction)
    assert broadcast_is_heard(LEFT.namespace, "eth0", N1.namespace, "lan0")


def test_cutting_the_peers_spares_clients_and_the_api(breakable: Lab, addressed: dict[str, str]) -> None:
    lab = breakable
    lab.faults.cut("n1", "peer")
    for other in (N2, N3):
        assert not reaches(N1.namespace, other.lan_address)
        assert not reaches(N1.namespace, other.management_address)
    assert reaches(N2.namespace, N3.lan_address)
    assert api_answers(N1.namespace)
    for client in addressed:
        assert reaches(client, N1.lan_address)
    # A server's broadcast answer to a client still goes everywhere, also past the other nodes.
    assert broadcast_is_heard(N1.namespace, "lan0", N2.namespace, "lan0", source_port=67)
    assert not broadcast_is_heard(N1.namespace, "lan0", N2.namespace, "lan0", source_port=9)
    lab.faults.heal("n1", "peer")
    assert reaches(N1.namespace, N2.lan_address)


def test_a_split_lan_has_two_halves_that_work(breakable: Lab, addressed: dict[str, str]) -> None:
    lab = breakable
    left, right = addressed
    lab.faults.split_lan()
    assert reaches(left, N1.lan_address)
    assert reaches(right, N2.lan_address)
    assert not reaches(left, N2.lan_address)
    assert not reaches(right, N1.lan_address)
    assert reaches(N1.namespace, N2.management_address)
    lab.faults.join_lan()
    # The kernel tells a bridge of a carrier up to a second late.
    until("the halves are one again", lambda: reaches(left, N2.lan_address), timeout=5)


def test_clients_without_a_server_end_in_time(lab: Lab) -> None:
    began = time.monotonic()
    lonely = lab.add_client("lonely", "left")
    lab.faults.split_lan()
    lab.faults.cut("n1", "lan")
    try:
        with pytest.raises(clients.NoLeaseError):
            clients.udhcpc(lonely, timeout=3)
        with pytest.raises(clients.NoLeaseError):
            clients.dhclient(lonely, timeout=3)
        assert clients.acquire_many(lonely, 3, timeout=2) == {}
    finally:
        lab.faults.mend()
        lab.remove_client("lonely")
    assert time.monotonic() - began < 30


def broadcast_is_heard(sender: str, out: str, hearer: str, link: str, source_port: int = 9) -> bool:
    """Send UDP broadcasts by one namespace's interface and say whether another's gets one."""
    with netns.entered(netns.path(hearer)):
        ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with netns.entered(netns.path(sender)):
        mouth = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with ear, mouth:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        ear.bind(("0.0.0.0", 4011))
        ear.settimeout(0.5)
        mouth.bind((out, 0))
        payload = b"lab"
        udp = b"".join(value.to_bytes(2, "big") for value in (source_port, 4011, 8 + len(payload), 0)) + payload
        mouth.send(b"\xff" * 6 + mouth.getsockname()[4] + b"\x08\x00" + ip_header(len(udp)) + udp)
        try:
            return ear.recv(100) == payload
        except TimeoutError:
            return False


def ip_header(length: int) -> bytes:
    """Return the header of an IPv4 broadcast that carries UDP."""
    head = bytes([0x45, 0]) + (20 + length).to_bytes(2, "big") + bytes([0, 0, 0, 0, 64, 17, 0, 0])
    head += bytes(4) + b"\xff" * 4
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:]


def disk_claim() -> dict[str, Any]:
    """Return a claim on one of the nodes' disks."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "disk"},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def disk_writer() -> dict[str, Any]:
    """Return a pod as the servers' pods are: pinned, on the host's network, not root, with a disk and a sidecar."""
    write = ["sh", "-c", "echo kept > /data/file && echo wrote && exec sleep 999"]
    idle = ["sleep", "999"]
    locked_down = {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    own = {"image": PROJECT_IMAGE, "imagePullPolicy": "Never", "securityContext": locked_down}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer"},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": {"kubernetes.io/hostname": "n2"},
            "securityContext": {
                "runAsUser": 6767,
                "runAsGroup": 6767,
                "fsGroup": 6767,
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [{**own, "name": "sidecar", "command": idle, "restartPolicy": "Always"}],
            "containers": [
                {**own, "name": "writer", "command": write, "volumeMounts": [{"name": "disk", "mountPath": "/data"}]}
            ],
            "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}],
        },
    }
