"""The pair's serving lease as an object: what the operator writes, whole, but for the servers' own parts."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from twinlease.api.servinglease import ServingLeaseSpec
from twinlease.controller.manifests.common import Owner, metadata
from twinlease.controller.objects import Lease
from twinlease.kube.protocol import Json

FINALIZER = "twinlease.io/serving"
"""The object stays until neither server can serve under it any more."""


def serving_lease(owner: Owner, spec: ServingLeaseSpec, held: Lease | None, *, owned: bool) -> Json:
    """Return the serving lease to create, or to put in the place of the very version that was judged.

    Args:
        owner: The pair.
        spec: What it shall say.
        held: What is there; its servers' own parts and what others put into its metadata stay.
        owned: It is deleted with the pair, once both servers are proven to be stopped.
    """
    built = metadata(owner, owner.name, owned=owned)
    if held is not None:
        meta = held.meta
        built["resourceVersion"] = meta.resource_version
        built["uid"] = meta.uid
        built["labels"] = {**meta.labels, **built["labels"]}
        if meta.annotations:
            built["annotations"] = dict(meta.annotations)
    finalizers = () if held is None else held.finalizers
    # Of an object that is being deleted no finalizer can be added.
    deleting = held is not None and held.meta.deleting
    built["finalizers"] = list(finalizers if deleting else dict.fromkeys((*finalizers, FINALIZER)))
    return {"metadata": built, "spec": _written(spec, held)}


def let_go(held: Lease, spec: ServingLeaseSpec) -> Json:
    """Return the object without our finalizer: what is being deleted may go."""
    meta = held.meta
    built: Json = {
        "name": meta.name,
        "namespace": meta.namespace,
        "resourceVersion": meta.resource_version,
        "uid": meta.uid,
        "labels": dict(meta.labels),
        "annotations": dict(meta.annotations),
        "finalizers": [each for each in held.finalizers if each != FINALIZER],
    }
    return {"metadata": built, "spec": _written(spec, held)}


def _written(spec: ServingLeaseSpec, held: Lease | None) -> Any:  # noqa: ANN401  # any JSON
    written = full(spec)
    for role, own in ({} if held is None else held.own).items():
        written["servers"][role]["own"] = own
    return written


def full(value: object) -> Any:  # noqa: ANN401  # any JSON
    """Return a struct with every field written out, defaults too: conditional patches name fields by their path."""
    if isinstance(value, Struct):
        fields = msgspec.structs.fields(value)
        found = ((each.encode_name, getattr(value, each.name)) for each in fields)
        return {name: full(one) for name, one in found if one is not UNSET}
    if isinstance(value, Mapping):
        return {name: full(one) for name, one in value.items()}
    return msgspec.to_builtins(value)
