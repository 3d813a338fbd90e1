"""Edits and copies of dhcpd's lease file, made while dhcpd is stopped. Standard library only: the guard runs this.

The file is a log of records, each of which dhcpd starts in the first column; the last record of an object wins. Host
and group records come from reservations that were once made or deleted at run time. They outlive their reason: a
left-over ``deleted`` one silently kills the host of the same name in the configuration, for ever. Stripped of all of
them, the configuration alone rules.

The scan goes by lines, not by braces and quotes: what a crash or a bad value damaged must not swallow a lease that
stands behind it.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from twinlease.engines.isc.records import RECORD, without_torn_end
from twinlease.engines.process import EditError

_STRIPPED = re.compile(rb"(?:host|group)[ \t{]")
_ANY_STRIPPED = re.compile(rb"^(?:host|group)[ \t{]", re.MULTILINE)
_TEMPORARY_SUFFIX = ".new"
_CHUNK = 256 * 1024


def without_reservations(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a lease file (each with its end) without its top-level host and group records.

    A record ends at a line that is exactly ``}``, on its own first line if that closes it, or, where a crash left it
    unfinished, before the next record.
    """
    stripping = False
    for line in lines:
        if stripping and not RECORD.match(line):
            stripping = line.rstrip() != b"}"
        elif _STRIPPED.match(line):
            stripping = not line.rstrip().endswith(b"}")
        else:
            stripping = False
            yield line


def has_reservations(file: BinaryIO) -> bool:
    """Tell whether ``without_reservations`` would leave anything out of what a file holds from its position on."""
    while lines := file.readlines(_CHUNK):
        if _ANY_STRIPPED.search(b"".join(lines)):
            return True
    return False


def create_if_missing(lease_file: Path) -> bool:
    """Make an empty lease file durably, unless there is one; tell whether it was made.

    Raises:
        EditError: It cannot be made, or something else than a file has its name.
    """
    try:
        if stat.S_ISREG(lease_file.lstat().st_mode):
            return False
        raise EditError(f"{lease_file} is no ordinary file")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EditError(f"{lease_file} cannot be looked at: {error.strerror}") from error
    try:
        os.close(os.open(lease_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        sync_directory(lease_file.parent)
    except OSError as error:
        raise EditError(f"{lease_file} cannot be made: {error.strerror}") from error
    return True


def strip_reservations(lease_file: Path) -> bool:
    """Take every top-level host and group record out of a lease file; tell whether there was any.

    All or nothing: a crash at any point leaves the old file or the whole new one, durably.

    Raises:
        EditError: The file cannot be read or replaced; it is unchanged.
    """
    try:
        with lease_file.open("rb") as old:
            if not has_reservations(old):
                return False
            old.seek(0)
            replace(lease_file, old, without_reservations(old))
    except OSError as error:
        raise EditError(f"{lease_file} cannot be edited: {error.strerror}") from error
    return True


def copy(lease_file: Path, target: Path) -> bool:
    """Copy a lease file durably, all or nothing; tell whether there is one.

    Raises:
        EditError: It cannot be read, or the copy not be written.
    """
    try:
        with lease_file.open("rb") as old:
            replace(target, old, _chunks(old))
    except FileNotFoundError:
        if lease_file.parent.is_dir():
            return False
        raise EditError(f"{lease_file} cannot be copied: its directory is gone") from None
    except OSError as error:
        raise EditError(f"{lease_file} cannot be copied: {error.strerror}") from error
    return True


def put_before(lease_file: Path, earlier: Path) -> None:
    """Put an earlier copy in front of what a lease file holds: of each lease the last record counts.

    All or nothing, as ``strip_reservations``. The copy stays, and doing it twice does no harm.

    Raises:
        EditError: One of them cannot be read, or the lease file not be replaced; it is unchanged.
    """
    try:
        create_if_missing(lease_file)
        with lease_file.open("rb") as present, earlier.open("rb") as first:
            replace(lease_file, present, chain(without_torn_end(first), (b"\n",), _chunks(present)))
    except OSError as error:
        raise EditError(f"{lease_file} cannot be restored from {earlier.name}: {error.strerror}") from error


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def replace(path: Path, old: BinaryIO, lines: Iterable[bytes]) -> None:
    """Put new content in a file's place, with the mode of an old one: durably, and all or nothing.

    Raises:
        OSError: It was not replaced, or the directory not synchronised; what was there before may still be in place.
    """
    temporary = path.with_name(path.name + _TEMPORARY_SUFFIX)
    temporary.unlink(missing_ok=True)  # of a crash
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as new:
            new.writelines(lines)
            new.flush()
            os.fchmod(new.fileno(), stat.S_IMODE(os.fstat(old.fileno()).st_mode))
            os.fsync(new.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable.

    Raises:
        OSError: They may not be.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
