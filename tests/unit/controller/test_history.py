"""The history in a pair's status: bounded, and the same again says nothing."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from twinlease.api.pairstatus import MOST_HISTORY, HistoryEntry
from twinlease.controller.history import recorded

STATES = st.sampled_from(["Normal", "PartnerDown", "Unknown"])


def entry(time: int, state: str) -> HistoryEntry:
    return HistoryEntry(time=f"2026-01-01T00:00:{time % 60:02}Z", primary=state)


def test_the_same_again_is_no_news_and_keeps_the_time_of_the_first() -> None:
    first = recorded((), entry(1, "Normal"))
    assert first == (entry(1, "Normal"),)
    assert recorded(first, entry(2, "Normal")) is first
    assert recorded(first, entry(2, "PartnerDown")) == (entry(1, "Normal"), entry(2, "PartnerDown"))


@given(st.lists(STATES, max_size=200))
def test_it_is_bounded_and_no_two_neighbours_say_the_same(states: list[str]) -> None:
    history: tuple[HistoryEntry, ...] = ()
    for time, state in enumerate(states):
        history = recorded(history, entry(time, state))
    told = [each.primary for each in history]
    assert len(told) <= MOST_HISTORY
    assert all(one != other for one, other in itertools.pairwise(told))
    changes = [state for before, state in zip([None, *states], states, strict=False) if before != state]
    assert told == changes[-MOST_HISTORY:]
