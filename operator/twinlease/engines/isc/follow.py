"""Following dhcpd's lease file as it grows.

dhcpd appends a record whenever a lease changes, and now and then renames a rewritten file into place. So a reader takes
what was appended since the last time, or all of it when the file is another one, and nothing when it is as it was.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from twinlease.engines.isc import records


class Follower:
    """Reads one lease file bit by bit. Holds it open, so that no later file can have its inode number."""

    def __init__(self, lease_file: Path) -> None:
        self._path = lease_file
        self._file: BinaryIO | None = None
        self._offset = 0

    def changed(self) -> bool:
        """Open the file that the path names now, unless it is the one that is open; tell whether it is another one.

        Raises:
            OSError: It cannot be opened. A file that does not exist (yet) counts as empty.
        """
        try:
            now = self._path.stat()
        except FileNotFoundError:
            if self._file is None:
                return False
            now = None
        if self._file is not None and now is not None:
            held = os.fstat(self._file.fileno())
            if (held.st_dev, held.st_ino) == (now.st_dev, now.st_ino) and now.st_size >= self._offset:
                return False
        self.close()
        self._offset = 0
        if now is not None:
            self._file = self._path.open("rb", buffering=0)
        return True

    def new(self) -> Iterator[bytes]:
        """Yield what was appended, in pieces that end with a record.

        Raises:
            OSError: The file cannot be read.
        """
        if self._file is None or os.fstat(self._file.fileno()).st_size == self._offset:
            return
        self._file.seek(self._offset)
        for block in records.blocks(self._file):
            yield block
            self._offset += len(block)

    def close(self) -> None:
        """Let go of the file; the next look reads it from its beginning."""
        if self._file is not None:
            self._file.close()
            self._file = None
