"""The guard's half of the seam: how an engine's process is started and its lease database prepared.

Standard library only, for the guard holds the capabilities and imports nothing else.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

SURVIVE = "survive"
"""The edit after which a server serves alone, and keeps what its partner may have promised."""


class Prepared(NamedTuple):
    """What was done to the lease database before a start; ``notes`` are sentences for the log."""

    changed: bool
    notes: tuple[str, ...]


class EditError(Exception):
    """A lease database could not be prepared, or an edit is unknown; nothing was changed."""


class ServerProcess(Protocol):
    """One kind of server as a process."""

    lease_file_name: str
    """Name of the lease database inside the lease directory."""

    def command(self, *, interface: str, config: Path, lease_file: Path) -> list[str]:
        """Return the argument list that runs the server in the foreground, logging to standard error."""

    def prepare(self, lease_file: Path, edits: Sequence[str], parameters: Mapping[str, str | int]) -> Prepared:
        """Create the lease database if there is none and apply named edits, atomically and durably.

        What an edit needs to know stands in the parameters, by names that the engine defines.

        Called before every start, with the server stopped. Running it twice is harmless.

        Raises:
            EditError: An edit that this engine does not know, a parameter that it lacks, or an unusable file.
        """

    def tally(self, lines: bytes) -> Mapping[str, int]:
        """Return how often each kind of event is told of in whole lines of the log, each after a line's end.

        ``discover``, ``offer``, ``request``, ``ack``, ``nak``, ``decline``, ``release`` and ``inform`` are DHCP
        messages, ``damage`` is what the server says of a lease database that it cannot read through. Called for each
        chunk of the log: it must be quick.
        """

    def snapshot(self, lease_file: Path, copy: Path) -> bool:
        """Copy the lease database durably, all or nothing; tell whether there was one to copy.

        Called with the server stopped, before it is started with another configuration.

        Raises:
            EditError: It cannot be read, or the copy not be written; there is none then.
        """

    def restore(self, lease_file: Path, copy: Path) -> None:
        """Give the lease database the records of a copy that it lacks; where both have one, its own stays.

        Called with the server stopped. Atomic and durable; running it twice is harmless. The copy stays.

        Raises:
            EditError: One cannot be read, or the database not be replaced; it is unchanged.
        """


def server_process(engine: str) -> ServerProcess:
    """Return an engine's process half by the engine's API name.

    Raises:
        ValueError: No such engine.
    """
    if engine == "ISC":
        from twinlease.engines.isc.process import IscProcess  # noqa: PLC0415  # keeps the guard's imports few

        return IscProcess()
    raise ValueError(f"no DHCP engine {engine!r}: ISC is the only one")
