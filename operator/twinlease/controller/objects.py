"""What the cache holds of each object: only what decisions need, typed, without the bulk that the API adds."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from twinlease.api.pair import PairSpec
from twinlease.api.pairstatus import PairStatus
from twinlease.api.pool import PoolSpec, PoolStatus
from twinlease.api.reservation import ReservationSpec, ReservationStatus
from twinlease.api.server import ServerSpec, ServerStatus
from twinlease.api.servinglease import ServingLeaseSpec
from twinlease.api.types import Model
from twinlease.kube import protocol
from twinlease.kube.protocol import Json, Resource
from twinlease.model import structure
from twinlease.model.decision import Problem

LABEL_PAIR = "twinlease.io/pair"
LABEL_ROLE = "twinlease.io/role"
LABEL_SERVER = "twinlease.io/server"
LABEL_MANAGED = "app.kubernetes.io/managed-by"
MANAGED = "twinlease"
ANNOTATION_TEMPLATE = "twinlease.io/template"
TAINT_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"

S = TypeVar("S", bound=Model)
T = TypeVar("T", bound=Model)


class Meta(Struct, frozen=True, kw_only=True):
    """The part of ``metadata`` that matters; ``owners`` are the UIDs of the owner references."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    created: str
    deleting: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owners: frozenset[str]


class Held(Struct, frozen=True, kw_only=True):
    """An object of a kind of which only the existence and the metadata matter."""

    meta: Meta


class Custom(Held, Generic[S, T], frozen=True, kw_only=True):
    """An object of ours.

    Attributes:
        spec: None if it cannot be read.
        status: The empty status if there is none, or if it cannot be read.
        problems: Why the spec cannot be read; empty if it can.
        pair: The pair that it names, also if the rest of the spec cannot be read.
    """

    spec: S | None
    status: T
    problems: tuple[Problem, ...] = ()
    pair: str = ""


class Pod(Held, frozen=True, kw_only=True):
    """A server's pod; ``waiting`` tells what its containers wait for, if anything."""

    phase: str
    node: str
    waiting: str = ""


class Node(Held, frozen=True, kw_only=True):
    """A node; ``tainted``: an administrator declared it out of service."""

    ready: bool
    tainted: bool = False


class Lease(Held, frozen=True, kw_only=True):
    """A pair's serving lease.

    Attributes:
        spec: None if it cannot be read.
        problem: Why it cannot.
        own: The servers' own parts just as the API has them: whoever replaces the object puts them back like that.
        finalizers: All of them.
    """

    spec: ServingLeaseSpec | None
    problem: str = ""
    own: Mapping[str, Any] = {}
    finalizers: tuple[str, ...] = ()


class Raw(Held, frozen=True, kw_only=True):
    """An object that is compared as a whole with what we want."""

    body: Json


Pair = Custom[PairSpec, PairStatus]
Pool = Custom[PoolSpec, PoolStatus]
Reservation = Custom[ReservationSpec, ReservationStatus]
Server = Custom[ServerSpec, ServerStatus]


def meta(body: Json) -> Meta:
    """Return the metadata of an object."""
    found = body["metadata"]
    return Meta(
        namespace=found.get("namespace", ""),
        name=found["name"],
        uid=found.get("uid", ""),
        resource_version=found.get("resourceVersion", ""),
        generation=found.get("generation", 0),
        created=str(found.get("creationTimestamp", "")),
        deleting="deletionTimestamp" in found,
        labels=dict(found.get("labels") or {}),
        annotations=dict(found.get("annotations") or {}),
        owners=frozenset(owner.get("uid", "") for owner in found.get("ownerReferences") or ()),
    )


def read(resource: Resource, body: Json) -> Held:
    """Return what the cache holds of an object of the API."""
    return _READERS.get(resource.kind, _raw)(body)


def pair_of(resource: Resource, held: Held) -> str | None:
    """Return the name of the pair to which an object belongs, in its own namespace."""
    if resource in (protocol.PAIRS, protocol.SERVING_LEASES):
        return held.meta.name
    if isinstance(held, Custom):
        return held.pair or None
    return held.meta.labels.get(LABEL_PAIR)


def _custom(spec_type: type[S], status_type: type[T]) -> Callable[[Json], Held]:
    def reader(body: Json) -> Held:
        found = structure.read(spec_type, body.get("spec") or {})
        try:
            status = msgspec.convert(body.get("status") or {}, status_type)
        except msgspec.ValidationError:
            status = status_type()  # somebody else's doing; we write it anew
        spec, problems = (None, found) if isinstance(found, tuple) else (found, ())
        return Custom(meta=meta(body), spec=spec, status=status, problems=problems, pair=_named_pair(body))

    return reader


def _named_pair(body: Json) -> str:
    reference = (body.get("spec") or {}).get("pairRef")
    return str(reference.get("name") or "") if isinstance(reference, dict) else ""


def _pod(body: Json) -> Held:
    status: dict[str, Any] = body.get("status") or {}
    waiting = ""
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        state = (container.get("state") or {}).get("waiting") or {}
        if state.get("reason") and state["reason"] not in ("PodInitializing", "ContainerCreating"):
            waiting = f"{container.get('name')}: {state['reason']} {state.get('message', '')}".strip()
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            waiting = f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return Pod(
        meta=meta(body),
        phase=status.get("phase", "Pending"),
        node=(body.get("spec") or {}).get("nodeName") or "",
        waiting=waiting,
    )


def _node(body: Json) -> Held:
    conditions = (body.get("status") or {}).get("conditions") or ()
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    # A node's metadata changes with every lease of its kubelet's annotations; decisions want none of it but the name.
    bare = {"name": body["metadata"]["name"], "uid": body["metadata"].get("uid", "")}
    taints = (body.get("spec") or {}).get("taints") or ()
    return Node(
        meta=meta({"metadata": {**bare, "resourceVersion": body["metadata"].get("resourceVersion", "")}}),
        ready=ready,
        tainted=any(each.get("key") == TAINT_OUT_OF_SERVICE for each in taints),
    )


def _lease(body: Json) -> Held:
    held: dict[str, Any] = body.get("spec") or {}
    spec, problem = None, ""
    try:
        spec = msgspec.convert(held, ServingLeaseSpec)
    except msgspec.ValidationError as error:
        problem = str(error)
    servers = (held.get("servers") or {}).items()
    return Lease(
        meta=meta(body),
        spec=spec,
        problem=problem,
        own={role: entry["own"] for role, entry in servers if "own" in (entry or {})},
        finalizers=tuple(body["metadata"].get("finalizers") or ()),
    )


def _raw(body: Json) -> Held:
    found = meta(body)
    kept = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    return Raw(meta=found, body=kept)


def _config_map(body: Json) -> Held:
    # The chunks of configurations are content-addressed and immutable: that one is there is all there is to know.
    if body.get("immutable"):
        return Held(meta=meta(body))
    return _raw(body)


_READERS: Mapping[str, Callable[[Json], Held]] = {
    protocol.PAIRS.kind: _custom(PairSpec, PairStatus),
    protocol.POOLS.kind: _custom(PoolSpec, PoolStatus),
    protocol.RESERVATIONS.kind: _custom(ReservationSpec, ReservationStatus),
    protocol.SERVERS.kind: _custom(ServerSpec, ServerStatus),
    protocol.SERVING_LEASES.kind: _lease,
    protocol.PODS.kind: _pod,
    protocol.NODES.kind: _node,
    protocol.CONFIG_MAPS.kind: _config_map,
}
