"""Expectations hold or do not, on runs that are made up."""

import pytest

from tests.faults import expect
from tests.faults.case import SURVIVOR, VICTIM
from tests.faults.expect import NeedsGrant, NoTakeover, Reaches, Serves, Silent, TakesOver, Untouched, Verdicts
from tests.faults.timeline import Timeline
from tests.lab.history import Answer
from tests.unit.faults.seen import answers, in_partner_down, interrupted, lease, run, server, timeline
from twinlease.model.states import FailoverState, Role

PRIMARY, SECONDARY = Role.PRIMARY, Role.SECONDARY
MARKS = {"start": 0.0, "fault": 1.0, "mend": 20.0, "end": 25.0}
NOTHING = timeline({0.0: lease()})
TAKEN_OVER = timeline(
    {
        0.0: lease(),
        2.0: lease(interrupted(1000)),
        9.2: lease(interrupted(1000), revoked=SECONDARY),
        9.5: lease(in_partner_down(), revoked=SECONDARY),
        22.0: lease(in_partner_down()),
    },
    {0.0: "Normal", 2.0: "NotYet", 9.2: "Ordered", 9.5: "Executed"},
)


def every(step: float, begin: float, end: float, role: Role = PRIMARY) -> list[Answer]:
    count = int((end - begin) / step)
    return answers(role, *(begin + step * n for n in range(1, count)))


def test_serving_is_answering_without_a_long_pause() -> None:
    assert not Serves(SURVIVOR).judge(run(NOTHING, every(1.0, 0, 21), MARKS)).failures
    paused = every(1.0, 0, 8) + every(1.0, 13, 21)
    (failure,) = Serves(SURVIVOR).judge(run(NOTHING, paused, MARKS)).failures
    assert "7.0 s from 7.0 s on" in failure
    assert Serves(SURVIVOR).judge(run(NOTHING, [], MARKS)).failures
    assert not Serves(SURVIVOR, until=("fault", 7.0)).judge(run(NOTHING, paused, MARKS)).failures


def test_silence_counts_from_the_deadline_and_k() -> None:
    expected = Silent(VICTIM, ("fault", 4.0))
    on_time = run(NOTHING, answers(SECONDARY, 1.0, 5.9), MARKS)
    assert not expected.judge(on_time).failures
    assert expected.judge(on_time).figures["silent_after_deadline_s"] == pytest.approx(0.9)
    late = expected.judge(run(NOTHING, answers(SECONDARY, 5.9, 6.5), MARKS))
    assert late.failures == ("the victim answered 1 times up to 1.50 s after its permit's deadline",)
    assert not expected.judge(run(NOTHING, answers(SECONDARY, 21.0), MARKS)).failures
    assert not expected.judge(run(NOTHING, answers(PRIMARY, 6.5), MARKS)).failures


def test_what_was_queued_must_not_be_answered_before_a_new_grant() -> None:
    expected = NeedsGrant(VICTIM, ("fault", 5.0))
    anew = timeline({0.0: lease(), 7.0: lease(epoch=2)})
    assert not expected.judge(run(anew, answers(SECONDARY, 5.0, 7.5), MARKS)).failures
    assert expected.judge(run(anew, answers(SECONDARY, 6.5), MARKS)).failures == ("the victim gave 1 stale answers",)
    assert expected.judge(run(NOTHING, answers(SECONDARY, 24.0), MARKS)).failures


def test_a_takeover_is_measured_from_its_threshold() -> None:
    found = TakesOver(SURVIVOR).judge(run(TAKEN_OVER, every(0.1, 0, 25), MARKS))
    assert not found.failures
    assert found.figures["takeover_ms"] == pytest.approx(500)
    assert 500 < found.figures["serving_ms"] <= 601
    assert found.figures["entering_gap_s"] == pytest.approx(0.1)
    late = TakesOver(SURVIVOR, within=0.4).judge(run(TAKEN_OVER, [], MARKS))
    assert late.failures == ("the survivor was in partner-down 0.50 s after it might have been",)
    assert not TakesOver(SURVIVOR, within=None).judge(run(TAKEN_OVER, [], MARKS)).failures


def test_a_takeover_that_never_comes_or_is_the_other_ones_is_a_failure() -> None:
    assert TakesOver(SURVIVOR).judge(run(NOTHING, [], MARKS)).failures
    assert TakesOver(SURVIVOR).judge(run(TAKEN_OVER, [], MARKS, victim=PRIMARY)).failures
    ordered = timeline({0.0: lease(), 9.2: lease(revoked=SECONDARY)})
    assert "never reported" in TakesOver(SURVIVOR).judge(run(ordered, [], MARKS)).failures[0]


def test_a_state_may_be_expected_no_sooner_than_after_a_while() -> None:
    there = run(TAKEN_OVER, [], MARKS)  # 8.5 s after the fault
    down = FailoverState.PARTNER_DOWN
    assert not Reaches(SURVIVOR, down, since=("fault", 0.0), earliest=8.5).judge(there).failures
    early = Reaches(SURVIVOR, down, since=("fault", 0.0), earliest=8.6).judge(there)
    assert early.failures == ("the survivor reported PartnerDown 8.50 s after fault",)
    assert "never reported" in Reaches(VICTIM, down).judge(there).failures[0]


def test_an_order_where_none_is_expected_is_a_failure() -> None:
    assert not NoTakeover().judge(run(NOTHING, [], MARKS)).failures
    assert NoTakeover().judge(run(TAKEN_OVER, [], MARKS)).failures
    assert not NoTakeover(until=("fault", 5.0)).judge(run(TAKEN_OVER, [], MARKS)).failures


def test_verdicts_come_in_order_with_others_between_them() -> None:
    seen = run(TAKEN_OVER, [], MARKS)
    assert not Verdicts(("NotYet", "Executed")).judge(seen).failures
    assert Verdicts(("Executed", "NotYet")).judge(seen).failures
    assert Verdicts(("NotYet",), never=("Ordered",)).judge(seen).failures


def test_a_daemon_that_starts_anew_is_noticed() -> None:
    before, same = server(-1.0, SECONDARY, started="a", starts=1), server(8.0, SECONDARY, started="a", starts=1)
    anew = server(9.0, SECONDARY, started="b", starts=1)
    assert not Untouched(VICTIM).judge(run(Timeline([before, same], "lan"), [], MARKS)).failures
    assert Untouched(VICTIM).judge(run(Timeline([before, anew], "lan"), [], MARKS)).failures
    assert not Untouched(SURVIVOR).judge(run(Timeline([before, anew], "lan"), [], MARKS)).failures
    assert not Untouched(VICTIM, since=("fault", 9.5)).judge(run(Timeline([before, anew], "lan"), [], MARKS)).failures


def test_whoever_is_revoked_must_be_silent_in_every_case() -> None:
    at_the_end = answers(PRIMARY, 26.0) + answers(SECONDARY, 26.0)
    assert not expect.judge(run(TAKEN_OVER, at_the_end + answers(SECONDARY, 5.0, 23.0), MARKS)).failures
    found = expect.judge(run(TAKEN_OVER, at_the_end + answers(SECONDARY, 12.0), MARKS))
    assert found.failures == ("the victim answered 1 times without a grant",)


def test_both_must_answer_after_the_end() -> None:
    found = expect.judge(run(NOTHING, answers(PRIMARY, 26.0), MARKS))
    assert found.failures == ("the victim answered nobody after the end",)
