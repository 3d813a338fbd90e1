"""``DHCPFailoverPair``: two DHCP servers on two nodes that share their leases."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from twinlease.api.rules import between, immutable, matching, rule, unchanged, validations
from twinlease.api.types import (
    Conditions,
    Duration,
    InterfaceName,
    IPv4,
    Model,
    Port,
    Quantity,
    Time,
    described,
)

LABEL_VALUE = Meta(max_length=63)


class Peer(Model, frozen=True, kw_only=True):
    """One of the two servers: where it runs and on which addresses it speaks."""

    node_name: (
        Annotated[
            str,
            Meta(min_length=1, max_length=63),
            described("The node, by name. The leases live on it, so it cannot change while the pair exists."),
        ]
        | UnsetType
    ) = UNSET
    node_selector: (
        Annotated[
            dict[Annotated[str, Meta(max_length=317)], Annotated[str, LABEL_VALUE]],
            Meta(
                min_length=1,
                max_length=16,
                description="Labels of the nodes that may run this server. The scheduler picks one; from then on the "
                "server stays on it, for its leases live there.",
            ),
        ]
        | UnsetType
    ) = UNSET
    interface: (
        Annotated[
            InterfaceName,
            described("Interface that serves DHCP. Left out: the interface that carries `address`."),
        ]
        | UnsetType
    ) = UNSET
    address: (
        Annotated[
            IPv4,
            described(
                "The node's own IPv4 address on the serving interface, and the server identifier (option 54) that "
                "clients see. Left out: the interface's only IPv4 address, or the first one in a pool's subnet."
            ),
        ]
        | UnsetType
    ) = UNSET
    failover_address: (
        Annotated[
            IPv4,
            described(
                "The node's address for the failover link, if that is not the serving one (a management network)."
            ),
        ]
        | UnsetType
    ) = UNSET
    failover_port: Annotated[Port, described("TCP port on which this server listens for its partner.")] = 647
    maintenance: Annotated[
        bool,
        described(
            "True: this server is stopped cleanly and stays so; its partner takes over at once. False brings it back, "
            "which takes the MCLT. Not for both servers at a time."
        ),
    ] = False


_MOVE = "the leases live on the node. Delete the pair and apply it again to move a server"

PEER_RULES = validations(
    rule("has(self.nodeName) || has(self.nodeSelector)", "nodeName or nodeSelector must be set: on which node?"),
    rule(
        "!(has(self.nodeName) && has(self.nodeSelector))",
        "must not be set beside nodeName: name the node or select it",
        path=".nodeSelector",
    ),
    rule("has(self.interface) || has(self.address)", "interface or address must be set: where shall it serve?"),
    unchanged("nodeName", _MOVE),
    unchanged("nodeSelector", _MOVE),
)


class Failover(Model, frozen=True, kw_only=True):
    """The failover protocol's parameters (draft-ietf-dhc-failover-12), the same on both sides by construction."""

    mclt: Annotated[
        Duration,
        between("5s", "24h"),
        described(
            "Maximum client lead time: how far a server may extend a lease beyond what its partner has acknowledged. "
            "After partner-down the partner's addresses stay untouched for this long; while the link is down new "
            "leases are this short."
        ),
    ] = "30m"
    split: (
        Annotated[
            int,
            Meta(ge=0, le=256),
            described(
                "Share of the clients that the primary answers, in 256ths of the hash space: 128 is half, 256 all. "
                "128 unless hba is set."
            ),
        ]
        | UnsetType
    ) = UNSET
    hba: (
        Annotated[
            str,
            Meta(max_length=95),
            matching("^([0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2}$", "be 32 octets of two hexadecimal digits, with colons"),
            described(
                "Hash bucket assignments instead of split: 32 colon-separated octets, one bit for each of the 256 "
                "buckets (RFC 3074); a set bit is the primary's."
            ),
        ]
        | UnsetType
    ) = UNSET
    max_response_delay: Annotated[
        Duration,
        between("3s", "10m"),
        described(
            "Silence on the failover link after which it is taken for broken. Not below 3s: servers call each other "
            "every third of it in whole seconds, and would call without pause."
        ),
    ] = "30s"
    max_unacked_updates: Annotated[
        int,
        # In the schema only: an object of an earlier version, which may say more, is to be read all the same.
        Meta(ge=1, extra_json_schema={"maximum": 3}),
        described("Unacknowledged binding updates on their way: 1 to 3, for with more dhcpd acknowledges late."),
    ] = 3
    load_balance_max_seconds: Annotated[
        int,
        Meta(ge=0, le=255),
        described(
            "A client that has tried for longer than this many seconds is answered by both servers. Network boot "
            "suffers above 3: UEFI then waits 36 s for a partner that died unnoticed. 0 switches the sharing off: "
            "both answer everybody."
        ),
    ] = 3


FAILOVER_RULES = validations(
    rule(
        "!(has(self.split) && has(self.hba))",
        "must not be set beside split, which says the same: remove one of them",
        path=".hba",
        value="self.hba",
    )
)


class PartnerDownMode(StrEnum):
    """Who takes the step into partner-down."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"
    NEVER = "Never"


class PartnerDown(Model, frozen=True, kw_only=True):
    """When the survivor may take over its partner's addresses."""

    mode: Annotated[
        PartnerDownMode,
        described(
            "Automatic: the operator declares partner-down when the evidence allows it. Manual: it does everything but "
            "that and says what it would do. Never: the pair stays in communications-interrupted."
        ),
    ] = PartnerDownMode.AUTOMATIC
    after: Annotated[
        Duration,
        between("5s", "24h"),
        described("How long one unbroken interruption must have lasted."),
    ] = "5m"


class Isolation(StrEnum):
    """What a server does that can reach neither the API nor its partner."""

    FENCE = "Fence"
    SERVE = "Serve"


class Fence(StrEnum):
    """What enforces the end of a server's permit to answer."""

    KERNEL = "Kernel"
    PROCESS = "Process"


class ServingLeaseTimes(Model, frozen=True, kw_only=True):
    """Durations of the permit to serve; the safety argument needs duration and promise below partnerDown.after."""

    duration: Annotated[
        Duration, between("2s", "12h"), described("How long a server may answer on one renewal of its serving lease.")
    ] = "4m"
    alone_duration: Annotated[
        Duration,
        between("2s", "168h"),
        described("How long a survivor alone may answer on one renewal: longer, so that it outlives an API outage."),
    ] = "1h"
    promise: Annotated[
        Duration,
        between("2s", "12h"),
        described("How long a partner promises not to enter partner-down, in good times."),
    ] = "4m"
    max_promise: Annotated[
        Duration,
        between("2s", "168h"),
        described("How long a partner promises not to enter partner-down while the API is out of reach."),
    ] = "30m"


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


class PairServer(Model, frozen=True, kw_only=True):
    """One server of the pair as its sidecar reports it."""

    name: Annotated[str, described("Name of its DHCPServer.")]
    role: Annotated[str, described("Its fixed part in the failover protocol: primary or secondary.")] = ""
    node: Annotated[str, described("The node, once placed.")] = ""
    address: Annotated[str, described("Serving address with its prefix length.")] = ""
    state: Annotated[str, described("The server's failover state as it reports it; Unknown if no report is fresh.")] = (
        "Unknown"
    )
    partner_state: Annotated[str, described("Its partner's failover state as it knows it.")] = "Unknown"
    serving: Annotated[bool, described("It answers every client that is its to answer.")] = False
    config: Annotated[str, described("Revision of the configuration that it runs.")] = ""
    permit: Annotated[
        str, described("Why it may answer: Held (renewals), Promised (by its partner), Endless, or None.")
    ] = ""
    kernel_fence: Annotated[bool, described("The kernel enforces the end of its permit.")] = False


class Takeover(Model, frozen=True, kw_only=True):
    """What partner-down means for this pair, and what the operator thinks of it now."""

    reason: Annotated[str, Meta(max_length=64), described("The verdict in one word.")] = ""
    message: Annotated[str, Meta(max_length=2048), described("The verdict in words, with times.")] = ""
    epoch: Annotated[int, described("Epoch of the serving lease; confirmations must repeat it.")] = 0
    earliest: Annotated[Time, described("When the takeover is considered at the earliest, while cut off.")] = ""
    addresses_usable: Annotated[
        Time, described("From when the survivor may hand out its partner's free addresses: start of state plus MCLT.")
    ] = ""
    parked_until: Annotated[
        Time, described("Until when the survivor keeps leases for their holders that its partner may have renewed.")
    ] = ""
    recover_ends: Annotated[Time, described("When the returning server's wait for the MCLT is over at the latest.")] = (
        ""
    )
    silence: Annotated[
        Duration,
        described("After this long without a renewal a server has stopped: servingLease.duration and a margin."),
    ] = "0s"


class PairStatus(Model, frozen=True, kw_only=True):
    """What is known of a pair, from what its sidecars report."""

    observed_generation: int = 0
    state: Annotated[
        str, described("Both failover states at a glance: Normal, or PRIMARY/SECONDARY where they differ.")
    ] = ""
    conditions: Conditions = ()
    servers: Annotated[
        tuple[PairServer, ...],
        Meta(
            max_length=2,
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    config: Annotated[str, described("Revision of the configuration that both shall run.")] = ""
    pools: int = 0
    reservations: int = 0
    addresses: Annotated[int, described("Dynamic addresses of all pools.")] = 0
    free: Annotated[int, described("Addresses free on either server, by the servers' lease databases.")] = 0
    active: Annotated[int, described("Addresses leased.")] = 0
    phase: Annotated[str, described("Both, Alone or Returning, by the serving lease.")] = ""
    survivor: Annotated[str, described("Who serves alone; empty: nobody.")] = ""
    takeover: Annotated[Takeover, described("Partner-down: the verdict and its dates.")] = Takeover()
