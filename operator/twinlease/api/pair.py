"""``DHCPFailoverPair``: two DHCP servers on two nodes that share their leases."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from twinlease.api.failover import FAILOVER_RULES, Failover
from twinlease.api.peer import PEER_RULES, Peer
from twinlease.api.permit import Fence, Isolation, PartnerDown, ServingLeaseTimes
from twinlease.api.rules import immutable
from twinlease.api.storage import STORAGE_RULES, Storage
from twinlease.api.types import Model, Port, described
from twinlease.api.workload import Resources, Toleration


class Engine(StrEnum):
    """The DHCP server program."""

    ISC = "ISC"


class PairSpec(Model, frozen=True, kw_only=True):
    """What the user wants of a pair."""

    primary: Annotated[Peer, PEER_RULES, described("The failover protocol's primary server.")]
    secondary: Annotated[Peer, PEER_RULES, described("The failover protocol's secondary server.")]
    engine: Annotated[Engine, immutable("the lease databases of two engines differ"), described("DHCP server.")] = (
        Engine.ISC
    )
    failover: Annotated[Failover, FAILOVER_RULES, described("The failover protocol's parameters.")] = field(
        default_factory=Failover
    )
    partner_down: Annotated[PartnerDown, described("When the survivor may take over.")] = field(
        default_factory=PartnerDown
    )
    isolation: Annotated[
        Isolation,
        described(
            "A server that reaches neither the API nor its partner: Fence, it stops when its permit ends, so that the "
            "other may take over; Serve, it goes on for ever, and its silence is never evidence."
        ),
    ] = Isolation.FENCE
    fence: Annotated[
        Fence,
        described(
            "Kernel: the end of a permit counts as evidence only where the kernel enforces it. Process: the guard's "
            "kill is enough for you."
        ),
    ] = Fence.KERNEL
    serving_lease: Annotated[ServingLeaseTimes, described("Durations of the permit to serve.")] = field(
        default_factory=ServingLeaseTimes
    )
    storage: Annotated[Storage, STORAGE_RULES, described("Where the lease databases live.")] = field(
        default_factory=Storage
    )
    omapi_port: Annotated[Port, described("TCP port of dhcpd's control interface, on the nodes' own network.")] = 7911
    peer_port: Annotated[
        int,
        Meta(ge=1024, le=65535),
        described("UDP port on which the two sidecars talk to each other, on the network of the failover link."),
    ] = 7912
    metrics_port: Annotated[
        int,
        Meta(ge=0, le=65535),
        described(
            "TCP port of the sidecars' metrics, on the nodes' own addresses, for Prometheus; 1024 and above, or 0: "
            "there are none."
        ),
    ] = 7913
    image: (
        Annotated[str, Meta(max_length=512), described("Image of the server pods; left out: the operator's own.")]
        | UnsetType
    ) = UNSET
    image_pull_policy: (
        Annotated[
            str,
            Meta(extra_json_schema={"enum": ["Always", "IfNotPresent", "Never"]}),
            described("When the nodes fetch the image; left out: as for any pod."),
        ]
        | UnsetType
    ) = UNSET
    image_pull_secrets: Annotated[
        tuple[Annotated[str, Meta(max_length=253)], ...],
        Meta(max_length=8, description="Names of Secrets with the registry's credentials."),
    ] = ()
    resources: Annotated[Resources, described("Resources of the server pods.")] = field(default_factory=Resources)
    tolerations: Annotated[
        tuple[Toleration, ...],
        Meta(
            max_length=32,
            description="Tolerations of the server pods. Not-ready and unreachable nodes are tolerated for ever "
            "anyway: moving a server away from its leases helps nobody.",
        ),
    ] = ()
    priority_class_name: (
        Annotated[
            str,
            Meta(max_length=253),
            described("Priority class of the server pods; system-node-critical keeps them under memory pressure."),
        ]
        | UnsetType
    ) = UNSET
    paused: Annotated[
        bool,
        described("True: the operator changes nothing about the servers of this pair and only reports."),
    ] = False
