"""Holding leases while the server is cut off: nothing may be free by its word alone when the partners meet again."""

import heapq
import logging
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import NamedTuple

from twinlease.decide import hold
from twinlease.engines.protocol import BindingLog, Control, ControlError
from twinlease.log import kv
from twinlease.model import spans
from twinlease.model.binding import ENDED, Binding, Standing
from twinlease.model.states import FailoverState, Role
from twinlease.sidecar.clock import Clock
from twinlease.sidecar.observed import Observed
from twinlease.sidecar.reading import Records

_log = logging.getLogger(__name__)

EVERY_SECONDS = 0.2
"""How often it is looked for leases to hold; what is not seen in time is not held when the partners meet."""
_SHARE_SECONDS = 0.1
"""For so long at most at a time, for the server writes each lease to the disk and answers nobody meanwhile."""
_AT_ONCE = 1
"""Between two messages the server answers whoever waits: with 8 in each, clients waited for up to 17 ms (measured)."""
_AGAIN_SECONDS = 2.0
_REFUSED_SECONDS = 60.0
_SPREAD = 64
"""Among so many addresses, spread over all pools, a few are the primary's own and free, or leased."""


class _Begun(NamedTuple):
    """The start of a server that is cut off, since when it is, the longest lease, and whether it is the primary."""

    started_at: float
    since: int
    longest: int
    primary: bool


class Holder:
    """Keeps track of which leases are to be held, and has them held.

    Args:
        log: Opens a reader of the server's lease database.
        wall: Seconds since the epoch, by the server's wall clock.
    """

    def __init__(self, log: Callable[[], BindingLog], wall: Clock) -> None:
        self._open = log
        self._wall = wall
        self._records: Records | None = None
        self._schedule = Schedule(since=0, longest=0)
        self._begun: _Begun | None = None
        self._spread: tuple[IPv4Address, ...] = ()
        self._held = 0
        self._trouble = ""

    @property
    def busy(self) -> bool:
        """Whether it is to be called again soon."""
        return self._begun is not None

    def log(self) -> BindingLog:
        """Return a reader of the lease database that begins with how its leases stand, if they are known already."""
        return self._open() if self._records is None else _Known(self._records, self._schedule)

    def tend(self, now: Observed, control: Control) -> None:
        """Have held what is to be, for a moment; the rest waits for the next call."""
        if now.running and not now.answered:
            return  # of a server that is busy for a moment nothing is forgotten
        begun = self._cut_off(now)
        if begun != self._begun:
            self._end()
            if begun is not None:
                self._begin(begun)
                self._spread = _spread(now)
        if begun is None or self._records is None:
            return
        until = time.monotonic() + _SHARE_SECONDS
        try:
            self._records.read(self._schedule.take, until)
            while time.monotonic() < until and self._hold(control):
                pass
        except (ControlError, OSError) as error:
            self._troubled(str(error))

    def _cut_off(self, now: Observed) -> _Begun | None:
        """Return what is known of a server that is cut off; None: it is not."""
        said = now.failover
        if now.guard is None or not now.running or said is None:
            return None
        if said.local is not FailoverState.COMMUNICATIONS_INTERRUPTED:
            return None
        if not now.longest:
            self._troubled("the longest lease is not known")
            return None
        return _Begun(now.guard.started_at, said.since, now.longest, primary=now.role is Role.PRIMARY)

    def _begin(self, begun: _Begun) -> None:
        self._begun = begun
        self._records = Records(self._open)
        self._schedule = Schedule(since=begun.since, longest=begun.longest, primary=begun.primary)

    def _end(self) -> None:
        if self._records is not None:
            self._records.close()
            _log.info("no lease is held any more", extra=kv(held=self._held, due=self._schedule.due(self._wall())))
        self._records = self._begun = None
        self._schedule = Schedule(since=0, longest=0)
        self._held, self._trouble = 0, ""

    def _hold(self, control: Control) -> bool:
        """Have a few leases held; tell whether there may be more."""
        now = self._wall()
        due = self._schedule.next(now, _AT_ONCE, again=now + _AGAIN_SECONDS)
        if not due:
            return False
        until = hold.until(now, longest=self._schedule.longest)
        refused: dict[IPv4Address, str] = {}
        for each in due:
            one = [IPv4Address(each)]
            if self._schedule.goes(each):
                refused |= control.leave(one, until, beside=self._spread)
            elif self._schedule.given_away(each):
                refused |= control.take(one)
            else:
                refused |= control.hold(one, until)
        if not self._held:
            _log.info("leases are held while cut off", extra=kv(first=IPv4Address(due[0])))
        self._held += len(due) - len(refused)
        for address, why in refused.items():
            self._schedule.postpone(int(address), now + _REFUSED_SECONDS)
            self._troubled(f"{address}: {why}")
        return True

    def _troubled(self, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            _log.warning("a lease is not held", extra=kv(why=why))


def _spread(now: Observed) -> tuple[IPv4Address, ...]:
    pools = () if now.desired is None else now.desired.object.spec.pools
    ranges = [(int(IPv4Address(each.start)), int(IPv4Address(each.end))) for pool in pools for each in pool.ranges]
    return tuple(map(IPv4Address, spans.spread(spans.merge(ranges), _SPREAD)))


class Schedule:
    """When each address is to be held next. No I/O.

    Attributes:
        longest: The longest lease that the partner may give, seconds.
        leases: The last record of each address that is leased, or is no more by this server's word alone.
        left: The same of each that by this server's word alone is its partner's to give.

    Args:
        since: When the server was cut off, seconds since the epoch.
        longest: The longest lease that the partner may give, seconds.
        primary: The server is that.
    """

    def __init__(self, *, since: int, longest: int, primary: bool = False) -> None:
        self.longest = longest
        self.leases: dict[int, Binding] = {}
        self.left: dict[int, Binding] = {}
        self._primary = primary
        self._since = since
        self._due: dict[int, float] = {}
        self._order: list[tuple[float, int]] = []

    def take(self, last: Binding) -> None:
        """Take in the last record of an address."""
        if hold.declined(last, primary=self._primary):
            last = last._replace(standing=Standing.RELEASED)
        if last.left and self._primary:
            self.left[last.address] = last
        else:
            self.left.pop(last.address, None)
        if last.standing is Standing.LEASED or last.standing in ENDED:
            self.leases[last.address] = last
        else:
            self.leases.pop(last.address, None)
        due = hold.due(last, since=self._since, longest=self.longest, primary=self._primary)
        if due is None:
            self._due.pop(last.address, None)
        else:
            self._put(last.address, due)

    def next(self, now: float, count: int, *, again: float) -> list[int]:
        """Return some addresses that are due, the most urgent first; each is due again then, unless it is taken in."""
        found: list[int] = []
        while self._order and len(found) < count and self._order[0][0] <= now:
            due, address = heapq.heappop(self._order)
            if self._due.get(address) == due:
                found.append(address)
                self._put(address, again)
        return found

    def given_away(self, address: int) -> bool:
        """Tell whether the partner may have given an address to somebody else, of which this server has a client."""
        last = self.leases.get(address)
        return last is not None and hold.given_away(last, primary=self._primary)

    def goes(self, address: int) -> bool:
        """Tell whether an address is left to the partner, with an instant to come."""
        last = self.leases.get(address)
        return address in self.left or (last is not None and hold.goes(last, primary=self._primary))

    def postpone(self, address: int, due: float) -> None:
        """Leave an address until then, or until it is taken in."""
        self._put(address, due)

    def due(self, now: float) -> int:
        """Return how many addresses are due."""
        return sum(due <= now for due in self._due.values())

    def _put(self, address: int, due: float) -> None:
        self._due[address] = due
        heapq.heappush(self._order, (due, address))


class _Known:
    """Reads the leases that are known and then, for both who read it, what is new. A ``BindingLog``."""

    def __init__(self, records: Records, schedule: Schedule) -> None:
        self._records = records
        self._schedule = schedule
        self._begun = False

    def news(self) -> Iterator[Binding]:
        """Yield what this reader does not know. Errors as ``BindingLog.news``."""
        if not self._begun:
            self._begun = True
            yield from [*self._schedule.leases.values(), *self._schedule.left.values()]
        while True:
            found: list[Binding] = []

            def take(last: Binding, found: list[Binding] = found) -> None:
                self._schedule.take(last)
                found.append(self._schedule.leases.get(last.address, last))

            self._records.read(take, until=0.0)
            yield from found
            # What was being read may have been the rest of a file that has been replaced since.
            if self._records.all_taken and not found:
                return

    def close(self) -> None:
        """Leave the database to whoever read it before."""
