"""A server's own part of the serving lease."""

from typing import Any

import pytest
from msgspec import UNSET, to_builtins
from msgspec.structs import replace

from tests.net.apiserver import PatchError, _apply
from tests.unit.sidecar.snapshots import (
    BOOT,
    GRANT,
    HELD,
    IN_FORCE,
    LINEAGE,
    ME,
    NEW,
    NORMAL,
    OWN,
    RECORD,
    TENURE,
    guard,
    in_states,
    lease,
    observed,
    recorded,
    server,
)
from twinlease.api.servinglease import Answer, Answered, Asks, DatabaseVerdict, InForce, Own, Report, Start
from twinlease.decide.clocks import Agreement, Verdict
from twinlease.decide.permit import Promiser
from twinlease.ipc.client import LastExit
from twinlease.model.states import FailoverState as S
from twinlease.model.states import Role
from twinlease.sidecar.database import Found
from twinlease.sidecar.interruption import Interruption
from twinlease.sidecar.observed import HUNG_SECONDS, Desired, Observed
from twinlease.sidecar.ownpart import Draft, asking, draft, full, gives_up, operations
from twinlease.sidecar.plan import Action, plan
from twinlease.sidecar.tenure import Tenure

BEGUN = replace(TENURE, begun=True)
UP = observed(guard=guard(NEW), failover=NORMAL, tenure=BEGUN)
KILLED_BY_CLOCK = guard("", NEW, last_exit=LastExit(1, -9, "ClockStepped", ()))
APART = Agreement(verdict=Verdict.DIFFER, offset=-50.0)
DOWN = observed(guard=guard("", NEW), tenure=BEGUN, ready_since=BOOT - 3)
NOBODY = replace(GRANT, holder="", node="", epoch=6)
MISLED = Found(record=replace(RECORD, misled=True), readable=True, recorded=recorded(S.NORMAL))
CUT_OFF = Found(record=RECORD, readable=True, recorded=recorded(S.COMMUNICATIONS_INTERRUPTED))


def made(now: Observed) -> Draft:
    found = draft(now)
    assert found is not None
    return found


def test_nobody_vouches_for_a_server_that_hangs() -> None:
    silent = replace(UP, answered=False, dumb_since=BOOT - HUNG_SECONDS)
    assert draft(silent) is not None
    assert draft(replace(silent, boot=BOOT + 0.1)) is None
    assert draft(replace(silent, boot=BOOT + 0.1, guard=guard("", NEW))) is not None


def test_a_server_that_serves() -> None:
    found = made(UP)
    assert (found.holder, found.epoch, found.confirms) == (ME, 5, True)
    own = found.at(BOOT + 2, 1_700_000_000, 10, RECORD)
    assert own.incarnation == ME
    assert own.renewal == 10
    assert own.in_force == IN_FORCE
    assert (own.report.state, own.report.serving, own.report.mclt, own.report.config) == ("Normal", True, "30m", NEW)
    assert own.asks is UNSET
    assert own.released == 0
    assert own.database.verdict is DatabaseVerdict.INTACT
    assert (own.lineage.id, own.lineage.counter, own.lineage.confirmed) == ("db", 7, "2023-11-14T22:13:20Z")


@pytest.mark.parametrize(
    "now",
    [
        replace(UP, lease=None),
        replace(UP, guard=None),
        replace(UP, token=""),
        replace(UP, desired=None),
        replace(UP, found=Found(record=RECORD)),
    ],
)
def test_nothing_is_said_while_too_little_is_known(now: Observed) -> None:
    assert draft(now) is None


def test_a_grant_is_taken_up_without_a_proven_fence() -> None:
    offered = replace(GRANT, epoch=7, duration="1h")
    own = made(replace(DOWN, lease=lease(offered, OWN), tenure=replace(BEGUN, given_up=True))).own
    assert own.in_force == replace(IN_FORCE, epoch=7, duration="1h", kernel_fence=False)
    assert own.asks is UNSET


def test_a_survivor_that_promised_something_unknown_to_who_chose_it_waits_for_its_end() -> None:
    asks = Asks(incarnation=ME, stopped=True, ready=True)
    offered = replace(GRANT, epoch=7, start=Start.SURVIVE)
    promised = replace(DOWN, tenure=replace(BEGUN, given_up=True), promiser=Promiser(until=BOOT + 100))
    judged = replace(OWN, asks=asks, in_force=InForce())
    assert made(replace(promised, lease=lease(offered, judged))).own.in_force == InForce()
    known = replace(judged, report=Report(promising=True))
    assert made(replace(promised, lease=lease(offered, known))).own.in_force.epoch == 7
    waiting = lease(offered, replace(known, asks=UNSET))
    assert made(replace(promised, lease=waiting)).own.in_force == InForce(), "what it wrote since was not judged"
    assert made(replace(promised, lease=waiting, boot=BOOT + 100)).own.in_force.epoch == 7
    resumes = replace(offered, start=Start.RESUME)
    assert made(replace(promised, lease=lease(resumes, judged))).own.in_force.epoch == 7


def test_nothing_is_taken_up_by_a_sidecar_that_ends() -> None:
    offered = lease(replace(GRANT, epoch=7), OWN)
    assert made(replace(DOWN, lease=offered, stopping=True)).own.in_force == InForce()


def test_the_fence_is_what_was_proven_at_the_last_start() -> None:
    assert made(replace(UP, tenure=TENURE)).own.in_force.kernel_fence is False
    bare = guard(NEW)._replace(fence=guard().fence._replace(reason="NotPermitted"))
    assert made(replace(UP, guard=bare)).own.in_force.kernel_fence is False
    # A new guard has not tried yet, and nothing runs: what was confirmed stays until the next start.
    assert made(DOWN).own.in_force.kernel_fence is True


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"found": CUT_OFF}, "MayNotResume"),
        ({"verdict": DatabaseVerdict.SHORT}, "MayNotResume"),
        ({"verdict": DatabaseVerdict.UNKNOWN}, ""),
        ({"found": CUT_OFF, "tenure": TENURE}, ""),
        ({"misled": 5}, "ClockStepped"),
        ({"misled": 5, "held": replace(HELD, broken=True)}, "ClockStepped"),
        ({"misled": 5, "tenure": TENURE}, "ClockStepped"),
        ({"misled": 4}, ""),
        ({"misled": 5, "guard": guard(NEW)}, ""),
        ({"guard": KILLED_BY_CLOCK}, "ClockStepped"),
        ({"guard": KILLED_BY_CLOCK, "tenure": TENURE}, ""),
        ({"guard": KILLED_BY_CLOCK, "desired": Desired(object=server(paused=True))}, "ClockStepped"),
        ({"clocks": APART}, "ClocksDiffer"),
        ({"clocks": APART, "tenure": TENURE}, ""),
        ({"held": replace(HELD, broken=True)}, "PermitEnded"),
        ({"desired": Desired(object=server(maintenance=True))}, "Maintenance"),
        ({"found": CUT_OFF, "desired": Desired(object=server(paused=True))}, ""),
        ({"found": CUT_OFF, "desired": Desired(object=server(), cached=True)}, ""),
        ({"found": CUT_OFF, "lease": None}, ""),
        ({"found": CUT_OFF, "lease": lease(NOBODY, OWN)}, ""),
        ({"found": CUT_OFF, "guard": None}, ""),
        ({"guard": None, "gone": True}, "PodEnds"),
        ({"guard": guard(NEW), "held": replace(HELD, broken=True)}, ""),
    ],
)
def test_when_a_grant_is_given_back(change: dict[str, Any], reason: str) -> None:
    assert gives_up(replace(DOWN, **change)) == reason


def test_released_and_asking_stand_in_one_write() -> None:
    own = made(replace(DOWN, found=CUT_OFF, tenure=replace(BEGUN, given_up=True))).at(BOOT + 1, 0, 10, RECORD)
    assert own.released == 5
    assert own.in_force == InForce()
    assert own.asks is not UNSET
    assert (own.asks.incarnation, own.asks.stopped, own.asks.ready, own.asks.waiting_millis) == (ME, True, True, 4000)
    assert (own.database.state, own.database.held) == ("CommunicationsInterrupted", 3)
    assert own.report.state == "Unknown"


def test_who_asks_tells_of_a_difference_of_the_clocks_and_of_nothing_less() -> None:
    asking_now = replace(DOWN, lease=lease(NOBODY, OWN))
    for clocks, told in (
        (APART, -50_000),
        (Agreement(), 0),
        (Agreement(verdict=Verdict.DRIFT, offset=2.5), 0),
    ):
        asks = made(replace(asking_now, clocks=clocks)).own.asks
        assert asks is not UNSET
        assert asks.skew_millis == told


def test_a_running_daemon_releases_nothing_and_asks_for_nothing() -> None:
    own = made(replace(UP, tenure=replace(BEGUN, given_up=True))).own
    assert (own.released, own.asks) == (0, UNSET)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"lease": lease(NOBODY, OWN)}, "Revoked"),
        ({"lease": lease(NOBODY, OWN), "tenure": replace(BEGUN, given_up=True)}, "Stopped"),
        ({"lease": lease(NOBODY, OWN), "tenure": Tenure()}, "NewIncarnation"),
        ({"lease": lease(NOBODY, OWN), "tenure": Tenure(), "found": MISLED}, "ClockStepped"),
        ({"lease": lease(NOBODY, OWN), "found": MISLED}, "ClockStepped"),
        ({"tenure": replace(BEGUN, given_up=True), "found": MISLED}, "ClockStepped"),
        ({"lease": lease(NOBODY, OWN), "desired": Desired(object=server(maintenance=True))}, ""),
        ({"lease": lease(NOBODY, OWN), "desired": Desired(object=server(paused=True))}, ""),
        ({"lease": lease(NOBODY, OWN), "stopping": True}, ""),
        ({"lease": lease(NOBODY, OWN), "guard": guard(NEW)}, ""),
    ],
)
def test_who_asks_for_a_grant(change: dict[str, Any], reason: str) -> None:
    assert asking(replace(DOWN, **change)) == reason


def test_proof_of_stop_is_the_guards_and_not_ours() -> None:
    asks = made(replace(DOWN, lease=lease(NOBODY, OWN), guard=guard("", NEW, alone=False))).own.asks
    assert asks is not UNSET
    assert not asks.stopped


def test_what_was_lost_stays_on_record_until_something_was_granted() -> None:
    lost = replace(DOWN, verdict=DatabaseVerdict.LOST, tenure=replace(BEGUN, given_up=True))
    assert made(lost).own.lineage == LINEAGE
    assert not made(lost).confirms
    offered = replace(lost, lease=lease(replace(GRANT, epoch=7), OWN))
    # The old name for what is not the old database would make it the confirmed one.
    assert not made(offered).confirms
    assert made(offered).own.in_force == InForce()
    named = replace(offered, found=replace(CUT_OFF, record=replace(RECORD, id="new", complete=False)))
    assert made(named).confirms
    assert made(named).own.in_force.epoch == 7


def test_an_interruption_ages_until_it_is_sent() -> None:
    cut = in_states(S.COMMUNICATIONS_INTERRUPTED, S.NORMAL)
    now = replace(UP, failover=cut, interruption=Interruption(number=4, present=True, began=BOOT - 2.5))
    own = made(now).at(BOOT + 1.5, 0, 10, RECORD)
    assert (own.report.interruption, own.report.interrupted_millis) == (4, 4000)


def test_promises_are_told_with_what_is_left_of_them_rounded_up() -> None:
    own = made(replace(UP, promiser=Promiser(until=BOOT + 3.2))).own
    assert (own.report.promising, own.report.promise_seconds) == (True, 4)
    assert made(replace(UP, promiser=Promiser(until=BOOT))).own.report.promising is False
    endless = made(replace(UP, promiser=Promiser(until=float("inf")))).own
    assert endless.report.promising
    assert endless.report.promise_seconds > 1 << 30


def test_only_what_does_not_merely_grow_makes_a_write_urgent() -> None:
    later = replace(UP, boot=BOOT + 5, promiser=Promiser(until=BOOT + 99))
    first = made(replace(UP, promiser=Promiser(until=BOOT + 50))).significant()
    assert made(later).significant() == first
    assert made(replace(UP, failover=in_states(S.COMMUNICATIONS_INTERRUPTED, S.NORMAL))).significant() != first
    assert made(UP).significant() != first  # nothing is promised any more


def test_the_last_answer_is_told_wherever_it_is_known() -> None:
    answered = Answered(epoch=5, result=Answer.EXECUTED, reason="PartnerDown")
    mine = Found(record=replace(RECORD, answered=answered), readable=True, recorded=recorded())
    assert made(replace(DOWN, found=mine)).own.answer == answered
    assert made(replace(DOWN, lease=lease(GRANT, replace(OWN, answer=answered)))).own.answer == answered


def test_the_highest_epoch_is_told() -> None:
    ahead = Found(record=replace(RECORD, epoch=9), readable=True, recorded=recorded())
    assert made(replace(DOWN, found=ahead)).own.epoch == 9
    assert made(DOWN).own.epoch == 5


def patched(raw: dict[str, Any], role: Role, own: Own, *, holder: str = ME, epoch: int = 5, at: Any = None) -> Any:  # noqa: ANN401  # JSON
    for operation in operations(role, raw if at is None else at, holder, epoch, own):
        _apply(raw, operation)
    return raw["spec"]["servers"][str(role)]


def whole() -> dict[str, Any]:
    found = to_builtins(lease(GRANT, OWN).spec)
    found["servers"]["primary"]["own"] = full(OWN)
    return {"spec": found}


def test_a_write_replaces_the_own_part_only() -> None:
    raw = whole()
    new = replace(OWN, renewal=10)
    found = patched(raw, Role.PRIMARY, new)
    assert found["own"] == full(new)
    assert found["grant"] == whole()["spec"]["servers"]["primary"]["grant"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("grant", "holder"), ""),
        (("grant", "epoch"), 6),
        (("own", "incarnation"), "pod-2/00"),
        (("own", "renewal"), 10),
    ],
)
def test_a_write_fails_if_anything_it_relies_on_has_changed(path: tuple[str, str], value: object) -> None:
    known, raw = whole(), whole()
    raw["spec"]["servers"]["primary"][path[0]][path[1]] = value
    with pytest.raises(PatchError):
        patched(raw, Role.PRIMARY, replace(OWN, renewal=10), at=known)


def test_the_first_write_of_all_needs_nothing_to_be_there() -> None:
    raw: dict[str, Any] = {"spec": {"epoch": 0, "servers": {}}}
    own = replace(OWN, renewal=1)
    assert patched(raw, Role.SECONDARY, own, holder="", epoch=0)["own"] == full(own)
    with pytest.raises(PatchError):  # and fails if it was not the first
        patched(raw, Role.SECONDARY, own, holder="", epoch=0, at={"spec": {"epoch": 0, "servers": {}}})


def test_an_api_that_was_rolled_back_is_told_what_is_in_force_and_asked_for_nothing() -> None:
    ahead = Found(record=replace(RECORD, epoch=9), readable=True, recorded=recorded())
    own = made(replace(UP, found=ahead)).own
    assert (own.epoch, own.in_force, own.asks) == (9, IN_FORCE, UNSET)
    assert made(replace(DOWN, found=ahead, lease=lease(NOBODY, OWN))).own.asks is UNSET
    assert plan(replace(UP, found=ahead, lease=lease(NOBODY, OWN))).action is Action.WAIT
