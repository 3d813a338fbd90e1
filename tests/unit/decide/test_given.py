"""What counts as given, and what contradicts it."""

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from twinlease.decide.given import Given, advance, contradicts
from twinlease.model.binding import Binding, Standing

LEASED, EXPIRED, RELEASED = Standing.LEASED, Standing.EXPIRED, Standing.RELEASED
FREE, OTHER = Standing.FREE, Standing.OTHER
C = 1_000_000
X = C + 600
BEFORE = C + 40
OURS = Given(C, X, BEFORE, ours=True)
THEIRS = OURS._replace(ours=False)
NOW = C + 60.0


def record(standing: Standing, ends: int, seen: int = C, *, ours: bool = False) -> Binding:
    return Binding(1, standing, seen, ends, ours)


LATE = {
    "given back before it was given": record(FREE, C - 5),
    "given back in the same second, or the clocks are not the same": record(FREE, C + 3),
    "the lease before it ended": record(FREE, BEFORE),
    "free although it still runs": record(FREE, X),
    "free although it ends later than any": record(FREE, X + 100),
    "free without an end": record(FREE, 0),
    "shorter": record(LEASED, X - 1),
    "shorter, by a client that has dealt with a partner whose clock is ahead": record(LEASED, X - 1, C + 3),
    "expired before its end": record(EXPIRED, X - 1),
    "declined before it was given": record(OTHER, C + 86_399, C - 1),
    "declined in the same second": record(OTHER, C + 86_400),
}
TRUE = {
    "given back afterwards": record(FREE, C + 4),
    "given back here": record(RELEASED, C),
    "declined": record(OTHER, C + 86_401, C + 1),
    "as it was": record(LEASED, X),
    "held for longer": record(LEASED, X + 900),
    "renewed, for less": record(LEASED, C + 64, C + 4),
}


@pytest.mark.parametrize("case", LATE)
def test_late_words(case: str) -> None:
    assert contradicts(OURS, LATE[case], NOW)
    after = advance(OURS, LATE[case], NOW)
    assert after is not None
    assert (after.since, after.until) == (C, X)
    assert contradicts(after, LATE[case]._replace(standing=FREE), NOW), "also once both have agreed on it"


@pytest.mark.parametrize("case", TRUE)
def test_what_came_later_counts(case: str) -> None:
    assert not contradicts(OURS, TRUE[case], NOW)


@pytest.mark.parametrize("case", [*LATE, *TRUE])
def test_nothing_contradicts_a_lease_that_is_over(case: str) -> None:
    assert not contradicts(OURS, (LATE | TRUE)[case], X + 0.0)


def test_a_partner_may_take_back_at_once_what_it_gave_itself() -> None:
    for ends in (C, C + 1, C + 3):
        assert not contradicts(THEIRS, record(FREE, ends), NOW)
    assert contradicts(THEIRS, record(FREE, C - 1), NOW)
    assert contradicts(THEIRS, record(LEASED, X - 1, C), NOW)
    assert not contradicts(THEIRS, record(LEASED, X - 1, C + 1), NOW)
    assert not contradicts(THEIRS, record(OTHER, C + 86_400), NOW)
    assert contradicts(THEIRS, record(OTHER, C + 86_399, C - 1), NOW)


def test_what_is_given() -> None:
    first = advance(None, record(LEASED, C + 40, C, ours=True), NOW)
    assert first == Given(C, C + 40, 0, ours=True)
    again = advance(first, record(LEASED, X, C + 20), NOW)
    assert again == Given(C + 20, X, C + 40, ours=False)
    assert advance(again, record(LEASED, X + 7, C + 20), NOW) == Given(C + 20, X + 7, C + 40, ours=False)
    for last in (record(RELEASED, C + 30), record(OTHER, 0, C + 20), record(FREE, C + 30)):
        assert advance(again, last, NOW) is None
    assert advance(again, record(EXPIRED, X), X + 0.0) is None


times = st.integers(min_value=C - 50, max_value=C + 50)
records = st.builds(
    lambda standing, ends, seen, ours: Binding(1, standing, seen, ends, ours),
    st.sampled_from(Standing), times, times, st.booleans(),
)  # fmt: skip


@over(history=st.lists(records, max_size=12), now=times)
def test_a_promise_is_forgotten_only_for_something_that_came_later(history: list[Binding], now: int) -> None:
    known: Given | None = None
    for last in history:
        after = advance(known, last, now)
        if known is not None and known.until > now and (after is None or after.until < known.until):
            later = last.seen > known.since or (last.standing is FREE and last.ends >= known.since)
            at_its_end = last.standing is EXPIRED and last.ends >= known.until
            declined = last.standing is OTHER and last.seen >= known.since
            assert later or at_its_end or declined or last.standing in {RELEASED, Standing.RESET}
        known = after


@over(known=st.builds(Given, times, times, times, st.booleans()), last=records, now=times)
def test_leasing_it_again_ends_the_contradiction(known: Given, last: Binding, now: int) -> None:
    if contradicts(known, last, now):
        assert not contradicts(known, record(LEASED, known.until, known.since), now)
