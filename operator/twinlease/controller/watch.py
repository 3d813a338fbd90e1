"""kopf as what it is best at, a watcher: plain event handlers that feed the cache and nothing else.

No finalizer, no annotation, no event of kopf's own ever reaches an object.
"""

import asyncio
import datetime as dt
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kopf
from kubernetes.client import Configuration

from twinlease.api.types import GROUP
from twinlease.controller.objects import LABEL_MANAGED, MANAGED
from twinlease.kube import protocol
from twinlease.kube.client import Listing
from twinlease.kube.protocol import Json, Resource

Feed = Callable[[Resource, str | None, Json], None]
"""Takes the kind, the event's type (None: the initial listing) and the object."""

OURS = (protocol.PAIRS, protocol.POOLS, protocol.RESERVATIONS, protocol.SERVERS, protocol.SERVING_LEASES)
LABELLED = (
    protocol.PODS,
    protocol.CONFIG_MAPS,
    protocol.CLAIMS,
    protocol.SERVICE_ACCOUNTS,
    protocol.ROLES,
    protocol.ROLE_BINDINGS,
)
WATCHED: Sequence[Resource] = (*OURS, *LABELLED, protocol.NODES)

_SELECTOR = f"{LABEL_MANAGED}={MANAGED}"
_REQUEST_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
_PAGE = 500
_LOGIN_LIFETIME = dt.timedelta(minutes=5)


def selector(resource: Resource) -> str:
    """Return the label selector with which a kind is listed and watched."""
    return _SELECTOR if resource in LABELLED else ""


class Watcher:
    """Runs kopf in a thread with a loop of its own.

    Args:
        feed: Called in that thread for every event.
        namespaces: To watch; empty: all of the cluster.
        configuration: Returns the API's address and credentials anew; service account tokens change.
        failed: Called if kopf ends though nobody asked it to.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        namespaces: Sequence[str],
        configuration: Callable[[], Configuration],
        failed: Callable[[BaseException | None], None],
    ) -> None:
        self._registry = _registry(feed, configuration)
        self._namespaces = namespaces
        self._failed = failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Start watching; the initial listing arrives as events too."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait for it."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(
                kopf.operator(
                    registry=self._registry,
                    settings=_settings(),
                    standalone=True,
                    clusterwide=not self._namespaces,
                    namespaces=list(self._namespaces),
                    stop_flag=self._stop,
                )
            )
        except BaseException as caught:  # noqa: BLE001  # a thread has nobody above it: hand on whatever it was
            error = caught
        if not self._stop.is_set():
            self._failed(error)


def listing(list_objects: Callable[..., Listing], resource: Resource, namespaces: Sequence[str]) -> Listing:
    """List what is watched of a kind.

    Args:
        list_objects: ``Client.list``.
        resource: The kind.
        namespaces: As for ``Watcher``.
    """
    places: Sequence[str | None] = list(namespaces) if namespaces and resource.namespaced else [None]
    found = [list_objects(resource, place, label_selector=selector(resource)) for place in places]
    # With several namespaces the oldest of the versions is the one up to which all of them are complete.
    oldest = min((each.resource_version for each in found), key=lambda version: (len(version), version))
    return Listing([item for each in found for item in each.items], oldest)


def _registry(feed: Feed, configuration: Callable[[], Configuration]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401  # kopf's calling convention
        return _connection(configuration())

    kopf.on.login(registry=registry)(login)
    for resource in WATCHED:
        kopf.on.event(resource.group, resource.version, resource.plural, id=resource.plural, registry=registry)(
            _handler(resource, feed)
        )
    return registry


def _handler(resource: Resource, feed: Feed) -> Any:  # noqa: ANN401  # kopf's decorators want their own callback types
    async def on_event(event: Any, **_: Any) -> None:  # noqa: ANN401  # kopf's calling convention
        feed(resource, event["type"], event["object"])

    return on_event


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.finalizer = f"{GROUP}/unused"
    settings.networking.request_timeout = _REQUEST_SECONDS
    settings.networking.connect_timeout = _CONNECT_SECONDS
    settings.watching.connect_timeout = _CONNECT_SECONDS
    settings.watching.chunk_size = _PAGE
    settings.queueing.idle_timeout = 1.0
    for resource in LABELLED:
        settings.watching.label_selectors[resource.group, resource.version, resource.plural] = _SELECTOR
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It warns that it leaves signals alone outside the main thread, which is what we want of it.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    return settings


def _connection(configuration: Configuration) -> kopf.ConnectionInfo:
    header = configuration.get_api_key_with_prefix("BearerToken") or configuration.get_api_key_with_prefix(
        "authorization"
    )
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme="Bearer" if header else None,
        # "bearer TOKEN" in a cluster, "Bearer TOKEN" from a kubeconfig: the scheme ignores case (RFC 9110, 11.1).
        token=header.rpartition(" ")[2] if header else None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        expiration=dt.datetime.now(dt.UTC) + _LOGIN_LIFETIME,
    )
