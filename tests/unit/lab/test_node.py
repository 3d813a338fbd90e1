"""A node's configuration and its disk."""

from pathlib import Path

import pytest

from tests.lab import node, storage
from tests.lab.model import NODES, VOLUMES_PER_NODE
from tests.lab.node import Machine
from tests.lab.shell import CommandError


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for place in ("mnt/disks/v1/sub", "mnt/disks/v2", "srv/dhcp", "var/lib/kubelet", "var/lib/twinlease"):
        (tmp_path / place).mkdir(parents=True)
    for file in ("mnt/disks/v1/leases", "mnt/disks/v1/sub/x", "srv/dhcp/leases", "var/lib/kubelet/keep"):
        (tmp_path / file).write_text("x")
    return Machine(NODES[0], tmp_path)


def test_wiping_spares_the_volumes_and_the_node_itself(machine: Machine) -> None:
    removed = machine.wipe()
    assert sorted(removed) == ["/mnt/disks/v1/leases", "/mnt/disks/v1/sub", "/srv/dhcp", "/var/lib/twinlease"]
    assert (machine.directory / "mnt/disks/v1").is_dir()
    assert (machine.directory / "var/lib/kubelet/keep").exists()
    assert machine.wipe() == []


def test_a_disk_that_is_rolled_back_is_as_it_was(machine: Machine, tmp_path: Path) -> None:
    machine.copy_volumes(tmp_path / "copy")
    (machine.volumes / "v1/leases").write_text("newer")
    (machine.volumes / "v2/made-later").touch()
    machine.restore_volumes(tmp_path / "copy")
    assert (machine.volumes / "v1/leases").read_text() == "x"
    assert (machine.volumes / "v1/sub/x").read_text() == "x"
    assert not list((machine.volumes / "v2").iterdir())


def test_only_a_disk_of_its_own_can_be_stalled(machine: Machine) -> None:
    machine.freeze_volumes(frozen=False)  # nothing to do
    with pytest.raises(CommandError, match="not a file system of its own"):
        machine.freeze_volumes(frozen=True)


def test_emptying_one_volume_spares_the_others(machine: Machine) -> None:
    machine.empty_volume("v1")
    assert not list((machine.directory / "mnt/disks/v1").iterdir())
    assert (machine.directory / "srv/dhcp/leases").exists()


def test_the_kubelet_starts_killed_servers_again_soon() -> None:
    config = node.kubelet_config()
    assert config["crashLoopBackOff"] == {"maxContainerRestartPeriod": "4s"}
    assert config["featureGates"]["KubeletCrashLoopBackOffMax"]


def test_pods_of_different_nodes_get_different_addresses() -> None:
    ranges = {str(node.pod_network(each)["plugins"][0]["ipam"]["ranges"]) for each in NODES}
    assert len(ranges) == len(NODES)


def test_each_node_has_its_volumes_on_its_own_disk() -> None:
    volumes = storage.volumes()
    assert len({each["metadata"]["name"] for each in volumes}) == VOLUMES_PER_NODE * len(NODES)
    for each in volumes:
        terms = each["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        owner = each["metadata"]["name"].split("-")[0]
        assert terms[0]["matchExpressions"][0]["values"] == [owner]
        assert each["spec"]["storageClassName"] == storage.storage_class()["metadata"]["name"]
