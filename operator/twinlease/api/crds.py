"""The CustomResourceDefinitions: names, printer columns and the root of each schema around typed spec and status."""

from typing import Any, TypeAlias

from msgspec import Struct

from twinlease.api.pair import PairSpec
from twinlease.api.pairrules import PAIR_RULES
from twinlease.api.pairstatus import PairStatus
from twinlease.api.pool import POOL_RULES, PoolSpec, PoolStatus
from twinlease.api.reservation import ReservationSpec, ReservationStatus
from twinlease.api.rules import rule, rules_of
from twinlease.api.schema import structural
from twinlease.api.server import ServerSpec, ServerStatus
from twinlease.api.servinglease import SERVING_LEASE_RULES, ServingLeaseSpec
from twinlease.api.types import GROUP, VERSION, Model

Json: TypeAlias = dict[str, Any]

LONGEST_PAIR_NAME = 52
"""A server is called after its pair, with ``-secondary`` behind, and that must fit into a label's 63 characters."""


class Column(Struct, frozen=True):
    """A column of ``kubectl get``; a wide one is shown with ``-o wide`` only."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False

    def as_json(self) -> Json:
        """Return the column as the definition wants it."""
        built: Json = {"name": self.name, "type": self.type, "jsonPath": self.path, "description": self.description}
        return built | ({"priority": 1} if self.wide else {})


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of object.

    Attributes:
        rules: CEL rules on the whole spec.
        root_rules: CEL rules on the whole object; they see of metadata the name only.
    """

    name: str
    plural: str
    short: str
    description: str
    spec: type[Model]
    status: type[Model] | None
    columns: tuple[Column, ...]
    rules: tuple[dict[str, str], ...] = ()
    root_rules: tuple[dict[str, str], ...] = ()


def _condition(name: str, kind: str, description: str, *, wide: bool = False) -> Column:
    return Column(name, f'.status.conditions[?(@.type=="{kind}")].status', description, wide=wide)


def _why(kind: str) -> Column:
    return Column("REASON", f'.status.conditions[?(@.type=="{kind}")].reason', f"Why {kind} is what it is.", wide=True)


_AGE = Column("AGE", ".metadata.creationTimestamp", "Since when it exists.", "date")


def _peer(role: str, field: str) -> str:
    return f'.status.servers[?(@.role=="{role}")].{field}'


PAIR = Kind(
    name="DHCPFailoverPair",
    plural="dhcpfailoverpairs",
    short="dfp",
    description="Two DHCP servers on two nodes that share their leases: either goes on when the other dies. Pools "
    "(dpool) and reservations (dres) name the pair that serves them.",
    spec=PairSpec,
    status=PairStatus,
    columns=(
        Column("STATE", ".status.state", "Failover state, of the primary and the secondary where they differ."),
        Column("SURVIVOR", ".status.survivor", "Who serves alone, in partner-down."),
        Column("PRIMARY", _peer("primary", "node"), "Node of the primary."),
        Column("SECONDARY", _peer("secondary", "node"), "Node of the secondary."),
        _condition("SERVING", "Available", "Whether at least one server answers its clients."),
        _condition("VALID", "Valid", "Whether the specification is in force; if not, the last good one is."),
        Column("FREE", ".status.free", "Free addresses.", "integer"),
        Column("ACTIVE", ".status.active", "Leased addresses.", "integer"),
        _AGE,
        Column("ADDRESSES", ".status.addresses", "Dynamic addresses of all pools.", "integer", wide=True),
        Column("POOLS", ".status.pools", "Pools in force.", "integer", wide=True),
        Column("RESERVATIONS", ".status.reservations", "Reservations in force.", "integer", wide=True),
        Column("PRIMARY-ADDRESS", _peer("primary", "address"), "Serving address of the primary.", wide=True),
        Column("SECONDARY-ADDRESS", _peer("secondary", "address"), "Serving address of the secondary.", wide=True),
        _condition("REDUNDANT", "Redundant", "Whether either server may die.", wide=True),
        Column("TAKEOVER", ".status.takeover.reason", "The verdict on partner-down.", wide=True),
        _condition("FENCED", "KernelFence", "Whether the kernel ends a server's service with its permit.", wide=True),
        _why("Progressing"),
    ),
    rules=rules_of(PAIR_RULES),
    root_rules=(
        rule(
            f"size(self.metadata.name) <= {LONGEST_PAIR_NAME}",
            f"must have at most {LONGEST_PAIR_NAME} characters, for '-secondary' is added to it",
            path=".metadata.name",
            value="self.metadata.name",
        ),
    ),
)

POOL = Kind(
    name="DHCPPool",
    plural="dhcppools",
    short="dpool",
    description="A subnet that a pair serves, with the addresses that it may lease.",
    spec=PoolSpec,
    status=PoolStatus,
    columns=(
        Column("PAIR", ".spec.pairRef.name", "The pair that serves it."),
        Column("SUBNET", ".spec.subnet", "The subnet."),
        _condition("VALID", "Valid", "Whether the specification is in force; if not, the last good one is."),
        Column("ADDRESSES", ".status.addresses", "Dynamic addresses.", "integer"),
        Column("FREE", ".status.free", "Free, the primary's to give.", "integer"),
        Column("BACKUP", ".status.backup", "Free, the secondary's to give.", "integer"),
        Column("ACTIVE", ".status.active", "Leased.", "integer"),
        _AGE,
        Column("ABANDONED", ".status.abandoned", "In use by somebody without a lease.", "integer", wide=True),
        Column("LEASE", ".spec.leaseTime.default", "Lease length by default.", wide=True),
        Column("ROUTER", ".spec.options.routers[0]", "The first router.", wide=True),
        _condition("PROGRAMMED", "Programmed", "Whether both servers run it.", wide=True),
        _why("Valid"),
    ),
    rules=rules_of(POOL_RULES),
)

RESERVATION = Kind(
    name="DHCPReservation",
    plural="dhcpreservations",
    short="dres",
    description="A fixed address for one client, answered by both servers of the pair in every state.",
    spec=ReservationSpec,
    status=ReservationStatus,
    columns=(
        Column("PAIR", ".spec.pairRef.name", "The pair that honours it."),
        Column("MAC", ".spec.hardwareAddress", "The client's Ethernet address."),
        Column("ADDRESS", ".spec.address", "The client's address."),
        Column("HOSTNAME", ".spec.hostname", "The client's name."),
        _condition("VALID", "Valid", "Whether the specification is in force; if not, the last good one is."),
        _AGE,
        Column("POOL", ".status.pool", "The pool whose subnet holds the address.", wide=True),
        _condition("PROGRAMMED", "Programmed", "Whether both servers run it.", wide=True),
        _why("Valid"),
    ),
)

SERVER = Kind(
    name="DHCPServer",
    plural="dhcpservers",
    short="dsrv",
    description="One server of a pair. The operator makes it and its sidecar reports in it: look, do not edit.",
    spec=ServerSpec,
    status=ServerStatus,
    columns=(
        Column("PAIR", ".spec.pairRef.name", "Its pair."),
        Column("ROLE", ".spec.role", "Its fixed part in the failover protocol."),
        Column("NODE", ".spec.nodeName", "Its node."),
        Column("ADDRESS", ".status.network.address", "Its serving address."),
        Column("STATE", ".status.failover.state", "Its failover state."),
        Column("PARTNER", ".status.failover.partnerState", "Its partner's failover state, as it knows it."),
        Column("SERVING", ".status.serving", "Whether it answers every client that is its to answer.", "boolean"),
        _AGE,
        Column("PERMIT", ".status.permit.kind", "Why it may answer: Held, Promised, Endless or None.", wide=True),
        _condition("FENCED", "KernelFence", "Whether the kernel ends its service with its permit.", wide=True),
        Column("INTERFACE", ".status.network.interface", "Its serving interface.", wide=True),
        Column("CONFIG", ".status.config.revision", "Revision of the configuration that it runs.", wide=True),
        Column("STARTS", ".status.daemon.starts", "Starts of the daemon since its guard runs.", "integer", wide=True),
        Column("VERSION", ".status.daemon.version", "The daemon's version.", wide=True),
    ),
)

SERVING_LEASE = Kind(
    name="DHCPServingLease",
    plural="dhcpservingleases",
    short="dlease",
    description="Who of a pair may serve, who is revoked, and the order to enter partner-down. The operator makes it; "
    "each sidecar writes its own part: look, do not edit.",
    spec=ServingLeaseSpec,
    status=None,
    columns=(
        Column("PHASE", ".spec.phase", "How the two stand to each other."),
        Column("SURVIVOR", ".spec.survivor", "Who serves alone."),
        Column("EPOCH", ".spec.epoch", "Raised by every grant and every revocation.", "integer"),
        Column("PRIMARY", ".spec.servers.primary.own.report.state", "The primary's state when it last renewed."),
        Column("SECONDARY", ".spec.servers.secondary.own.report.state", "The secondary's state when it last renewed."),
        _AGE,
        Column("ORDER", ".spec.order.epoch", "Epoch of the last order.", "integer", wide=True),
        Column("PRIMARY-HOLDER", ".spec.servers.primary.grant.holder", "Who may serve as the primary.", wide=True),
        Column("SECONDARY-HOLDER", ".spec.servers.secondary.grant.holder", "Who may serve as secondary.", wide=True),
    ),
    rules=rules_of(SERVING_LEASE_RULES),
)

KINDS = (PAIR, POOL, RESERVATION, SERVER, SERVING_LEASE)


def definition(kind: Kind) -> Json:
    """Return the CustomResourceDefinition of a kind."""
    spec = structural(kind.spec)
    if kind.rules:
        spec["x-kubernetes-validations"] = list(kind.rules)
    root: Json = {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": spec,
        },
    }
    if kind.status is not None:
        root["properties"]["status"] = structural(kind.status)
    if kind.root_rules:
        root["x-kubernetes-validations"] = list(kind.root_rules)
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        **({} if kind.status is None else {"subresources": {"status": {}}}),
        "additionalPrinterColumns": [column.as_json() for column in kind.columns],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/name": "twinlease"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["dhcp"],
            },
            "versions": [version],
        },
    }


def definitions() -> dict[str, Json]:
    """Return all definitions by their file's name, in the order in which they are to be read."""
    return {f"{GROUP}_{kind.plural}.yaml": definition(kind) for kind in KINDS}
