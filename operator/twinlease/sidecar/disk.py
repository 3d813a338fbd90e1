"""What the lease database is: looked at while the server does not run, and followed while it does."""

import logging
import secrets
from pathlib import Path

from twinlease.api.servinglease import DatabaseVerdict
from twinlease.engines.process import server_process
from twinlease.engines.protocol import Recorded, Watermark
from twinlease.log import kv
from twinlease.sidecar import database
from twinlease.sidecar.board import Board
from twinlease.sidecar.database import Found
from twinlease.sidecar.record import NotRememberedError
from twinlease.sidecar.tenure import Standing, complete_now

_log = logging.getLogger(__name__)

_ID_BYTES = 16

_State = tuple[int, int, int] | None


class Disk:
    """Judges the lease database.

    Args:
        board: The snapshot.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._path = board.parts.settings.lease_dir / server_process(board.parts.engine.name).lease_file_name
        self._recorded: Recorded | None = None
        self._seen: tuple[_State, int] | None = None
        self._problem = ""
        self._named_for = 0
        self._said = DatabaseVerdict.UNKNOWN

    def look(self) -> None:
        """Bring what is known of it up to date."""
        now, durable = self._board.now, self._board.parts.durable
        if now.guard is None:
            return
        if now.running:
            self._seen = None
            reach = self._board.parts.probe.reach
        else:
            self._read(now.guard.starts)
            reach = None
            if self._recorded is not None:
                reach = Watermark(newest=self._recorded.newest, newest_address=self._recorded.newest_address)
        self._judge(reach)
        if now.running:
            self._complete()
        elif self._name():
            self._judge(reach)
        if durable.readable and self._board.now.verdict is not self._said:
            self._said = self._board.now.verdict
            _log.info("lease database", extra=kv(verdict=self._said, why=database.words(self._said)))

    def last_look(self) -> None:
        """Bring what is known of it up to date after the guard's end."""
        self._read(-1)
        self._judge(None)

    def _read(self, starts: int) -> None:
        """Read the database of a server that does not run, if it is not the one that was read."""
        seen = (_state(self._path), starts)
        if seen == self._seen and not self._problem:
            return
        try:
            self._recorded, self._problem = self._board.parts.engine.recorded(self._path), ""
            self._seen = seen
        except OSError as error:
            self._recorded, self._problem = None, f"the lease database cannot be read: {error.strerror or error}"

    def _judge(self, reach: Watermark | None) -> None:
        now, durable = self._board.now, self._board.parts.durable
        found = Found(
            record=durable.record,
            readable=durable.readable,
            recorded=None if now.running else self._recorded,
            problem=durable.problem or self._problem,
        )
        if now.running:
            verdict = database.running(found, now.tenure)
        else:
            verdict = database.judged(found, now.confirmed.lineage if now.confirmed is not None else None)
        self._board.observe(found=found, verdict=verdict, reach=reach)

    def _name(self) -> bool:
        """Give a database another name that a grant is for although it is not the confirmed one."""
        now, grant = self._board.now, self._board.now.grant
        known = now.verdict is not DatabaseVerdict.UNKNOWN
        if grant is None or now.standing is not Standing.OFFERED or grant.epoch == self._named_for or not known:
            return False
        try:
            self._board.parts.durable.change(
                lambda record: database.named(record, now.verdict, lambda: secrets.token_hex(_ID_BYTES))
            )
        except NotRememberedError:
            return False
        self._named_for = grant.epoch
        return True

    def _complete(self) -> None:
        now, durable = self._board.now, self._board.parts.durable
        if durable.record.complete or not complete_now(now.tenure, now.state, running=now.running):
            return
        try:
            durable.set(complete=True)
        except NotRememberedError:
            return
        self._judge(now.reach)


def _state(path: Path) -> _State:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
