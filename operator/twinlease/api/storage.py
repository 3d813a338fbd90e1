"""Where the lease databases live."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from twinlease.api.rules import matching, rule, unchanged, validations
from twinlease.api.types import Model, Quantity, described


class ReclaimPolicy(StrEnum):
    """What becomes of the leases when the pair is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class ClaimTemplate(Model, frozen=True, kw_only=True):
    """A PersistentVolumeClaim for each server."""

    storage_class_name: (
        Annotated[
            str,
            Meta(max_length=253),
            described(
                "Storage class; left out: the cluster's default. Use node-local storage: storage on the network must "
                "not need this DHCP to come up."
            ),
        ]
        | UnsetType
    ) = UNSET
    size: Annotated[Quantity, described("Size of the claim.")] = "1Gi"


class NodeDirectory(Model, frozen=True, kw_only=True):
    """A directory on each node instead of a claim."""

    path: Annotated[
        str,
        Meta(max_length=255),
        matching("^/[A-Za-z0-9._/-]+$", "be an absolute path of letters, digits, '.', '_' and '-'"),
        described(
            "Absolute path on the node. It must exist and be owned by uid 6767, which Kubernetes cannot arrange: "
            "`install -d -o 6767 -g 6767 -m 0700 PATH`."
        ),
    ]


class Storage(Model, frozen=True, kw_only=True):
    """Where each server keeps its lease database."""

    persistent_volume_claim: (
        Annotated[ClaimTemplate, described("A claim for each server; the default, with the default storage class.")]
        | UnsetType
    ) = UNSET
    node_directory: Annotated[NodeDirectory, described("A directory on the node for each server.")] | UnsetType = UNSET
    reclaim_policy: Annotated[
        ReclaimPolicy,
        described(
            "Retain keeps the claims when the pair is deleted, so that a pair of the same name finds its leases."
        ),
    ] = ReclaimPolicy.RETAIN


_LEASES = "the leases are on it. Only reclaimPolicy can change"

STORAGE_RULES = validations(
    rule(
        "!(has(self.persistentVolumeClaim) && has(self.nodeDirectory))",
        "must not be set beside persistentVolumeClaim: choose one of them",
        path=".nodeDirectory",
    ),
    rule(
        "!(has(self.nodeDirectory) && has(self.reclaimPolicy) && self.reclaimPolicy == 'Delete')",
        "must be Retain with a nodeDirectory, which belongs to the node's administrator",
        path=".reclaimPolicy",
        value="self.reclaimPolicy",
    ),
    unchanged("nodeDirectory", _LEASES),
    unchanged("persistentVolumeClaim", _LEASES),
)
