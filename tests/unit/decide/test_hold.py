"""Which leases are held while a server is cut off, and until when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.decide import hold
from twinlease.model.binding import Binding, Standing
from twinlease.model.states import Role

SINCE, LONGEST = 1_000_000, 3600
LEASED, ENDED, OTHER = Standing.LEASED, Standing.EXPIRED, Standing.FREE


def last(standing: Standing, seen: int = 0, ends: int = 0) -> Binding:
    return Binding(1, standing, seen, ends)


CASES = {
    "what is over by its word alone is held at once": (last(ENDED), hold.AT_ONCE),
    "what is free is nobody's": (last(OTHER), None),
    "a lease that the partner knows too is left alone": (last(LEASED, SINCE - 601, SINCE + 100), None),
    "one given since": (last(LEASED, SINCE + 10, SINCE + 3610), SINCE + 3610 - 3604),
    "one that the partner may not have heard of": (last(LEASED, SINCE - 600, SINCE + 3000), SINCE + 3000 - 3604),
    "a short one": (last(LEASED, SINCE + 10, SINCE + 40), SINCE + 40 - 3604),
    "one that was held before is held again": (last(LEASED, SINCE - 5000, SINCE + 5000), SINCE + 5000 - 3604),
    "whatever its client did long ago": (last(LEASED, 0, SINCE + 5000), SINCE + 5000 - 3604),
    "never before the epoch": (last(LEASED, SINCE, 0), 0.0),
    "what is the partner's to give is nothing of a secondary's": (last(OTHER)._replace(left=SINCE), None),
}


@pytest.mark.parametrize("case", CASES)
def test_when_a_lease_is_due(case: str) -> None:
    binding, expected = CASES[case]
    assert hold.due(binding, since=SINCE, longest=LONGEST) == expected


@pytest.mark.parametrize(
    ("ends", "due"), [(5, hold.AT_ONCE), (SINCE - 5, SINCE - 5 - 3604), (SINCE + 5400, SINCE + 5400 - 3604)]
)
def test_when_a_primary_tells_anew_what_it_left_to_its_partner(ends: int, due: float) -> None:
    left = last(OTHER, 0, SINCE)._replace(left=ends)
    assert hold.due(left, since=SINCE, longest=LONGEST, primary=True) == due
    assert hold.due(left._replace(left=0), since=SINCE, longest=LONGEST, primary=True) is None


@pytest.mark.parametrize(
    ("found", "declined"),
    [
        (last(Standing.OTHER, SINCE)._replace(unheard=True), True),
        (last(Standing.OTHER, SINCE - 1)._replace(unheard=True), True),  # the link had stalled before
        (last(Standing.OTHER, SINCE)._replace(unheard=True, before=Role.SECONDARY), True),
        (last(Standing.OTHER, SINCE)._replace(unheard=True, before=Role.PRIMARY), False),  # it answered a ping
        (last(Standing.OTHER, SINCE), False),  # both know
        (last(Standing.FREE, SINCE)._replace(unheard=True), False),
        (last(Standing.LEASED, SINCE)._replace(unheard=True), False),
    ],
)
def test_what_counts_as_declined_at_this_server_alone(found: Binding, *, declined: bool) -> None:
    assert hold.declined(found, primary=True) is declined
    other = {Role.PRIMARY: Role.SECONDARY, Role.SECONDARY: Role.PRIMARY, None: None}[found.before]
    assert hold.declined(found._replace(before=other), primary=False) is declined


@pytest.mark.parametrize(
    ("found", "given_away", "due"),
    [
        (last(Standing.RELEASED)._replace(told=True), True, hold.AT_ONCE),
        (last(Standing.EXPIRED)._replace(told=True), True, hold.AT_ONCE),
        (last(Standing.RESET)._replace(told=True), True, None),  # that has been done
        (last(Standing.RELEASED), False, hold.AT_ONCE),
        (last(LEASED, 0, 0)._replace(told=True), False, None),
        (last(OTHER)._replace(told=True), False, None),
    ],
)
def test_what_a_primary_may_have_given_away_that_heard_its_secondary_say_that_it_is_over(
    found: Binding, *, given_away: bool, due: float | None
) -> None:
    assert hold.given_away(found, primary=False) is given_away
    assert hold.due(found, since=SINCE, longest=LONGEST) == due
    assert hold.given_away(found, primary=True) is False
    assert hold.goes(found, primary=True) is (given_away and found.standing is not Standing.RESET)
    assert hold.goes(found, primary=False) is hold.goes(found._replace(left=1), primary=False) is False
    assert hold.goes(found._replace(left=1), primary=True)
    if found.standing is Standing.RESET:
        assert hold.due(found, since=SINCE, longest=LONGEST, primary=True) == hold.AT_ONCE


@given(
    now=st.floats(min_value=SINCE, max_value=2e9),
    longest=st.integers(min_value=1, max_value=30 * 86400),
    later=st.floats(min_value=0, max_value=1e6),
)
def test_what_is_held_outlasts_every_promise_of_the_partner_until_it_is_due_again(
    now: float, longest: int, later: float
) -> None:
    held = last(LEASED, SINCE, hold.until(now, longest=longest))
    due = hold.due(held, since=SINCE, longest=longest)
    assert due is not None
    assert due >= now + longest / 2 - 1  # the work is bounded
    met = min(now + later, due + 3)
    assert held.ends > met + longest


def test_what_was_held_is_known_as_such_whatever_its_client_did() -> None:
    held = last(LEASED, SINCE - 100_000, hold.until(SINCE + 5.0, longest=LONGEST))
    assert hold.due(held, since=SINCE + 90_000, longest=LONGEST) is not None
