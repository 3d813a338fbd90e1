"""The next step, for every situation that has a rule."""

import itertools

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import NETWORK, NEW, OLD, candidate, guard, observed, server
from twinlease.netlink.choose import NetworkProblem
from twinlease.sidecar.observed import Desired, Failure, Observed, Verdict
from twinlease.sidecar.plan import Action, plan

CACHED = Desired(object=server(), cached=True)
PAUSED = Desired(object=server(paused=True))
NO_CONFIG = Desired(object=server(""))
BROKEN = NetworkProblem("AddressMissing", "10.0.0.2 is not there")
FAILURE = Failure(code="start", message="it ended at once")
V = Verdict


@pytest.mark.parametrize(
    ("now", "action", "reason"),
    [
        # What must hold first.
        (Observed(), Action.WAIT, "NoServerObject"),
        (observed(guard=None), Action.WAIT, "GuardUnreachable"),
        (observed(desired=PAUSED), Action.WAIT, "Paused"),
        (observed(desired=PAUSED, guard=guard("", NEW)), Action.WAIT, "Paused"),
        (observed(network=None), Action.WAIT, "NoNetwork"),
        (observed(network=BROKEN), Action.WAIT, "NoNetwork"),
        (observed(desired=NO_CONFIG), Action.WAIT, "NoConfig"),
        # A first configuration.
        (observed(), Action.FETCH, "Fetching"),
        (observed(candidate=candidate(V.ACCEPTED)), Action.APPLY, "Starting"),
        (observed(candidate=candidate(V.UNREADABLE)), Action.FETCH, "Unreadable"),
        (observed(candidate=candidate(V.DIGEST_MISMATCH)), Action.FETCH, "DigestMismatch"),
        (observed(candidate=candidate(V.REJECTED)), Action.WAIT, "Rejected"),
        (observed(candidate=candidate(V.FAILED)), Action.APPLY, "Exited"),
        # It runs.
        (observed(guard=guard(NEW)), Action.WAIT, "Running"),
        (observed(guard=guard(NEW), desired=NO_CONFIG), Action.WAIT, "Running"),
        # It should run, and is installed: after a crash, or under a new guard.
        (observed(guard=guard("", NEW)), Action.START, "Starting"),
        (observed(guard=guard("", OLD), desired=NO_CONFIG), Action.WAIT, "NoConfig"),
        # A change.
        (observed(guard=guard(OLD)), Action.FETCH, "Fetching"),
        (observed(guard=guard(OLD), candidate=candidate(V.ACCEPTED)), Action.APPLY, "Starting"),
        (observed(guard=guard(OLD), candidate=candidate(V.REJECTED)), Action.WAIT, "Rejected"),
        (observed(guard=guard(OLD), candidate=candidate(V.FAILED)), Action.WAIT, "Failed"),
        (observed(guard=guard(OLD), candidate=candidate(V.UNREADABLE)), Action.FETCH, "Unreadable"),
        # A change that cannot be had while nothing runs: the last good one serves.
        (observed(guard=guard("", OLD)), Action.FETCH, "Fetching"),
        (observed(guard=guard("", OLD), candidate=candidate(V.ACCEPTED)), Action.APPLY, "Starting"),
        (observed(guard=guard("", OLD), candidate=candidate(V.REJECTED)), Action.START, "Starting"),
        (observed(guard=guard("", OLD), candidate=candidate(V.FAILED)), Action.START, "Starting"),
        (observed(guard=guard("", OLD), candidate=candidate(V.UNREADABLE)), Action.START, "Starting"),
        # Pauses after failures.
        (observed(may_start=False, candidate=candidate(V.ACCEPTED)), Action.WAIT, "Starting"),
        (observed(may_start=False, candidate=candidate(V.ACCEPTED), failure=FAILURE), Action.WAIT, "Exited"),
        (observed(may_start=False), Action.FETCH, "Fetching"),
        (observed(may_fetch=False, candidate=candidate(V.UNREADABLE)), Action.WAIT, "Unreadable"),
        (observed(may_fetch=False, guard=guard("", NEW)), Action.START, "Starting"),
        # Without the API: what was installed, and nothing else.
        (observed(desired=CACHED, guard=guard("", OLD)), Action.START, "Starting"),
        (observed(desired=CACHED, guard=guard(OLD)), Action.WAIT, "Running"),
        (observed(desired=CACHED, guard=guard(OLD), candidate=candidate(V.ACCEPTED)), Action.WAIT, "Running"),
        (observed(desired=CACHED), Action.WAIT, "NoConfig"),
        # Another interface of the same name.
        (observed(guard=guard(NEW), served_index=6), Action.RESTART, "InterfaceReplaced"),
        (observed(guard=guard(NEW), served_index=7), Action.WAIT, "Running"),
        (observed(guard=guard(NEW), served_index=0), Action.WAIT, "Running"),
        # A link that is down is told, and no reason not to serve when it comes back.
        (observed(guard=guard("", NEW), network=replace(NETWORK, link_up=False)), Action.START, "Starting"),
    ],
)
def test_the_next_step(now: Observed, action: Action, reason: str) -> None:
    step = plan(now)
    assert (step.action, step.reason) == (action, reason)
    assert step.message


ALL = [
    observed(
        desired=desired,
        network=network,
        guard=status,
        candidate=found,
        may_start=may,
        may_fetch=may,
        served_index=index,
    )
    for desired, network, status, found, may, index in itertools.product(
        (None, Desired(object=server()), CACHED, PAUSED, NO_CONFIG),
        (None, BROKEN, NETWORK),
        (None, guard(), guard("", OLD), guard("", NEW), guard(OLD), guard(NEW)),
        (None, *(candidate(verdict) for verdict in Verdict)),
        (True, False),
        (0, 7),
    )
]


def test_a_running_server_is_only_touched_for_a_checked_configuration() -> None:
    for now in ALL:
        if now.running and plan(now).action in {Action.APPLY, Action.START, Action.RESTART}:
            assert plan(now).action is Action.APPLY
            assert now.candidate is not None
            assert now.candidate.verdict is Verdict.ACCEPTED
            assert now.guard is not None
            assert now.guard.revision != now.wanted_revision


def test_nothing_is_started_without_network_guard_or_leave() -> None:
    for now in ALL:
        acts = plan(now).action is not Action.WAIT
        if now.desired is None or now.guard is None or now.network in (None, BROKEN) or now.desired == PAUSED:
            assert not acts


def test_a_server_that_could_serve_something_never_waits_for_a_configuration_that_cannot_be_had() -> None:
    for now in ALL:
        able = now.network == NETWORK and now.guard is not None and not now.running and now.guard.current
        wants = now.desired not in (None, PAUSED, NO_CONFIG)
        if able and wants and now.may_start and now.candidate is not None:
            assert plan(now).action in {Action.START, Action.APPLY}
