"""How a server that asks may start, in each phase, with each database, beside each partner."""

from collections.abc import Callable

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from tests.unit.decide.views import (
    INTACT,
    NOW,
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
from twinlease.api.permit import PartnerDownMode
from twinlease.api.servinglease import (
    Answer,
    Answered,
    Database,
    DatabaseVerdict,
    Evidence,
    Grant,
    InForce,
    Lineage,
    Order,
    Own,
    Phase,
    Start,
)
from twinlease.decide import serving, starts
from twinlease.decide.pairview import View, entry
from twinlease.decide.partnerdown import Action
from twinlease.model.states import Role

LOST, VIRGIN, FOREIGN = DatabaseVerdict.LOST, DatabaseVerdict.VIRGIN, DatabaseVerdict.FOREIGN
CI = "CommunicationsInterrupted"


def first_boot() -> View:
    """Return a pair of which nothing has ever been."""
    view = lease(quiet(), established=False, epoch=0)
    for role in (PRIMARY, SECONDARY):
        view = grant(view, role, holder="", node="", epoch=0)
        view = own(view, role, lineage=Lineage(), epoch=0)
    return view


def unseen(view: View) -> View:
    """Return the view with a secondary that has never shown up."""
    changed = sight(grant(view, SECONDARY, **_fields(Grant())), SECONDARY, age=float("inf"))
    return own(changed, SECONDARY, **_fields(Own()))


def _fields(value: Grant | Own) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def alone(view: View, *, answer: Answer | None = Answer.EXECUTED) -> View:
    """Return the pair with the primary as the survivor by order 3, and the secondary revoked."""
    order = Order(epoch=3, interruption=1, evidence=Evidence.EXPIRED)
    view = lease(view, phase=Phase.ALONE, survivor="primary", order=order, epoch=3)
    view = grant(report(view, PRIMARY, state="PartnerDown"), SECONDARY, holder="")
    return view if answer is None else own(view, PRIMARY, answer=Answered(epoch=3, result=answer))


def both(one: str, other: str, **more: object) -> View:
    """Return a pair whose servers both ask, with these recorded states."""
    return asking(asking(quiet(), PRIMARY, state=one, **more), SECONDARY, state=other)


def skewed(view: View, millis: int = 50_000) -> View:
    """Return the view with every server that asks telling that the clocks differ."""
    for role in (PRIMARY, SECONDARY):
        asks = view.own(role).asks
        if asks is not UNSET:
            view = own(view, role, asks=replace(asks, skew_millis=millis if role is PRIMARY else -millis))
    return view


def new_pair(**primary: object) -> View:
    """Return a pair whose servers both ask for the first time."""
    return asking(asking(first_boot(), PRIMARY, verdict=VIRGIN, **primary), SECONDARY, verdict=VIRGIN)


def returning(view: View) -> View:
    """Return the view with a secondary on its way back."""
    view = grant(lease(view, phase=Phase.RETURNING), SECONDARY, holder="s1", epoch=4, start=Start.RECOVER)
    in_force = InForce(epoch=4, duration="4m", kernel_fence=True)
    view = own(view, SECONDARY, incarnation="s1", in_force=in_force)
    return report(view, SECONDARY, state="RecoverWait", serving=False)


def beside_one_that_began(view: View) -> View:
    """Return the view with a primary that was started afresh and serves nobody until it meets its partner."""
    view = grant(view, PRIMARY, holder="p1", node="n1", epoch=1, start=Start.FRESH)
    return report(view, PRIMARY, state="Recover", serving=False)


@pytest.mark.parametrize(
    ("view", "role", "start", "reason"),
    [
        # the first time
        (asking(asking(first_boot(), PRIMARY, verdict=VIRGIN), SECONDARY, verdict=VIRGIN), PRIMARY, "Fresh", "Fresh"),
        (unseen(asking(first_boot(), PRIMARY, verdict=VIRGIN)), PRIMARY, None, "WaitingForPartner"),
        (
            unseen(asking(first_boot(), PRIMARY, verdict=VIRGIN, waiting_millis=300_000)),
            PRIMARY,
            "Survive",
            "FirstAlone",
        ),
        (
            sight(unseen(asking(first_boot(), PRIMARY, verdict=VIRGIN)), PRIMARY, waiting=300.0),
            PRIMARY,
            "Survive",
            "FirstAlone",
        ),
        (
            policy(
                unseen(asking(first_boot(), PRIMARY, verdict=VIRGIN, waiting_millis=300_000)),
                mode=PartnerDownMode.MANUAL,
            ),
            PRIMARY,
            None,
            "Manual",
        ),
        (asking(first_boot(), PRIMARY, verdict=FOREIGN), PRIMARY, None, "LeaseDatabaseFound"),
        (sight(asking(first_boot(), PRIMARY, verdict=FOREIGN), PRIMARY, adopt=True), PRIMARY, "Resume", "Adopted"),
        # clocks that differ: nobody starts beside a partner that serves, and one of two that are stopped does
        (asking(quiet(), SECONDARY, skew_millis=50_000), SECONDARY, None, "ClockSkew"),
        (asking(quiet(), PRIMARY, skew_millis=-50_000), PRIMARY, None, "ClockSkew"),
        (asking(quiet(), SECONDARY, skew_millis=50_000, stopped=False), SECONDARY, None, "OldServerRuns"),
        # one that hangs, or whose word counts no more, is no partner that serves, whatever its sidecar's clock says
        (silent(asking(quiet(), SECONDARY, skew_millis=50_000), PRIMARY, 100.0), SECONDARY, None, "ClockSkew"),
        (silent(asking(quiet(), SECONDARY, skew_millis=50_000), PRIMARY, 300.0), SECONDARY, "Resume", "Resume"),
        (
            own(asking(quiet(), SECONDARY, skew_millis=50_000), PRIMARY, in_force=InForce()),
            SECONDARY,
            None,
            "ClockSkew",
        ),
        (asking(quiet(), SECONDARY, skew_millis=50_000, state=CI), SECONDARY, None, "PartnerTakesOver"),
        # one whose clock stepped in contact may have told of what is not so: it takes over what the other has
        (asking(quiet(), SECONDARY, reason="ClockStepped"), SECONDARY, None, "PartnerTakesOver"),
        (asking(alone(quiet()), SECONDARY, reason="ClockStepped"), SECONDARY, "Recover", "Recover"),
        (asking(asking(quiet(), PRIMARY), SECONDARY, reason="ClockStepped"), PRIMARY, "Resume", "Resume"),
        (both("Normal", "Normal", reason="ClockStepped"), PRIMARY, "Survive", "Survive"),
        (skewed(both("Normal", "Normal")), PRIMARY, "Resume", "Resume"),
        (skewed(both("Normal", "Normal", ready=False)), PRIMARY, None, "NotReady"),
        (skewed(both("Normal", "Normal", ready=False)), SECONDARY, "Resume", "Resume"),
        (skewed(released(asking(quiet(), PRIMARY), SECONDARY)), PRIMARY, "Resume", "Resume"),
        (skewed(asking(alone(quiet()), SECONDARY)), SECONDARY, None, "ClockSkew"),
        (skewed(asking(alone(quiet()), PRIMARY, state="PartnerDown")), PRIMARY, "Survive", "SurviveAgain"),
        (skewed(returning(asking(alone(quiet()), PRIMARY, state="PartnerDown"))), PRIMARY, "Survive", "SurviveAgain"),
        # of two that never served one begins, by itself
        (skewed(new_pair()), PRIMARY, "Survive", "ClockSkew"),
        (skewed(new_pair()), SECONDARY, None, "ClockSkew"),
        (skewed(new_pair(ready=False)), PRIMARY, None, "NotReady"),
        (skewed(new_pair(ready=False)), SECONDARY, "Survive", "ClockSkew"),
        (policy(skewed(new_pair()), guarded=False), PRIMARY, None, "PolicyMissing"),
        (skewed(beside_one_that_began(asking(first_boot(), SECONDARY, verdict=VIRGIN))), SECONDARY, "Fresh", "Fresh"),
        # both may serve
        (asking(quiet(), SECONDARY), SECONDARY, "Resume", "Resume"),
        (asking(quiet(), SECONDARY, ready=False), SECONDARY, None, "NotReady"),
        (asking(quiet(), SECONDARY, stopped=False), SECONDARY, None, "OldServerRuns"),
        (asking(quiet(), SECONDARY, state=CI), SECONDARY, None, "PartnerTakesOver"),
        (asking(quiet(), SECONDARY, verdict=LOST), SECONDARY, None, "PartnerTakesOver"),
        (asking(quiet(), SECONDARY, verdict=DatabaseVerdict.UNKNOWN), SECONDARY, None, "LeaseDatabaseUnknown"),
        (both("Normal", "Normal"), PRIMARY, "Resume", "Resume"),
        (both("Normal", "Normal"), SECONDARY, "Resume", "Resume"),
        (both(CI, "Normal"), PRIMARY, "Survive", "Survive"),
        (both(CI, "Normal"), SECONDARY, None, "PartnerFirst"),
        (both(CI, CI), PRIMARY, "Survive", "Survive"),
        (both(CI, CI), SECONDARY, None, "PartnerFirst"),
        (both(CI, "Normal", ready=False), SECONDARY, None, "PartnerFirst"),
        (sight(both(CI, "Normal", ready=False), SECONDARY, age=10.0), SECONDARY, "Survive", "Survive"),
        (both(CI, CI, ready=False), SECONDARY, "Survive", "Survive"),
        (policy(both(CI, CI), guarded=False), PRIMARY, None, "PolicyMissing"),
        (silent(asking(quiet(), PRIMARY, state=CI), SECONDARY, 100.0), PRIMARY, None, "NoSafeServer"),
        (silent(asking(quiet(), PRIMARY, state=CI), SECONDARY, 300.0), PRIMARY, "Survive", "Survive"),
        (both("Normal", "Normal", verdict=LOST), PRIMARY, None, "PartnerFirst"),
        # behind a survivor
        (asking(alone(quiet()), SECONDARY, state=CI), SECONDARY, "Recover", "Recover"),
        (asking(alone(quiet()), SECONDARY, state="Normal"), SECONDARY, "Recover", "Recover"),
        (asking(alone(quiet(), answer=None), SECONDARY), SECONDARY, None, "OrderPending"),
        (asking(alone(quiet(), answer=Answer.REFUSED), SECONDARY), SECONDARY, None, "OrderPending"),
        (asking(alone(quiet()), PRIMARY, state="PartnerDown"), PRIMARY, "Survive", "SurviveAgain"),
        (
            asking(alone(silent(quiet(), SECONDARY), answer=None), PRIMARY, state=CI),
            PRIMARY,
            "Survive",
            "SurviveAgain",
        ),
        # the other is in partner-down without an order, or has left it since
        (asking(report(quiet(), PRIMARY, state="PartnerDown"), SECONDARY), SECONDARY, None, "PartnerTakesOver"),
        (asking(report(alone(quiet()), PRIMARY, state=CI), SECONDARY, state=CI), SECONDARY, None, "OrderPending"),
    ],
)
def test_how_a_server_starts(view: View, role: str, start: str | None, reason: str) -> None:
    judged = starts.judge(view, PRIMARY if role == "primary" else SECONDARY)
    assert judged is not None
    found = None
    if judged.lease is not None:
        servers = judged.lease.servers
        found = str((servers.primary if role == "primary" else servers.secondary).grant.start)
    assert (found, judged.verdict.reason) == (start, reason)


def test_a_grant_names_a_new_epoch_and_how_to_begin() -> None:
    judged = starts.judge(asking(quiet(), SECONDARY), SECONDARY)
    assert judged is not None
    assert judged.lease is not None
    granted = judged.lease.servers.secondary.grant
    assert (judged.lease.epoch, granted.epoch, granted.holder, granted.node) == (3, 3, "s1+", "n2")


def test_who_survives_revokes_the_other_in_the_same_write() -> None:
    view = both(CI, "Normal")
    judged = starts.judge(view, PRIMARY)
    assert judged is not None
    after = judged.lease
    assert after is not None
    assert (after.phase, after.survivor, after.order) == (Phase.ALONE, "primary", UNSET)
    assert after.servers.secondary.grant.holder == ""
    assert after.servers.primary.grant.duration == "1h"


def test_who_asks_for_nothing_gets_nothing() -> None:
    assert starts.judge(quiet(), PRIMARY) is None
    stale = sight(asking(quiet(), PRIMARY), PRIMARY, age=1000.0)
    assert starts.judge(stale, PRIMARY) is None, "what was asked for long ago is not asked for now"


def test_both_lost_wait_for_the_last_lease_and_then_begin_anew_one_after_the_other() -> None:
    view = asking(asking(quiet(), PRIMARY, verdict=LOST), SECONDARY, verdict=LOST)
    judged = starts.judge(view, PRIMARY)
    assert judged is not None
    assert (judged.lease, judged.verdict.reason) == (None, "LeaseDatabaseLost")
    assert judged.verdict.retry == pytest.approx(1800 + 3600 - 60)
    both_gone = sight(sight(view, PRIMARY, gone=3600.0), SECONDARY, gone=3600.0)
    for later in (replace(both_gone, now=NOW + 5400), replace(view, give_up=True)):
        granted = starts.judge(later, PRIMARY)
        assert granted is not None
        assert granted.lease is not None
        assert granted.lease.servers.primary.grant.start is Start.FRESH
        begun = sight(later.change(granted.lease), PRIMARY, age=0.0, silent=0.0)
        assert reason_of(begun, SECONDARY) == (None, "PartnerStarts")
        # It runs by itself and knows of no lease: what it has is as good as new, but it has served nobody.
        begun = own(begun, PRIMARY, asks=UNSET, in_force=InForce(epoch=3, duration="4m"))
        begun = own(
            begun, PRIMARY, lineage=Lineage(id="new", counter=2), database=Database(verdict=DatabaseVerdict.INTACT)
        )
        for state in ("Startup", "Recover"):
            assert reason_of(report(begun, PRIMARY, state=state), SECONDARY) == (Start.FRESH, "BegunAnew")
        served = own(begun, PRIMARY, lineage=Lineage(id="new", counter=9, newest=int(NOW)))
        assert reason_of(report(served, PRIMARY, state="Recover"), SECONDARY) == (None, "PartnerTakesOver")


def reason_of(view: View, role: Role) -> tuple[Start | None, str]:
    """Return how a server may start, and why."""
    judged = starts.judge(view, role)
    assert judged is not None
    started = None if judged.lease is None else entry(judged.lease, role).grant.start
    return started, judged.verdict.reason


def test_a_new_leader_takes_the_word_of_those_who_ask_for_how_long_they_have_been_stopped() -> None:
    """They count by their own boot clocks since nothing but a grant was missing, so nothing of them ran."""
    hour = {"verdict": LOST, "waiting_millis": 3_500_000}
    view = replace(asking(asking(quiet(), PRIMARY, **hour), SECONDARY, **hour), now=NOW + 9_000)
    judged = starts.judge(view, PRIMARY)
    assert judged is not None
    assert (judged.lease, judged.verdict.reason, judged.verdict.retry) == (None, "LeaseDatabaseLost", 95.0)
    later = starts.judge(sight(sight(view, PRIMARY, age=8.0), SECONDARY, age=8.0), PRIMARY)
    assert later is not None
    assert later.verdict.retry == 92.0
    for doubtful in (
        grant(view, SECONDARY, node="n3"),  # it may run there still, or did until lately
        grant(view, SECONDARY, holder="", node=""),
        own(grant(view, SECONDARY, holder="s1+"), SECONDARY, released=2),
        asking(view, SECONDARY, verdict=LOST, waiting_millis=3_500_000, ready=False),
    ):
        other = starts.judge(doubtful, PRIMARY)
        assert other is not None
        assert other.verdict.retry is None or other.verdict.retry > 3000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "BegunAnew"),
        ({"guarded": False}, "PolicyMissing"),
        ({"mode": PartnerDownMode.MANUAL}, "Manual"),
        ({"mode": PartnerDownMode.NEVER}, "Never"),
    ],
)
def test_who_begins_anew_alone_takes_the_step_into_partner_down_and_it_is_asked_for(
    changes: dict[str, object], reason: str
) -> None:
    view = silent(asking(quiet(), PRIMARY, verdict=LOST), SECONDARY, 100_000.0)
    view = sight(sight(replace(view, now=NOW + 9_000), PRIMARY, gone=9_000.0), SECONDARY, gone=9_000.0)
    view = policy(view, **changes)
    judged = starts.judge(view, PRIMARY)
    assert judged is not None
    assert (judged.verdict.reason, judged.lease is None) == (reason, reason != "BegunAnew")
    for by_hand in (replace(view, give_up=True), sight(view, SECONDARY, confirmed=True)):
        again = starts.judge(by_hand, PRIMARY)
        assert again is not None
        assert again.verdict.reason == ("PolicyMissing" if reason == "PolicyMissing" else "BegunAnew")


BY_HAND = asking(report(quiet(), PRIMARY, state="PartnerDown"), SECONDARY, state=CI)
BOTH_ASK = asking(asking(quiet(), PRIMARY, state="PartnerDown"), SECONDARY, state=CI)
GAVE_BACK = released(own(BY_HAND, PRIMARY, database=Database(verdict=INTACT, state="PartnerDown")), PRIMARY)
NEWER = own(BOTH_ASK, SECONDARY, lineage=Lineage(id="s", counter=9, newest=900))


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (BY_HAND, "PartnerTakesOver"),
        (BOTH_ASK, "PartnerFirst"),
        (NEWER, "PartnerFirst"),
        (asking(NEWER, SECONDARY, state="Normal"), "PartnerFirst"),
        (asking(BOTH_ASK, PRIMARY, state="PartnerDown", verdict=LOST), "PartnerDownByHand"),
        (asking(BOTH_ASK, PRIMARY, state="PartnerDown", ready=False), "PartnerDownByHand"),
        (silent(BY_HAND, PRIMARY, 9000.0), "PartnerDownByHand"),
        (silent(asking(BY_HAND, SECONDARY, state="Normal"), PRIMARY, 9000.0), "PartnerDownByHand"),
        (sight(silent(BY_HAND, PRIMARY, 9000.0), PRIMARY, gone=1799.0), "PartnerDownByHand"),
        (sight(silent(BY_HAND, PRIMARY, 9000.0), PRIMARY, gone=1800.0), "Survive"),
        (silent(BY_HAND, PRIMARY, 100.0), "PartnerTakesOver"),
        (
            released(own(BY_HAND, PRIMARY, database=Database(verdict=INTACT, state="PartnerDown")), PRIMARY),
            "PartnerDownByHand",
        ),
    ],
)
def test_what_a_server_in_partner_down_gave_out_unordered_ends_before_its_partner_serves(
    view: View, reason: str
) -> None:
    judged = starts.judge(view, SECONDARY)
    assert judged is not None
    assert (judged.verdict.reason, judged.lease is None) == (reason, reason != "Survive")


@pytest.mark.parametrize("view", [BOTH_ASK, NEWER, asking(NEWER, SECONDARY, state="Normal")])
def test_a_server_that_was_put_into_partner_down_starts_first_and_as_it_should_be(view: View) -> None:
    judged = starts.judge(view, PRIMARY)
    assert judged is not None
    assert judged.lease is not None
    assert judged.lease.survivor == "primary"


def test_of_two_that_were_both_put_into_partner_down_one_starts_and_waits_for_the_other_s_leases() -> None:
    view = asking(BOTH_ASK, SECONDARY, state="PartnerDown")
    reasons = {role: starts.judge(view, role) for role in (PRIMARY, SECONDARY)}
    assert {role: judged and judged.verdict.reason for role, judged in reasons.items()} == {
        PRIMARY: "PartnerDownByHand",
        SECONDARY: "PartnerFirst",
    }
    later = starts.judge(sight(view, SECONDARY, gone=1800.0), PRIMARY)
    assert later is not None
    assert later.lease is not None


def test_who_takes_over_from_a_survivor_without_leases_takes_that_step_too() -> None:
    asks = asking(asking(alone(quiet()), PRIMARY, verdict=LOST, state="Unknown"), SECONDARY, state=CI)
    asks = sight(asks, PRIMARY, gone=1800.0)
    gone = sight(asking(silent(alone(quiet()), PRIMARY, 9000.0), SECONDARY, state=CI), PRIMARY, gone=1800.0)
    gone = own(gone, PRIMARY, answer=Answered(epoch=3, result=Answer.REFUSED))
    manual = {"mode": PartnerDownMode.MANUAL}
    expected = [(asks, {}, "SurvivorLost"), (asks, manual, "SurvivorLost"), (asks, {"guarded": False}, "PolicyMissing")]
    expected += [(gone, {}, "SurvivorLost"), (gone, manual, "Manual"), (gone, {"guarded": False}, "PolicyMissing")]
    for view, changes, reason in expected:
        judged = starts.judge(policy(view, **changes), SECONDARY)
        assert judged is not None
        assert (judged.verdict.reason, judged.lease is None) == (reason, reason != "SurvivorLost")


def test_what_was_served_on_promises_while_the_api_was_away_counts_from_the_proof_of_the_end_of_both() -> None:
    """No write came for three hours, in which each carried the other on: a date after the last one says nothing."""
    later = replace(asking(asking(quiet(), PRIMARY, verdict=LOST), SECONDARY, verdict=LOST), now=NOW + 3 * 3600)
    silent_partner = replace(silent(asking(quiet(), PRIMARY, verdict=LOST), SECONDARY), now=NOW + 3 * 3600)
    for view in (later, silent_partner):
        judged = starts.judge(sight(sight(view, PRIMARY, gone=600.0), SECONDARY, gone=100.0), PRIMARY)
        assert judged is not None
        assert (judged.lease, judged.verdict.reason, judged.verdict.retry) == (None, "LeaseDatabaseLost", 3500.0)
        over = starts.judge(sight(sight(view, PRIMARY, gone=4200.0), SECONDARY, gone=3700.0), PRIMARY)
        assert over is not None
        assert over.lease is not None


def test_a_survivor_that_never_obeyed_waits_for_what_it_promised_since() -> None:
    """Ordered by a report of before its last promise, which it would have refused; it died over the order."""
    view = asking(alone(silent(quiet(), SECONDARY), answer=None), PRIMARY, state=CI)
    view = report(view, PRIMARY, promising=True, promise_seconds=600)
    judged = starts.judge(view, PRIMARY)
    assert judged is not None
    assert (judged.lease, judged.verdict.reason, judged.verdict.retry) == (None, "NoSafeServer", 595.0)
    gave_back = own(view, SECONDARY, released=view.grant(SECONDARY).epoch)
    entered = own(view, PRIMARY, database=Database(verdict=DatabaseVerdict.INTACT, state="PartnerDown"))
    by_hand = lease(view, order=Order(epoch=3, interruption=1, evidence=Evidence.CONFIRMED))
    for other in (gave_back, entered, by_hand, report(view, PRIMARY, promising=False)):
        again = starts.judge(other, PRIMARY)
        assert again is not None
        assert again.verdict.reason == "SurviveAgain"


def test_a_survivor_without_its_database_leaves_it_to_an_intact_partner_after_the_mclt() -> None:
    view = asking(asking(alone(quiet()), PRIMARY, verdict=LOST, state="Unknown"), SECONDARY, state=CI)
    waiting = starts.judge(sight(view, PRIMARY, gone=1000.0), SECONDARY)
    assert waiting is not None
    assert (waiting.lease, waiting.verdict.reason, waiting.verdict.retry) == (None, "SurvivorLost", 800.0)
    over = starts.judge(sight(view, PRIMARY, gone=1800.0), SECONDARY)
    assert over is not None
    assert over.lease is not None
    assert over.lease.survivor == "secondary"


def test_a_foreign_database_is_set_aside_only_beside_a_running_partner() -> None:
    beside = starts.judge(asking(cut_off(quiet(), PRIMARY), SECONDARY, verdict=FOREIGN), SECONDARY)
    assert beside is not None
    assert beside.verdict.reason == "PartnerTakesOver"
    lone = own(both("Normal", "Normal", verdict=LOST), SECONDARY, database=Database(verdict=FOREIGN, held=3))
    found = starts.judge(lone, SECONDARY)
    assert found is not None
    assert found.verdict.reason == "LeaseDatabaseFound"


@pytest.mark.parametrize("one", ["Normal", CI, "PartnerDown"])
@pytest.mark.parametrize("other", ["Normal", CI, "PartnerDown"])
@pytest.mark.parametrize("verdict", [INTACT, LOST])
@pytest.mark.parametrize("base", [quiet, first_boot, lambda: alone(quiet())], ids=["quiet", "first", "alone"])
def test_clocks_that_differ_never_keep_both_from_serving(
    base: Callable[[], View], verdict: DatabaseVerdict, one: str, other: str
) -> None:
    view = asking(asking(base(), PRIMARY, state=one), SECONDARY, state=other, verdict=verdict)
    agreeing, differing = serving.judge(view), serving.judge(skewed(view))
    granted = agreeing.verdict.action is Action.GRANT
    assert (differing.verdict.action is Action.GRANT) == granted
    if not granted or differing.lease is None:
        return
    begun = skewed(view).change(differing.lease)
    first = next(role for role in (PRIMARY, SECONDARY) if begun.grant(role).epoch == begun.lease.epoch)
    assert begun.grant(first).start is not Start.FRESH
    second = starts.judge(begun, first.other)
    assert second is not None
    assert second.lease is None, "the other waits, whatever it waits for"
