"""Pauses between attempts that fail."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Backoff:
    """Doubles the pause with each failure.

    Args:
        first: Pause after the first failure, seconds.
        most: The longest pause.
        clock: Monotonic seconds.
    """

    def __init__(self, first: float, most: float, clock: Clock = time.monotonic) -> None:
        self._first = first
        self._most = most
        self._clock = clock
        self._failures = 0
        self._not_before = 0.0

    @property
    def ready(self) -> bool:
        """Whether the pause is over."""
        return self._clock() >= self._not_before

    def failed(self) -> float:
        """Note a failure and return the pause that it costs, seconds."""
        pause = min(self._most, self._first * (1 << min(self._failures, 16)))
        self._failures += 1
        self._not_before = self._clock() + pause
        return pause

    def reset(self) -> None:
        """Forget all failures."""
        self._failures = 0
        self._not_before = 0.0
