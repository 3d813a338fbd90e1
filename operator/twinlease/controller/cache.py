"""The one cache: what the operator knows of the cluster, never older than its own last write.

Three sources feed it: watch events, the answers to our own writes, and complete listings. An object only ever moves to
a newer resourceVersion, also across its deletion: an answer to a write that arrives after the watch has told of the
deletion must not bring it back. Listings also find what was deleted while no watch ran, which watches never tell.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from twinlease.controller.objects import Held, pair_of, read
from twinlease.kube.protocol import Json, Resource

PairKey = tuple[str, str]
"""Namespace and name of a pair."""

_Key = tuple[str, str]

_GRAVES = 10_000  # deletions remembered: an answer or a listing is late by seconds, not by so many


class Cache:
    """Objects by kind, namespace and name, and by the pair to which they belong. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._objects: dict[str, dict[_Key, Held]] = {}
        self._by_pair: dict[tuple[str, str, str], dict[str, Held]] = {}
        self._deleted: dict[str, str] = {}

    def store(self, resource: Resource, body: Json) -> bool:
        """Take in an object; tell whether anything but its version changed."""
        return self._store(resource, read(resource, body))

    def remove(self, resource: Resource, body: Json) -> bool:
        """Forget an object that was deleted; tell whether it was known."""
        metadata = body["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        with self._lock:
            self._bury(metadata.get("uid", ""), metadata.get("resourceVersion", ""))
            known = self._objects.get(resource.kind, {}).get(key)
            if known is None or known.meta.uid != metadata.get("uid", known.meta.uid):
                return False
            self._drop(resource, key, known)
            return True

    def ending(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Note that we have deleted an object, until a watch tells more of it."""
        with self._lock:
            known = self._objects.get(resource.kind, {}).get((namespace, name))
            if known is None or known.meta.uid != uid:
                return
            marked = msgspec.structs.replace(known, meta=msgspec.structs.replace(known.meta, deleting=True))
            self._put(resource, marked)

    def replace(self, resource: Resource, bodies: list[Json], resource_version: str) -> list[Held]:
        """Take in a complete listing; return what is new, changed or gone."""
        changed: list[Held] = []
        seen: set[_Key] = set()
        with self._lock:
            for body in bodies:
                held = read(resource, body)
                seen.add((held.meta.namespace, held.meta.name))
                if self._store(resource, held):
                    changed.append(held)
            for key, held in list(self._objects.get(resource.kind, {}).items()):
                if key not in seen and not _newer(held.meta.resource_version, resource_version):
                    self._bury(held.meta.uid, resource_version)
                    self._drop(resource, key, held)
                    changed.append(held)
        return changed

    def get(self, resource: Resource, namespace: str, name: str) -> Held | None:
        """Return one object."""
        with self._lock:
            return self._objects.get(resource.kind, {}).get((namespace, name))

    def all(self, resource: Resource) -> list[Held]:
        """Return all objects of a kind."""
        with self._lock:
            return list(self._objects.get(resource.kind, {}).values())

    def of_pair(self, resource: Resource, pair: PairKey) -> list[Held]:
        """Return a pair's objects of a kind, by name."""
        with self._lock:
            found = self._by_pair.get((resource.kind, *pair), {})
            return [found[name] for name in sorted(found)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let nothing change while a snapshot is taken."""
        with self._lock:
            yield

    def _store(self, resource: Resource, held: Held) -> bool:
        key = (held.meta.namespace, held.meta.name)
        with self._lock:
            objects = self._objects.setdefault(resource.kind, {})
            known = objects.get(key)
            if known is not None and not _newer(held.meta.resource_version, known.meta.resource_version):
                return False
            grave = self._deleted.get(held.meta.uid)
            if grave is not None and not _newer(held.meta.resource_version, grave):
                return False
            if known is not None:
                self._drop(resource, key, known)
            self._put(resource, held)
            return known is None or not _same(known, held)

    def _put(self, resource: Resource, held: Held) -> None:
        self._objects[resource.kind][held.meta.namespace, held.meta.name] = held
        pair = pair_of(resource, held)
        if pair is not None:
            self._by_pair.setdefault((resource.kind, held.meta.namespace, pair), {})[held.meta.name] = held

    def _bury(self, uid: str, version: str) -> None:
        """Remember up to which version an object is gone; one that lost its labels may be back."""
        self._deleted.pop(uid, None)
        self._deleted[uid] = version
        if len(self._deleted) > _GRAVES:
            del self._deleted[next(iter(self._deleted))]

    def _drop(self, resource: Resource, key: _Key, known: Held) -> None:
        del self._objects[resource.kind][key]
        pair = pair_of(resource, known)
        if pair is not None:
            place = (resource.kind, known.meta.namespace, pair)
            group = self._by_pair[place]
            del group[known.meta.name]
            if not group:
                del self._by_pair[place]


def _newer(version: str, than: str) -> bool:
    """Compare resource versions of one kind, which grow; what is no number counts as newer."""
    try:
        return int(version) > int(than)
    except ValueError:
        return version != than


def _same(one: Held, other: Held) -> bool:
    """Tell whether two states of an object differ in their version only."""
    aligned = msgspec.structs.replace(one.meta, resource_version=other.meta.resource_version)
    return msgspec.structs.replace(one, meta=aligned) == other
