"""What the API says of a pair, typed: all that the pages of this command line are made from."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from twinlease.api.pair import PairSpec
from twinlease.api.pairstatus import PairStatus
from twinlease.api.server import ServerStatus
from twinlease.api.servinglease import ServingLeaseSpec
from twinlease.cli.exits import Exit, Failure
from twinlease.cli.reach import Cluster
from twinlease.kube.protocol import LEASES, PAIRS, SERVERS, SERVING_LEASES, ApiError, Json
from twinlease.model.states import Role

T = TypeVar("T")

_ELECTION = "twinlease-operator"
"""Name of the operators' election, unless somebody chose another."""


class PairFacts(Struct, frozen=True, kw_only=True):
    """One pair.

    Attributes:
        spec: None: it cannot be read.
        servers: What the sidecars report, of the servers that there are.
        lease: None: there is none, or it cannot be read.
        uid: Of the pair.
    """

    namespace: str
    name: str
    spec: PairSpec | None = None
    status: PairStatus = PairStatus()
    servers: Mapping[Role, ServerStatus] = {}
    lease: ServingLeaseSpec | None = None
    uid: str = ""

    @property
    def judged(self) -> bool:
        """Whether an operator has ever written about it."""
        return bool(self.status.conditions)


class Leader(Struct, frozen=True, kw_only=True):
    """An operator that leads; ``renewed`` is when it said so last, seconds since the epoch."""

    namespace: str
    holder: str
    renewed: float


def one(cluster: Cluster, name: str) -> PairFacts:
    """Return one pair.

    Raises:
        Failure: There is none, or the API does not tell.
    """
    with cluster.answering():
        try:
            body = cluster.client.get(PAIRS, name, cluster.namespace)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
            message = f"there is no pair {name} in namespace {cluster.namespace} (kubectl get dfp -A lists them)"
            raise Failure(Exit.NOT_FOUND, message) from error
        lease = cluster.client.find(SERVING_LEASES, name, cluster.namespace)
        servers = (cluster.client.find(SERVERS, f"{name}-{role}", cluster.namespace) for role in Role)
        return read(body, [each for each in servers if each is not None], lease)


def every(cluster: Cluster, *, all_namespaces: bool) -> list[PairFacts]:
    """Return the pairs of the namespace, or of all; by namespace and name.

    Raises:
        Failure: The API does not tell.
    """
    namespace = None if all_namespaces else cluster.namespace
    with cluster.answering():
        pairs = cluster.client.list(PAIRS, namespace).items
        if not pairs:
            return []
        servers = cluster.client.list(SERVERS, namespace).items
        leases = {_key(each): each for each in cluster.client.list(SERVING_LEASES, namespace).items}
    found = []
    for body in pairs:
        metadata = body["metadata"]
        names = {f"{metadata['name']}-{role}" for role in Role}
        mine = [
            each
            for each in servers
            if each["metadata"]["name"] in names and each["metadata"]["namespace"] == metadata["namespace"]
        ]
        found.append(read(body, mine, leases.get(_key(body))))
    return sorted(found, key=lambda each: (each.namespace, each.name))


def leaders(cluster: Cluster) -> list[Leader]:
    """Return the operators that lead or led last, by their Leases; none where you may not see them."""
    try:
        found = cluster.client.list(LEASES, field_selector=f"metadata.name={_ELECTION}").items
    except ApiError:
        return []
    return [
        Leader(
            namespace=each["metadata"]["namespace"],
            holder=str(each["spec"]["holderIdentity"]),
            renewed=dt.datetime.fromisoformat(each["spec"]["renewTime"]).timestamp(),
        )
        for each in found
        if (each.get("spec") or {}).get("holderIdentity") and each["spec"].get("renewTime")
    ]


def read(pair: Json, servers: list[Json], lease: Json | None) -> PairFacts:
    """Return a pair from its objects; what cannot be read counts as not there."""
    metadata = pair["metadata"]
    reports = {}
    for server in servers:
        role = Role(str(server["metadata"]["name"]).rpartition("-")[2])
        reports[role] = _convert(server.get("status") or {}, ServerStatus) or ServerStatus()
    return PairFacts(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        spec=_convert(pair.get("spec") or {}, PairSpec),
        status=_convert(pair.get("status") or {}, PairStatus) or PairStatus(),
        servers=reports,
        lease=None if lease is None else _convert(lease.get("spec") or {}, ServingLeaseSpec),
    )


def document(facts: PairFacts) -> Json:
    """Return all of it for programs, with the names that the objects have."""
    built: Json = {
        "namespace": facts.namespace,
        "name": facts.name,
        "status": msgspec.to_builtins(facts.status),
        "servers": {f"{facts.name}-{role}": msgspec.to_builtins(each) for role, each in facts.servers.items()},
    }
    if facts.lease is not None:
        built["servingLease"] = msgspec.to_builtins(facts.lease)
    return built


def _key(body: Json) -> tuple[str, str]:
    return body["metadata"].get("namespace", ""), body["metadata"]["name"]


def _convert(body: Any, kind: type[T]) -> T | None:  # noqa: ANN401  # whatever the API holds
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError:
        return None
