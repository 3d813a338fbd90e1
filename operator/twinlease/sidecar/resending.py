"""Having a survivor send again what its returning partner never acknowledged.

A partner that dies, or is cut off, while it catches up leaves updates on their way for ever, and one that returns then
waits for the rest without end (measured). Without a connection no update is acknowledged any more, and the survivor is
told at once to send them anew. With one, that still may be; so it is told once some were outstanding at every look for
a while. Where that was too early the partner catches up from the beginning; so each time it is waited twice as long.
"""

import logging
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.server import ServerSpec
from twinlease.engines.protocol import ControlError, FailoverStatus
from twinlease.ipc.connections import established
from twinlease.ipc.protocol import FenceSpec
from twinlease.log import kv
from twinlease.model.states import CATCHING_UP, FailoverState
from twinlease.sidecar.board import Board
from twinlease.sidecar.catchingup import Connections, ports

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 320.0

_log = logging.getLogger(__name__)


class Outstanding(Struct, frozen=True):
    """Updates that a returning partner does not acknowledge.

    Attributes:
        since: Since when there were some at every look (CLOCK_BOOTTIME); None: at the last one there were none.
        patience: For how long that may be so, seconds.
    """

    since: float | None = None
    patience: float = FIRST_SECONDS

    def due(self, now: float) -> bool:
        """Tell whether they are to be sent again."""
        return self.since is not None and now - self.since >= self.patience


def advance(before: Outstanding, said: FailoverStatus | None, now: float) -> Outstanding:
    """Return where a look leads; None: the server gave no answer, which tells nothing."""
    if said is None:
        return before
    if said.local is not FailoverState.PARTNER_DOWN:
        return Outstanding()
    if said.partner not in CATCHING_UP or not said.unacked_updates:
        return replace(before, since=None)
    return before if before.since is not None else replace(before, since=now)


def lost(said: FailoverStatus | None, connections: Connections | None) -> bool:
    """Tell whether there are updates on their way that nobody will acknowledge, for there is no connection."""
    down = said is not None and said.local is FailoverState.PARTNER_DOWN and said.partner in CATCHING_UP
    return down and bool(said and said.unacked_updates) and connections is not None and not connections


def sent_again(before: Outstanding) -> Outstanding:
    """Return what is known just after."""
    return Outstanding(patience=min(2 * before.patience, LONGEST_SECONDS))


class Resending:
    """Looks after it.

    Args:
        board: The snapshot.
        connections: Both ends of each failover connection, None if that cannot be told.
    """

    def __init__(self, board: Board, connections: Callable[[FenceSpec], Connections | None] = established) -> None:
        self._board = board
        self._connections = connections
        self._outstanding = Outstanding()

    def look(self, spec: ServerSpec) -> None:
        """Look, and have the server that the spec describes send again what is due."""
        now = self._board.now
        if not now.running:
            self._outstanding = Outstanding()
            return
        said = now.failover if now.answered else None
        self._outstanding = advance(self._outstanding, said, now.boot)
        if self._outstanding.since is None:
            return
        cut = lost(said, self._connections(ports(spec)))
        if self._outstanding.due(now.boot):
            self._outstanding = sent_again(self._outstanding)
        elif not cut:
            return
        try:
            self._board.observe(failover=self._board.parts.probe.control(spec).resend())
        except ControlError as error:
            _log.warning("updates are not sent again", extra=kv(why=error))
            return
        _log.warning("sent the returning partner again what it had not acknowledged", extra=kv(connected=not cut))
