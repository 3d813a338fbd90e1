"""Numbering the times in which the server is cut off from its partner, durably."""

import logging

from msgspec import UNSET
from msgspec.structs import replace

from twinlease.log import kv
from twinlease.model.states import FailoverState
from twinlease.sidecar.board import Board
from twinlease.sidecar.interruption import Interruption, Sample, advance, taken_up
from twinlease.sidecar.record import NotRememberedError

_log = logging.getLogger(__name__)


class CutOff:
    """Keeps the number of the present interruption.

    Args:
        board: The snapshot.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._kept: Interruption | None = board.parts.memory.interruption()
        self._saved: object = None

    def look(self) -> None:
        """Bring it up to date."""
        look = self._sample()
        before = self._board.now.interruption
        if self._kept is not None and look.started and look.state is not FailoverState.UNKNOWN:
            kept, self._kept = self._kept, None
            if taken_up(kept, look) and kept.number == self._board.parts.durable.record.interruption:
                before = replace(kept, last=look)
        after = advance(before, look, self._board.now.boot)
        if after.number > before.number:
            after = replace(after, number=self._highest() + 1)
            try:
                self._board.parts.durable.set(interruption=after.number)
            except NotRememberedError:
                self._board.observe(interruption=replace(before, present=False))
                return
            _log.info("cut off from the partner", extra=kv(number=after.number, state=look.state))
        elif not after.number and after.last.started:
            after = replace(after, number=self._highest())  # of those before this process; none is there at present
        self._board.observe(interruption=after)
        self._keep(after)

    def _sample(self) -> Sample:
        now, probe = self._board.now, self._board.parts.probe
        if not now.running or now.guard is None or now.desired is None:
            return Sample()
        said = now.failover if now.answered else None
        if said is None:
            return Sample(started=now.guard.started_at)
        last = now.interruption.last
        moved = (last.started, last.state, last.since) != (now.guard.started_at, said.local, said.since)
        if moved or said.local is not FailoverState.NORMAL:
            # After the question: what is recorded by now is at least as new as the answer.
            probe.follow(now.desired.object.spec, at_once=moved)
        return Sample(
            started=now.guard.started_at,
            state=said.local,
            since=said.since,
            transitions=probe.transitions,
            wall=now.wall,
        )

    def _highest(self) -> int:
        """Return the highest number that anybody knows: a lost disk must not lead to one that was used before."""
        now = self._board.now
        known = [now.interruption.number, self._board.parts.durable.record.interruption]
        if now.confirmed is not None and now.grant is not None and now.lease is not None:
            known += [now.confirmed.report.interruption, now.grant.watched.interruption]
            order = now.lease.spec.order
            if order is not UNSET and now.lease.spec.survivor == now.role:
                known.append(order.interruption)
        return max(known)

    def _keep(self, after: Interruption) -> None:
        """Remember it for the next process of this sidecar."""
        last = after.last
        settled = last.wall >= last.since + 1
        worth = (after.number, after.present, last.started, last.state, last.since, settled)
        if worth != self._saved:
            self._saved = worth
            self._board.parts.memory.keep_interruption(after)
