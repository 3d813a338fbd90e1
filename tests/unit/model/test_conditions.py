"""Conditions: all there from first sight, times move only with the status, others' are left alone."""

import pytest

from twinlease.api.types import Condition
from twinlease.model import conditions
from twinlease.model.conditions import FALSE, TRUE, UNKNOWN, get, holds, merge, of

TYPES = ("Valid", "Programmed")


def test_all_types_are_there_from_first_sight() -> None:
    found = merge((), (), types=TYPES, generation=1, now="t1")
    assert [(each.type, each.status, each.reason) for each in found] == [
        ("Valid", UNKNOWN, "NotJudgedYet"),
        ("Programmed", UNKNOWN, "NotJudgedYet"),
    ]
    assert {each.last_transition_time for each in found} == {"t1"}
    assert {each.observed_generation for each in found} == {1}


def test_the_time_moves_only_with_the_status() -> None:
    first = merge((), [of("Valid", holds=True, reason="Accepted")], types=TYPES, generation=1, now="t1")
    second = merge(first, [of("Valid", holds=True, reason="Kept", message="x")], types=TYPES, generation=2, now="t2")
    third = merge(second, [of("Valid", holds=False, reason="InvalidSpec")], types=TYPES, generation=3, now="t3")
    shown = [
        (each.reason, each.observed_generation, each.last_transition_time)
        for each in (get(first, "Valid"), get(second, "Valid"), get(third, "Valid"))
        if each is not None
    ]
    assert shown == [("Accepted", 1, "t1"), ("Kept", 2, "t1"), ("InvalidSpec", 3, "t3")]
    assert [holds(each, "Valid") for each in (first, second, third)] == [True, True, False]


def test_what_is_not_judged_now_stays() -> None:
    first = merge((), [of("Valid", holds=True, reason="Accepted")], types=TYPES, generation=1, now="t1")
    second = merge(first, [of("Programmed", holds=None, reason="NoReport")], types=TYPES, generation=2, now="t2")
    assert get(second, "Valid") == get(first, "Valid")


def test_others_conditions_are_left_alone() -> None:
    theirs = Condition(type="Backup/Done", status=FALSE, reason="Never", last_transition_time="t0")
    found = merge((theirs,), [of("Valid", holds=True, reason="Accepted")], types=TYPES, generation=1, now="t1")
    assert found[-1] == theirs
    assert [each.type for each in found] == [*TYPES, "Backup/Done"]


def test_merging_again_changes_nothing() -> None:
    verdicts = [of("Valid", holds=True, reason="Accepted"), of("Programmed", holds=False, reason="Pending")]
    once = merge((), verdicts, types=TYPES, generation=1, now="t1")
    assert merge(once, verdicts, types=TYPES, generation=1, now="t2") == once


def test_a_verdict_of_a_type_that_is_not_ours_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="Ready"):
        merge((), [of("Ready", holds=True, reason="Yes")], types=TYPES, generation=1, now="t1")


def test_a_message_fits_into_the_schema() -> None:
    found = merge((), [of("Valid", holds=False, reason="No", message="x" * 99999)], types=TYPES, generation=1, now="")
    assert len(found[0].message) == 32768


def test_status_words() -> None:
    assert (TRUE, FALSE, UNKNOWN) == ("True", "False", "Unknown")
    assert all(len(each) == len(set(each)) for each in (conditions.PAIR, conditions.POOL, conditions.SERVER))
