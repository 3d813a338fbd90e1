"""``twinlease sidecar``: puts the sidecar together and runs it."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

import twinlease
from twinlease import log, omapi
from twinlease.engines.protocol import engine
from twinlease.ipc.client import GuardClient
from twinlease.kube.client import Client
from twinlease.kube.light import in_cluster
from twinlease.kube.protocol import ApiError
from twinlease.log import kv
from twinlease.netlink.protocol import NetlinkError
from twinlease.netlink.rtnl import RouteNetlink
from twinlease.sidecar.agent import Agent, Parts
from twinlease.sidecar.configs import ConfigSource
from twinlease.sidecar.memory import Memory
from twinlease.sidecar.netwatch import NetworkWatch
from twinlease.sidecar.probe import Probe
from twinlease.sidecar.publisher import Publisher
from twinlease.sidecar.settings import Settings, SettingsError, from_environment
from twinlease.sidecar.watcher import Watcher

_log = logging.getLogger(__name__)

MANAGER = "twinlease-sidecar"

_CONTROL_SECONDS = 1.0
# A call that is under way may take longer than anybody wants to wait for our end; nothing is lost by dropping it.
_LAST_RESORT_SECONDS = 0.8


def run(argv: Sequence[str]) -> int:
    """Run until a signal asks for the end and return the exit status."""
    if argv:
        sys.stderr.write("twinlease sidecar takes no arguments: it is configured by its pod\n")
        return 2
    log.configure()
    threading.excepthook = _thread_failed
    stopping = _on_signals()
    try:
        settings = from_environment(os.environ)
        agent = assemble(settings, os.environ)
    except (SettingsError, ApiError, NetlinkError, OSError, ValueError) as error:
        _log.error("cannot start", extra=kv(why=error))
        return 1
    _log.info("sidecar ready", extra=kv(version=twinlease.__version__, server=settings.server, node=settings.node))
    agent.run(stopping)
    _log.info("sidecar ends, the server goes on")
    return 0


def assemble(settings: Settings, environment: Mapping[str, str]) -> Agent:
    """Return an agent whose threads run.

    Raises:
        ApiError: The environment names no API server.
        NetlinkError: No netlink socket.
        OSError: The control key cannot be read or written.
        ValueError: No such engine, or the control key is none.
    """
    kind = engine(settings.engine)
    secret = (settings.secret_dir / "secret").read_text(encoding="ascii").strip()
    kind.write_credentials(settings.run_dir, secret)
    transport = in_cluster(environment, settings.account_dir, agent=f"{MANAGER}/{twinlease.__version__}")
    client = Client(transport, MANAGER)
    wake = threading.Event()
    parts = Parts(
        settings=settings,
        engine=kind,
        guard=GuardClient(settings.run_dir / "guard.sock"),
        links=RouteNetlink(),
        watcher=Watcher(client, settings.namespace, settings.server, wake.set),
        publisher=Publisher(client, settings.namespace, settings.server),
        configs=ConfigSource(client, settings.namespace, settings.run_dir / "candidate"),
        probe=Probe(
            kind,
            lambda port, key: omapi.connect("127.0.0.1", port, key, secret, _CONTROL_SECONDS),
            settings.lease_dir,
        ),
        memory=Memory(settings.run_dir),
    )
    agent = Agent(parts, wake)
    for thread in (parts.watcher, parts.publisher, NetworkWatch(parts.links, agent.network_changed)):
        thread.start()
    return agent


def _on_signals() -> Callable[[], bool]:
    """Return a function that tells whether a signal has asked for the end."""
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        signal.setitimer(signal.ITIMER_REAL, _LAST_RESORT_SECONDS)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(0))
    return lambda: bool(asked)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """End the process when a thread ends: half a sidecar would look like a whole one."""
    name = failure.thread.name if failure.thread else ""
    known = failure.exc_value is not None
    _log.critical("thread failed", extra=kv(thread=name), exc_info=failure.exc_value if known else None)
    os._exit(1)
