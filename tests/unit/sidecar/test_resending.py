"""When a survivor sends its returning partner again what that has not acknowledged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import in_states
from twinlease.engines.protocol import FailoverStatus
from twinlease.model.states import FailoverState
from twinlease.sidecar.resending import FIRST_SECONDS, LONGEST_SECONDS, Outstanding, advance, lost, sent_again

DOWN = FailoverState.PARTNER_DOWN
CATCHING_UP = [FailoverState.RECOVER, FailoverState.RECOVER_WAIT]
OPEN = replace(in_states(DOWN, FailoverState.RECOVER), unacked_updates=3)


def after(*looks: FailoverStatus | None) -> Outstanding:
    """Return what is known after looks that come a second apart, the first at 0."""
    known = Outstanding()
    for now, said in enumerate(looks):
        known = advance(known, said, float(now))
    return known


@pytest.mark.parametrize("partner", CATCHING_UP)
def test_what_is_open_at_every_look_is_sent_again(partner: FailoverState) -> None:
    known = after(*[replace(OPEN, partner=partner)] * 3)
    assert not known.due(FIRST_SECONDS - 0.1)
    assert known.due(FIRST_SECONDS)


@pytest.mark.parametrize(
    "other",
    [
        replace(OPEN, unacked_updates=0),
        *(replace(OPEN, partner=state) for state in set(FailoverState) - set(CATCHING_UP)),
        *(replace(OPEN, local=state) for state in set(FailoverState) - {DOWN}),
    ],
)
def test_anything_else_in_between_begins_the_wait_anew(other: FailoverStatus) -> None:
    known = after(OPEN, OPEN, other, OPEN)
    assert not known.due(3 + FIRST_SECONDS - 0.1)
    assert known.due(3 + FIRST_SECONDS)


def test_no_answer_changes_nothing() -> None:
    assert after(OPEN, None, None) == after(OPEN)
    assert after(None) == Outstanding()


@given(st.integers(min_value=1, max_value=40))
def test_each_time_it_is_waited_twice_as_long_until_partner_down_is_over(times: int) -> None:
    known, now = Outstanding(), 0.0
    waits = []
    for _ in range(times):
        known = advance(known, OPEN, now)
        waits.append(known.patience)
        now += known.patience
        assert known.due(now)
        known = advance(sent_again(known), replace(OPEN, unacked_updates=0), now)
        assert not known.due(now + 10 * LONGEST_SECONDS)
    assert waits == [min(FIRST_SECONDS * 2**n, LONGEST_SECONDS) for n in range(times)]
    assert advance(known, replace(OPEN, local=FailoverState.NORMAL), now) == Outstanding()


@pytest.mark.parametrize(
    ("said", "connections", "gone"),
    [
        (OPEN, frozenset(), True),
        (OPEN, frozenset({("a", "b")}), False),
        (OPEN, None, False),
        (replace(OPEN, unacked_updates=0), frozenset(), False),
        (replace(OPEN, local=FailoverState.COMMUNICATIONS_INTERRUPTED), frozenset(), False),
        (replace(OPEN, partner=FailoverState.RECOVER_DONE), frozenset(), False),
        (None, frozenset(), False),
    ],
)
def test_without_a_connection_nothing_is_waited_for(
    said: FailoverStatus | None, connections: frozenset[tuple[str, str]] | None, *, gone: bool
) -> None:
    assert lost(said, connections) is gone
