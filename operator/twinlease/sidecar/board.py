"""The snapshot's place: looked at and changed by the agent's own thread only."""

import threading

from msgspec import Struct
from msgspec.structs import replace

from twinlease.engines.process import server_process
from twinlease.engines.protocol import BindingLog, Engine
from twinlease.ipc.client import GuardClient
from twinlease.netlink.protocol import Links
from twinlease.sidecar.backoff import Backoff
from twinlease.sidecar.clock import Clocks
from twinlease.sidecar.configs import ConfigSource
from twinlease.sidecar.keeper import Keeper
from twinlease.sidecar.leases import ServingLease
from twinlease.sidecar.memory import Memory
from twinlease.sidecar.observed import Observed, ServerObject
from twinlease.sidecar.peer import Peer, Promises
from twinlease.sidecar.probe import Probe
from twinlease.sidecar.publisher import Publisher
from twinlease.sidecar.record import Durable
from twinlease.sidecar.renewal import Renewal
from twinlease.sidecar.settings import Settings
from twinlease.sidecar.tenure import Tenure
from twinlease.sidecar.watcher import Watcher


class Parts(Struct, frozen=True, kw_only=True):
    """What the agent works with; ``main`` puts it together, and tests put in what they like."""

    settings: Settings
    clocks: Clocks
    engine: Engine
    guard: GuardClient
    links: Links
    watcher: Watcher[ServerObject]
    lease: ServingLease
    publisher: Publisher
    configs: ConfigSource
    probe: Probe
    memory: Memory
    durable: Durable
    keeper: Keeper
    promises: Promises
    renewal: Renewal
    peer: Peer
    wake: threading.Event

    def leases(self) -> BindingLog:
        """Return a reader of the lease database; nothing is opened yet."""
        return self.engine.binding_log(self.settings.lease_dir / server_process(self.engine.name).lease_file_name)


class Board:
    """The snapshot, and the pauses after failures.

    Attributes:
        now: The snapshot.
        starts: Pause between starts.
        fetches: Pause between attempts to fetch a configuration.

    Args:
        parts: What to work with.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.now = Observed(pod_uid=parts.settings.pod_uid, node=parts.settings.node)
        self.starts = Backoff(1.0, 30.0)
        self.fetches = Backoff(1.0, 10.0)

    def observe(self, **changes: object) -> None:
        """Take a change in."""
        self.now = replace(self.now, **changes)

    def keep_tenure(self, tenure: Tenure) -> None:
        """Take in another tenure, in the pod's memory first.

        Raises:
            OSError: It cannot be kept; nothing has changed.
        """
        if tenure != self.now.tenure:
            self.parts.memory.keep_tenure(tenure)
            self.observe(tenure=tenure)
