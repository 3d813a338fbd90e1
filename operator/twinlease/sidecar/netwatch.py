"""A thread that says when the network changed."""

import logging
import threading
import time
from collections.abc import Callable

from twinlease.log import kv
from twinlease.netlink.protocol import Links, NetlinkError

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0


class NetworkWatch(threading.Thread):
    """Waits for the kernel's word.

    Args:
        links: Whose ``wait`` is called; another thread may call its ``read``.
        changed: Called, from this thread, after each change.
    """

    def __init__(self, links: Links, changed: Callable[[], None]) -> None:
        super().__init__(name="netlink", daemon=True)
        self._links = links
        self._changed = changed

    def run(self) -> None:
        """Wait until the process ends."""
        while True:
            try:
                self._links.wait()
            except NetlinkError as error:
                # The agent looks by itself now and then, so this costs promptness only.
                _log.warning("cannot see changes of the network", extra=kv(why=error))
                time.sleep(_PAUSE_SECONDS)
            self._changed()
