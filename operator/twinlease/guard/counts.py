"""What the guard counts for the metrics: what the server's log tells of, its ends, and edits of its lease database.

The log comes in big chunks, and is counted chunk by chunk, so that a busy server costs a fraction of a percent of a
core. Only whole lines count, for a chunk may end anywhere.
"""

from collections.abc import Callable, Mapping
from typing import Any

_LONGEST_LINE = 1024


class Counts:
    """Counts since the guard runs.

    Args:
        tally: Returns how often each kind of event is told of in whole lines, each after a line's end.
    """

    def __init__(self, tally: Callable[[bytes], Mapping[str, int]]) -> None:
        self._tally = tally
        self._events: dict[str, int] = {}
        self._exits: dict[str, int] = {}
        self._edits = 0
        self._rest = b"\n"

    def log(self, chunk: bytes) -> None:
        """Take in what the server wrote next."""
        data = self._rest + chunk
        end = data.rfind(b"\n")
        for name, number in self._tally(data[:end]).items():
            self._events[name] = self._events.get(name, 0) + number
        # What an event is told by stands at a line's beginning.
        self._rest = data[end:][:_LONGEST_LINE]

    def exited(self, reason: str) -> None:
        """Take in that the server ended."""
        self._exits[reason] = self._exits.get(reason, 0) + 1

    def edited(self) -> None:
        """Take in that the lease database was edited before a start."""
        self._edits += 1

    def status(self) -> dict[str, Any]:
        """Return our part of the status."""
        return {"events": dict(self._events), "exits": dict(self._exits), "edits": self._edits}
