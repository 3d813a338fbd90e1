"""Carries out steps: skips what the cache shows to be so already, and teaches the cache what it wrote."""

import logging
from collections.abc import Callable, Iterable, Mapping

import msgspec

from twinlease.api.server import ServerSpec
from twinlease.api.types import Model
from twinlease.controller.cache import Cache
from twinlease.controller.objects import Custom, Held, Raw, meta
from twinlease.controller.steps import Apply, Create, Delete, Once, Step, Swap
from twinlease.kube.client import CONFLICT, NOT_FOUND, Client
from twinlease.kube.protocol import CLAIMS, CONFIG_MAPS, EVENTS, SERVERS, ApiError, Json, Resource
from twinlease.log import kv

_log = logging.getLogger(__name__)

_REMEMBERED = 10_000


class NotLeadingError(Exception):
    """This process does not lead any more, so it must not write."""


class Executor:
    """Carries out steps, one after the other; the first that fails ends it.

    Args:
        client: The API; its field manager owns what is applied.
        cache: Tells what is so already.
        may_write: Asked before every write.
    """

    def __init__(self, client: Client, cache: Cache, *, may_write: Callable[[], bool]) -> None:
        self._client = client
        self._cache = cache
        self._may_write = may_write
        self._done: dict[str, None] = {}

    def run(self, steps: Iterable[Step], limit: int | None = None) -> int:
        """Carry out steps and return how many objects were written.

        Args:
            steps: In order.
            limit: Leave the rest to another time after this many writes.

        Raises:
            ApiError: A write was refused or got no answer; 409 of a swap means: look again.
            NotLeadingError: Leadership was lost on the way.
        """
        written = 0
        for step in steps:
            written += self._run(step)
            if written == limit:
                break
        return written

    def _run(self, step: Step) -> bool:
        if self._satisfied(step):
            return False
        if not self._may_write():
            raise NotLeadingError("another operator may lead by now")
        _log.debug("write", extra=kv(step=type(step).__name__, kind=step.resource.kind, object=_name(step)))
        match step:
            case Create():
                return self._create(step.resource, step.body)
            case Once():
                written = self._create(step.resource, step.body, remember=False)
                self._remember(step.token)
                if written and step.resource == EVENTS:
                    _tell(step.body)
                return written
            case Apply():
                self._ask_first(step)
                self._learn(step.resource, self._client.apply(step.resource, step.body, subresource=step.subresource))
            case Swap():
                versioned = bool(step.body["metadata"].get("resourceVersion"))
                write = self._client.replace if versioned else self._client.create
                self._learn(step.resource, write(step.resource, _whole(step.resource, step.body)))
            case Delete():
                return self._delete(step)
        return True

    def _satisfied(self, step: Step) -> bool:
        if isinstance(step, Once):
            return step.token in self._done
        if isinstance(step, Swap):
            return False
        if isinstance(step, Delete):
            found = self._cache.get(step.resource, step.namespace, step.name)
            return found is None or found.meta.deleting or found.meta.uid != step.uid
        metadata = step.body["metadata"]
        observed = self._cache.get(step.resource, metadata["namespace"], metadata["name"])
        if observed is None:
            return False
        return isinstance(step, Create) or satisfied(step, observed)

    def _ask_first(self, step: Apply) -> None:
        """Do not take from an object what the cache does not know of it."""
        if not step.new:
            return
        metadata = step.body["metadata"]
        found = self._client.find(step.resource, metadata["name"], metadata["namespace"])
        if found is not None:
            self._learn(step.resource, found)
            raise ApiError(CONFLICT, "Conflict", f"{step.resource.kind} {metadata['name']} is there already")

    def _create(self, resource: Resource, body: Json, *, remember: bool = True) -> bool:
        try:
            created = self._client.create(resource, _whole(resource, body))
        except ApiError as error:
            if error.status == CONFLICT and error.reason == "AlreadyExists":
                return False
            raise
        if remember:
            self._learn(resource, created)
        return True

    def _delete(self, step: Delete) -> bool:
        try:
            self._client.delete(step.resource, step.name, step.namespace or None, uid=step.uid)
        except ApiError as error:
            if error.status not in (NOT_FOUND, CONFLICT):  # gone, or another object of that name
                raise
            written = False
        else:
            written = True
        self._cache.ending(step.resource, step.namespace, step.name, step.uid)
        return written

    def _learn(self, resource: Resource, body: Json) -> None:
        self._cache.store(resource, body)

    def _remember(self, token: str) -> None:
        self._done[token] = None
        while len(self._done) > _REMEMBERED:
            del self._done[next(iter(self._done))]


def satisfied(step: Apply, observed: Held) -> bool:
    """Tell whether an object is already as the step wants it."""
    if step.subresource == "status":
        return isinstance(observed, Custom) and _status_satisfied(step.body["status"], observed)
    if not _metadata_satisfied(step, observed):
        return False
    if step.resource == SERVERS:
        return isinstance(observed, Custom) and observed.spec == msgspec.convert(step.body["spec"], ServerSpec)
    if step.resource == CLAIMS or (step.resource == CONFIG_MAPS and step.body.get("immutable")):
        return True  # what they hold cannot change any more
    wanted = {key: value for key, value in step.body.items() if key != "metadata"}
    return isinstance(observed, Raw) and contains(observed.body, wanted)


def contains(observed: object, wanted: object) -> bool:
    """Tell whether all that is wanted is there; lists must agree item by item, mappings may hold more."""
    if isinstance(wanted, Mapping):
        return isinstance(observed, Mapping) and all(
            key in observed and contains(observed[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(observed, list | tuple)
            and len(observed) == len(wanted)
            and all(contains(one, other) for one, other in zip(observed, wanted, strict=True))
        )
    return observed == wanted


def _metadata_satisfied(step: Apply, observed: Held) -> bool:
    wanted = meta(step.body)
    return (
        contains(observed.meta.labels, wanted.labels)
        and contains(observed.meta.annotations, wanted.annotations)
        and observed.meta.owners == wanted.owners
    )


def _status_satisfied(status: Json, observed: Custom[Model, Model]) -> bool:
    """Compare a status with the one that is there, but for conditions of others."""
    wanted = msgspec.convert(status, type(observed.status))
    conditions = {each.type: each for each in getattr(observed.status, "conditions", ())}
    ours = getattr(wanted, "conditions", ())
    if any(conditions.get(each.type) != each for each in ours):
        return False
    return msgspec.structs.replace(observed.status, conditions=ours) == wanted


def _tell(event: Json) -> None:
    """Log what an Event tells: the same verdict in the same words."""
    about = event["regarding"]
    fields = kv(
        kind=about["kind"],
        object=f"{about['namespace']}/{about['name']}",
        condition=event["action"],
        reason=event["reason"],
        message=event["note"],
    )
    _log.log(logging.WARNING if event["type"] == "Warning" else logging.INFO, "condition changed", extra=fields)


def _whole(resource: Resource, body: Json) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _name(step: Step) -> str:
    if isinstance(step, Delete):
        return f"{step.namespace}/{step.name}"
    return f"{step.body['metadata'].get('namespace', '')}/{step.body['metadata']['name']}"
