"""Volumes for the servers' leases: local ones, each on one node's disk, made beforehand as an administrator would."""

from typing import Any

from tests.lab.model import NODES, STORAGE_CLASS, VOLUME_ROOT, VOLUME_SIZE, VOLUMES_PER_NODE
from tests.lab.rest import Rest

_VOLUMES = "/api/v1/persistentvolumes"


def storage_class() -> dict[str, Any]:
    """Return the storage class of the nodes' disks: a volume is chosen when its pod's node is."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
    }


def volumes() -> list[dict[str, Any]]:
    """Return all nodes' volumes."""
    return [_volume(node.name, number) for node in NODES for number in range(1, VOLUMES_PER_NODE + 1)]


def create(api: Rest) -> None:
    """Make the storage class and the volumes."""
    api.post("/apis/storage.k8s.io/v1/storageclasses", storage_class())
    for volume in volumes():
        api.post(_VOLUMES, volume)


def released(api: Rest) -> list[str]:
    """Return the names of the volumes whose claim was deleted."""
    return [
        item["metadata"]["name"] for item in api.get(_VOLUMES)["items"] if item["status"].get("phase") == "Released"
    ]


def make_available(api: Rest, name: str) -> None:
    """Let a released volume be claimed again."""
    api.patch(f"{_VOLUMES}/{name}", {"spec": {"claimRef": None}})


def _volume(node: str, number: int) -> dict[str, Any]:
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{node}-v{number}"},
        "spec": {
            "capacity": {"storage": VOLUME_SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": f"{VOLUME_ROOT}/v{number}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }
