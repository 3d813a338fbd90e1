"""The lease database of this server: what it is, and what is confirmed of it. Pure."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.servinglease import Database, DatabaseVerdict, Lineage
from twinlease.decide import lineage
from twinlease.decide.dates import text
from twinlease.engines.protocol import Recorded, Watermark
from twinlease.sidecar.record import Record
from twinlease.sidecar.tenure import Standing, Tenure

_WORDS = {
    DatabaseVerdict.UNKNOWN: "it cannot be judged yet",
    DatabaseVerdict.VIRGIN: "it was never used",
    DatabaseVerdict.SPENT: "it was somebody else's, and no lease in it runs any more",
    DatabaseVerdict.INTACT: "it is the one that was confirmed",
    DatabaseVerdict.LOST: "the one that was confirmed is gone",
    DatabaseVerdict.STALE: "it is an older state of the one that was confirmed",
    DatabaseVerdict.SHORT: "it is the one that was confirmed, but leases that it held are missing",
    DatabaseVerdict.FOREIGN: "it is somebody else's, with leases that still run",
}


class Found(Struct, frozen=True, kw_only=True):
    """What is known of the disk.

    Attributes:
        record: The record beside the leases.
        readable: It could be read.
        recorded: What the leases say, as read with the daemon stopped; None: not read, or not readable.
        problem: Why ``recorded`` is None, or empty.
    """

    record: Record = Record()
    readable: bool = False
    recorded: Recorded | None = None
    problem: str = ""


def judged(found: Found, confirmed: Lineage | None) -> DatabaseVerdict:
    """Return what the database of a daemon that does not run is.

    Args:
        found: The disk.
        confirmed: What the serving lease has on record; None: it was not read yet, so what the disk says of itself.
    """
    if found.recorded is None:
        return DatabaseVerdict.UNKNOWN
    record, leases = found.record, found.recorded
    if confirmed is None:
        if not record.id:
            return DatabaseVerdict.UNKNOWN
        confirmed = Lineage(id=record.id, counter=record.counter, newest=record.newest, address=record.address)
    disk = lineage.OnDisk(
        id=record.id,
        counter=record.counter,
        newest=record.newest,
        leases=leases.exists and bool(leases.newest or leases.held or leases.transitions),
        held=leases.held,
        reached=leases.newest,
        complete=record.complete,
        readable=found.readable,
    )
    return lineage.judge(confirmed, disk)


def running(found: Found, tenure: Tenure) -> DatabaseVerdict:
    """Return what the database of a running daemon is: it was verified, or made, when it was started."""
    if not (found.readable and tenure.begun and found.record.id):
        return DatabaseVerdict.UNKNOWN
    return DatabaseVerdict.INTACT if found.record.complete else DatabaseVerdict.LOST


def words(verdict: DatabaseVerdict) -> str:
    """Return what a verdict means, for a sentence."""
    return _WORDS[verdict]


def report(found: Found, verdict: DatabaseVerdict) -> Database:
    """Return what the asking server tells of its database."""
    leases = found.recorded
    why = _WORDS[verdict]
    if verdict is DatabaseVerdict.UNKNOWN and found.problem:
        why = found.problem
    if leases is None:
        return Database(verdict=verdict, message=why[:512])
    return Database(verdict=verdict, state=leases.local.value, held=leases.held, message=why[:512])


def confirms(verdict: DatabaseVerdict, standing: Standing, tenure: Tenure, record: Record) -> bool:
    """Tell whether what the disk holds is put on record now, in place of what is there.

    While it is not what was confirmed, and nothing was granted in spite of that, the record stays: it tells what was
    lost. A database that was never used has no name before it is.
    """
    if not record.id:
        return False
    granted = standing is Standing.OFFERED or (standing is Standing.HELD and not tenure.given_up)
    return to_go_by(verdict, record) if granted else verdict is DatabaseVerdict.INTACT


def to_go_by(verdict: DatabaseVerdict, record: Record) -> bool:
    """Tell whether a grant may be taken up: the database is the confirmed one, or has a new name and begins anew."""
    return verdict is DatabaseVerdict.INTACT or (bool(record.id) and not record.complete)


def named(record: Record, verdict: DatabaseVerdict, new_id: Callable[[], str]) -> Record:
    """Return the record with which a grant is taken up: another name for a database that is not the confirmed one."""
    if verdict is DatabaseVerdict.INTACT:
        return record
    return replace(record, id=new_id(), counter=0, newest=0, address="", complete=False)


def ahead(record: Record, confirmed: Lineage, reach: Watermark | None) -> Record:
    """Return the record as it must be on the disk before it is confirmed: one ahead of what is, never more.

    Args:
        record: As it is.
        confirmed: As the API has it.
        reach: How far the leases reach; None: that is not known, and what was is kept.
    """
    counter = confirmed.counter + 1 if confirmed.id == record.id else max(record.counter, 1)
    counter = max(counter, record.counter)  # higher: the API was rolled back, and is to be told so
    if reach is None:
        return replace(record, counter=counter)
    return replace(record, counter=counter, newest=reach.newest, address=reach.newest_address)


def lineage_of(record: Record, wall: float) -> Lineage:
    """Return what is put on record."""
    return Lineage(
        id=record.id, counter=record.counter, newest=record.newest, address=record.address, confirmed=text(int(wall))
    )
