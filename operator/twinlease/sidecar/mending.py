"""Keeping what the server gave: an address that a late word of its partner's freed is leased again.

So is, as nobody's, what a client declined while the partner does not answer, which may have leased it to that client
since. And what is kept as nobody's is given up once that is over: by itself it would never be given again. So may be
what one of the two kept from a client while it was cut off, if the other one took its word for nothing.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address

from twinlease.decide import given, hold
from twinlease.decide.given import Given
from twinlease.engines.protocol import BindingLog, Control, ControlError
from twinlease.log import kv
from twinlease.model.binding import Binding, Standing
from twinlease.model.states import FailoverState, Role, serves
from twinlease.sidecar.clock import Clock
from twinlease.sidecar.observed import Observed
from twinlease.sidecar.reading import Records

_log = logging.getLogger(__name__)

_SHARE_SECONDS = 0.1
"""For so long at most at a time, for reading and for writing each: the server answers nobody while it writes."""
_AGAIN_SECONDS = 2.0
_BUSY_SECONDS = 5.0
"""Where one word came late, more do."""
_UNHEARD_SECONDS = 1.0
"""A partner that hears this server acknowledges within milliseconds that an address was declined. A client that did so
waits ten seconds before it asks for another one. Source: RFC 2131, 3.1.5."""
_RETIRED_AT_ONCE = 10
_OVER_SECONDS = 5
"""So long after its end a lease without a client is over by the partner's clock, too."""


class Mender:
    """Reads what the server records, and has it say again what it gave.

    Attributes:
        mended: How many leases were given again so far; for other threads to read.

    Args:
        log: Opens a reader of the server's lease database.
        wall: Seconds since the epoch, by the server's wall clock.
    """

    def __init__(self, log: Callable[[], BindingLog], wall: Clock) -> None:
        self.mended = 0
        self._open = log
        self._wall = wall
        self._records: Records | None = None
        self._ledger = Ledger()
        self._nobodys: dict[int, int] = {}
        self._declined: dict[int, tuple[int, float]] = {}
        self._taken: set[int] = set()
        self._left: dict[int, float] = {}
        self._apart = 0.0
        self._busy_until = 0.0
        self._trouble = ""

    @property
    def busy(self) -> bool:
        """Whether it is to be called again soon."""
        return time.monotonic() < self._busy_until

    def tend(self, now: Observed, control: Control) -> None:
        """Take in what was recorded, and mend it, for a moment; the rest waits for the next call."""
        if not now.running or not now.answered or now.failover is None:
            return
        try:
            if self._records is None:
                self._records = Records(self._open)
                self._apart = self._wall()  # for all that is known
            wall = self._wall()
            primary = now.role is Role.PRIMARY
            self._records.read(lambda last: self._take(last, wall, primary=primary), time.monotonic() + _SHARE_SECONDS)
            self._ledger.forget(wall)
            said = now.failover
            if not said.local is said.partner is FailoverState.NORMAL:
                self._apart = wall
            if self._records.all_taken and serves(said.local, said.partner):  # what is unread may say otherwise
                self._mend(control)
                if said.local is said.partner is FailoverState.NORMAL:
                    self._keep_declined(control, wall)
                    self._retire(control, wall)
                if wall > self._apart + _OVER_SECONDS:
                    self._say_again(control, now.role, wall)
        except (ControlError, OSError) as error:
            self._troubled(str(error))

    def _take(self, last: Binding, wall: float, *, primary: bool) -> None:
        self._ledger.take(last, wall)
        if hold.declined(last, primary=primary):
            self._declined.setdefault(last.address, (last.ends, wall))
        else:
            self._declined.pop(last.address, None)
        if last.nobodys:
            self._nobodys[last.address] = last.ends
        else:
            self._nobodys.pop(last.address, None)
        if last.standing is Standing.RESET:
            self._taken.add(last.address)
        else:
            self._taken.discard(last.address)
        if last.left > last.seen + _OVER_SECONDS:  # not as dhcpd itself leaves it
            self._left[last.address] = max(self._left.get(last.address, 0.0), last.left)
        else:
            self._left.pop(last.address, None)

    def _keep_declined(self, control: Control, wall: float) -> None:
        """Have kept what was declined, and has not been acknowledged since."""
        until = time.monotonic() + _SHARE_SECONDS
        for address, (ends, since) in list(self._declined.items()):
            if max(since, self._apart) > wall - _UNHEARD_SECONDS or time.monotonic() > until:
                continue
            if ends > wall:
                for why in control.hold([IPv4Address(address)], ends).values():
                    self._troubled(f"{IPv4Address(address)}: {why}")
                _log.warning("declined, unheard by the partner: it is nobody's", extra=kv(address=IPv4Address(address)))
                self._busy_until = time.monotonic() + _BUSY_SECONDS
            del self._declined[address]

    def _retire(self, control: Control, wall: float) -> None:
        """Have a few of the leases given up that are nobody's, and over."""
        over = [address for address, ends in self._nobodys.items() if ends < wall - _OVER_SECONDS]
        for address in over[:_RETIRED_AT_ONCE]:
            del self._nobodys[address]
            for why in control.retire([IPv4Address(address)]).values():
                self._troubled(f"{IPv4Address(address)}: {why}")

    def _say_again(self, control: Control, role: Role | None, wall: float) -> None:
        """Have it said of a few leases that they are over which still are, though all there was to say is said."""
        refused: dict[IPv4Address, str] = {}
        if role is Role.SECONDARY:
            for address in list(self._taken)[:_RETIRED_AT_ONCE]:
                self._taken.discard(address)
                refused |= control.expire([IPv4Address(address)])
        if role is Role.PRIMARY and wall > self._apart + given.KNOWN_SECONDS:
            # By now it has heard of whatever the secondary gave while they were apart.
            over = [address for address, until in self._left.items() if until < wall - _OVER_SECONDS]
            for address in over[:_RETIRED_AT_ONCE]:
                self._left[address] = wall + given.KNOWN_SECONDS
                refused |= control.repeat([IPv4Address(address)])
        for each, why in refused.items():
            self._troubled(f"{each}: {why}")

    def _mend(self, control: Control) -> None:
        until = time.monotonic() + _SHARE_SECONDS
        mended = 0
        while time.monotonic() < until and (due := self._ledger.due(self._wall(), again=_AGAIN_SECONDS)):
            address, ends = IPv4Address(due[0]), due[1]
            refused = control.hold([address], ends, free=True)
            for why in refused.values():
                self._troubled(f"{address}: {why}")
            mended += not refused
            self._busy_until = time.monotonic() + _BUSY_SECONDS
        self.mended += mended
        if mended:
            _log.warning("a late word of the partner's freed leases: leased again", extra=kv(leases=mended))

    def _troubled(self, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            _log.warning("a lease may not be kept", extra=kv(why=why))


class Ledger:
    """What was given lately, and what of it the server has forgotten. No I/O."""

    def __init__(self) -> None:
        self._given: dict[int, Given] = {}
        self._order: deque[tuple[int, int]] = deque()
        self._broken: dict[int, tuple[int, float]] = {}

    def take(self, last: Binding, now: float) -> None:
        """Take in the last record of an address."""
        address, known = last.address, self._given.get(last.address)
        if known is not None and given.contradicts(known, last, now):
            self._broken.setdefault(address, (known.until, 0.0))
        else:
            self._broken.pop(address, None)
        after = given.advance(known, last, now)
        if after is None or _old(after, now):
            self._given.pop(address, None)
        elif after != known:
            self._given[address] = after
            if known is None or after.since != known.since:
                self._order.append((after.since, address))

    def due(self, now: float, *, again: float) -> tuple[int, int] | None:
        """Return an address that is to be leased again, and until when; None: there is none.

        Args:
            now: The time.
            again: After how many seconds it is due again, unless what it was leased for is taken in.
        """
        for address, (until, when) in self._broken.items():
            if when <= now:
                del self._broken[address]
                self._broken[address] = (until, now + again)  # behind those that are due
                return address, until
        return None

    def forget(self, now: float) -> None:
        """Forget what no late word can reach any more, and leases that are over."""
        while self._order and self._order[0][0] < now - given.KNOWN_SECONDS:
            since, address = self._order.popleft()
            known = self._given.get(address)
            if known is not None and known.since == since:
                del self._given[address]
        for address in [each for each, (until, _) in self._broken.items() if until <= now]:
            del self._broken[address]

    def __len__(self) -> int:
        """Return how many leases it knows."""
        return len(self._given)


def _old(known: Given, now: float) -> bool:
    return known.since < now - given.KNOWN_SECONDS or known.until <= now
