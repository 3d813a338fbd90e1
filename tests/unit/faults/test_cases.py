"""The cases as data: each can be named, told, and keeps the inequalities of the durations."""

import pytest

from tests.faults import cases
from tests.faults.case import END, MEND, START, SURVIVOR, VICTIM, Case, Times, Until, Wait, cast
from tests.faults.runner import describe
from tests.faults.stage import manifests
from twinlease.model.states import Role


def test_names_are_unique_and_fit_a_file() -> None:
    names = [each.name for each in cases.ALL]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in names)


def test_six_cases_are_nearest_to_safety() -> None:
    nearest = [each for each in cases.ALL if each.nearest]
    assert len(nearest) == 6
    assert all(each.runs(3, 20) == 20 for each in nearest)


@pytest.mark.parametrize("case", cases.ALL, ids=lambda each: each.name)
def test_every_moment_that_is_expected_something_of_is_made_by_a_step(case: Case) -> None:
    made = {START, MEND, END, *(step.mark for step in case.steps)}
    made |= {step.says for step in case.steps if isinstance(step, Until)}
    moments = [getattr(each, name) for each in case.expects for name in ("since", "until", "deadline")
               if hasattr(each, name)]  # fmt: skip
    assert {mark for mark, _ in moments} <= made


@pytest.mark.parametrize("case", cases.ALL, ids=lambda each: each.name)
def test_every_case_is_told_before_it_is_run(case: Case) -> None:
    told = describe(case)
    assert told.startswith(f"{case.name}: ")
    assert told.count("expected: ") == len(case.expects)


@pytest.mark.parametrize("case", cases.ALL, ids=lambda each: each.name)
def test_no_case_waits_for_longer_than_a_minute(case: Case) -> None:
    assert sum(step.seconds for step in case.steps if isinstance(step, Wait)) <= 40


def test_a_case_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no case nonsense; there are: dhcpd-killed"):
        cases.named(("isolated", "nonsense"))
    assert [each.name for each in cases.named(("isolated", "dhcpd-killed"))] == ["dhcpd-killed", "isolated"]


def test_durations_that_admission_would_refuse_are_refused() -> None:
    with pytest.raises(ValueError, match="must not exceed after"):
        Times(duration=8)


def test_the_pair_has_the_cases_timers() -> None:
    pair, pool = manifests(Times(alone=6), {"isolation": "Serve"})
    assert pair["spec"]["servingLease"] == {
        "duration": "5s", "aloneDuration": "6s", "promise": "5s", "maxPromise": "12s"
    }  # fmt: skip
    assert pair["spec"]["isolation"] == "Serve"
    assert pool["spec"]["leaseTime"] == {"default": "30s", "maximum": "30s"}


def test_either_server_can_be_the_victim() -> None:
    assert cast(Role.PRIMARY) == {VICTIM: Role.PRIMARY, SURVIVOR: Role.SECONDARY}
    assert cast(Role.SECONDARY) == {VICTIM: Role.SECONDARY, SURVIVOR: Role.PRIMARY}
