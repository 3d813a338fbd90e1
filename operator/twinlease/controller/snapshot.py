"""What is known of one pair at one moment, immutable: the only thing that decisions see."""

from collections.abc import Mapping
from typing import cast

from msgspec import UNSET, Struct

from twinlease.api.pair import PairSpec
from twinlease.controller.cache import Cache, PairKey
from twinlease.controller.manifests.common import Owner, server_name
from twinlease.controller.objects import Held, Lease, Node, Pair, Pod, Pool, Raw, Reservation, Server
from twinlease.decide.pairview import entry
from twinlease.decide.placement import Claim, Wish
from twinlease.kube import protocol
from twinlease.kube.protocol import Resource
from twinlease.model.states import FailoverState, Role


class Snapshot(Struct, frozen=True, kw_only=True):
    """One pair and what belongs to it.

    Attributes:
        pair: None if pools or reservations name a pair that there is not.
        servers: Only those that there are, whoever owns them.
        pods: The same.
        config_maps: All of the pair's.
        nodes: Those on which the pair's servers are placed, or serve by the serving lease, if they exist.
        claims: Of the other pairs' servers to nodes.
        foreign: Pools of other pairs of the namespace.
    """

    namespace: str
    name: str
    pair: Pair | None
    pools: tuple[Pool, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    servers: Mapping[Role, Server] = {}
    pods: Mapping[Role, Pod] = {}
    config_maps: tuple[Held, ...] = ()
    nodes: Mapping[str, Node] = {}
    claims: tuple[Claim, ...] = ()
    foreign: tuple[Pool, ...] = ()
    lease: Lease | None = None

    def ledger(self, owner: Owner) -> Raw | None:
        """Return the pair's ledger, if there is one."""
        return next(
            (each for each in self.config_maps if isinstance(each, Raw) and each.meta.name == owner.ledger), None
        )

    def own_servers(self) -> dict[Role, Server]:
        """Return the servers that belong to this very pair, and not to a former one of its name."""
        uid = "" if self.pair is None else self.pair.meta.uid
        return {role: server for role, server in self.servers.items() if uid in server.meta.owners}

    def fresh(self, role: Role) -> bool:
        """Tell whether a server's report is from the pod that runs now, on a node that is ready."""
        server, pod = self.servers.get(role), self.pods.get(role)
        if server is None or pod is None or pod.meta.deleting or pod.phase != "Running":
            return False
        node = self.nodes.get(pod.node)
        return node is not None and node.ready and server.status.pod_uid == pod.meta.uid

    def runs(self, role: Role) -> bool:
        """Tell whether a server is known to run: by a fresh report, while it holds a grant.

        Of one that was revoked and comes back with its node the last report is of before, and looks fresh.
        """
        spec = None if self.lease is None else self.lease.spec
        granted = spec is None or bool(entry(spec, role).grant.holder)
        server = self.servers.get(role)
        return server is not None and granted and self.fresh(role) and server.status.daemon.running

    def serves(self, role: Role) -> bool:
        """Tell whether a server is known to answer every client that is its to answer."""
        return self.runs(role) and self.servers[role].status.serving

    def state(self, role: Role) -> tuple[FailoverState, FailoverState]:
        """Return a server's failover state and what it believes of its partner; Unknown unless it is known to run."""
        if not self.runs(role):
            return FailoverState.UNKNOWN, FailoverState.UNKNOWN
        told = self.servers[role].status.failover
        return _state(told.state), _state(told.partner_state)


def take(cache: Cache, key: PairKey) -> Snapshot:
    """Freeze what the cache knows of a pair."""
    namespace, name = key
    with cache.frozen():
        pods = cast("dict[Role, Pod]", _by_role(cache, protocol.PODS, key))
        lease = cast("Lease | None", cache.get(protocol.SERVING_LEASES, namespace, name))
        nodes = {}
        for node in {pod.node for pod in pods.values() if pod.node} | _granted_nodes(lease):
            held = cache.get(protocol.NODES, "", node)
            if isinstance(held, Node):
                nodes[node] = held
        return Snapshot(
            namespace=namespace,
            name=name,
            pair=cast("Pair | None", cache.get(protocol.PAIRS, namespace, name)),
            pools=cast("tuple[Pool, ...]", tuple(cache.of_pair(protocol.POOLS, key))),
            reservations=cast("tuple[Reservation, ...]", tuple(cache.of_pair(protocol.RESERVATIONS, key))),
            servers=_servers(cache, key),
            pods=pods,
            config_maps=tuple(cache.of_pair(protocol.CONFIG_MAPS, key)),
            nodes=nodes,
            claims=tuple(_claims(cache, key)),
            foreign=tuple(
                each
                for each in cast("list[Pool]", cache.all(protocol.POOLS))
                if each.meta.namespace == namespace and each.pair != name
            ),
            lease=lease,
        )


def _granted_nodes(lease: Lease | None) -> set[str]:
    """Return the nodes of those that may serve: a pod may be gone and its server run on."""
    if lease is None or lease.spec is None:
        return set()
    servers = lease.spec.servers
    return {each.grant.node for each in (servers.primary, servers.secondary) if each.grant.node}


def wish(pair: Pair, spec: PairSpec, role: Role, server: Server | None) -> Wish:
    """Return where a server of a pair shall run."""
    peer = spec.primary if role is Role.PRIMARY else spec.secondary
    placed = server.spec.node_name if server is not None and server.spec is not None else UNSET
    return Wish(
        pair=f"{pair.meta.namespace}/{pair.meta.name}",
        role=role,
        created=pair.meta.created,
        node_name=peer.node_name if peer.node_name is not UNSET else "",
        node_selector=peer.node_selector if peer.node_selector is not UNSET else {},
        placed=placed if placed is not UNSET else "",
    )


def _claims(cache: Cache, but: PairKey) -> list[Claim]:
    found: list[Claim | None] = []
    for held in cache.all(protocol.PAIRS):
        pair = cast("Pair", held)
        key = (pair.meta.namespace, pair.meta.name)
        if key != but and pair.spec is not None:
            servers = _servers(cache, key)
            found.extend(wish(pair, pair.spec, role, servers.get(role)).claim() for role in Role)
    return [claim for claim in found if claim is not None]


def _servers(cache: Cache, key: PairKey) -> dict[Role, Server]:
    return cast("dict[Role, Server]", _by_role(cache, protocol.SERVERS, key))


def _by_role(cache: Cache, resource: Resource, key: PairKey) -> dict[Role, Held]:
    """Return both servers' objects of a kind, by name: labels can be lost."""
    namespace, name = key
    found = {role: cache.get(resource, namespace, server_name(name, role)) for role in Role}
    return {role: held for role, held in found.items() if held is not None}


def _state(text: str) -> FailoverState:
    try:
        return FailoverState(text)
    except ValueError:
        return FailoverState.UNKNOWN
