"""Noticing that a returning server lost its partner between having heard everything and serving.

It has all that the partner knew, and only waits (recover-wait). What the partner does while the two are cut off then
it is never asked for: it hears of that when both are normal, one lease after the other, and serves meanwhile by what it
knew, which it announces too (measured: leases given to strangers). So it is to begin its return again.
"""

from collections.abc import Callable

from twinlease.api.server import ServerSpec
from twinlease.api.servinglease import Start
from twinlease.decide.obey import RETURNING
from twinlease.ipc.connections import established
from twinlease.ipc.protocol import FenceSpec, Mode
from twinlease.sidecar.board import Board
from twinlease.sidecar.observed import CAUGHT_UP

Connections = frozenset[tuple[str, str]]


def broken(before: Connections | None, now: Connections) -> bool:
    """Tell whether a server that has caught up is, or was, cut off since the look before; None: there was none."""
    return not now or (before is not None and before.isdisjoint(now))


class CatchingUp:
    """Looks after it.

    Args:
        board: The snapshot.
        connections: Both ends of each failover connection, None if that cannot be told.
    """

    def __init__(self, board: Board, connections: Callable[[FenceSpec], Connections | None] = established) -> None:
        self._board = board
        self._connections = connections
        self._before: tuple[float, Connections] | None = None

    def look(self, spec: ServerSpec) -> None:
        """Look at the connections of a server that returns."""
        now = self._board.now
        returns = now.tenure.start is Start.RECOVER and now.state in RETURNING
        if now.guard is None or not (returns and now.answered):
            return
        found = self._connections(ports(spec))
        if found is None:
            return
        started, before = now.guard.started_at, self._before
        self._before = (started, found)
        known = before[1] if before is not None and before[0] == started else None
        if now.state in CAUGHT_UP and broken(known, found):
            self._board.observe(behind=started)


def ports(spec: ServerSpec) -> FenceSpec:
    """Return where a server and its partner call each other."""
    partner = spec.partner.failover_address if spec.partner else ""
    partner_port = spec.partner.failover_port if spec.partner else 0
    return FenceSpec(
        Mode.KERNEL,
        partner,
        failover_port=spec.failover_port,
        omapi_port=spec.omapi_port,
        peer_port=spec.peer_port,
        partner_port=partner_port,
    )
