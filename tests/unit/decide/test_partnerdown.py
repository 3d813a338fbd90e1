"""Every rule of an order, broken alone: it keeps the order from being given, and is what the message names."""

from collections.abc import Callable

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from tests.unit.decide.views import (
    PRIMARY,
    SECONDARY,
    asking,
    cut_off,
    grant,
    lease,
    own,
    policy,
    quiet,
    released,
    report,
    sight,
    silent,
)
from twinlease.api.permit import Fence, Isolation, PartnerDownMode
from twinlease.api.servinglease import Answer, Answered, Bound, Database, DatabaseVerdict, Evidence, Order, Phase
from twinlease.decide import partnerdown
from twinlease.decide.pairview import View
from twinlease.decide.partnerdown import Action

Change = Callable[[View], View]


def due() -> View:
    """Return a pair of which the primary is to be ordered into partner-down."""
    return cut_off(silent(quiet(), SECONDARY), PRIMARY)


def force(view: View, **changes: object) -> View:
    return own(view, SECONDARY, in_force=replace(view.own(SECONDARY).in_force, **changes))


def test_the_order_is_one_write_that_revokes_records_and_orders() -> None:
    judged = partnerdown.judge(due(), PRIMARY)
    after = judged.lease
    assert after is not None
    assert (judged.verdict.action, judged.verdict.reason, judged.verdict.survivor) == (
        Action.ORDER,
        "Ordered",
        "primary",
    )
    assert (after.epoch, after.phase, after.survivor) == (3, Phase.ALONE, "primary")
    assert after.order == Order(epoch=3, interruption=1, evidence=Evidence.EXPIRED)
    assert (after.servers.secondary.grant.holder, after.servers.primary.grant.holder) == ("", "p1")
    assert (after.servers.primary.grant.duration, after.servers.primary.grant.epoch) == ("1h", 1)
    assert after.servers.primary.own == due().own(PRIMARY)
    assert after.servers.secondary.own == due().own(SECONDARY)


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        (lambda view: grant(view, PRIMARY, holder=""), "NoGrant", "confirmed grant"),
        (lambda view: grant(view, PRIMARY, epoch=2), "NoGrant", "confirmed grant"),
        (lambda view: sight(view, PRIMARY, age=82.0), "NoReport", "not renewed lately"),
        (lambda view: sight(view, PRIMARY, age=float("inf")), "NoReport", "not renewed lately"),
        (lambda view: policy(view, guarded=False), "PolicyMissing", "ValidatingAdmissionPolicy"),
        (
            lambda view: own(view, PRIMARY, database=Database(verdict=DatabaseVerdict.STALE)),
            "LineageUnverified",
            "Stale",
        ),
        (lambda view: report(view, PRIMARY, state="Normal"), "NotNeeded", "Normal"),
        (lambda view: report(view, PRIMARY, state="Startup"), "NotNeeded", "Startup"),
        (lambda view: report(view, PRIMARY, state="PotentialConflict"), "NotNeeded", "PotentialConflict"),
        (lambda view: report(view, PRIMARY, state="Unknown"), "NotNeeded", "Unknown"),
        (lambda view: report(view, PRIMARY, mclt="0s"), "NoMCLT", "MCLT"),
        (lambda view: report(view, PRIMARY, mclt="5m"), "MCLTLowered", "1800s"),
        (lambda view: lease(view, mclt=Bound(duration="30m", until="2027-01-15T08:10:00Z")), "MCLTLowered", "1800s"),
        (lambda view: cut_off(view, PRIMARY, 299.0), "NotYet", "in 1s"),
        (lambda view: policy(view, mode=PartnerDownMode.NEVER), "Never", "Never"),
        (lambda view: policy(view, mode=PartnerDownMode.MANUAL), "Manual", "would be put into partner-down"),
        (lambda view: silent(view, SECONDARY, 243.0), "WaitingForEvidence", "may answer for"),
        (lambda view: force(view, kernel_fence=False), "WaitingForEvidence", "kernel fence was not proven"),
        (lambda view: force(view, isolation=Isolation.SERVE), "WaitingForEvidence", "serves without end"),
        (lambda view: force(view, duration="10m"), "WaitingForEvidence", "may answer for"),
        (
            lambda view: report(view, PRIMARY, promising=True, promise_seconds=90),
            "WaitingForEvidence",
            "promised the secondary to wait",
        ),
        (lambda view: own(view, SECONDARY, incarnation="s2"), "WaitingForEvidence", "former self may still run"),
    ],
)
def test_without_any_one_rule_there_is_no_order(change: Change, reason: str, says: str) -> None:
    judged = partnerdown.judge(change(due()), PRIMARY)
    assert judged.lease is None
    assert judged.verdict.reason == reason
    assert says in judged.verdict.message


@pytest.mark.parametrize(
    ("change", "evidence"),
    [
        (lambda view: released(view, SECONDARY), Evidence.RELEASED),
        (lambda view: asking(view, SECONDARY, state="CommunicationsInterrupted"), Evidence.PROVEN_STOPPED),
        (lambda view: sight(view, SECONDARY, confirmed=True), Evidence.CONFIRMED),
        (lambda view: force(view, epoch=1), Evidence.NEVER_CONFIRMED),
        (lambda view: grant(view, SECONDARY, holder=""), Evidence.NO_HOLDER),
        (lambda view: policy(force(view, kernel_fence=False), fence=Fence.PROCESS), Evidence.EXPIRED),
        (
            lambda view: sight(
                grant(view, PRIMARY, watched=replace(view.grant(PRIMARY).watched, interruption=1)),
                SECONDARY,
                tainted=True,
            ),
            Evidence.OUT_OF_SERVICE,
        ),
    ],
)
def test_each_kind_of_evidence_is_named_in_the_order(change: Change, evidence: Evidence) -> None:
    judged = partnerdown.judge(change(due()), PRIMARY)
    assert judged.lease is not None
    assert judged.lease.order is not UNSET
    assert judged.lease.order.evidence is evidence


def test_a_taint_from_before_the_interruption_is_no_evidence() -> None:
    view = silent(due(), SECONDARY, 200.0)
    before = replace(view.grant(PRIMARY).watched, interruption=1, tainted=True)
    view = sight(grant(view, PRIMARY, watched=before), SECONDARY, tainted=True)
    assert partnerdown.judge(view, PRIMARY).lease is None


def test_nobody_waits_for_a_partner_in_maintenance_or_one_that_may_not_resume() -> None:
    recent = cut_off(quiet(), PRIMARY, 6.0)
    assert partnerdown.judge(released(recent, SECONDARY), PRIMARY).verdict.reason == "NotYet"
    planned = sight(released(recent, SECONDARY), SECONDARY, maintenance=True)
    assert partnerdown.judge(planned, PRIMARY).verdict.reason == "Ordered"
    assert partnerdown.judge(asking(recent, SECONDARY, state="Normal"), PRIMARY).verdict.reason == "NotYet"
    back = asking(recent, SECONDARY, state="CommunicationsInterrupted")
    assert partnerdown.judge(back, PRIMARY).verdict.reason == "Ordered"
    broken = asking(recent, SECONDARY, verdict=DatabaseVerdict.LOST)
    assert partnerdown.judge(policy(broken, mode=PartnerDownMode.NEVER), PRIMARY).verdict.reason == "Ordered"


def test_an_mclt_that_was_changed_is_waited_for_from_the_partners_end_on() -> None:
    view = report(due(), PRIMARY, mclt="5m")
    assert partnerdown.judge(sight(view, SECONDARY, gone=1799.0), PRIMARY).verdict.retry == pytest.approx(1.0)
    assert partnerdown.judge(sight(view, SECONDARY, gone=1800.0), PRIMARY).verdict.reason == "Ordered"


def test_the_look_is_due_when_the_threshold_is() -> None:
    assert partnerdown.judge(cut_off(due(), PRIMARY, 250.0), PRIMARY).verdict.retry == pytest.approx(50.0)
    waiting = partnerdown.judge(silent(due(), SECONDARY, 200.0), PRIMARY)
    assert waiting.verdict.retry == pytest.approx(240 + 2.4 + 1 - 200)


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Answered(), "CommunicationsInterrupted", "Ordered"),
        (Answered(epoch=2, result=Answer.EXECUTED), "CommunicationsInterrupted", "Ordered"),
        (Answered(epoch=3, result=Answer.EXECUTED), "PartnerDown", None),
        (Answered(epoch=3, result=Answer.UNKNOWN), "CommunicationsInterrupted", None),
        (Answered(epoch=3, result=Answer.REFUSED), "CommunicationsInterrupted", "Withdrawn"),
        (Answered(epoch=3, result=Answer.REFUSED), "PartnerDown", None),
    ],
)
def test_an_order_stands_until_it_is_answered(answer: Answered, state: str, reason: str | None) -> None:
    ordered = partnerdown.judge(due(), PRIMARY).lease
    assert ordered is not None
    view = report(own(due().change(ordered), PRIMARY, answer=answer), PRIMARY, state=state)
    judged = partnerdown.outstanding(view)
    assert (None if judged is None else judged.verdict.reason) == reason
    if reason == "Withdrawn":
        assert judged is not None
        assert judged.lease is not None
        assert (judged.lease.phase, judged.lease.survivor, judged.lease.order) == (Phase.BOTH, "", UNSET)
        assert judged.lease.servers.secondary.grant.holder == "", "it is granted anew, not again"


def test_one_on_its_way_back_takes_over_once_all_that_the_survivor_promised_has_ended() -> None:
    view = lease(due(), phase=Phase.RETURNING, survivor="secondary")
    view = report(view, PRIMARY, state="RecoverWait", interruption=1)
    early = partnerdown.judge(sight(view, SECONDARY, gone=1790.0), PRIMARY)
    assert (early.verdict.reason, early.verdict.retry) == ("SurvivorGone", pytest.approx(10.0))
    late = partnerdown.judge(sight(view, SECONDARY, gone=1801.0), PRIMARY)
    assert late.verdict.reason == "Ordered"
