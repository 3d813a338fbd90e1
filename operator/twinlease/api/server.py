"""``DHCPServer``: one server of a pair, made by the operator; its sidecar reports in its status."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from twinlease.api.pair import Engine
from twinlease.api.permit import Fence
from twinlease.api.pool import Range
from twinlease.api.rules import immutable
from twinlease.api.types import (
    Conditions,
    Duration,
    Model,
    ObjectRef,
    ObservedGeneration,
    PlainIPv4,
    Port,
    Time,
    described,
)


class WantedConfig(Model, frozen=True, kw_only=True):
    """A rendered configuration: content-addressed, in chunks."""

    revision: Annotated[str, Meta(max_length=64), described("SHA-256 of the whole text, in hex.")]
    config_maps: Annotated[
        tuple[Annotated[str, Meta(max_length=253)], ...],
        Meta(max_length=64, description="The immutable ConfigMaps that hold it, in order, under the key `config`."),
    ]


MOST_POOLS = 1024
"""Of one pair."""


class ServedPool(Model, frozen=True, kw_only=True):
    """What the sidecar needs to count leases by pool."""

    name: Annotated[str, Meta(max_length=253), described("Name of the DHCPPool.")]
    ranges: Annotated[tuple[Range, ...], Meta(max_length=65536, description="Its dynamic addresses.")] = ()


class Partner(Model, frozen=True, kw_only=True):
    """The other server, as far as it has reported itself."""

    name: Annotated[str, Meta(max_length=63), described("Name of its DHCPServer.")]
    failover_address: Annotated[PlainIPv4, described("Where it is on the failover link; empty: not known yet.")] = ""
    failover_port: Annotated[Port, described("TCP port on which it listens for this server.")] = 647


class ServerSpec(Model, frozen=True, kw_only=True):
    """What the operator wants of a server."""

    pair_ref: Annotated[ObjectRef, immutable("a server belongs to one pair", "oldSelf.name"), described("The pair.")]
    role: Annotated[
        str,
        Meta(extra_json_schema={"enum": ["primary", "secondary"]}),
        immutable("roles do not change"),
        described("Its fixed part in the failover protocol."),
    ]
    engine: Annotated[Engine, described("DHCP server.")] = Engine.ISC
    failover_name: Annotated[str, Meta(max_length=63), described("Name of the failover relationship.")]
    node_name: Annotated[str, Meta(max_length=63), described("The node, once placed: the leases live there.")] | (
        UnsetType
    ) = UNSET
    interface: (
        Annotated[str, Meta(max_length=15), described("Serving interface; left out: the one that carries `address`.")]
        | UnsetType
    ) = UNSET
    address: Annotated[PlainIPv4, described("Serving address; left out: to be found.")] | UnsetType = UNSET
    failover_address: (
        Annotated[PlainIPv4, described("Address for the failover link, if not the serving one.")] | UnsetType
    ) = UNSET
    subnets: Annotated[
        tuple[Annotated[str, Meta(max_length=18)], ...],
        Meta(
            max_length=MOST_POOLS,
            description="Subnets of the pools: they choose among several addresses of the serving interface.",
        ),
    ] = ()
    omapi_port: Annotated[Port, described("TCP port of the daemon's control interface.")] = 7911
    config: Annotated[WantedConfig, described("What it shall run; left out: nothing yet.")] | UnsetType = UNSET
    pools: Annotated[
        tuple[ServedPool, ...],
        Meta(max_length=MOST_POOLS, description="Dynamic addresses by pool, to count leases by."),
    ] = ()
    failover_port: Annotated[Port, described("TCP port on which this server listens for its partner.")] = 647
    peer_port: Annotated[Port, described("UDP port on which the sidecars of both servers talk to each other.")] = 7912
    partner: Annotated[Partner, described("The other server.")] | UnsetType = UNSET
    fence: Annotated[Fence, described("What the user wants to enforce the end of a permit.")] = Fence.KERNEL
    maintenance: Annotated[bool, described("True: stop cleanly, give the grant back and stay stopped.")] = False
    paused: Annotated[bool, described("True: the sidecar changes nothing and only reports.")] = False


class Network(Model, frozen=True, kw_only=True):
    """The serving interface and the addresses that the sidecar found."""

    interface: Annotated[str, described("The serving interface.")] = ""
    link_up: Annotated[bool, described("It has a carrier.")] = False
    address: Annotated[str, described("Serving address with its prefix length.")] = ""
    failover_address: Annotated[str, described("Address on the failover link.")] = ""
    addresses: Annotated[tuple[str, ...], Meta(max_length=64, description="All of the interface's.")] = ()


class RunningConfig(Model, frozen=True, kw_only=True):
    """The configuration that runs, and the one that was refused."""

    revision: Annotated[str, described("Runs now.")] = ""
    rejected: Annotated[str, described("Refused by the server's own check; the running one goes on.")] = ""
    message: Annotated[str, Meta(max_length=4096), described("What the check said of the refused one.")] = ""


class FailoverReport(Model, frozen=True, kw_only=True):
    """The failover states as the server tells them."""

    state: Annotated[str, described("Its own.")] = "Unknown"
    since: Annotated[Time, described("Start time of state.")] = ""
    partner_state: Annotated[str, described("Its partner's, as it knows it.")] = "Unknown"
    partner_since: Annotated[Time, described("Start time of its partner's state.")] = ""
    mclt: Annotated[Duration, described("MCLT in force.")] | UnsetType = UNSET
    unacked_updates: Annotated[int, described("Binding updates that the partner has not acknowledged, if not 0.")] = 0


class Exit(Model, frozen=True, kw_only=True):
    """How the daemon last ended."""

    time: Annotated[Time, described("When.")] = ""
    code: Annotated[int, described("Exit status; negative: ended by that signal.")] = 0
    reason: Annotated[str, described("Why, in one word in CamelCase.")] = ""
    log: Annotated[tuple[str, ...], Meta(max_length=20, description="Its last lines.")] = ()


class Daemon(Model, frozen=True, kw_only=True):
    """The server process."""

    running: Annotated[bool, described("The process exists.")] = False
    version: Annotated[str, described("As the program tells it.")] = ""
    started: Annotated[Time, described("When it was started last.")] = ""
    starts: Annotated[int, described("Starts since the guard runs.")] = 0
    last_exit: Exit | UnsetType = UNSET


class PoolUsage(Model, frozen=True, kw_only=True):
    """Addresses of one pool by the binding state in this server's lease database."""

    name: Annotated[str, described("Name of the DHCPPool.")]
    addresses: Annotated[int, described("Dynamic addresses.")] = 0
    active: Annotated[int, described("Leased.")] = 0
    free: Annotated[int, described("Free, and the primary's to give.")] = 0
    backup: Annotated[int, described("Free, and the secondary's to give.")] = 0
    abandoned: Annotated[int, described("Found in use by somebody without a lease.")] = 0
    other: Annotated[int, described("Expired, released or reset, until the partner has agreed.")] = 0


class PermitReport(Model, frozen=True, kw_only=True):
    """Why the server may answer."""

    kind: Annotated[str, described("Held, Promised, Endless or None.")] = ""
    until: Annotated[Time, described("When it ends unless it is renewed; written on changes of kind only.")] = ""
    epoch: Annotated[int, described("Epoch of the grant that it serves under; 0: none.")] = 0
    start: Annotated[str, described("How it began on that grant: Fresh, Resume, Recover or Survive.")] = ""


class PeerReport(Model, frozen=True, kw_only=True):
    """The partner's sidecar as this one hears it."""

    heard: Annotated[bool, described("It answered lately.")] = False
    clock_offset_millis: Annotated[int, described("Its wall clock minus ours, rounded to 100 ms.")] = 0
    refused: Annotated[
        dict[Annotated[str, Meta(max_length=64)], int], described("Messages refused, by reason, in powers of ten.")
    ] = field(default_factory=dict)


class ServerStatus(Model, frozen=True, kw_only=True):
    """What the sidecar sees. Only the sidecar of this server writes it."""

    observed_generation: ObservedGeneration = 0
    pod_uid: Annotated[str, described("UID of the pod that reports.")] = ""
    conditions: Conditions = ()
    network: Network = Network()
    config: RunningConfig = RunningConfig()
    failover: FailoverReport = FailoverReport()
    serving: Annotated[bool, described("It answers every client that is its to answer.")] = False
    daemon: Daemon = Daemon()
    permit: Annotated[PermitReport, described("Why it may answer.")] = PermitReport()
    peer: Annotated[PeerReport, described("The partner's sidecar.")] = field(default_factory=PeerReport)
    pools: Annotated[
        tuple[PoolUsage, ...],
        Meta(
            max_length=MOST_POOLS,
            description="Addresses by pool and binding state, counted now and then.",
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    version: Annotated[str, described("Version of the sidecar.")] = ""
