"""The next step, for every situation that has a rule."""

import itertools

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import (
    FENCED,
    GRANT,
    HELD,
    NETWORK,
    NEW,
    NORMAL,
    OLD,
    OWN,
    RECORD,
    TENURE,
    candidate,
    guard,
    in_states,
    lease,
    observed,
    recorded,
    server,
)
from twinlease.api.servinglease import Answer, Answered, DatabaseVerdict, Evidence, Order, Watched
from twinlease.controller import serverspec
from twinlease.decide.clocks import Agreement
from twinlease.decide.clocks import Verdict as Agreed
from twinlease.decide.permit import Promiser
from twinlease.ipc.client import LastExit, PermitStatus
from twinlease.model.states import FailoverState
from twinlease.netlink.choose import NetworkProblem
from twinlease.sidecar.database import Found
from twinlease.sidecar.interruption import Interruption
from twinlease.sidecar.keeper import Held
from twinlease.sidecar.observed import ANNOTATION_ESTABLISHED, Desired, Failure, Observed, Verdict
from twinlease.sidecar.plan import Action, plan, startable
from twinlease.sidecar.tenure import Tenure

CACHED = Desired(object=server(), cached=True)
PAUSED = Desired(object=server(paused=True))
MAINTENANCE = Desired(object=server(maintenance=True))
CUT_OFF = Found(record=RECORD, readable=True, recorded=recorded(FailoverState.COMMUNICATIONS_INTERRUPTED))
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
        (
            observed(may_start=False, guard=guard(OLD), candidate=candidate(V.ACCEPTED), failover=NORMAL),
            Action.WAIT,
            "Starting",
        ),
        (observed(may_start=False, candidate=candidate(V.ACCEPTED), failure=FAILURE), Action.WAIT, "Exited"),
        (observed(may_start=False), Action.FETCH, "Fetching"),
        (observed(may_fetch=False, candidate=candidate(V.UNREADABLE)), Action.WAIT, "Unreadable"),
        (observed(may_fetch=False, guard=guard("", NEW)), Action.START, "Starting"),
        # Without the API, the same incarnation under a permit that holds: what was installed, and nothing else.
        (observed(desired=CACHED, guard=guard("", OLD)), Action.START, "Starting"),
        (observed(desired=CACHED, guard=guard(OLD)), Action.WAIT, "Running"),
        (observed(desired=CACHED, guard=guard(OLD), candidate=candidate(V.ACCEPTED)), Action.WAIT, "Running"),
        (observed(desired=CACHED), Action.WAIT, "NoConfig"),
        # Another interface of the same name.
        (observed(guard=guard(NEW), served_index=6), Action.STOP, "InterfaceReplaced"),
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
    normal = local is partner is S.NORMAL
    changed = (Action.APPLY, "Starting") if normal else (Action.STOP, "Changing")
    assert (step.action, step.reason) == (changed if changes else (Action.WAIT, "WaitingForNormal"))
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
    assert plan(now).action is (Action.WAIT if established else Action.STOP)
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
        if now.running and plan(now).action in {Action.APPLY, Action.START, Action.STOP, Action.REVOKE}:
            assert plan(now).action is Action.APPLY
            assert now.candidate is not None
            assert now.candidate.verdict is Verdict.ACCEPTED
            assert now.guard is not None
            assert now.guard.revision != now.wanted_revision


def test_a_server_is_ready_for_a_grant_only_while_its_guard_is_alone() -> None:
    """Since when it was is proof, for whoever leads, since when nothing of ours ran there."""
    assert startable(INSTALLED)
    assert not startable(replace(INSTALLED, guard=guard("", NEW, alone=False)))
    assert not startable(UP)


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


# --- leave to serve ---------------------------------------------------------------------------------------------------
BEGUN = replace(TENURE, begun=True)
UP = observed(guard=guard(NEW), failover=NORMAL, tenure=BEGUN)
INSTALLED = observed(guard=guard("", NEW))
NOBODY = replace(GRANT, holder="", node="", epoch=6)
AGAIN = replace(GRANT, epoch=7)
LAPSED = replace(HELD, broken=True)
OTHERS = replace(GRANT, holder="pod-2/ffff", epoch=6)
STARTED = guard(NEW).started_at
ALONE = in_states(S.PARTNER_DOWN, S.COMMUNICATIONS_INTERRUPTED)
CUT = in_states(S.COMMUNICATIONS_INTERRUPTED, S.NORMAL)
BEGUN = replace(TENURE, begun=True)
KILLED_BY_CLOCK = guard("", NEW, last_exit=LastExit(1, -9, "ClockStepped", ()))
RETURNING = in_states(S.RECOVER_WAIT, S.PARTNER_DOWN)
ANEW = "CutOffBeforeNormal"
APART = Agreement(verdict=Agreed.DIFFER, offset=-50.0)
NEAR = Agreement(verdict=Agreed.DRIFT, offset=2.9)
NO_FENCE = FENCED._replace(kernel=False, reason="NotPermitted")


@pytest.mark.parametrize(
    ("now", "action", "reason"),
    [
        # Whoever may not answer is stopped before anything else, paused or not.
        (replace(UP, lease=lease(NOBODY, OWN)), Action.REVOKE, "Revoked"),
        (replace(UP, lease=lease(OTHERS, OWN)), Action.REVOKE, "Revoked"),
        (replace(UP, lease=lease(NOBODY, OWN), desired=PAUSED), Action.REVOKE, "Revoked"),
        (replace(UP, lease=lease(NOBODY, OWN), network=BROKEN), Action.REVOKE, "Revoked"),
        (replace(UP, lease=lease(replace(GRANT, epoch=4), OWN, epoch=6)), Action.REVOKE, "Revoked"),
        # An older copy of the API is no revocation: nothing renews the permit, and it ends.
        (replace(UP, lease=lease(replace(GRANT, epoch=4), OWN)), Action.WAIT, "Running"),
        (replace(UP, tenure=Tenure()), Action.REVOKE, "Revoked"),
        (replace(UP, held=LAPSED), Action.REVOKE, "PermitEnded"),
        # A survivor by whose clock its partner's clients' leases end too soon.
        (replace(UP, failover=ALONE, stepped=STARTED), Action.REVOKE, "ClockStepped"),
        (replace(UP, failover=ALONE, stepped=1.0), Action.WAIT, "Running"),
        (replace(UP, stepped=STARTED), Action.WAIT, "Running"),
        # One that returns and was cut off when it had caught up; while it still asks, it asks again.
        (replace(UP, failover=RETURNING, behind=STARTED), Action.REVOKE, ANEW),
        (replace(UP, failover=in_states(S.RECOVER_DONE, S.PARTNER_DOWN), behind=STARTED), Action.REVOKE, ANEW),
        (replace(UP, failover=RETURNING, behind=STARTED, desired=PAUSED), Action.REVOKE, ANEW),
        (replace(UP, failover=RETURNING, behind=1.0), Action.WAIT, "Running"),
        (replace(UP, failover=in_states(S.RECOVER, S.PARTNER_DOWN), behind=STARTED), Action.WAIT, "Running"),
        # One whose clock stepped in contact, and one of two whose clocks have drifted apart: the secondary.
        (replace(UP, misled=GRANT.epoch), Action.REVOKE, "ClockStepped"),
        (replace(UP, misled=GRANT.epoch, desired=PAUSED), Action.REVOKE, "ClockStepped"),
        (replace(UP, misled=GRANT.epoch - 1), Action.WAIT, "Running"),
        (replace(UP, clocks=APART), Action.WAIT, "Running"),
        (replace(UP, clocks=APART, failover=RETURNING), Action.STOP, "ClocksDiffer"),
        (replace(UP, clocks=APART, failover=RETURNING, answered=False), Action.WAIT, "Running"),
        (replace(UP, clocks=NEAR, failover=RETURNING), Action.WAIT, "Running"),
        (replace(UP, clocks=APART, failover=RETURNING, desired=PAUSED), Action.WAIT, "Paused"),
        (replace(UP, clocks=APART, failover=CUT), Action.WAIT, "Running"),
        (replace(UP, clocks=APART, failover=ALONE), Action.WAIT, "Running"),
        # Then nothing is started under the same grant, unless it begins with it: that was granted with all in view.
        (replace(INSTALLED, tenure=BEGUN, misled=GRANT.epoch), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, tenure=BEGUN, guard=KILLED_BY_CLOCK), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, tenure=BEGUN, clocks=APART), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, tenure=BEGUN, clocks=NEAR), Action.START, "Starting"),
        (replace(INSTALLED, tenure=TENURE, misled=GRANT.epoch), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, tenure=TENURE, clocks=APART, guard=KILLED_BY_CLOCK), Action.START, "Starting"),
        (replace(UP, held=Held()), Action.REVOKE, "PermitEnded"),
        (replace(UP, guard=guard(NEW, permit=PermitStatus(3.0, lapsed=True))), Action.REVOKE, "PermitEnded"),
        (replace(UP, guard=guard(NEW, fence=NO_FENCE)), Action.STOP, "FenceUnproven"),
        # What is not known is no reason to stop anything.
        (replace(UP, lease=None), Action.WAIT, "Running"),
        (replace(UP, lease=None, held=LAPSED), Action.WAIT, "Running"),
        # Nothing is started without a grant of this incarnation.
        (replace(INSTALLED, lease=None, tenure=Tenure(), held=Held()), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, lease=None), Action.START, "Starting"),
        (replace(INSTALLED, lease=lease(NOBODY, OWN)), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, lease=lease(OTHERS, OWN)), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, lease=lease(AGAIN, OWN)), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, held=LAPSED), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, held=replace(HELD, epoch=4)), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, tenure=replace(TENURE, given_up=True)), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, desired=CACHED, tenure=Tenure(), held=Held()), Action.WAIT, "WaitingForGrant"),
        # The first start under a grant is the grant's; a later one wants leases that say normal.
        (replace(INSTALLED, found=CUT_OFF), Action.START, "Starting"),
        (replace(INSTALLED, tenure=BEGUN), Action.START, "Starting"),
        (replace(INSTALLED, tenure=BEGUN, found=CUT_OFF), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, tenure=BEGUN, verdict=DatabaseVerdict.SHORT), Action.WAIT, "WaitingForGrant"),
        (replace(INSTALLED, tenure=BEGUN, verdict=DatabaseVerdict.UNKNOWN), Action.WAIT, "WaitingForGrant"),
        # A checked configuration is fetched while the grant is waited for.
        (observed(lease=lease(NOBODY, OWN)), Action.FETCH, "Fetching"),
        (observed(lease=lease(NOBODY, OWN), candidate=candidate(V.ACCEPTED)), Action.WAIT, "WaitingForGrant"),
        # Stopped for maintenance.
        (replace(UP, desired=MAINTENANCE), Action.STOP, "Maintenance"),
        (replace(UP, desired=MAINTENANCE, failover=CUT), Action.STOP, "Maintenance"),
        (replace(INSTALLED, desired=MAINTENANCE), Action.WAIT, "Maintenance"),
        # A record that cannot be read: nothing is done that would have to be remembered.
        (replace(INSTALLED, found=Found()), Action.WAIT, "RecordUnreadable"),
    ],
)
def test_leave_to_serve(now: Observed, action: Action, reason: str) -> None:
    step = plan(now)
    assert (step.action, step.reason) == (action, reason), step


ORDER = Order(epoch=6, interruption=3, evidence=Evidence.EXPIRED)
ORDERED = lease(replace(GRANT, watched=Watched(interruption=3)), OWN, epoch=6, survivor="primary", order=ORDER)
ALONE = replace(
    UP, lease=ORDERED, failover=CUT, interruption=Interruption(number=3, present=True, began=900.0), promiser=Promiser()
)


def test_an_order_is_obeyed_before_anything_but_the_end_of_the_permit() -> None:
    assert plan(ALONE).action is Action.OBEY
    assert plan(replace(ALONE, desired=PAUSED)).action is Action.OBEY
    assert plan(replace(ALONE, network=BROKEN, desired=MAINTENANCE)).action is Action.OBEY
    assert plan(replace(ALONE, held=LAPSED)).action is Action.REVOKE
    assert plan(replace(ALONE, guard=guard(NEW, fence=NO_FENCE))).action is Action.STOP


def test_an_order_for_the_partner_or_answered_already_is_none() -> None:
    assert ALONE.lease is not None
    for_partner = replace(ALONE.lease, spec=replace(ALONE.lease.spec, survivor="secondary"))
    assert plan(replace(ALONE, lease=for_partner)).action is Action.WAIT
    answered = replace(RECORD, answered=Answered(epoch=6, result=Answer.REFUSED))
    assert plan(replace(ALONE, found=replace(ALONE.found, record=answered))).action is Action.WAIT


def test_a_start_that_the_fence_kept_from_is_made_once_nobody_relies_on_it() -> None:
    refused = Failure(code="unproven", message="the kernel's fence is relied on, and not proven")
    now = replace(INSTALLED, may_start=False, failure=refused, claims=True)
    assert (plan(now).action, plan(now).reason) == (Action.WAIT, "FenceUnproven")
    assert plan(replace(now, may_start=True)).action is Action.START, "it may be proven by now"
    assert plan(replace(now, claims=False)).action is Action.START, "at once"
    assert plan(replace(now, claims=False, failure=FAILURE)).action is Action.WAIT


def test_a_server_that_was_prepared_for_partner_down_is_told_to_enter_it() -> None:
    surviving = replace(BEGUN, surviving=True)
    starting = in_states(S.STARTUP, S.COMMUNICATIONS_INTERRUPTED)
    assert plan(replace(UP, tenure=surviving, failover=starting)).action is Action.FINISH
    # One that was not prepared never is: its old start time would let the partner's addresses go at once.
    assert plan(replace(UP, failover=starting)).action is Action.WAIT
    assert plan(replace(UP, tenure=surviving, failover=CUT)).action is Action.WAIT


STANDINGS = [lease(grant, OWN) for grant in (GRANT, NOBODY, OTHERS, AGAIN)]
DATABASES = [
    (Found(record=RECORD, readable=True, recorded=recorded(state)), verdict)
    for state in (S.NORMAL, S.COMMUNICATIONS_INTERRUPTED, S.PARTNER_DOWN, S.RECOVER, S.UNKNOWN)
    for verdict in DatabaseVerdict
]


def test_every_start_has_a_grant_a_permit_that_held_and_leases_to_go_by() -> None:
    starts = 0
    for held, tenure, standing, (found, verdict), desired in itertools.product(
        (HELD, LAPSED, Held(), replace(HELD, epoch=4)),
        (Tenure(), TENURE, BEGUN, replace(BEGUN, given_up=True)),
        (None, *STANDINGS),
        DATABASES,
        (Desired(object=server()), CACHED, PAUSED, MAINTENANCE),
    ):
        now = replace(
            INSTALLED, held=held, tenure=tenure, lease=standing, found=found, verdict=verdict, desired=desired
        )
        if plan(now).action not in {Action.START, Action.APPLY}:
            continue
        starts += 1
        assert held == HELD
        assert tenure in {TENURE, BEGUN}
        assert standing in (None, STANDINGS[0])
        assert desired.object.spec.paused is False
        assert desired.object.spec.maintenance is False
        assert found.recorded is not None
        assert tenure == TENURE or (found.recorded.local, verdict) == (S.NORMAL, DatabaseVerdict.INTACT)
    assert starts
