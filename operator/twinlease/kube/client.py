"""What the project asks of the API, over any ``Transport``: operator, sidecar and command line share it.

Bodies and answers are plain dictionaries; whoever wants types converts them. Every call raises ``ApiError``.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from twinlease.kube.protocol import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, ApiError, Json, Resource, Transport

GONE = 410
NOT_FOUND = 404
CONFLICT = 409

_PAGE = 500
# A watch that ends sooner than this without a word would be opened again in a tight loop.
_SHORTEST_WATCH = 1.0
_WATCH_SHARE = 0.75


class Expired(ApiError):  # noqa: N818  # the API's own word for it
    """The resource version is too old to go on from: list again."""


class Propagation(StrEnum):
    """What a deletion does to the objects that the deleted one owns."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


class EventType(StrEnum):
    """What happened to an object of a watch."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class WatchEvent(NamedTuple):
    """One change; of a deleted object ``object`` is its last state."""

    type: EventType
    object: Json


class Listing(NamedTuple):
    """The objects of a list and the version from which to watch on."""

    items: list[Json]
    resource_version: str


class _Line(Struct):
    type: str
    object: Json


class Client:
    """The API for one actor.

    Args:
        transport: How requests travel.
        manager: Field manager of all writes, like ``twinlease-sidecar``.
        timeout: Seconds that any call but a watch may take.
    """

    def __init__(self, transport: Transport, manager: str, *, timeout: float = 10.0) -> None:
        self._transport = transport
        self._manager = manager
        self._timeout = timeout
        self._line = msgspec.json.Decoder(_Line)

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        """Return one object; status 404 if there is none."""
        return self._request("GET", resource.path(namespace, name))

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Json | None:
        """Return one object, or None if there is none."""
        try:
            return self.get(resource, name, namespace)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        page: int = _PAGE,
    ) -> Listing:
        """Return the objects of a namespace, or of all, as they were at one moment; ``page`` at a time.

        Objects of a list carry no ``kind`` and ``apiVersion`` of their own: they are added.
        """
        path = resource.path(namespace)
        query = _selectors(label_selector, field_selector)
        try:
            return self._pages(resource, path, query, page)
        except Expired:
            # The list took longer than the server keeps its moment: all of it at once, then.
            return self._pages(resource, path, query, 0)

    def kinds(self, api_version: str) -> frozenset[str]:
        """Return the kinds of a group and version, like ``twinlease.io/v1alpha1``; none if the server knows it not."""
        try:
            found = self._request("GET", f"/apis/{api_version}").get("resources") or ()
        except ApiError as error:
            if error.status == NOT_FOUND:
                return frozenset()
            raise
        return frozenset(str(each["kind"]) for each in found)

    def create(self, resource: Resource, body: Json) -> Json:
        """Create an object and return it as stored; status 409 if there is one."""
        query = {"fieldManager": self._manager}
        return self._request("POST", resource.path(_namespace(body)), query, body)

    def apply(self, resource: Resource, body: Json, *, force: bool = True, subresource: str | None = None) -> Json:
        """Server-side apply: make the fields of ``body`` ours and equal to it, drop what we owned and left out.

        ``force`` takes fields that another manager owns; without it that is status 409.
        """
        name, namespace = _name(body), _namespace(body)
        query = {"fieldManager": self._manager, "force": "true" if force else "false"}
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return self._request("PATCH", resource.path(namespace, name, subresource), query, full, APPLY_PATCH)

    def replace(self, resource: Resource, body: Json, *, subresource: str | None = None) -> Json:
        """Compare-and-swap: replace an object only if it is still the version that ``body`` was made from.

        Raises:
            ApiError: Status 409: it changed meanwhile.
            ValueError: ``body`` has no ``metadata.resourceVersion``: that would overwrite blindly.
        """
        if not body.get("metadata", {}).get("resourceVersion"):
            raise ValueError(f"{resource.kind} {_name(body)}: a replacement needs metadata.resourceVersion")
        path = resource.path(_namespace(body), _name(body), subresource)
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return self._request("PUT", path, {"fieldManager": self._manager}, full)

    def json_patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        operations: Sequence[Mapping[str, Any]],
        *,
        subresource: str | None = None,
    ) -> Json:
        """Apply RFC 6902 operations in one step; status 422 if a ``test`` fails."""
        path = resource.path(namespace, name, subresource)
        return self._request("PATCH", path, {"fieldManager": self._manager}, list(operations), JSON_PATCH)

    def merge_patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Json,
        *,
        subresource: str | None = None,
    ) -> Json:
        """Apply an RFC 7386 patch; a list replaces a list."""
        path = resource.path(namespace, name, subresource)
        return self._request("PATCH", path, {"fieldManager": self._manager}, patch, MERGE_PATCH)

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
    ) -> None:
        """Delete an object; that there is none (status 404) is an error, for the caller to judge.

        With ``uid`` only this very object is deleted, not a later one of its name (status 409). ``grace_seconds`` is
        how long a pod may take to end; the object's own choice if None.
        """
        body: Json = {"propagationPolicy": propagation.value}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        self._request("DELETE", resource.path(namespace, name), None, body)

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        silence: float = 120.0,
    ) -> Iterator[WatchEvent]:
        """Yield the changes since ``resource_version`` (of a list), for ever.

        A connection that says nothing for ``silence`` seconds counts as dead. Well before that the server itself ends
        each watch, which is then taken up again where it had got to.

        Raises:
            Expired: Too far behind: list again.
            ApiError: Anything else; where this watch had got to is lost, so list again after a pause.
        """
        query = {
            **_selectors(label_selector, field_selector),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, int(silence * _WATCH_SHARE))),
        }
        while True:
            began, anything = time.monotonic(), False
            query["resourceVersion"] = resource_version
            for kind, found in self._session(resource.path(namespace), query, silence):
                anything = True
                resource_version = found["metadata"]["resourceVersion"]
                if kind is not None:
                    yield WatchEvent(kind, found)
            if not anything and time.monotonic() - began < _SHORTEST_WATCH:
                raise ApiError(0, "", f"the watch of {resource.plural} ended at once")

    def _session(self, path: str, query: Mapping[str, str], silence: float) -> Iterator[tuple[EventType | None, Json]]:
        """Yield the events of one watch request until the server ends it."""
        try:
            with self._transport.stream(path, query=query, timeout=silence) as lines:
                yield from map(self._event, lines)
        except ApiError as error:
            raise _typed(error) from error

    def _event(self, line: bytes) -> tuple[EventType | None, Json]:
        """Return a watch's line; no type if it is a bookmark."""
        try:
            event = self._line.decode(line)
            if event.type == "ERROR":
                raise _refusal(event.object)
            return (None if event.type == "BOOKMARK" else EventType(event.type)), event.object
        except (msgspec.DecodeError, ValueError) as error:
            raise ApiError(0, "", f"a watch's line is not to be understood: {error}") from error

    def _pages(self, resource: Resource, path: str, query: Mapping[str, str], page: int) -> Listing:
        items: list[Json] = []
        more = dict(query)
        if page:
            more["limit"] = str(page)
        while True:
            answer = self._request("GET", path, more)
            metadata = answer.get("metadata", {})
            known = {"apiVersion": resource.api_version, "kind": resource.kind}
            items.extend({**known, **item} for item in answer.get("items") or ())
            if not metadata.get("continue"):
                return Listing(items, metadata.get("resourceVersion", ""))
            more["continue"] = metadata["continue"]

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Json:
        try:
            return self._transport.request(
                method, path, query=query, body=body, content_type=content_type, timeout=self._timeout
            )
        except ApiError as error:
            raise _typed(error) from error


def _selectors(label: str, field: str) -> dict[str, str]:
    given = {"labelSelector": label, "fieldSelector": field}
    return {key: value for key, value in given.items() if value}


def _name(body: Json) -> str:
    return str(body["metadata"]["name"])


def _namespace(body: Json) -> str | None:
    namespace = body["metadata"].get("namespace")
    return None if namespace is None else str(namespace)


def _refusal(status: Json) -> ApiError:
    """Return the error that a watch's Status object tells of."""
    return ApiError(
        int(status.get("code") or 0), str(status.get("reason") or ""), str(status.get("message") or "the watch failed")
    )


def _typed(error: ApiError) -> ApiError:
    if error.status == GONE and not isinstance(error, Expired):
        return Expired(error.status, error.reason, error.message)
    return error
