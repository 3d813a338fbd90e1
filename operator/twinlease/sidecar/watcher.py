"""A thread that follows one object."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from twinlease.kube.client import Client, EventType, Expired
from twinlease.kube.protocol import ApiError, Json, Resource
from twinlease.log import kv
from twinlease.sidecar.backoff import Backoff
from twinlease.sidecar.observed import Metadata

_log = logging.getLogger(__name__)


class Object(Protocol):
    """What is followed."""

    @property
    def metadata(self) -> Metadata:
        """Its metadata."""


T = TypeVar("T", bound=Object)


class Watcher(threading.Thread, Generic[T]):
    """Lists, then watches, and begins again after any error, after a pause.

    Attributes:
        latest: The object as last read; None: it was never, or was deleted and ``forgets``.

    Args:
        client: The API.
        resource: The object's kind.
        namespace: Its namespace.
        name: Its name.
        parse: Makes a typed object; raises ``msgspec.ValidationError``.
        changed: Called, from this thread, when there is news.
        forgets: An object that was deleted counts as unknown; else as it was at last.
    """

    def __init__(  # noqa: PLR0913  # what, where, and what of it
        self,
        client: Client,
        resource: Resource,
        namespace: str,
        name: str,
        parse: Callable[[Json], T],
        changed: Callable[[], None],
        *,
        forgets: bool = False,
    ) -> None:
        super().__init__(name=f"watcher-{resource.plural}", daemon=True)
        self.latest: T | None = None
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._object = name
        self._parse = parse
        self._changed = changed
        self._forgets = forgets
        self._lock = threading.Lock()
        self._backoff = Backoff(0.5, 10.0)

    def run(self) -> None:
        """Follow the object until the process ends."""
        said = ""
        while True:
            try:
                self._follow()
            except Expired:
                pass  # we were away for long: that happens
            except (ApiError, msgspec.ValidationError) as error:
                if str(error) != said:
                    said = str(error)
                    _log.warning("cannot read", extra=kv(kind=self._resource.kind, name=self._object, why=said))
            # Spread: when the API server comes back, all sidecars are waiting for it.
            time.sleep(self._backoff.failed() * random.uniform(0.5, 1.0))  # noqa: S311  # no secret

    def read(self) -> T | None:
        """Read the object now; None: there is none.

        Raises:
            ApiError: As the API says.
            msgspec.ValidationError: It makes no sense.
        """
        found = self._client.find(self._resource, self._object, self._namespace)
        if found is None:
            self._forget()
        else:
            self.take(found, anew=True)
        return self.latest

    def take(self, found: Json, *, anew: bool = False) -> None:
        """Take in the object as somebody read it; older than what is known it counts only if it was read ``anew``."""
        new = self._parse(found)
        with self._lock:
            old = self.latest
            if new == old or (old is not None and not anew and _older(new.metadata, old.metadata)):
                return
            self.latest = new
        self._changed()

    def _follow(self) -> None:
        selector = f"metadata.name={self._object}"
        listing = self._client.list(self._resource, self._namespace, field_selector=selector)
        for found in listing.items:
            self.take(found, anew=True)
        if not listing.items:
            self._forget()
        self._backoff.reset()
        version = listing.resource_version
        changes = self._client.watch(self._resource, self._namespace, resource_version=version, field_selector=selector)
        for event in changes:
            if event.type is EventType.DELETED:
                _log.info("deleted", extra=kv(kind=self._resource.kind, name=self._object))
                self._forget()
            else:
                self.take(event.object)

    def _forget(self) -> None:
        """Take in that there is none; whoever deletes a DHCPServer deletes the pair, and until then it is needed."""
        with self._lock:
            if not self._forgets or self.latest is None:
                return
            self.latest = None
        self._changed()


def _older(new: Metadata, old: Metadata) -> bool:
    """Tell whether one version of an object is older than another; versions of objects compare as numbers."""
    if new.uid != old.uid:
        return False
    both = new.resource_version, old.resource_version
    return all(version.isdigit() for version in both) and int(both[0]) < int(both[1])
