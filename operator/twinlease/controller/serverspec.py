"""A DHCPServer as the operator writes it, and what it remembers there.

Configuration, pools to count, relationship name and control port change together or not at all: a sidecar must never
look for a server at a port that its configuration does not name.
"""

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, Struct, UnsetType

from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.pool import Range
from twinlease.api.server import Partner, ServedPool, ServerSpec, WantedConfig
from twinlease.api.types import ObjectRef
from twinlease.controller.manifests.common import Owner, metadata
from twinlease.controller.network import is_lone
from twinlease.controller.objects import Server
from twinlease.controller.snapshot import Snapshot
from twinlease.kube.protocol import Json
from twinlease.model.placed import interface
from twinlease.model.service import Service
from twinlease.model.states import FailoverState, Role, serves
from twinlease.model.validate import peer

ANNOTATION_ESTABLISHED = "twinlease.io/established"
"""The pair has served together: from then on servers change one at a time."""

ANNOTATION_LINK = "twinlease.io/link"
"""Addresses and ports of the failover link that the configuration was made with."""


ANNOTATION_LEDGER = "twinlease.io/ledger"
"""Count of publications in the ledger: one that has a smaller one is not the last."""


class Bundle(Struct, frozen=True, kw_only=True):
    """What of a DHCPServer's spec changes with its configuration and never without."""

    config: WantedConfig
    pools: tuple[ServedPool, ...]
    failover_name: str
    omapi_port: int
    link: str


def bundle(service: Service, revision: str, config_maps: tuple[str, ...], link: str) -> Bundle:
    """Return what goes with a configuration that was rendered from a service."""
    pools = tuple(
        ServedPool(
            name=pool.name,
            ranges=tuple(Range(start=str(each.first), end=str(each.last)) for each in pool.ranges),
        )
        for pool in service.pools
    )
    return Bundle(
        config=WantedConfig(revision=revision, config_maps=config_maps),
        pools=pools,
        failover_name=service.failover.name,
        omapi_port=service.omapi_port,
        link=link,
    )


def bundle_of(server: Server) -> Bundle | None:
    """Return what a server was last told; None before its first configuration."""
    spec = server.spec
    if spec is None or isinstance(spec.config, UnsetType):
        return None
    return Bundle(
        config=spec.config,
        pools=spec.pools,
        failover_name=spec.failover_name,
        omapi_port=spec.omapi_port,
        link=link_of(server),
    )


def told(server: Server) -> str:
    """Return the revision that a server was last told to run; empty before the first."""
    wanted = bundle_of(server)
    return "" if wanted is None else wanted.config.revision


def link_of(server: Server) -> str:
    """Return the failover link of a server's configuration; empty before the first."""
    return server.meta.annotations.get(ANNOTATION_LINK, "")


def published(server: Server) -> int:
    """Return the count of publications of the last ledger that a server was written from; 0: not known."""
    text = server.meta.annotations.get(ANNOTATION_LEDGER, "")
    return int(text) if text.isdecimal() else 0


def established(snapshot: Snapshot) -> bool:
    """Tell whether the pair is seen to have served together; servers of a former pair of its name do not count."""
    mine = snapshot.own_servers()
    lease = None if snapshot.lease is None else snapshot.lease.spec
    if lease is not None and lease.established and len(mine) == len(Role) and all(map(told, mine.values())):
        return True
    if any(server.meta.annotations.get(ANNOTATION_ESTABLISHED) for server in mine.values()):
        return True
    states = [snapshot.state(role) for role in mine]
    return any(FailoverState.NORMAL in state or serves(*state) for state in states)


class Place(Struct, frozen=True, kw_only=True):
    """On which interface and addresses a server speaks; what is not set is its sidecar's to find."""

    interface: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    failover_address: str | UnsetType = UNSET


def place(wish: Peer, server: Server | None, *, established: bool) -> Place:
    """Return where a server speaks: where the user wishes until the pair has served together, then where it does.

    Clients know a server by its address, and the partner by that of the link. Were a wish for others handed on to a
    pair that serves, the next restart of the daemon would take its old configuration to the new interface.
    """
    if not established or server is None or server.spec is None:
        return Place(interface=wish.interface, address=wish.address, failover_address=wish.failover_address)
    told, found = server.spec, server.status.network
    return Place(
        interface=told.interface or found.interface or UNSET,
        address=told.address or _plain(found.address),
        failover_address=told.failover_address,
    )


def _plain(reported: str) -> str | UnsetType:
    found = interface(reported)
    return UNSET if found is None else str(found.ip)


def moved(wish: Peer, held: Place) -> bool:
    """Tell whether a user wishes a server to be elsewhere than where it is held."""
    pairs = (
        (wish.interface, held.interface),
        (wish.address, held.address),
        (wish.failover_address or held.address, held.failover_address or held.address),
    )
    return any(wanted and is_so and wanted != is_so for wanted, is_so in pairs)


class Ends(Struct, frozen=True, kw_only=True):
    """Where the two servers of a pair meet; an empty address is not known yet."""

    addresses: Mapping[Role, str]
    ports: Mapping[Role, int]


def ends(spec: PairSpec, bundle: Bundle | None, reported: Mapping[Role, str]) -> Ends:
    """Return where the servers meet: as the configuration says, and before the first as they report and the user wants.

    What closes the port to all but the partner must agree with what the daemon was told.
    """
    ports = {role: peer(spec, role).failover_port for role in Role}
    if bundle is None or not bundle.link:
        return Ends(addresses=reported, ports=ports)
    told = dict(zip(Role, (each.rpartition(":") for each in bundle.link.split()), strict=True))
    addresses = {role: "" if is_lone(told[role][0]) else told[role][0] for role in Role}
    return Ends(addresses=addresses, ports={role: int(told[role][2]) for role in Role})


class Wanted(Struct, frozen=True, kw_only=True):
    """What a DHCPServer is built from; ``node`` is empty until the server is placed.

    ``reported`` are the addresses of the failover link as far as the servers have reported them; ``maintenance`` has
    the server stopped.
    """

    spec: PairSpec
    role: Role
    place: Place
    node: str
    subnets: tuple[str, ...]
    bundle: Bundle | None
    established: bool
    published: int
    reported: Mapping[Role, str]
    maintenance: bool


def body(owner: Owner, wanted: Wanted) -> Json:
    """Return the DHCPServer to apply."""
    spec, role, place, bundle = wanted.spec, wanted.role, wanted.place, wanted.bundle
    meeting = ends(spec, bundle, wanted.reported)
    built = ServerSpec(
        pair_ref=ObjectRef(name=owner.name),
        role=str(role),
        engine=spec.engine,
        failover_name=owner.name if bundle is None else bundle.failover_name,
        node_name=wanted.node or UNSET,
        interface=place.interface,
        address=place.address,
        failover_address=place.failover_address,
        subnets=wanted.subnets,
        omapi_port=spec.omapi_port if bundle is None else bundle.omapi_port,
        config=UNSET if bundle is None else bundle.config,
        pools=() if bundle is None else bundle.pools,
        failover_port=meeting.ports[role],
        peer_port=spec.peer_port,
        partner=Partner(
            name=owner.server(role.other),
            failover_address=meeting.addresses.get(role.other, ""),
            failover_port=meeting.ports[role.other],
        ),
        fence=spec.fence,
        maintenance=wanted.maintenance,
    )
    annotations = {}
    if bundle is not None:
        annotations[ANNOTATION_LINK] = bundle.link
    if wanted.established:
        annotations[ANNOTATION_ESTABLISHED] = "true"
    if wanted.published:
        annotations[ANNOTATION_LEDGER] = str(wanted.published)
    return {
        "metadata": metadata(owner, owner.server(role), role, annotations=annotations),
        "spec": msgspec.to_builtins(built),
    }
