"""What is reported of a snapshot."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import (
    BOOT,
    FENCED,
    HELD,
    LAST_EXIT,
    NETWORK,
    NEW,
    NORMAL,
    OLD,
    TENURE,
    candidate,
    guard,
    observed,
    server,
)
from twinlease.api.server import PoolUsage, ServerStatus
from twinlease.api.servinglease import DatabaseVerdict
from twinlease.decide.clocks import Agreement
from twinlease.decide.clocks import Verdict as Agreed
from twinlease.decide.permit import FOR_EVER, Permit
from twinlease.model.states import FailoverState
from twinlease.netlink.choose import NetworkProblem
from twinlease.sidecar.observed import Desired, Failure, Observed, Verdict
from twinlease.sidecar.peer import Heard
from twinlease.sidecar.plan import plan
from twinlease.sidecar.report import dated, report, timestamp

UP = observed(guard=guard(NEW), failover=NORMAL)


def status_of(now: Observed) -> ServerStatus:
    return report(now, plan(now))


def conditions(now: Observed) -> dict[str, tuple[str, str]]:
    return {had.type: (had.status, had.reason) for had in status_of(now).conditions}


def test_all_conditions_are_there_from_the_first_report() -> None:
    found = conditions(Observed(desired=Desired(object=server(""))))
    assert found == {
        "NetworkReady": ("Unknown", "Unknown"),
        "ConfigAccepted": ("Unknown", "NoConfig"),
        "Running": ("Unknown", "GuardUnreachable"),
        "Serving": ("False", "NotRunning"),
        "Permitted": ("Unknown", "NoServingLease"),
        "KernelFence": ("Unknown", "GuardUnreachable"),
        "LeaseDatabaseIntact": ("Unknown", "Unknown"),
    }


def test_a_server_that_serves() -> None:
    status = status_of(UP)
    assert {had.status for had in status.conditions} == {"True"}
    assert {had.observed_generation for had in status.conditions} == {4} == {status.observed_generation}
    assert msgspec.json.decode(msgspec.json.encode(replace(status, conditions=(), version=""))) == {
        "observedGeneration": 4,
        "podUid": "pod-1",
        "network": {
            "interface": "eth0",
            "linkUp": True,
            "address": "10.0.0.2/24",
            "failoverAddress": "10.0.0.2",
            "addresses": ["10.0.0.2/24"],
        },
        "config": {"revision": NEW},
        "failover": {
            "state": "Normal",
            "since": "2023-11-14T22:13:20Z",
            "partnerState": "Normal",
            "partnerSince": "2023-11-14T22:13:21Z",
            "mclt": "30m",
        },
        "serving": True,
        "daemon": {"running": True, "version": "4.4.3-P1", "started": "2023-11-14T22:13:20Z", "starts": 1},
        "permit": {"kind": "Held", "until": "2023-11-14T22:18:49Z", "epoch": 5, "start": "Resume"},
        "peer": {},
    }


def silent(local: FailoverState, partner: FailoverState) -> Observed:
    return replace(UP, failover=replace(NORMAL, local=local, partner=partner))


S = FailoverState
WAITING = replace(
    silent(S.COMMUNICATIONS_INTERRUPTED, S.NORMAL), guard=guard(OLD), candidate=candidate(Verdict.ACCEPTED)
)


@pytest.mark.parametrize(
    ("now", "kind", "status", "reason"),
    [
        (replace(UP, network=NetworkProblem("AddressAmbiguous", "two")), "NetworkReady", "False", "AddressAmbiguous"),
        (replace(UP, network=replace(NETWORK, link_up=False)), "NetworkReady", "False", "LinkDown"),
        (observed(), "ConfigAccepted", "Unknown", "Unknown"),
        (observed(candidate=candidate(Verdict.ACCEPTED)), "ConfigAccepted", "True", "Accepted"),
        (observed(candidate=candidate(Verdict.REJECTED)), "ConfigAccepted", "False", "Rejected"),
        (observed(candidate=candidate(Verdict.FAILED)), "ConfigAccepted", "False", "Rejected"),
        (observed(candidate=candidate(Verdict.DIGEST_MISMATCH)), "ConfigAccepted", "False", "DigestMismatch"),
        (observed(candidate=candidate(Verdict.UNREADABLE)), "ConfigAccepted", "False", "Unreadable"),
        (observed(guard=None, guard_problem="no socket"), "Running", "False", "GuardUnreachable"),
        (observed(guard=guard(storage_error="no")), "Running", "False", "StorageNotWritable"),
        (observed(failure=Failure(code="storage", message="no")), "Running", "False", "StorageNotWritable"),
        (observed(failure=Failure(code="start", message="no")), "Running", "False", "Exited"),
        (observed(desired=Desired(object=server(paused=True))), "Running", "False", "Paused"),
        (observed(network=NetworkProblem("AddressMissing", "no")), "Running", "False", "NoNetwork"),
        (observed(desired=Desired(object=server(""))), "Running", "False", "NoConfig"),
        (WAITING, "Running", "True", "WaitingForNormal"),
        (WAITING, "ConfigAccepted", "True", "Accepted"),
        (observed(), "Serving", "False", "NotRunning"),
        (replace(UP, failover=None), "Serving", "Unknown", "NoAnswer"),
        (silent(S.STARTUP, S.NORMAL), "Serving", "False", "Startup"),
        (silent(S.PARTNER_DOWN, S.PARTNER_DOWN), "Serving", "False", "PartnerDown"),
        (silent(S.PARTNER_DOWN, S.COMMUNICATIONS_INTERRUPTED), "Serving", "True", "PartnerDown"),
    ],
)
def test_conditions(now: Observed, kind: str, status: str, reason: str) -> None:
    assert conditions(now)[kind] == (status, reason)


def test_a_refused_configuration_is_told_beside_the_one_that_runs() -> None:
    for verdict in (Verdict.REJECTED, Verdict.FAILED, Verdict.DIGEST_MISMATCH):
        config = status_of(observed(guard=guard(OLD), candidate=candidate(verdict))).config
        assert (config.revision, config.rejected, config.message) == (OLD, NEW, "what it said")
    config = status_of(observed(guard=guard(OLD), candidate=candidate(Verdict.UNREADABLE))).config
    assert (config.revision, config.rejected) == (OLD, "")


def test_what_a_dead_server_said_is_not_told() -> None:
    status = status_of(replace(UP, guard=guard("", NEW, last_exit=LAST_EXIT)))
    assert (status.failover.state, status.serving, status.config.revision) == ("Unknown", False, "")
    assert msgspec.json.decode(msgspec.json.encode(status.daemon.last_exit)) == {
        "time": "2023-11-14T22:15:00Z",
        "code": -9,
        "reason": "Signalled",
        "log": ["one", "two"],
    }


def test_nothing_that_ticks_is_told() -> None:
    busy = replace(UP, failover=replace(NORMAL, unacked_updates=9))
    assert status_of(busy) == status_of(UP)


def test_usage_is_handed_on() -> None:
    usage = (PoolUsage(name="lan", addresses=10, active=3, free=7),)
    assert status_of(replace(UP, pools=usage)).pools == usage


def test_a_conditions_time_moves_only_with_its_status() -> None:
    first = dated(status_of(UP), ServerStatus(), 1_700_000_000)
    assert {had.last_transition_time for had in first.conditions} == {"2023-11-14T22:13:20Z"}
    later = dated(status_of(silent(S.COMMUNICATIONS_INTERRUPTED, S.NORMAL)), first, 1_700_000_060)
    assert {had.last_transition_time for had in later.conditions} == {"2023-11-14T22:13:20Z"}
    assert later != first
    end = dated(status_of(observed()), later, 1_700_000_120)
    times = {had.type: had.last_transition_time for had in end.conditions}
    assert times["NetworkReady"] == "2023-11-14T22:13:20Z"
    assert times["Running"] == times["Serving"] == "2023-11-14T22:15:20Z"
    assert dated(status_of(observed()), end, 1_800_000_000) == end


def test_the_report_survives_the_api() -> None:
    last: Any = replace(UP, guard=guard(NEW, last_exit=LAST_EXIT), pools=(PoolUsage(name="lan"),))
    status = dated(status_of(last), ServerStatus(), 1)
    assert msgspec.convert(msgspec.to_builtins(status), ServerStatus) == status


def test_an_unknown_time_is_empty() -> None:
    assert timestamp(0) == ""


SPOILT = [DatabaseVerdict.LOST, DatabaseVerdict.STALE, DatabaseVerdict.SHORT, DatabaseVerdict.FOREIGN]


def test_the_permit_and_where_it_comes_from() -> None:
    assert conditions(UP)["Permitted"] == ("True", "Held")
    promised = replace(HELD, permit=Permit(duration=240.0, renewed=BOOT - 300, asked=BOOT - 1, promised=240.0))
    assert conditions(replace(UP, held=promised))["Permitted"] == ("True", "Promised")
    endless = replace(HELD, permit=Permit(duration=FOR_EVER, renewed=BOOT - 1))
    status = status_of(replace(UP, held=endless))
    assert (status.permit.kind, status.permit.until) == ("Endless", "")
    assert conditions(replace(UP, held=replace(HELD, broken=True)))["Permitted"] == ("False", "PermitEnded")
    waiting = observed(guard=guard("", NEW), tenure=replace(TENURE, given_up=True))
    assert conditions(waiting)["Permitted"] == ("False", "WaitingForGrant")


def test_the_fence_and_the_database() -> None:
    assert conditions(UP)["KernelFence"] == ("True", "Proven")
    refused = FENCED._replace(kernel=False, reason="NotPermitted")
    assert conditions(replace(UP, guard=guard(NEW, fence=refused)))["KernelFence"] == ("False", "NotPermitted")
    assert conditions(observed())["KernelFence"] == ("Unknown", "NotTried")
    assert conditions(UP)["LeaseDatabaseIntact"] == ("True", "Intact")
    for verdict in DatabaseVerdict:
        status, reason = conditions(observed(verdict=verdict))["LeaseDatabaseIntact"]
        assert reason == verdict
        assert (status == "False") == (verdict in SPOILT)


def test_a_renewed_permit_and_a_clock_that_wavers_change_nothing() -> None:
    first = dated(status_of(UP), ServerStatus(), 1)
    later = replace(HELD, permit=HELD.permit.renewal(BOOT, 240.0))
    near = Agreement(verdict=Agreed.AGREE, offset=0.06)
    assert dated(status_of(replace(UP, held=later, clocks=near)), first, 2) == first
    apart = Agreement(verdict=Agreed.DRIFT, offset=-1.26)
    off = dated(status_of(replace(UP, heard=Heard(lately=True), clocks=apart)), first, 2)
    assert (off.peer.heard, off.peer.clock_offset_millis) == (True, -1300)


@pytest.mark.parametrize(("count", "told"), [(1, 1), (9, 1), (10, 10), (99, 10), (4711, 1000)])
def test_refused_messages_are_told_in_powers_of_ten(count: int, told: int) -> None:
    heard = Heard(refused=(("WrongKey", count), ("Replayed", 0)))
    assert status_of(replace(UP, heard=heard)).peer.refused == {"WrongKey": told}
