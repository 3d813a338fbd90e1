"""A thread that follows this server's DHCPServer."""

import logging
import random
import threading
import time
from collections.abc import Callable

import msgspec

from twinlease.kube.client import Client, EventType, Expired
from twinlease.kube.protocol import SERVERS, ApiError, Json
from twinlease.log import kv
from twinlease.sidecar.backoff import Backoff
from twinlease.sidecar.observed import ServerObject, server_object

_log = logging.getLogger(__name__)


class Watcher(threading.Thread):
    """Lists, then watches, and begins again after any error, after a pause.

    Args:
        client: The API.
        namespace: Of the DHCPServer.
        name: Of the DHCPServer.
        changed: Called, from this thread, when there is news.
    """

    def __init__(self, client: Client, namespace: str, name: str, changed: Callable[[], None]) -> None:
        super().__init__(name="watcher", daemon=True)
        self.latest: ServerObject | None = None
        self._client = client
        self._namespace = namespace
        self._object = name
        self._changed = changed
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
                    _log.warning("cannot read the DHCPServer", extra=kv(name=self._object, why=said))
            # Spread: when the API server comes back, all sidecars are waiting for it.
            time.sleep(self._backoff.failed() * random.uniform(0.5, 1.0))  # noqa: S311  # no secret

    def _follow(self) -> None:
        selector = f"metadata.name={self._object}"
        listing = self._client.list(SERVERS, self._namespace, field_selector=selector)
        for found in listing.items:
            self._take(found)
        self._backoff.reset()
        version = listing.resource_version
        changes = self._client.watch(SERVERS, self._namespace, resource_version=version, field_selector=selector)
        for event in changes:
            if event.type is EventType.DELETED:
                # Whoever deletes it deletes this pod too. Until then the server goes on: clients need it.
                _log.info("the DHCPServer was deleted", extra=kv(name=self._object))
            else:
                self._take(event.object)

    def _take(self, found: Json) -> None:
        latest = server_object(found)
        if latest != self.latest:
            self.latest = latest
            self._changed()
