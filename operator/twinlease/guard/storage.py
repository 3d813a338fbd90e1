"""The lease directory: who may use it, and the configurations in it."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from twinlease.guard.settings import Settings
from twinlease.ipc.protocol import MAX_RECORD, Code, ProtocolError, is_revision, record_bytes

_CHUNK = 256 * 1024
_MAX_CONFIG = 64 * 1024 * 1024
_CURRENT = "current"
_COPY = "leases-before-"
_TEMPORARY = ".new"


class Storage:
    """Configurations by their digest, a link to the one to start, and the lock that keeps a second server out.

    Args:
        settings: Where things are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock: int | None = None
        self._exclusive = False
        self._error = ""

    def error(self) -> str:
        """Return why the lease directory cannot be used, as a sentence for the administrator; empty if it can."""
        directory = self._settings.lease_dir
        if not directory.is_dir():
            return f"{directory} is no directory"
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            found = directory.stat()
            return (
                f"{directory} is not writable by uid {os.geteuid()}: it belongs to uid {found.st_uid} with mode "
                f"{found.st_mode & 0o7777:04o}. Its owner must be uid {os.geteuid()}"
            )
        return self._error

    def lock(self) -> int:
        """Claim the directory for our server and return the descriptor that the server must inherit.

        Both hold the same lock, so a server that outlived its guard keeps a second one away from its leases.

        Raises:
            ProtocolError: Another server uses the directory, or it cannot be written.
        """
        if self._lock is not None:
            return self._lock
        self.check()
        return self._claim()

    def foreign(self) -> str:
        """Return why the directory may be in use by a server that is not ours, as a sentence; empty: it is not."""
        if self._lock is None:
            try:
                self._claim()
            except ProtocolError as error:
                return error.message
        return "" if self._exclusive else f"{self._settings.lease_dir} knows no locks"

    def _claim(self) -> int:
        fd = -1
        try:
            fd = os.open(self._settings.lease_dir / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._exclusive = True
        except BlockingIOError as error:
            os.close(fd)
            raise ProtocolError(Code.STORAGE, f"another server uses {self._settings.lease_dir}") from error
        except OSError as error:
            # A file system without locks cannot tell us of a second server, but that is no reason not to serve.
            if fd < 0 or error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
                raise self._failed(error) from error
        self._lock = fd
        return fd

    def check(self) -> None:
        """Refuse to go on with a directory that cannot be used.

        Raises:
            ProtocolError: As ``error`` says.
        """
        self._error = ""
        message = self.error()
        if message:
            raise ProtocolError(Code.STORAGE, message)

    def install(self, revision: str) -> Path:
        """Copy a candidate durably to where the server reads it, if its digest is right, and return the path.

        Raises:
            ProtocolError: There is no candidate, its digest is another, or the directory cannot be written.
        """
        self.check()
        target = self.path(revision)
        fresh = target.with_name(f".{revision}")
        try:
            with _candidate(self._settings.candidates / revision) as candidate:
                target.parent.mkdir(mode=0o700, exist_ok=True)
                digest = _copy(candidate, fresh)
            if digest != revision:
                fresh.unlink()
                raise ProtocolError(Code.DIGEST, f"the candidate's digest is {digest}, not {revision}")
            fresh.replace(target)
            _sync(target.parent)
        except OSError as error:
            with contextlib.suppress(OSError):  # on a full disk half a file is in everybody's way
                fresh.unlink()
            raise self._failed(error) from error
        return target

    def current(self) -> str:
        """Return the revision that a start without another word runs; empty if there is none."""
        try:
            revision = (self._settings.configs / _CURRENT).readlink().name
        except OSError:
            return ""
        return revision if is_revision(revision) and self.path(revision).is_file() else ""

    def make_current(self, revision: str) -> None:
        """Let later starts run a revision, durably, and remove configurations and copies that nobody needs any more.

        Called when the server runs with it already, so a failure is no reason to stop anything: it shows in ``error``.
        """
        directory = self._settings.configs
        before = self.current()
        try:
            link = directory / f".{_CURRENT}"
            link.unlink(missing_ok=True)
            link.symlink_to(revision)
            link.replace(directory / _CURRENT)
            self.forget_settled_copy()
        except OSError as error:
            self._failed(error)
            return
        except ProtocolError:  # noted
            return
        for file in directory.iterdir():
            if file.name not in {_CURRENT, revision, before}:
                with contextlib.suppress(OSError):
                    file.unlink()

    def room(self, size: int) -> None:
        """Refuse what would fill the disk: who stops a server for it leaves clients without one for nothing.

        Args:
            size: Bytes that will be written; an estimate.

        Raises:
            ProtocolError: There is less.
        """
        try:
            found = os.statvfs(self._settings.lease_dir)
        except OSError as error:
            raise self._failed(error) from error
        free = found.f_bavail * found.f_frsize
        if found.f_blocks and free < size:  # a file system that does not count its blocks cannot tell
            raise self._failed(OSError(errno.ENOSPC, f"{free} bytes are free, a change of configuration takes {size}"))

    def copy_for(self, revision: str) -> Path:
        """Return where the lease database is kept as it was before a revision was first started."""
        return self._settings.lease_dir / f"{_COPY}{revision}"

    def copy(self) -> Path | None:
        """Return the copy of the lease database that some start has left, None if there is none.

        There is never more than one, for a start begins with the end of the one before.
        """
        try:
            found = sorted(self._settings.lease_dir.glob(f"{_COPY}*"))
        except OSError as error:
            raise self._failed(error) from error
        return next((path for path in found if is_revision(path.name.removeprefix(_COPY))), None)

    def forget_copy(self, copy: Path) -> None:
        """Remove a copy durably: one that came back after a crash would be taken for newer than it is.

        Raises:
            ProtocolError: It cannot be removed.
        """
        try:
            copy.unlink(missing_ok=True)
            _sync(copy.parent)
        except OSError as error:
            raise self._failed(error) from error

    def forget_settled_copy(self) -> None:
        """Remove the copy that was made for what is ``current`` by now, once that is durable.

        Raises:
            ProtocolError: It cannot be made sure, or the copy not be removed.
        """
        current = self.current()
        try:
            for half in self._settings.lease_dir.glob(f"{_COPY}*{_TEMPORARY}"):  # of a crash
                half.unlink()
            if current:
                _sync(self._settings.configs)
        except OSError as error:
            raise self._failed(error) from error
        if current and self.copy_for(current).exists():
            self.forget_copy(self.copy_for(current))

    def record(self) -> tuple[dict[str, Any] | None, str]:
        """Return what ``remember`` has kept, None if there is nothing; and why it cannot be read, empty if it can."""
        path = self._settings.record
        try:
            with path.open("rb") as file:
                kept = file.read(MAX_RECORD + 1)
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"{path}: {error.strerror}"
        try:
            found = json.loads(kept)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or len(kept) > MAX_RECORD:
            return None, f"{path} holds no JSON object of at most {MAX_RECORD} bytes"
        return found, ""

    def remember(self, record: Mapping[str, Any]) -> None:
        """Replace the record, atomically and durably; may block for as long as the disk does.

        Raises:
            ProtocolError: It cannot be written; the one before is still there.
        """
        path = self._settings.record
        fresh = path.with_name(f".{path.name}{_TEMPORARY}")
        try:
            with fresh.open("wb") as file:
                file.write(record_bytes(record))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            _sync(path.parent)
        except OSError as error:
            raise self._failed(error) from error

    def path(self, revision: str) -> Path:
        """Return where an installed configuration is."""
        return self._settings.configs / revision

    def _failed(self, error: OSError) -> ProtocolError:
        self._error = f"{error.filename or self._settings.lease_dir}: {error.strerror or error}"
        return ProtocolError(Code.STORAGE, self._error)


def _candidate(path: Path) -> BinaryIO:
    """Open what the sidecar has put there, if it is a plain file: a link or a pipe would lead us elsewhere."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ProtocolError(Code.NO_CONFIG, f"no candidate {path.name}: {error.strerror}") from error
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_CONFIG:
        os.close(fd)
        raise ProtocolError(Code.NO_CONFIG, f"candidate {path.name} is no plain file of at most {_MAX_CONFIG} bytes")
    return os.fdopen(fd, "rb")


def _copy(source: BinaryIO, target: Path) -> str:
    """Copy durably and return the digest of what was copied."""
    digest = hashlib.sha256()
    with target.open("wb") as copy:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
