"""Reading a server's lease database a bit at a time, beside other work."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from twinlease.engines.protocol import BindingLog
from twinlease.model.binding import Binding

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_ONCE = 200


class Records:
    """What the server recorded, in its order.

    Args:
        log: Opens a reader of the server's lease database.
    """

    def __init__(self, log: Callable[[], BindingLog]) -> None:
        self._log = log()
        self._reading: Iterator[Binding] | None = None

    @property
    def all_taken(self) -> bool:
        """Whether nothing is known to be left."""
        return self._reading is None

    def read(self, take: Callable[[Binding], None], until: float) -> None:
        """Hand over what is new until all is taken, or the time has come; a few in any case.

        Args:
            take: Takes a record.
            until: When to leave the rest for the next call (time.monotonic).

        Raises:
            OSError: The database cannot be read; the next call begins anew with what was not taken.
        """
        try:
            while not self._some(take) and time.monotonic() < until:
                pass
        except OSError:
            self._reading = None
            raise

    def _some(self, take: Callable[[Binding], None]) -> bool:
        """Hand over a few; tell whether that was all."""
        if self._reading is None:
            self._reading = self._log.news()
        for count, binding in enumerate(self._reading, 1):
            take(binding)
            if count == _AT_ONCE:
                return False
        self._reading = None
        return True

    def close(self) -> None:
        """Let go of the database."""
        self._log.close()
