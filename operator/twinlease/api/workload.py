"""What the server pods may use, and which nodes they stand."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from twinlease.api.types import LABEL_VALUE, Model, Quantity, described


class ResourceRequirements(Model, frozen=True, kw_only=True):
    """Requests and limits of one container."""

    requests: Annotated[
        dict[Annotated[str, LABEL_VALUE], Quantity],
        Meta(max_length=8, description="What the scheduler sets aside, by resource: `cpu`, `memory`."),
    ] = field(default_factory=dict)
    limits: Annotated[
        dict[Annotated[str, LABEL_VALUE], Quantity],
        Meta(max_length=8, description="What the container cannot exceed, by resource. A CPU limit delays answers."),
    ] = field(default_factory=dict)


class Resources(Model, frozen=True, kw_only=True):
    """Resources of the pod's two containers."""

    server: Annotated[ResourceRequirements, described("Of the DHCP server and its guard.")] = field(
        default_factory=ResourceRequirements
    )
    sidecar: Annotated[ResourceRequirements, described("Of the sidecar.")] = field(default_factory=ResourceRequirements)


class Toleration(Model, frozen=True, kw_only=True):
    """A toleration as in a pod's spec."""

    key: Annotated[str, Meta(max_length=317), described("Key of the taint; left out: every key.")] | UnsetType = UNSET
    operator: (
        Annotated[
            str,
            Meta(extra_json_schema={"enum": ["Equal", "Exists"]}),
            described("Exists tolerates every value of the key."),
        ]
        | UnsetType
    ) = UNSET
    value: Annotated[str, LABEL_VALUE, described("Value of the taint, for the operator Equal.")] | UnsetType = UNSET
    effect: (
        Annotated[
            str,
            Meta(extra_json_schema={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]}),
            described("Effect of the taint; left out: every effect."),
        ]
        | UnsetType
    ) = UNSET
    toleration_seconds: (
        Annotated[int, described("How long a NoExecute taint is tolerated; left out: for ever.")] | UnsetType
    ) = UNSET
