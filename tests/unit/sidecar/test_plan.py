"""The next step, for every situation that has a rule."""

import itertools

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import NETWORK, NEW, NORMAL, OLD, candidate, guard, in_states, observed, server
from twinlease.controller import serverspec
from twinlease.model.states import FailoverState
from twinlease.netlink.choose import NetworkProblem
from twinlease.sidecar.observed import ANNOTATION_ESTABLISHED, Desired, Failure, Observed, Verdict
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
        (observed(guard=guard(OLD), candidate=candidate(V.ACCEPTED), failover=NORMAL), Action.APPLY, "Starting"),
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


S = FailoverState


@pytest.mark.parametrize(
    ("local", "partner", "answered", "changes"),
    [
        (S.NORMAL, S.NORMAL, True, True),
        # The answer is an old one: what is true now nobody knows.
        (S.NORMAL, S.NORMAL, False, False),
        (S.NORMAL, S.COMMUNICATIONS_INTERRUPTED, True, False),
        (S.COMMUNICATIONS_INTERRUPTED, S.NORMAL, True, False),
        (S.PARTNER_DOWN, S.UNKNOWN, True, False),
        (S.POTENTIAL_CONFLICT, S.POTENTIAL_CONFLICT, True, False),
        # A restart of one that has served, until it has found its partner again.
        (S.STARTUP, S.NORMAL, True, False),
        (S.STARTUP, S.RECOVER, True, False),
        (S.RECOVER, S.PARTNER_DOWN, True, False),
        (S.RECOVER_WAIT, S.NORMAL, True, False),
        # Never in service: a first configuration with which the two do not meet must be replaceable.
        (S.STARTUP, S.UNKNOWN, True, True),
        (S.RECOVER, S.UNKNOWN, True, True),
        (S.UNKNOWN, S.UNKNOWN, True, True),
        (S.RECOVER, S.RECOVER, True, True),
        (S.RECOVER_DONE, S.RECOVER, True, True),
        (S.RECOVER, S.UNKNOWN, False, False),
    ],
)
def test_a_running_server_is_changed_from_normal_or_before_it_ever_was(
    local: FailoverState, partner: FailoverState, *, answered: bool, changes: bool
) -> None:
    said = in_states(local, partner)
    now = observed(guard=guard(OLD), candidate=candidate(V.ACCEPTED), failover=said, answered=answered)
    step = plan(now)
    assert (step.action, step.reason) == ((Action.APPLY, "Starting") if changes else (Action.WAIT, "WaitingForNormal"))
    # Fetching and checking touch no server, and one that does not run has nothing to lose by another configuration.
    assert plan(replace(now, candidate=None)).action is Action.FETCH
    assert plan(replace(now, guard=guard("", OLD))).action is Action.APPLY
    # And one that listens on a dead interface helps nobody by waiting.
    assert plan(replace(now, served_index=6)).reason == "InterfaceReplaced"


@pytest.mark.parametrize("established", [True, False])
def test_one_that_gives_no_answer_is_changed_only_if_the_pair_never_served(*, established: bool) -> None:
    found = server()
    if established:
        found = replace(found, metadata=replace(found.metadata, annotations={ANNOTATION_ESTABLISHED: "true"}))
    now = observed(desired=Desired(object=found), guard=guard(OLD), candidate=candidate(V.ACCEPTED), answered=False)
    assert plan(now).action is (Action.WAIT if established else Action.APPLY)
    assert ANNOTATION_ESTABLISHED == serverspec.ANNOTATION_ESTABLISHED


ALL = [
    observed(
        desired=desired,
        network=network,
        guard=status,
        candidate=found,
        may_start=may,
        may_fetch=may,
        served_index=index,
        failover=NORMAL,
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
