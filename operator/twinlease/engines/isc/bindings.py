"""The last records of addresses, from dhcpd's lease file as it grows."""

from collections.abc import Iterator
from pathlib import Path
from socket import inet_aton

from twinlease.engines.isc import records
from twinlease.engines.isc.follow import Follower
from twinlease.model.binding import ENDED, Binding, Standing
from twinlease.model.states import Role

_STANDINGS = {
    "active": Standing.LEASED,
    "expired": Standing.EXPIRED,
    "released": Standing.RELEASED,
    "reset": Standing.RESET,
    "free": Standing.FREE,
    "backup": Standing.FREE,
}

_FREE_FOR = {"free": Role.PRIMARY, "backup": Role.SECONDARY}
_LEASED = frozenset({Standing.LEASED, Standing.EXPIRED})

_ABANDONED_SECONDS = 86_400
"""For so long dhcpd abandons an address (abandon-lease-time, which we do not set)."""


class IscBindingLog:
    """Implements ``twinlease.engines.protocol.BindingLog`` for one lease file. Not thread-safe."""

    def __init__(self, lease_file: Path) -> None:
        self._follower = Follower(lease_file)

    def news(self) -> Iterator[Binding]:
        """Yield what was recorded since the last call; of another file everything, behind the rest of the one before.

        Raises:
            OSError: The file cannot be read. A file that does not exist (yet) counts as empty.
        """
        yield from self._new()  # of a file that was replaced since: in the next one of each address only the last is
        if self._follower.changed():
            yield from self._new()

    def _new(self) -> Iterator[Binding]:
        for block in self._follower.new():
            for lease in records.leases(block):
                state = lease.state
                if not lease.whole or not state:
                    continue
                try:
                    address = int.from_bytes(inet_aton(lease.address.decode("ascii")), "big")
                except OSError:
                    continue  # an octet above 255: damage, not a lease
                yield _binding(address, state, lease)

    def close(self) -> None:
        """Let go of the file; the next call reads it from its beginning."""
        self._follower.close()


def _binding(address: int, state: str, lease: records.Lease) -> Binding:
    ends = records.LATEST if lease.ends == records.NEVER else records.seconds(lease.ends)
    standing = _STANDINGS.get(state, Standing.OTHER)
    left = records.seconds(lease.told or lease.ends) if lease.left else 0
    seen = ends - _ABANDONED_SECONDS if standing is Standing.OTHER else records.seconds(lease.seen)
    last = Binding(address, standing, seen, ends, ours=lease.ours, left=left)
    if standing is Standing.OTHER:
        return last._replace(unheard=lease.unacknowledged, before=_FREE_FOR.get(lease.rewind))
    return last._replace(told=standing in ENDED and lease.spoken, nobodys=standing in _LEASED and lease.nobodys)
