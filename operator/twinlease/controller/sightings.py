"""What this operator has seen of each server, and when, on its own monotonic clock.

Whether a server renews is told by no clock but ours, and by nothing but that its part of the serving lease changes
while we look. Who begins to lead begins to count: a renewal of before is no renewal that was seen.
"""

import threading
import time
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.servinglease import Own, ServingLeaseSpec
from twinlease.controller.cache import PairKey
from twinlease.decide.pairview import entry
from twinlease.model.states import Role

NEVER = float("inf")


class Since(Struct, frozen=True):
    """Something that lasts: ``what`` it is, and since when (monotonic seconds)."""

    what: object
    start: float


class Seen(Struct, frozen=True, kw_only=True):
    """One server.

    Attributes:
        incarnation: Who wrote its part last.
        renewal: Number of that write.
        first: When it was first seen, monotonic seconds.
        arrived: It was seen to arrive: it is no older than that.
        gone: Since when there has been evidence, without a break, that the server is stopped; None: there is none.
    """

    incarnation: str
    renewal: int
    first: float
    arrived: bool = False
    gone: Since | None = None


class Memory(Struct, frozen=True, kw_only=True):
    """One pair.

    Attributes:
        uid: Of its serving lease: another one of its name is another one.
        rolled: The highest epoch that a server remembers and the API does not, and since when; None: there is none.
        lone: The role that alone of the two has shown up, and since when; None: neither or both have.
    """

    uid: str = ""
    servers: Mapping[Role, Seen] = {}
    lone: Since | None = None
    rolled: Since | None = None

    def rolled_back(self, now: float) -> float:
        """Return for how many seconds the servers have been seen to remember more than the API."""
        return 0.0 if self.rolled is None else now - self.rolled.start

    def age(self, role: Role, now: float) -> float:
        """Return how many seconds ago a server's last write was seen to arrive; infinite: none was."""
        seen = self.servers.get(role)
        return now - seen.first if seen is not None and seen.arrived else NEVER

    def silent(self, role: Role, now: float) -> float:
        """Return for how many seconds a server's part has been held as it is; 0 if it has never been seen."""
        seen = self.servers.get(role)
        return 0.0 if seen is None else now - seen.first

    def gone(self, role: Role, now: float) -> float:
        """Return for how many seconds there has been evidence that a server is stopped."""
        seen = self.servers.get(role)
        return 0.0 if seen is None or seen.gone is None else now - seen.gone.start

    def waiting(self, role: Role, now: float) -> float:
        """Return for how many seconds a server has been the only one of the two that has shown up."""
        return now - self.lone.start if self.lone is not None and self.lone.what == role else 0.0


def saw(memory: Memory, uid: str, lease: ServingLeaseSpec, now: float) -> Memory:
    """Return the memory after the serving lease was seen as it is now."""
    if memory.uid != uid:
        memory = Memory(uid=uid, lone=memory.lone)
    servers = {role: _saw(memory.servers.get(role), entry(lease, role).own, now) for role in Role}
    highest = max(lease.servers.primary.own.epoch, lease.servers.secondary.own.epoch)
    return replace(memory, servers=servers, rolled=_since(memory.rolled, highest, now, highest > lease.epoch))


def _saw(old: Seen | None, own: Own, now: float) -> Seen:
    if old is None:
        return Seen(incarnation=own.incarnation, renewal=own.renewal, first=now)
    if (old.incarnation, old.renewal) == (own.incarnation, own.renewal):
        return old
    # One that writes an earlier number has not written at all: an older copy of the object has come back.
    newer = old.incarnation != own.incarnation or own.renewal > old.renewal
    return replace(old, incarnation=own.incarnation, renewal=own.renewal, first=now, arrived=newer)


def judged(memory: Memory, role: Role, grant: object, now: float, *, stopped: bool) -> Memory:
    """Return the memory after a server was judged to be stopped, or not, while it had a certain grant."""
    seen = memory.servers.get(role)
    if seen is None:
        return memory
    return replace(memory, servers={**memory.servers, role: replace(seen, gone=_since(seen.gone, grant, now, stopped))})


def showed_up(memory: Memory, only: Role | None, now: float) -> Memory:
    """Return the memory after it was seen which one alone of the two has shown up; None: neither or both have."""
    return replace(memory, lone=_since(memory.lone, only, now, only is not None))


def _since(old: Since | None, what: object, now: float, holds: bool) -> Since | None:  # noqa: FBT001  # private
    if not holds:
        return None
    return old if old is not None and old.what == what else Since(what, now)


class Sightings:
    """The memories of all pairs. Safe to use from several threads.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pairs: dict[PairKey, Memory] = {}

    def now(self) -> float:
        """Return the time by the clock of all that is remembered here."""
        return self._clock()

    def of(self, key: PairKey) -> Memory:
        """Return what is remembered of a pair."""
        with self._lock:
            return self._pairs.get(key, Memory())

    def saw(self, key: PairKey, uid: str, lease: ServingLeaseSpec) -> None:
        """Remember that a pair's serving lease is now as it is."""
        self._change(key, lambda old, now: saw(old, uid, lease, now))

    def judged(self, key: PairKey, role: Role, grant: object, *, stopped: bool) -> None:
        """Remember whether a server counts as stopped."""
        self._change(key, lambda old, now: judged(old, role, grant, now, stopped=stopped))

    def showed_up(self, key: PairKey, only: Role | None) -> None:
        """Remember which server alone has shown up."""
        self._change(key, lambda old, now: showed_up(old, only, now))

    def forget(self, key: PairKey) -> None:
        """Forget a pair whose serving lease is gone."""
        with self._lock:
            self._pairs.pop(key, None)

    def _change(self, key: PairKey, change: Callable[[Memory, float], Memory]) -> None:
        with self._lock:
            self._pairs[key] = change(self._pairs.get(key, Memory()), self._clock())
