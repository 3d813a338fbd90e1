"""``twinlease operator``: stand for election; while leading, watch and reconcile; on loss of the lead end at once."""

import logging
import os
import signal
import sys
import threading
from typing import Never

from twinlease import __version__, log
from twinlease.controller import acceptance, loop, settings
from twinlease.controller.exposed import Exposed
from twinlease.controller.loop import Controller
from twinlease.controller.renderer import Renderer
from twinlease.controller.settings import Flags
from twinlease.controller.watch import Watcher
from twinlease.kube import official
from twinlease.kube.client import Client
from twinlease.kube.elector import Elector
from twinlease.kube.protocol import ApiError
from twinlease.log import kv

_log = logging.getLogger(__name__)

MANAGER = "twinlease-operator"
_EXIT_LOST = 75
_EXIT_FAILED = 70
_LISTING_RETRY_SECONDS = 2.0


def run(argv: list[str]) -> int:
    """Run the operator until SIGTERM or SIGINT; return the exit status."""
    try:
        flags = settings.parse(argv)
        official.configuration(flags.kubeconfig)
    except ApiError as error:
        sys.stderr.write(f"twinlease operator: {error}\n")
        return 1
    log.configure(level=logging.getLevelNamesMapping()[flags.log_level.upper()])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Operator(flags, stop).run()
    return 0


class Operator:
    """One operator process.

    Args:
        flags: Its settings.
        stop: Ends it in good order.
    """

    def __init__(self, flags: Flags, stop: threading.Event) -> None:
        self._flags = flags
        self._stop = stop
        self._leading = threading.Event()
        # The elector has a connection pool of its own: reconciliation must never keep it waiting.
        self._exposed = Exposed()
        transport = self._exposed.timed(official.OfficialTransport(official.configuration(flags.kubeconfig)))
        self._elector = Elector(transport, flags.lease_namespace, flags.lease_name, flags.identity)

    def run(self) -> None:
        """Stand for election and lead until stopped."""
        _log.info("started", extra=kv(version=__version__, identity=self._flags.identity))
        if self._flags.http_port:
            self._exposed.serve(self._elector, self._flags.http_port)
        over = threading.Event()
        election = threading.Thread(
            target=self._elector.run, args=(over,), kwargs={"started": self._leading.set, "lost": _lost}, daemon=True
        )
        election.start()
        while not self._leading.wait(0.2):
            if self._stop.is_set():
                over.set()
                election.join(timeout=10)
                return
        _log.info("leading", extra=kv(lease=f"{self._flags.lease_namespace}/{self._flags.lease_name}"))
        self._lead()
        over.set()
        election.join(timeout=10)
        _log.info("stopped")

    def _lead(self) -> None:
        flags = self._flags
        transport = self._exposed.timed(official.OfficialTransport(official.configuration(flags.kubeconfig)))
        controller = Controller(
            loop.Settings(namespaces=flags.namespaces, image=flags.image, instance=flags.identity),
            Client(transport, MANAGER),
            render=Renderer(),
            judge=acceptance.judge,
            may_write=self._elector.leading,
            looked=self._exposed.looked,
        )
        watcher = Watcher(
            controller.feed,
            namespaces=flags.namespaces,
            configuration=lambda: official.configuration(flags.kubeconfig),
            failed=_watch_failed,
        )
        if not self._first_listing(controller):
            return
        self._exposed.controller = controller
        watcher.start()
        controller.start()
        _log.info("reconciling", extra=kv(pairs=len(controller.pairs())))
        self._stop.wait()
        watcher.stop()
        controller.stop()

    def _first_listing(self, controller: Controller) -> bool:
        """Fill the cache; nothing may be decided from a part of the world. False: stopped meanwhile."""
        while not self._stop.is_set():
            try:
                controller.resync()
            except ApiError as error:
                _log.warning("listing failed", extra=kv(error=str(error), hint="are the CRDs applied?"))
                self._stop.wait(_LISTING_RETRY_SECONDS)
            else:
                return True
        return False


def _lost() -> Never:
    """End at once: another operator may lead, and threads of ours may be about to write."""
    _log.error("lost the lead")
    _exit(_EXIT_LOST)


def _watch_failed(error: BaseException | None) -> Never:
    _log.error("the watch ended", extra=kv(error=repr(error)))
    _exit(_EXIT_FAILED)


def _exit(status: int) -> Never:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
