"""What is reported of a snapshot."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import LAST_EXIT, NETWORK, NEW, NORMAL, OLD, candidate, guard, observed, server
from twinlease.api.server import PoolUsage, ServerStatus
from twinlease.model.states import FailoverState
from twinlease.netlink.choose import NetworkProblem
from twinlease.sidecar.observed import Desired, Failure, Observed, Verdict
from twinlease.sidecar.plan import plan
from twinlease.sidecar.report import dated, report, timestamp

UP = observed(guard=guard(NEW), failover=NORMAL)


def status_of(now: Observed) -> ServerStatus:
    return report(now, plan(now), "pod-1")


def conditions(now: Observed) -> dict[str, tuple[str, str]]:
    return {had.type: (had.status, had.reason) for had in status_of(now).conditions}


def test_all_conditions_are_there_from_the_first_report() -> None:
    found = conditions(Observed(desired=Desired(object=server(""))))
    assert found == {
        "NetworkReady": ("Unknown", "Unknown"),
        "ConfigAccepted": ("Unknown", "NoConfig"),
        "Running": ("Unknown", "GuardUnreachable"),
        "Serving": ("False", "NotRunning"),
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
