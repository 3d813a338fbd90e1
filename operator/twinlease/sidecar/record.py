"""What a server must know beyond its pod's life: a record beside the leases, written by the guard, durably."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.servinglease import Answered
from twinlease.ipc.client import GuardStatus, GuardUnreachable
from twinlease.ipc.protocol import ProtocolError
from twinlease.log import kv

_log = logging.getLogger(__name__)

_VERSION = 1


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """The record.

    Attributes:
        id: Random name of the lease database; empty: it has none yet.
        counter: Raised here before each confirmed write, at most one ahead of what is confirmed.
        newest: Latest transaction that was confirmed, seconds since the epoch.
        address: Of that transaction.
        complete: The database was not emptied, or its partner has filled it since.
        misled: The server was killed for a step of its wall clock, and has not started anew since: it may not resume.
        pair: UID of the pair that epochs and orders are of; empty: not known.
        epoch: The highest that was ever seen.
        consumed: Epoch of the last order that was begun.
        answered: The last answer to an order.
        interruption: Number of the last interruption.
        long_promise: A long promise to the partner may be outstanding.
        short_seconds: The longest promise in good times that was ever made.
        long_seconds: The longest other one.
    """

    v: int = _VERSION
    id: str = ""
    counter: int = 0
    newest: int = 0
    address: str = ""
    complete: bool = True
    misled: bool = False
    pair: str = ""
    epoch: int = 0
    consumed: int = 0
    answered: Answered = Answered()
    interruption: int = 0
    long_promise: bool = False
    short_seconds: int = 0
    long_seconds: int = 0


class NotRememberedError(Exception):
    """The record could not be made durable: what depends on it must not be done."""


class Keeps(Protocol):
    """As much of the guard's client as is needed here."""

    def remember(self, record: Mapping[str, Any]) -> GuardStatus:
        """Make a record durable."""


def parse(found: Mapping[str, Any] | None) -> Record:
    """Return the record that a guard has; an empty one if there is none.

    Raises:
        ValueError: It is none of ours.
    """
    if found is None:
        return Record()
    try:
        record = msgspec.convert(dict(found), Record)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if record.v != _VERSION:
        raise ValueError(f"version {record.v}, and this sidecar knows {_VERSION}")
    return record


def for_pair(record: Record, pair: str, epoch: int, known: str = "") -> Record:
    """Return the record as it counts for a pair: epochs and orders of an earlier one of its name are nothing to it.

    They are where the serving lease was kept, for then it goes on counting; where it was deleted with the earlier pair
    the new one must not be taken for a rolled back copy of it. The leases, their name and what was promised stay:
    they make the database a foreign one, of which a human says what it is. A serving lease that knows this very
    database is no new pair's: it came out of a backup beside a pair that was made anew, and is rolled back.

    Args:
        record: What the disk holds.
        pair: UID of the pair that there is; empty: not known.
        epoch: Of its serving lease.
        known: Name of this server's lease database, by the serving lease; empty: it knows none.
    """
    if not pair or pair == record.pair:
        return record
    if record.pair and epoch < record.epoch and (not known or known != record.id):
        return replace(record, pair=pair, epoch=epoch, consumed=0, answered=Answered())
    return replace(record, pair=pair)


class Durable:
    """The record and its way to the disk; shared by the sidecar's threads.

    Attributes:
        problem: Why there is no record to go by, or empty.
        found: There was one when the guard was first asked.

    Args:
        guard: Writes it.
    """

    def __init__(self, guard: Keeps) -> None:
        self.problem = "the guard has not been asked yet"
        self.found = False
        self._guard = guard
        self._lock = threading.RLock()
        self._record = Record()

    @property
    def record(self) -> Record:
        """The record as it is on the disk."""
        return self._record

    @property
    def readable(self) -> bool:
        """Whether it could be read."""
        return not self.problem

    def read(self, status: GuardStatus) -> None:
        """Take the record in from the guard, once: from then on only we change it."""
        with self._lock:
            if not self.problem:
                return
            self.problem = status.record_error
            if self.problem:
                return
            try:
                self._record = parse(status.record)
            except ValueError as error:
                self.problem = f"the record beside the leases is not to be understood: {error}"
            self.found = status.record is not None

    def change(self, how: Callable[[Record], Record]) -> Record:
        """Change the record; it is on the disk when this returns.

        Raises:
            NotRememberedError: It is not; nothing has changed, as far as anybody can rely on it.
        """
        with self._lock:
            if self.problem:
                raise NotRememberedError(self.problem)
            wanted = how(self._record)
            if wanted == self._record:
                return wanted
            try:
                self._guard.remember(msgspec.to_builtins(wanted))
            except (GuardUnreachable, ProtocolError) as error:
                _log.warning("cannot remember", extra=kv(why=error))
                raise NotRememberedError(str(error)) from error
            self._record = wanted
            return wanted

    def set(self, **fields: object) -> Record:
        """Change fields of the record. Errors as ``change``."""
        return self.change(lambda record: replace(record, **fields))
