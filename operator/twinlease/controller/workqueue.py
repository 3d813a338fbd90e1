"""A queue of pairs that need a look: each at most once, none by two workers at a time, some only later."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")


class WorkQueue(Generic[K]):
    """Keys with due times. Safe to use from several threads.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._due: dict[K, float] = {}
        self._busy: set[K] = set()
        self._closed = False

    def add(self, key: K, delay: float = 0.0) -> None:
        """Ask for a look at a key in ``delay`` seconds; the earlier of several demands counts."""
        due = self._clock() + delay
        with self._condition:
            if key not in self._due or due < self._due[key]:
                self._due[key] = due
                self._condition.notify()

    def take(self) -> K | None:
        """Wait for a key that is due and reserve it until ``done``; None once the queue is closed."""
        with self._condition:
            while not self._closed:
                now = self._clock()
                waiting = [(due, key) for key, due in self._due.items() if key not in self._busy]
                soonest = min(waiting, key=lambda pair: pair[0], default=None)
                if soonest is not None and soonest[0] <= now:
                    key = soonest[1]
                    del self._due[key]
                    self._busy.add(key)
                    return key
                self._condition.wait(None if soonest is None else soonest[0] - now)
            return None

    def done(self, key: K) -> None:
        """Give a key back; demands that came meanwhile are served now."""
        with self._condition:
            self._busy.discard(key)
            self._condition.notify_all()

    def __len__(self) -> int:
        """Return how many keys wait for a look, now or later."""
        with self._condition:
            return len(self._due)

    def close(self) -> None:
        """Let every ``take`` return None."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
