"""``twinlease sidecar``: puts the sidecar together and runs it."""

import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import twinlease
from twinlease import log, omapi
from twinlease.engines.protocol import Engine, engine
from twinlease.ipc.client import GuardClient
from twinlease.kube.client import Client
from twinlease.kube.light import in_cluster
from twinlease.kube.protocol import SERVERS, SERVING_LEASES, ApiError
from twinlease.log import kv
from twinlease.netlink.protocol import NetlinkError
from twinlease.netlink.rtnl import RouteNetlink
from twinlease.sidecar.agent import RELEASE_SECONDS, Agent
from twinlease.sidecar.board import Parts
from twinlease.sidecar.clock import Clocks
from twinlease.sidecar.configs import ConfigSource
from twinlease.sidecar.keeper import Keeper
from twinlease.sidecar.leases import ServingLease
from twinlease.sidecar.memory import Memory
from twinlease.sidecar.netwatch import NetworkWatch
from twinlease.sidecar.observed import lease_object, server_object
from twinlease.sidecar.peer import Peer, Promises
from twinlease.sidecar.probe import Probe
from twinlease.sidecar.promises import Conversation, key_of
from twinlease.sidecar.publisher import Publisher
from twinlease.sidecar.record import Durable
from twinlease.sidecar.renewal import Renewal
from twinlease.sidecar.settings import Settings, SettingsError, from_environment
from twinlease.sidecar.watcher import Watcher

if TYPE_CHECKING:
    from twinlease.sidecar.exposed import Exposed

_log = logging.getLogger(__name__)

MANAGER = "twinlease-sidecar"

_CONTROL_SECONDS = 1.0
_CALM_SECONDS = 10.0
# A call that is under way may take longer than anybody wants to wait for our end; nothing is lost by dropping it.
_LAST_RESORT_SECONDS = 0.8
_SESSION_BYTES = 8


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
    signal.setitimer(signal.ITIMER_REAL, RELEASE_SECONDS + _LAST_RESORT_SECONDS)
    agent.farewell()
    _log.info("sidecar ends")
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
    light = in_cluster(environment, settings.account_dir, agent=f"{MANAGER}/{twinlease.__version__}")
    clocks = Clocks()
    exposed = _exposed(settings, clocks)
    transport = light if exposed is None else exposed.timed(light)
    parts = _parts(settings, kind, secret, clocks, lambda seconds: Client(transport, MANAGER, timeout=seconds))
    agent = Agent(parts)
    watch = NetworkWatch(parts.links, agent.network_changed)
    for thread in (parts.watcher, parts.publisher, parts.renewal, parts.peer, watch):
        thread.start()
    if exposed is not None:
        exposed.serve(agent)
    return agent


def _exposed(settings: Settings, clocks: Clocks) -> "Exposed | None":
    """Return what is exported; None: nothing, and then nothing is loaded for it."""
    if not settings.metrics_port:
        return None
    from twinlease.sidecar.exposed import Exposed  # noqa: PLC0415  # prometheus_client takes more than a megabyte

    return Exposed(settings, clocks)


def _parts(settings: Settings, kind: Engine, secret: str, clocks: Clocks, client: Callable[[float], Client]) -> Parts:
    """Return everything that the agent works with; nothing of it runs yet."""
    wake = threading.Event()
    calm = client(_CALM_SECONDS)
    guard = GuardClient(settings.run_dir / "guard.sock")
    keeper = Keeper(guard, clocks.boot, wake.set)
    durable = Durable(guard)
    promises = Promises(durable, clocks)
    lease = ServingLease(
        lambda name: Watcher(calm, SERVING_LEASES, settings.namespace, name, lease_object, wake.set, forgets=True)
    )
    conversation = Conversation(key_of(secret), lambda: secrets.token_hex(_SESSION_BYTES))
    return Parts(
        settings=settings,
        clocks=clocks,
        engine=kind,
        guard=guard,
        links=RouteNetlink(),
        watcher=Watcher(calm, SERVERS, settings.namespace, settings.server, server_object, wake.set),
        lease=lease,
        publisher=Publisher(calm, settings.namespace, settings.server),
        configs=ConfigSource(calm, settings.namespace, settings.run_dir / "candidate"),
        probe=Probe(
            kind,
            lambda port, key: omapi.connect("127.0.0.1", port, key, secret, _CONTROL_SECONDS),
            settings.lease_dir,
        ),
        memory=Memory(settings.run_dir),
        durable=durable,
        keeper=keeper,
        promises=promises,
        renewal=Renewal(client, settings.namespace, lease, durable, keeper, clocks, wake.set),
        peer=Peer(conversation, promises, keeper, clocks, wake.set),
        wake=wake,
    )


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
