"""dhcpd as a process: its command line, and its lease file made ready. Standard library only: the guard runs this."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from twinlease.engines.isc import edits as edits_of
from twinlease.engines.isc import leasefile, logged
from twinlease.engines.process import Prepared

PROGRAM_VARIABLE = "TWINLEASE_DHCPD"
DEFAULT_PROGRAM = "/usr/sbin/dhcpd"


class IscProcess:
    """ISC dhcpd in the foreground."""

    lease_file_name = "dhcpd.leases"

    def __init__(self, program: str | None = None) -> None:
        self._program = program or os.environ.get(PROGRAM_VARIABLE) or DEFAULT_PROGRAM

    def command(self, *, interface: str, config: Path, lease_file: Path) -> list[str]:
        """Return the argument list that runs dhcpd in the foreground, logging to standard error.

        No process id file: the guard is the parent and knows the id, and dhcpd refuses to start over a file that names
        a living process, which after a restart of the container may be anybody.

        Raises:
            ValueError: The interface's name would be taken for an option.
        """
        if not interface or interface.startswith("-"):
            raise ValueError(f"{interface!r} is no name of an interface")
        return [
            self._program,
            "-f",
            "-d",
            "-4",
            "--no-pid",
            "-cf",
            str(config),
            "-lf",
            str(lease_file),
            interface,
        ]

    def prepare(self, lease_file: Path, edits: Sequence[str], parameters: Mapping[str, str | int]) -> Prepared:
        """Create the lease file if there is none, strip reservations made at run time, and apply the named edits.

        Reservations are stripped before every start, named or not: no start is right without it. Of the edits
        ``recover``, ``resume``, ``empty`` and ``survive`` (``edits``) at most one is taken, or the last two together.

        Raises:
            EditError: An unknown edit, a parameter that is missing or wrong, or a file that cannot be read or
                replaced. Nothing was changed that would matter to another start.
        """
        chosen = [edits_of.edit(mode, parameters) for mode in edits_of.mode(edits)]
        notes = []
        if leasefile.create_if_missing(lease_file):
            notes.append("made an empty lease file")
        if leasefile.strip_reservations(lease_file):
            notes.append("took host and group records out of the lease file: the configuration alone rules")
        notes += [note for edit in chosen if (note := edit(lease_file))]
        return Prepared(changed=bool(notes), notes=tuple(notes))

    def tally(self, lines: bytes) -> Mapping[str, int]:
        """Return how often each kind of event is told of in whole lines of dhcpd's log (``logged``)."""
        return logged.tally(lines)

    def snapshot(self, lease_file: Path, copy: Path) -> bool:
        """Copy the lease file durably, all or nothing; tell whether there was one.

        Raises:
            EditError: It cannot be read, or the copy not be written.
        """
        return leasefile.copy(lease_file, copy)

    def restore(self, lease_file: Path, copy: Path) -> None:
        """Put the records of a copy before those of the lease file, of which the last of each lease counts.

        dhcpd drops at its start every lease that is in none of its ranges and writes the file anew before it opens
        its interfaces, so also where it fails to. With the copy in front nothing of that is lost. Source: measured.

        Raises:
            EditError: One of them cannot be read, or the lease file not be replaced; it is unchanged.
        """
        leasefile.put_before(lease_file, copy)
