"""What a sidecar remembers for the one that comes after it: files in the pod's memory-backed volume."""

import contextlib
import logging
from pathlib import Path

import msgspec
from msgspec import Struct

from twinlease.log import kv
from twinlease.sidecar.observed import ServerObject

_log = logging.getLogger(__name__)


class Served(Struct, frozen=True):
    """How a server was started; ``started_at`` tells which start is meant.

    Attributes:
        index: Of the interface on which it listens.
        failover_name: Under which its configuration has the failover relationship; empty if that is not known.
        omapi_port: Where it is asked; 0 if that is not known.
    """

    started_at: float
    index: int
    failover_name: str = ""
    omapi_port: int = 0


class Memory:
    """Keeps the last DHCPServer and the last start.

    Args:
        directory: The volume; it lives as long as the pod.
    """

    def __init__(self, directory: Path) -> None:
        self._server = directory / "server.json"
        self._served = directory / "served.json"

    def server(self) -> ServerObject | None:
        """Return the DHCPServer as it was last read, None if it never was."""
        try:
            return msgspec.json.decode(self._server.read_bytes(), type=ServerObject)
        except (OSError, msgspec.MsgspecError):
            return None

    def served(self) -> Served | None:
        """Return the last start, None if there is none."""
        try:
            return msgspec.json.decode(self._served.read_bytes(), type=Served)
        except (OSError, msgspec.MsgspecError):
            return None

    def keep_server(self, server: ServerObject) -> None:
        """Remember a DHCPServer."""
        _write(self._server, server)

    def keep_served(self, served: Served) -> None:
        """Remember a start."""
        _write(self._served, served)


def _write(path: Path, value: Struct) -> None:
    """Write atomically; that a memory fails is no reason to do so too."""
    fresh = path.with_name(f".{path.name}")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    try:
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(value))
        fresh.replace(path)
    except OSError as error:
        _log.warning("cannot remember", extra=kv(file=path, why=error))
