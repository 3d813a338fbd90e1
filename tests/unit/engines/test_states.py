"""dhcpd's numbers of the failover states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.engines.isc.states import from_number, to_number
from twinlease.model.states import FailoverState

KNOWN = [state for state in FailoverState if state is not FailoverState.UNKNOWN]


@pytest.mark.parametrize("state", KNOWN)
def test_there_and_back(state: FailoverState) -> None:
    assert from_number(to_number(state)) is state


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (0, FailoverState.UNKNOWN),
        (1, FailoverState.STARTUP),
        (2, FailoverState.NORMAL),
        (3, FailoverState.COMMUNICATIONS_INTERRUPTED),
        (4, FailoverState.PARTNER_DOWN),
        (5, FailoverState.POTENTIAL_CONFLICT),
        (6, FailoverState.RECOVER),
        (7, FailoverState.PAUSED),
        (8, FailoverState.SHUTDOWN),
        (9, FailoverState.RECOVER_DONE),
        (10, FailoverState.RESOLUTION_INTERRUPTED),
        (11, FailoverState.CONFLICT_DONE),
        (254, FailoverState.RECOVER_WAIT),
    ],
)
def test_the_numbers_that_were_measured(number: int, state: FailoverState) -> None:
    assert from_number(number) is state


@given(st.integers(min_value=0, max_value=2**32 - 1).filter(lambda n: n not in {*range(1, 12), 254}))
def test_other_numbers_are_unknown(number: int) -> None:
    assert from_number(number) is FailoverState.UNKNOWN


def test_unknown_has_no_number() -> None:
    with pytest.raises(ValueError, match="Unknown is no state"):
        to_number(FailoverState.UNKNOWN)
