"""What a lease database is, compared with what the serving lease has on record of it. Pure.

A database that lost a part of what clients were told duplicates addresses silently, so it is known by three things: a
random id beside the leases, a counter that is raised on the disk before it is in the API, and the latest transaction,
which the lease file must reach (it is rewritten hourly: neither its size nor its hash says anything).
"""

from msgspec import Struct

from twinlease.api.servinglease import DatabaseVerdict, Lineage


class OnDisk(Struct, frozen=True, kw_only=True):
    """What a disk holds.

    Attributes:
        id: Of the record beside the leases; empty: there is none.
        counter: Of the same.
        newest: Latest transaction by the same, seconds since the epoch.
        leases: There is a lease file with anything in it.
        held: Leases in it that still run.
        reached: Latest transaction in it, seconds since the epoch; 0: none.
        complete: It was not emptied, or has been filled by its partner since.
        readable: Record and lease file could be read.
    """

    id: str = ""
    counter: int = 0
    newest: int = 0
    leases: bool = False
    held: int = 0
    reached: int = 0
    complete: bool = True
    readable: bool = True


def judge(confirmed: Lineage, disk: OnDisk) -> DatabaseVerdict:  # noqa: PLR0911  # one rule, one line
    """Return what a database is.

    Args:
        confirmed: What the serving lease has on record; an empty id: nothing yet.
        disk: What was found.
    """
    if not disk.readable:
        return DatabaseVerdict.UNKNOWN
    if not confirmed.id:
        return _unknown_to_us(disk)
    if not disk.id:
        return DatabaseVerdict.LOST if not disk.held else DatabaseVerdict.FOREIGN
    if disk.id != confirmed.id:
        return DatabaseVerdict.FOREIGN if disk.held else DatabaseVerdict.LOST
    if not disk.complete:
        return DatabaseVerdict.LOST
    if disk.counter < confirmed.counter:
        return DatabaseVerdict.STALE
    if disk.reached < max(confirmed.newest, disk.newest):
        return DatabaseVerdict.SHORT
    return DatabaseVerdict.INTACT


def ahead(confirmed: Lineage, disk: OnDisk) -> bool:
    """Tell whether the disk knows of more confirmed writes than the API: then the API was rolled back."""
    return bool(confirmed.id) and disk.id == confirmed.id and disk.counter > confirmed.counter + 1


def _unknown_to_us(disk: OnDisk) -> DatabaseVerdict:
    if disk.held:
        return DatabaseVerdict.FOREIGN
    return DatabaseVerdict.SPENT if disk.leases or disk.id else DatabaseVerdict.VIRGIN
