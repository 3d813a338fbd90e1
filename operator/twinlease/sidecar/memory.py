"""What a sidecar remembers for the one that comes after it: files in the pod's memory-backed volume."""

import contextlib
import logging
from pathlib import Path

import msgspec
from msgspec import Struct

from twinlease.log import kv
from twinlease.sidecar.interruption import Interruption
from twinlease.sidecar.observed import LastLease, ServerObject
from twinlease.sidecar.tenure import Tenure

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
    """Keeps the last DHCPServer and start, the grant taken up last, the present interruption, the last serving lease.

    Args:
        directory: The volume; it lives as long as the pod.
    """

    def __init__(self, directory: Path) -> None:
        self._server = directory / "server.json"
        self._served = directory / "served.json"
        self._tenure = directory / "tenure.json"
        self._interruption = directory / "interruption.json"
        self._lease = directory / "lease.json"

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

    def tenure(self) -> Tenure:
        """Return the grant that was taken up last; an empty one if none was.

        Raises:
            OSError: It cannot be read.
            msgspec.MsgspecError: It makes no sense.
        """
        try:
            return msgspec.json.decode(self._tenure.read_bytes(), type=Tenure)
        except FileNotFoundError:
            return Tenure()

    def interruption(self) -> Interruption:
        """Return the last interruption."""
        try:
            return msgspec.json.decode(self._interruption.read_bytes(), type=Interruption)
        except (OSError, msgspec.MsgspecError):
            return Interruption()

    def lease(self) -> LastLease:
        """Return what counts of the serving lease as last read."""
        try:
            return msgspec.json.decode(self._lease.read_bytes(), type=LastLease)
        except (OSError, msgspec.MsgspecError):
            return LastLease()

    def keep_tenure(self, tenure: Tenure) -> None:
        """Remember a grant.

        Raises:
            OSError: It cannot be kept, so nothing may be done that relies on it.
        """
        _replace(self._tenure, tenure)

    def keep_interruption(self, interruption: Interruption) -> None:
        """Remember an interruption."""
        _write(self._interruption, interruption)

    def keep_lease(self, lease: LastLease) -> None:
        """Remember what counts of the serving lease."""
        _write(self._lease, lease)

    def keep_server(self, server: ServerObject) -> None:
        """Remember a DHCPServer."""
        _write(self._server, server)

    def keep_served(self, served: Served) -> None:
        """Remember a start."""
        _write(self._served, served)


def _write(path: Path, value: Struct) -> None:
    """Write atomically; that a memory fails is no reason to do so too."""
    try:
        _replace(path, value)
    except OSError as error:
        _log.warning("cannot remember", extra=kv(file=path, why=error))


def _replace(path: Path, value: Struct) -> None:
    fresh = path.with_name(f".{path.name}")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    fresh.touch(mode=0o600)
    fresh.write_bytes(msgspec.json.encode(value))
    fresh.replace(path)
