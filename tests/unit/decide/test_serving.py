"""One look at a pair: what holds whatever is looked at, and the book-keeping."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from tests.unit.decide.views import (
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
    report,
    sight,
    silent,
)
from twinlease.api.permit import Fence, Isolation, PartnerDownMode
from twinlease.api.servinglease import (
    Answer,
    Answered,
    Asks,
    Bound,
    Database,
    DatabaseVerdict,
    Entries,
    Entry,
    Evidence,
    Grant,
    InForce,
    Lineage,
    Order,
    Own,
    Phase,
    Report,
    ServingLeaseSpec,
    Start,
    Watched,
)
from twinlease.controller import takeover
from twinlease.decide import serving
from twinlease.decide.pairview import Policy, Sight, View, with_grant
from twinlease.decide.partnerdown import Action
from twinlease.model.states import FailoverState, Role

_EPOCHS = st.integers(0, 6)
_STATES = st.sampled_from([str(state) for state in FailoverState])
_SECONDS = st.sampled_from([0.0, 5.0, 100.0, 243.5, 400.0, 4000.0])
_DURATIONS = st.sampled_from(["0s", "4m", "30m", "1h"])
_MOST_LOOKS = 5


def _owns(name: str) -> st.SearchStrategy[Own]:
    names = st.sampled_from([f"{name}1", f"{name}2"])
    return st.builds(
        Own,
        incarnation=names,
        node=st.sampled_from(["n1", "n2"]),
        epoch=st.just(0),
        in_force=st.builds(
            InForce,
            epoch=_EPOCHS,
            duration=_DURATIONS,
            isolation=st.sampled_from(Isolation),
            kernel_fence=st.booleans(),
        ),
        report=st.builds(
            Report,
            state=_STATES,
            partner_state=_STATES,
            mclt=_DURATIONS,
            interruption=st.integers(0, 2),
            interrupted_millis=st.sampled_from([0, 299_000, 400_000]),
            promising=st.booleans(),
            promise_seconds=st.sampled_from([0, 60]),
        ),
        lineage=st.builds(Lineage, newest=st.integers(0, 2), confirmed=st.just("2027-01-15T07:59:00Z")),
        database=st.builds(Database, verdict=st.sampled_from(DatabaseVerdict), state=_STATES),
        asks=st.one_of(
            st.just(UNSET),
            st.builds(Asks, incarnation=names, stopped=st.booleans(), ready=st.booleans()),
        ),
        released=_EPOCHS,
        answer=st.builds(Answered, epoch=_EPOCHS, result=st.sampled_from(Answer)),
    )


def _grants(name: str) -> st.SearchStrategy[Grant]:
    return st.builds(
        Grant,
        holder=st.sampled_from(["", f"{name}1", f"{name}2"]),
        node=st.sampled_from(["n1", "n2"]),
        epoch=_EPOCHS,
        start=st.sampled_from(Start),
        watched=st.builds(Watched, interruption=st.integers(0, 2), tainted=st.booleans()),
    )


_ORDERS = st.one_of(st.just(UNSET), st.builds(Order, epoch=st.integers(1, 6), evidence=st.sampled_from(Evidence)))
_LEASES = st.builds(
    ServingLeaseSpec,
    epoch=st.just(6),
    phase=st.sampled_from(Phase),
    survivor=st.sampled_from(["primary", "secondary"]),
    order=_ORDERS,
    established=st.booleans(),
    max_lease=st.just(Bound(duration="1h")),
    mclt=st.builds(Bound, duration=st.just("30m"), until=st.sampled_from(["", "2027-01-15T09:00:00Z"])),
    servers=st.builds(
        Entries,
        primary=st.builds(Entry, grant=_grants("p"), own=_owns("p")),
        secondary=st.builds(Entry, grant=_grants("s"), own=_owns("s")),
    ),
).map(lambda made: replace(made, survivor="", order=UNSET) if made.phase is Phase.BOTH else made)
_SIGHTS = st.builds(
    Sight,
    age=st.one_of(_SECONDS, st.just(float("inf"))),
    silent=_SECONDS,
    gone=_SECONDS,
    tainted=st.booleans(),
    confirmed=st.booleans(),
    maintenance=st.booleans(),
    adopt=st.booleans(),
    discard=st.booleans(),
)
_CHAOS = st.builds(
    View,
    lease=_LEASES,
    sights=st.fixed_dictionaries({PRIMARY: _SIGHTS, SECONDARY: _SIGHTS}),
    policy=st.builds(
        Policy,
        mode=st.sampled_from(PartnerDownMode),
        fence=st.sampled_from(Fence),
        guarded=st.booleans(),
    ),
    now=st.just(NOW),
    give_up=st.booleans(),
)


_OWN = ("incarnation", "in_force", "report", "database", "asks", "released", "answer")
_PARTS = [*((role, name) for role in Role for name in ("grant", "sight", *_OWN)), "phase", "established", "policy"]


def _bases() -> list[View]:
    """Return pairs at each point of a takeover, to begin from: wholly random ones are hardly ever anything."""
    due = cut_off(silent(quiet(), SECONDARY), PRIMARY)
    ordered = lease(due, phase=Phase.ALONE, survivor="primary", order=Order(epoch=2, evidence=Evidence.EXPIRED))
    ordered = grant(ordered, SECONDARY, holder="")
    down = own(report(ordered, PRIMARY, state="PartnerDown"), PRIMARY, answer=Answered(epoch=2, result=Answer.EXECUTED))
    back = lease(asking(due, SECONDARY, state="RecoverDone"), phase=Phase.RETURNING, survivor="primary")
    both = asking(asking(quiet(), PRIMARY, state="CommunicationsInterrupted"), SECONDARY)
    planned = sight(own(due, SECONDARY, released=2), SECONDARY, maintenance=True)
    return [quiet(), due, due, asking(due, SECONDARY, state="PartnerDown"), ordered, down, back, both, planned]


def _mixed(base: View, chaos: View, parts: set[object]) -> View:
    """Return a pair with some parts of another."""
    view = lease(base, epoch=6)
    for role in Role:
        if (role, "grant") in parts:
            view = view.change(with_grant(view.lease, role, chaos.grant(role)))
        if (role, "sight") in parts:
            view = replace(view, sights={**view.sights, role: chaos.sights[role]})
        changes = {name: getattr(chaos.own(role), name) for name in _OWN if (role, name) in parts}
        view = own(view, role, **changes)
    if "phase" in parts:
        view = lease(view, phase=chaos.lease.phase, survivor=chaos.lease.survivor, order=chaos.lease.order)
    if "established" in parts:
        view = lease(view, established=chaos.lease.established)
    return replace(view, policy=chaos.policy) if "policy" in parts else view


VIEWS = st.builds(_mixed, st.sampled_from(_bases()), _CHAOS, st.sets(st.sampled_from(_PARTS), max_size=5))

_ABOUT_THE_PARTNER = [(SECONDARY, name) for name in ("grant", "sight", *_OWN)]
DUE = st.builds(_mixed, st.just(_bases()[1]), _CHAOS, st.sets(st.sampled_from(_ABOUT_THE_PARTNER), min_size=1))
"""Takeovers that are due but for what may be known of the partner."""


def may_serve(view: View, role: Role) -> bool:
    """Tell, in other words than the code's, whether anything speaks against a server's being stopped."""
    given_, mine, seen = view.grant(role), view.own(role), view.sights[role]
    if not given_.holder:
        return False
    if mine.incarnation == given_.holder and given_.epoch == mine.released:
        return False
    asks = mine.asks
    if asks is not UNSET and asks.stopped and asks.incarnation != given_.holder and mine.node == given_.node:
        return False
    elsewhere = mine.incarnation != given_.holder and mine.node != given_.node
    late = 81.0 if mine.in_force.epoch else 11.0
    if (seen.confirmed or seen.tainted) and (seen.age > late or elsewhere):
        return False
    if mine.incarnation == given_.holder and mine.in_force.epoch != given_.epoch:
        return False
    force = mine.in_force
    length = {"0s": 0, "4m": 240, "30m": 1800, "1h": 3600}[force.duration]
    fenced = force.kernel_fence or view.policy.fence is Fence.PROCESS
    promised = view.own(role.other).report.promising
    ended = seen.silent >= length * 1.01 + 1
    return not (force.isolation is Isolation.FENCE and fenced and ended and not promised)


@settings(max_examples=300, deadline=None)
@given(st.one_of(VIEWS, DUE))
def test_nobody_is_ordered_while_the_partner_may_serve(view: View) -> None:
    judged = serving.judge(view)
    if judged.verdict.action is not Action.ORDER:
        return
    assert judged.lease is not None
    survivor = Role(judged.lease.survivor)
    assert not may_serve(view, survivor.other)
    assert view.policy.guarded
    assert view.own(survivor).database.verdict is DatabaseVerdict.INTACT
    assert view.own(survivor).in_force.epoch == view.grant(survivor).epoch
    assert view.sights[survivor].age < float("inf")


@settings(max_examples=300, deadline=None)
@given(VIEWS)
def test_every_change_of_a_right_has_an_epoch_of_its_own(view: View) -> None:
    after = serving.judge(view).lease
    if after is None:
        return
    before = view.lease
    for role in Role:
        old, new = view.grant(role), view.change(after).grant(role)
        if old.holder != new.holder:
            assert after.epoch > before.epoch
        if old.epoch != new.epoch:
            assert new.epoch == after.epoch > before.epoch
    if after.order is not UNSET and after.order != before.order:
        assert after.order.epoch == after.epoch > before.epoch
    assert after.epoch - before.epoch in (0, 1)
    assert after.established or not before.established


@settings(max_examples=300, deadline=None)
@given(VIEWS)
def test_nobody_holds_a_grant_beside_one_that_begins_in_partner_down(view: View) -> None:
    judged = serving.judge(view)
    if judged.lease is None or judged.verdict.action not in (Action.ORDER, Action.GRANT):
        return
    after = view.change(judged.lease)
    if after.lease.phase is Phase.ALONE and view.lease.phase is not Phase.ALONE:
        assert after.grant(Role(after.lease.survivor).other).holder == ""


@settings(max_examples=300, deadline=None)
@given(VIEWS)
def test_the_servers_own_parts_are_not_the_operators(view: View) -> None:
    after = serving.judge(view).lease
    if after is not None:
        assert all(view.change(after).own(role) == view.own(role) for role in Role)


@settings(max_examples=300, deadline=None)
@given(VIEWS)
def test_looking_again_and_again_comes_to_an_end(view: View) -> None:
    for _ in range(_MOST_LOOKS):
        after = serving.judge(view).lease
        if after is None or after == view.lease:
            return
        view = view.change(after)
    raise AssertionError("each look writes again")


@settings(max_examples=300, deadline=None)
@given(VIEWS)
def test_every_verdict_can_be_told(view: View) -> None:
    verdict = serving.judge(view).verdict
    assert verdict.message
    assert verdict.reason[0].isupper()
    assert verdict.reason.isalnum()
    assert verdict.retry is None or verdict.retry >= 0


def test_a_quiet_pair_needs_nothing() -> None:
    judged = serving.judge(quiet())
    assert (judged.lease, judged.verdict.reason, judged.verdict.action) == (None, "Normal", Action.NOTHING)


def test_who_has_just_begun_to_look_takes_no_pair_for_broken() -> None:
    view = quiet()
    for role in Role:
        view = sight(view, role, age=float("inf"), silent=1.0)
    assert serving.judge(view).verdict.reason == "Normal"
    late = sight(view, PRIMARY, silent=100.0)
    assert serving.judge(late).verdict.reason == "NoReport"


@pytest.mark.parametrize(
    ("confirmed", "state", "reason", "said"),
    [
        (False, "Unknown", "Starting", "has not taken up its grant"),
        (True, "Unknown", "Starting", "it is in Unknown"),
        (True, "Startup", "Starting", "it is in Startup"),
        (True, "PartnerDown", "Executed", "serves alone, in PartnerDown"),
    ],
)
def test_a_survivor_serves_alone_once_it_says_so(*, confirmed: bool, state: str, reason: str, said: str) -> None:
    view = lease(quiet(), phase=Phase.ALONE, survivor="primary", epoch=3)
    view = grant(grant(view, SECONDARY, holder="", node=""), PRIMARY, start=Start.SURVIVE, duration="1h")
    view = report(view, PRIMARY, state=state, partner_state="Unknown")
    view = view if confirmed else grant(view, PRIMARY, epoch=3)
    verdict = serving.judge(view).verdict
    assert (verdict.reason, said in verdict.message) == (reason, True)
    assert takeover.executed(view) == (reason == "Executed")


def test_both_normal_settle_everything() -> None:
    order = Order(epoch=2, evidence=Evidence.EXPIRED)
    view = lease(quiet(), phase=Phase.RETURNING, survivor="primary", order=order, established=False)
    after = serving.judge(grant(view, PRIMARY, duration="1h")).lease
    assert after is not None
    assert (after.phase, after.survivor, after.order, after.established) == (Phase.BOTH, "", UNSET, True)
    assert (after.epoch, after.servers.primary.grant.duration) == (2, "4m")


def test_what_was_there_when_an_interruption_began_is_noted_once() -> None:
    view = sight(report(quiet(), PRIMARY, interruption=4), SECONDARY, tainted=True)
    after = serving.judge(view).lease
    assert after is not None
    assert after.servers.primary.grant.watched == Watched(interruption=4, tainted=True)
    again = serving.judge(sight(view.change(after), SECONDARY, tainted=False))
    assert again.lease is None


def test_other_durations_are_written_into_the_grants() -> None:
    after = serving.judge(policy(quiet(), duration=120.0)).lease
    assert after is not None
    assert after.servers.primary.grant.duration == after.servers.secondary.grant.duration == "2m"
    assert after.epoch == 2


def test_of_all_waits_the_shortest_is_told() -> None:
    view = cut_off(silent(quiet(), SECONDARY, 200.0), PRIMARY, 290.0)
    judged = serving.judge(view)
    assert judged.verdict.reason == "NotYet"
    assert judged.verdict.retry == pytest.approx(10.0)


def test_a_rollback_of_the_api_is_waited_out_however_much_the_servers_write() -> None:
    view = own(asking(asking(quiet(), PRIMARY), SECONDARY), PRIMARY, epoch=9)
    first = serving.judge(view)
    assert (first.lease, first.verdict.reason) == (None, "WitnessRolledBack")
    assert first.verdict.retry is None or first.verdict.retry > 0
    almost = serving.judge(replace(view, rolled_back=3636.0))
    assert almost.lease is None
    over = serving.judge(replace(view, rolled_back=3637.5)).lease
    assert over is not None
    assert (over.epoch, over.phase, over.established) == (10, Phase.BOTH, True)
    assert over.servers.primary.grant.holder == over.servers.secondary.grant.holder == ""


@pytest.mark.parametrize("state", ["CommunicationsInterrupted", "ResolutionInterrupted"])
def test_a_survivor_that_met_its_partner_is_ordered_anew(state: str) -> None:
    """The partner thawed for an instant, and died: what is left is a survivor that may be silent for ever."""
    order = Order(epoch=3, interruption=1, evidence=Evidence.EXPIRED)
    view = lease(silent(quiet(), SECONDARY), phase=Phase.ALONE, survivor="primary", order=order, epoch=3)
    view = grant(cut_off(view, PRIMARY), SECONDARY, holder="")
    view = report(view, PRIMARY, state=state, interruption=2)
    assert serving.judge(view).verdict.action is Action.NOTHING, "the order that stands is not answered yet"
    met = own(view, PRIMARY, answer=Answered(epoch=3, result=Answer.EXECUTED))
    judged = serving.judge(met)
    assert judged.lease is not None
    assert (judged.verdict.reason, judged.lease.order, judged.lease.survivor) == (
        "Ordered",
        Order(epoch=4, interruption=2, evidence=Evidence.NO_HOLDER),
        "primary",
    )
    soon = serving.judge(report(met, PRIMARY, interrupted_millis=1000))
    assert (soon.verdict.action, soon.verdict.reason) == (Action.NOTHING, "NotYet")


def test_nobody_resumes_beside_a_server_that_somebody_put_into_partner_down() -> None:
    view = asking(report(quiet(), PRIMARY, state="PartnerDown", interruption=1), SECONDARY)
    apart = own(view, SECONDARY, database=Database(verdict=DatabaseVerdict.INTACT, state="Startup"))
    for each in (view, apart, own(view, SECONDARY, database=Database(verdict=DatabaseVerdict.LOST))):
        judged = serving.judge(each)
        assert (judged.verdict.action, judged.verdict.reason) == (Action.NOTHING, "PartnerDownByHand")


def test_a_refusal_is_not_the_last_word_of_a_server_on_its_way_into_partner_down() -> None:
    order = Order(epoch=3, interruption=1, evidence=Evidence.EXPIRED)
    view = lease(silent(quiet(), SECONDARY), phase=Phase.ALONE, survivor="primary", order=order, epoch=3)
    view = own(grant(view, SECONDARY, holder=""), PRIMARY, answer=Answered(epoch=3, result=Answer.REFUSED))
    starting = serving.judge(report(view, PRIMARY, state="Startup"))
    assert starting.verdict.action is not Action.WITHDRAW
    there = sight(asking(report(view, PRIMARY, state="PartnerDown"), SECONDARY), SECONDARY, age=1.0)
    assert serving.judge(there).verdict.reason == "Ordered"
    assert serving.judge(view).verdict.action is Action.WITHDRAW
