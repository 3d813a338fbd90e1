"""How many addresses are in which binding state, and how far the leases reach, from dhcpd's lease file as it grows."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from pathlib import Path
from socket import inet_aton

from twinlease.engines.isc import records
from twinlease.engines.isc.follow import Follower
from twinlease.engines.protocol import BindingCounts, Watermark
from twinlease.model.service import AddressRange

_COUNTED = ("active", "free", "backup", "abandoned", "other")


class IscLeaseCounter:
    """Counts one lease file. Not thread-safe."""

    def __init__(self, lease_file: Path) -> None:
        self._follower = Follower(lease_file)
        self._states: dict[int, str] = {}
        self._reach = _Reach()
        self._mine: tuple[str, bytes] | None = None
        self._transitions = 0
        self._tally = _Tally({})

    def count(self, pools: Mapping[str, Iterable[AddressRange]]) -> BindingCounts:
        """Read what is new in the lease file and return the addresses of each pool by binding state.

        Raises:
            OSError: The file cannot be read. A file that does not exist (yet) counts as empty.
        """
        wanted = {name: tuple(ranges) for name, ranges in pools.items()}
        fresh = self._follower.changed()
        if fresh:
            self._states = {}
            self._reach = _Reach()
        if fresh or wanted != self._tally.pools:
            self._tally = _Tally(wanted)
            for address, state in self._states.items():
                self._tally.move(address, None, state)
        for block in self._follower.new():
            self._take(block)
        return {name: dict(counts) for name, counts in self._tally.counts.items()}

    @property
    def watermark(self) -> Watermark:
        """How far the file reached at the last count: the latest ``starts`` or ``cltt`` of the present records."""
        return self._reach.watermark()

    @property
    def transitions(self) -> int:
        """How often dhcpd recorded another state of its own, or the same of a later time; only differences tell."""
        return self._transitions

    def close(self) -> None:
        """Let go of the file; the next count reads it from its beginning."""
        self._follower.close()

    def _take(self, block: bytes) -> None:
        for lease in records.leases(block):
            state = lease.state
            if not lease.whole or not state:
                continue
            try:
                address = int.from_bytes(inet_aton(lease.address.decode("ascii")), "big")
            except OSError:
                continue  # an octet above 255: damage, not a lease
            self._reach.note(lease.address, lease.seen)
            state = state if state in _COUNTED else "other"
            before = self._states.get(address)
            if before != state:
                self._states[address] = state
                self._tally.move(address, before, state)
        for change in records.changes(block):
            mine = (change.my_state, change.my_since)
            # A rewritten file repeats the last one, which is no news.
            if mine != self._mine:
                self._transitions += 1
            self._mine = mine


class _Reach:
    """The latest time among the last records of all addresses, kept up to date record by record.

    Of several addresses with that time it names the greatest as text, so that a rewritten file has the same one.
    """

    def __init__(self) -> None:
        self._times: dict[bytes, bytes] = {}
        self._newest: tuple[bytes, bytes] | None = (b"", b"")

    def note(self, address: bytes, seen: bytes) -> None:
        """Take a record in."""
        self._times[address] = seen
        if self._newest is None:
            return
        if (seen, address) >= self._newest[::-1]:
            self._newest = address, seen
        elif address == self._newest[0]:
            self._newest = None  # it fell: another is the latest now

    def watermark(self) -> Watermark:
        """Return it."""
        if self._newest is None:
            self._newest = max(self._times.items(), key=lambda item: item[::-1])
        address, seen = self._newest
        if not seen:
            return Watermark()
        return Watermark(newest=records.seconds(seen), newest_address=address.decode("ascii"))


class _Tally:
    """Addresses by pool and state, kept up to date move by move; those that nobody mentioned are free."""

    def __init__(self, pools: Mapping[str, tuple[AddressRange, ...]]) -> None:
        self.pools = pools
        self.counts = {name: dict.fromkeys(_COUNTED, 0) for name in pools}
        runs = sorted((int(run.first), int(run.last), name) for name, ranges in pools.items() for run in ranges)
        self._firsts = [first for first, _, _ in runs]
        self._runs = runs
        for first, last, name in runs:
            self.counts[name]["free"] += last - first + 1

    def move(self, address: int, before: str | None, after: str) -> None:
        """Count an address under another state; ``before`` is None if it was not mentioned yet."""
        index = bisect_right(self._firsts, address) - 1
        if index < 0 or address > self._runs[index][1]:
            return
        counts = self.counts[self._runs[index][2]]
        counts[before or "free"] -= 1
        counts[after] += 1
