"""What is told of each rule: the very rules that ``partnerdown.judge`` goes by, and what would change them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.decide import views
from tests.unit.decide.views import PRIMARY, SECONDARY
from twinlease.api.permit import Fence, Isolation, PartnerDownMode
from twinlease.api.servinglease import Bound, Database, DatabaseVerdict, InForce, Phase, Watched
from twinlease.decide import partnerdown, starts
from twinlease.decide.account import Rule, account, takeover
from twinlease.decide.pairview import View
from twinlease.model.states import FailoverState


def rules(view: View) -> dict[str, Rule]:
    return {each.name: each for each in takeover(view, PRIMARY)}


def missing(view: View) -> list[str]:
    return [each.name for each in takeover(view, PRIMARY) if not each.holds]


def interrupted(seconds: float, silent: float) -> View:
    """Return a pair whose primary has been cut off for so long, and whose secondary has not renewed for so long."""
    return views.silent(views.cut_off(views.quiet(), PRIMARY, seconds), SECONDARY, silent)


def test_of_a_pair_that_is_normal_there_is_nothing_to_tell() -> None:
    assert account(views.quiet()) == ()


def test_time_left_and_a_permit_that_still_runs() -> None:
    view = interrupted(120, 120)
    assert missing(view) == ["Interruption", "PartnerStopped"]
    found = rules(view)
    assert found["Interruption"].retry == pytest.approx(180)
    assert found["PartnerStopped"].retry == pytest.approx(240 * 1.01 + 1 - 120)
    assert found["PartnerStopped"].message == "The secondary may answer on its last renewal"
    assert account(view) == tuple(takeover(view, PRIMARY))


def test_evidence_that_no_time_brings() -> None:
    force = InForce(epoch=2, duration="4m", kernel_fence=False)
    view = views.own(interrupted(400, 400), SECONDARY, in_force=force)
    (rule,) = [each for each in takeover(view, PRIMARY) if not each.holds]
    assert (rule.name, rule.retry) == ("PartnerStopped", None)
    for way in ("back on its node", "n2", "out-of-service", "kubectl twinlease partner-down", "spec.fence: Process"):
        assert way in rule.remedy
    assert not rule.remedy.startswith("time")


def test_nobody_is_told_to_confirm_the_death_of_a_server_that_renews() -> None:
    view = views.cut_off(views.cut_off(views.quiet(), PRIMARY, 400), SECONDARY, 400)
    (rule,) = [each for each in takeover(view, PRIMARY) if not each.holds]
    assert "partner-down" not in rule.remedy
    assert {each.role for each in account(view)} == {PRIMARY, SECONDARY}


def test_a_promise_is_told_without_its_time() -> None:
    view = views.report(interrupted(400, 400), PRIMARY, promising=True, promise_seconds=100)
    (rule,) = [each for each in takeover(view, PRIMARY) if not each.holds]
    assert (rule.message, rule.retry) == ("The primary promised the secondary to wait", pytest.approx(95))


@pytest.mark.parametrize("mode", [PartnerDownMode.MANUAL, PartnerDownMode.NEVER])
def test_the_mode_is_a_rule_of_its_own(mode: PartnerDownMode) -> None:
    view = views.policy(interrupted(400, 400), mode=mode)
    (rule,) = [each for each in takeover(view, PRIMARY) if not each.holds]
    assert rule.name == "Mode"
    assert ("partner-down" in rule.remedy) == (mode is PartnerDownMode.MANUAL)


def test_a_server_that_asks_is_told_why_it_does_not_start() -> None:
    view = views.asking(views.quiet(), PRIMARY, verdict=DatabaseVerdict.LOST)
    view = views.silent(view, SECONDARY, 20)
    (rule,) = [each for each in account(view) if each.role is PRIMARY]
    judged = starts.judge(view, PRIMARY)
    assert judged is not None
    assert (rule.name, rule.holds, rule.message) == (
        "Start",
        False,
        f"{judged.verdict.reason}: {judged.verdict.message}",
    )
    assert rule.remedy


def test_while_an_order_stands_there_is_nothing_to_judge() -> None:
    ordered = partnerdown.judge(interrupted(400, 400), PRIMARY)
    assert ordered.lease is not None
    assert account(interrupted(400, 400).change(ordered.lease)) == ()


@st.composite
def pairs(draw: st.DrawFn) -> View:
    """Draw a pair around a takeover: each thing that counts as it should be, or not."""
    view = interrupted(draw(st.sampled_from([10.0, 299.0, 300.0, 4000.0])), draw(st.sampled_from([5.0, 240.0, 4000.0])))
    view = views.policy(
        view,
        mode=draw(st.sampled_from(PartnerDownMode)),
        fence=draw(st.sampled_from(Fence)),
        guarded=draw(st.sampled_from([True, True, False])),
    )
    state = draw(st.sampled_from(["CommunicationsInterrupted", "ResolutionInterrupted", *FailoverState]))
    view = views.report(
        view,
        PRIMARY,
        state=str(state),
        mclt=draw(st.sampled_from(["30m", "0s", "5m"])),
        promising=draw(st.booleans()),
        promise_seconds=draw(st.sampled_from([0, 100])),
    )
    force = InForce(
        epoch=draw(st.sampled_from([2, 2, 1])),
        duration="4m",
        isolation=draw(st.sampled_from([Isolation.FENCE, Isolation.FENCE, Isolation.SERVE])),
        kernel_fence=draw(st.booleans()),
    )
    view = views.own(view, SECONDARY, in_force=force)
    view = draw(st.sampled_from([view, views.released(view, SECONDARY), views.asking(view, SECONDARY)]))
    view = views.sight(
        view,
        SECONDARY,
        confirmed=draw(st.booleans()),
        tainted=draw(st.booleans()),
        maintenance=draw(st.booleans()),
        gone=draw(st.sampled_from([0.0, 10.0, 2000.0])),
    )
    if draw(st.booleans()):
        view = views.grant(view, PRIMARY, watched=Watched(interruption=1))
    if draw(st.sampled_from([False, False, True])):
        view = views.grant(view, SECONDARY, holder="")
    if draw(st.sampled_from([False, False, True])):
        view = views.silent(view, PRIMARY)
    if draw(st.sampled_from([False, False, True])):
        view = views.lease(view, mclt=Bound(duration="30m", until="2027-01-15T09:00:00Z"))
    if draw(st.sampled_from([False, False, True])):
        view = views.own(view, PRIMARY, database=Database())
    phase, survivor = draw(
        st.sampled_from([(Phase.BOTH, ""), (Phase.BOTH, ""), (Phase.RETURNING, "secondary"), (Phase.ALONE, "primary")])
    )
    return views.lease(view, phase=phase, survivor=survivor)


@given(pairs())
@settings(max_examples=1500, deadline=None)
def test_a_survivor_is_ordered_exactly_when_every_rule_holds(view: View) -> None:
    ordered = partnerdown.judge(view, PRIMARY).lease is not None
    assert (missing(view) == []) == ordered


@given(pairs())
@settings(max_examples=300, deadline=None)
def test_every_rule_says_what_would_change_it_and_nothing_that_only_counts_down(view: View) -> None:
    found, later = list(takeover(view, PRIMARY)), views.sight(view, SECONDARY, silent=view.sights[SECONDARY].silent + 1)
    for rule in found:
        assert bool(rule.remedy) != rule.holds
        assert not (rule.holds and rule.retry is not None)
    told = {each.name: each for each in takeover(later, PRIMARY)}
    for rule in found:
        if not rule.holds and not told[rule.name].holds and rule.retry is not None:
            assert told[rule.name].message == rule.message
