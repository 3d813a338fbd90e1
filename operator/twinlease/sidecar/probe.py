"""Asking the server itself: its failover state all the time, its lease database now and then."""

import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from msgspec import Struct

from twinlease.api.server import PoolUsage, ServerSpec
from twinlease.engines.process import server_process
from twinlease.engines.protocol import Control, ControlError, Engine, FailoverStatus, LeaseCounter, Watermark
from twinlease.model.service import AddressRange

Connect = Callable[[int, str], Any]
"""Opens a control session to a port of the loopback, with the name of the control key."""

# A server that is busy writing may miss one question; what it said before is then still the best that we know.
_PATIENCE_SECONDS = 2.0
_COUNT_SECONDS = 10.0
# Counting may take this share of a core at most, however large the database is.
_COUNT_SHARE = 0.02


class Usage(Struct, frozen=True):
    """What is only looked at now and then."""

    pools: tuple[PoolUsage, ...] = ()
    unacked_updates: int = 0


class Probe:
    """Reads one server. Not thread-safe.

    Attributes:
        usage: What the last count found.
        answered: Whether the last question was answered.

    Args:
        engine: The kind of server.
        connect: Opens control sessions.
        lease_dir: Holds the lease database.
    """

    def __init__(self, engine: Engine, connect: Connect, lease_dir: Path) -> None:
        self.usage = Usage()
        self.answered = False
        self._engine = engine
        self._connect = connect
        self._counter: LeaseCounter = engine.lease_counter(lease_dir / server_process(engine.name).lease_file_name)
        self._control: Control | None = None
        self._controlled: tuple[str, int] | None = None
        self._failover: FailoverStatus | None = None
        self._answered_at = 0.0
        self._count_after = self._follow_after = 0.0
        self._counted = False

    @property
    def transitions(self) -> int:
        """How often a change of the server's state was seen to be recorded; only differences tell."""
        return self._counter.transitions

    @property
    def reach(self) -> Watermark | None:
        """How far the leases reached at the last look at them; None: there was none."""
        return self._counter.watermark if self._counted else None

    def failover(self, spec: ServerSpec) -> FailoverStatus | None:
        """Ask for the failover state and return it, None if the server has given no answer for a while."""
        try:
            self._failover = self._session(spec).failover()
            self._answered_at = time.monotonic()
            self.answered = True
        except ControlError:
            self.answered = False
            if time.monotonic() - self._answered_at > _PATIENCE_SECONDS:
                self._failover = None
        return self._failover

    def forget(self) -> None:
        """Drop everything that a server said that does not run any more."""
        self._failover = None
        if self._control is not None:
            self._control.close()

    def control(self, spec: ServerSpec) -> Control:
        """Return the control interface of the server that the spec describes."""
        return self._session(spec)

    def follow(self, spec: ServerSpec, *, at_once: bool) -> None:
        """Look at what was appended to the lease database, for records of its state.

        Args:
            spec: Of the server.
            at_once: Whatever it costs; else only as far as that is little.
        """
        began = time.monotonic()
        if at_once or began >= self._follow_after:
            self._look(spec)
            self._follow_after = began + (time.monotonic() - began) / _COUNT_SHARE

    def count(self, spec: ServerSpec) -> bool:
        """Look at the lease database if it is time to; tell whether it was looked at."""
        began = time.monotonic()
        if began < self._count_after:
            return False
        self._look(spec)
        took = time.monotonic() - began
        self._count_after = began + max(_COUNT_SECONDS, took / _COUNT_SHARE)
        return True

    def _look(self, spec: ServerSpec) -> None:
        wanted = {pool.name: [_range(run.start, run.end) for run in pool.ranges] for pool in spec.pools}
        try:
            counts = self._counter.count(wanted)
            self._counted = True
        except OSError:
            counts = {}
        pools = tuple(
            PoolUsage(name=name, addresses=sum(map(len, wanted[name])), **found) for name, found in counts.items()
        )
        self.usage = Usage(pools, self._failover.unacked_updates if self._failover else 0)

    def _session(self, spec: ServerSpec) -> Control:
        """Return the control of the server that the spec describes."""
        wanted = (spec.failover_name, spec.omapi_port)
        if self._control is None or self._controlled != wanted:
            self.forget()
            port, key = spec.omapi_port, self._engine.control_key
            self._control = self._engine.control(lambda: self._connect(port, key), spec.failover_name)
            self._controlled = wanted
        return self._control


def _range(first: str, last: str) -> AddressRange:
    return AddressRange(IPv4Address(first), IPv4Address(last))
