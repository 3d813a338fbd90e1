"""A thread that writes the status: the newest one, soon, and not too often."""

import logging
import threading
import time

import msgspec

from twinlease.api.server import ServerStatus
from twinlease.kube.client import NOT_FOUND, Client
from twinlease.kube.protocol import SERVERS, ApiError
from twinlease.log import kv
from twinlease.sidecar.backoff import Backoff

_log = logging.getLogger(__name__)

# At most two writes a second, however fast things change; the first change of a calm time is written at once.
_INTERVAL_SECONDS = 0.5


class Publisher(threading.Thread):
    """Owns the status of one DHCPServer.

    Args:
        client: The API, with the sidecar's field manager.
        namespace: Of the DHCPServer.
        name: Of the DHCPServer.
    """

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        super().__init__(name="publisher", daemon=True)
        self._client = client
        self._metadata = {"name": name, "namespace": namespace}
        self._wanted: ServerStatus | None = None
        self._news = threading.Condition()
        self._backoff = Backoff(0.5, 10.0)

    def submit(self, status: ServerStatus) -> None:
        """Have a status written, instead of any that has not been written yet."""
        with self._news:
            self._wanted = status
            self._news.notify()

    @property
    def idle(self) -> bool:
        """Whether everything that was submitted is written."""
        return self._wanted is None

    def run(self) -> None:
        """Write until the process ends."""
        said = ""
        while True:
            with self._news:
                self._news.wait_for(lambda: self._wanted is not None)
                status = self._wanted
            try:
                self._write(status)
            except ApiError as error:
                if str(error) != said:
                    said = str(error)
                    _log.warning("cannot write the status", extra=kv(name=self._metadata["name"], why=said))
                time.sleep(self._backoff.failed())
                continue
            said = ""
            self._backoff.reset()
            with self._news:
                if self._wanted is status:
                    self._wanted = None
            time.sleep(_INTERVAL_SECONDS)

    def _write(self, status: ServerStatus | None) -> None:
        body = {"metadata": self._metadata, "status": msgspec.to_builtins(status)}
        try:
            self._client.apply(SERVERS, body, subresource="status")
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            # Deleted, and made again perhaps: then the watcher sees it, and the agent submits anew.
            _log.info("no DHCPServer to report to", extra=kv(name=self._metadata["name"]))
