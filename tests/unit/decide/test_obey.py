"""An order is obeyed once, and every crash on the way is answered."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from twinlease.api.servinglease import Answer, Answered, Evidence, Order
from twinlease.decide.obey import INTERRUPTED, RETURNING, Action, Position, obey
from twinlease.model.states import FailoverState as S

ORDER = Order(epoch=6, interruption=3, evidence=Evidence.EXPIRED)
CUT = Position(order=ORDER, survivor=True, state=S.COMMUNICATIONS_INTERRUPTED, interruption=3)


@pytest.mark.parametrize(
    ("change", "action", "answer", "reason"),
    [
        ({}, Action.EXECUTE, None, ""),
        ({"state": S.RESOLUTION_INTERRUPTED}, Action.EXECUTE, None, ""),
        ({"state": S.RECOVER_WAIT}, Action.EXECUTE, None, ""),
        ({"survivor": False}, Action.NOTHING, None, ""),
        ({"answered": Answered(epoch=6)}, Action.NOTHING, None, ""),
        ({"answered": Answered(epoch=5)}, Action.EXECUTE, None, ""),
        ({"known": False}, Action.ANSWER, Answer.UNKNOWN, "LeaseDatabaseNotVerified"),
        ({"known": False, "runs": False}, Action.ANSWER, Answer.UNKNOWN, "LeaseDatabaseNotVerified"),
        ({"state": S.NORMAL}, Action.ANSWER, Answer.REFUSED, "InContact"),
        ({"state": S.POTENTIAL_CONFLICT}, Action.ANSWER, Answer.REFUSED, "PotentialConflict"),
        ({"interruption": 4}, Action.ANSWER, Answer.REFUSED, "AnotherInterruption"),
        ({"interruption": 0}, Action.ANSWER, Answer.REFUSED, "AnotherInterruption"),
        ({"promising": True}, Action.ANSWER, Answer.REFUSED, "PromiseRuns"),
        ({"promising": True, "order": replace(ORDER, evidence=Evidence.RELEASED)}, Action.EXECUTE, None, ""),
        ({"state": S.UNKNOWN}, Action.NOTHING, None, ""),
        ({"state": S.STARTUP}, Action.NOTHING, None, ""),
        ({"runs": False}, Action.NOTHING, None, ""),
        # Begun before a crash.
        ({"consumed": 6}, Action.ANSWER, Answer.REFUSED, "Interrupted"),
        ({"consumed": 6, "runs": False}, Action.ANSWER, Answer.REFUSED, "Interrupted"),
        ({"consumed": 6, "state": S.STARTUP}, Action.NOTHING, None, ""),
        ({"consumed": 6, "state": S.PARTNER_DOWN}, Action.ANSWER, Answer.EXECUTED, "PartnerDown"),
        ({"consumed": 6, "state": S.PARTNER_DOWN, "runs": False}, Action.ANSWER, Answer.EXECUTED, "PartnerDown"),
        ({"consumed": 6, "state": S.PARTNER_DOWN, "unextended": True}, Action.EXECUTE, None, ""),
        ({"consumed": 6, "state": S.PARTNER_DOWN, "unextended": True, "promising": True}, Action.NOTHING, None, ""),
        (
            {"consumed": 6, "state": S.PARTNER_DOWN, "unextended": True, "runs": False},
            Action.ANSWER,
            Answer.UNKNOWN,
            "PartnerDown",
        ),
        (
            {"consumed": 6, "state": S.COMMUNICATIONS_INTERRUPTED, "unextended": True},
            Action.ANSWER,
            Answer.REFUSED,
            "Interrupted",
        ),
        # By somebody's hand, or by an earlier order: nothing is extended by this one yet.
        ({"state": S.PARTNER_DOWN}, Action.EXECUTE, None, ""),
        ({"state": S.PARTNER_DOWN, "interruption": 4}, Action.EXECUTE, None, ""),
        ({"state": S.PARTNER_DOWN, "promising": True}, Action.NOTHING, None, ""),
        ({"state": S.PARTNER_DOWN, "runs": False}, Action.ANSWER, Answer.UNKNOWN, "PartnerDown"),
    ],
)
def test_what_to_do(change: dict[str, object], action: Action, answer: Answer | None, reason: str) -> None:
    found = obey(replace(CUT, **change))
    assert found.action is action
    assert found.reason == reason
    if answer is not None:
        assert found.answer is answer


POSITIONS = st.builds(
    Position,
    order=st.builds(Order, epoch=st.integers(1, 4), interruption=st.integers(0, 3), evidence=st.sampled_from(Evidence)),
    survivor=st.booleans(),
    consumed=st.integers(0, 4),
    answered=st.builds(Answered, epoch=st.integers(0, 4)),
    known=st.booleans(),
    state=st.sampled_from(S),
    runs=st.booleans(),
    interruption=st.integers(0, 3),
    promising=st.booleans(),
    unextended=st.booleans(),
)


@given(POSITIONS)
def test_an_order_is_carried_out_once_by_one_who_is_cut_off_and_knows_its_leases(now: Position) -> None:
    if obey(now).action is Action.EXECUTE:
        assert isinstance(now.order, Order)
        assert now.survivor
        assert now.known
        assert now.runs
        assert now.consumed < now.order.epoch or (now.unextended and now.state is S.PARTNER_DOWN)
        assert now.answered.epoch < now.order.epoch
        assert now.state in INTERRUPTED | RETURNING | {S.PARTNER_DOWN}
        assert now.interruption == now.order.interruption or now.state is S.PARTNER_DOWN
        assert not (now.promising and now.order.evidence is Evidence.EXPIRED)


@given(POSITIONS)
def test_no_answer_says_that_nothing_was_done_while_it_is_in_partner_down(now: Position) -> None:
    found = obey(now)
    if found.action is Action.ANSWER and now.state is S.PARTNER_DOWN:
        assert found.answer is not Answer.REFUSED


@given(POSITIONS)
def test_what_is_answered_stays_answered(now: Position) -> None:
    found = obey(now)
    if found.action is Action.ANSWER:
        assert isinstance(now.order, Order)
        after = replace(now, answered=Answered(epoch=now.order.epoch, result=found.answer))
        assert obey(after).action is Action.NOTHING


def test_whatever_crashes_after_it_was_consumed_is_answered_in_the_end() -> None:
    for state, runs in itertools.product(S, (True, False)):
        waits = runs and state in {S.UNKNOWN, S.STARTUP}
        found = obey(replace(CUT, consumed=6, state=state, runs=runs))
        assert found.action is (Action.NOTHING if waits else Action.ANSWER)
