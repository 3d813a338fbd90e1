"""How a pair stood over time, kept in its status: from what is so now, never from what happened. Pure.

Whoever leads compares what it sees with the last entry: nothing is told twice, and a new leader goes on. What came and
went between two looks is not in it.
"""

from msgspec.structs import replace

from twinlease.api.pairstatus import MOST_HISTORY, HistoryEntry


def recorded(before: tuple[HistoryEntry, ...], now: HistoryEntry) -> tuple[HistoryEntry, ...]:
    """Return the history, oldest first, with what is so now as its last entry; the oldest ones go first."""
    if before and replace(before[-1], time=now.time) == now:
        return before
    return (*before, now)[-MOST_HISTORY:]
