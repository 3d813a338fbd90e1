"""One server at a time, from normal/normal: each rule as a table, the invariants over random histories."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.decide import rollout
from twinlease.decide.rollout import Action, ServerView
from twinlease.model.states import FailoverState, Role

OLD, NEW = "old", "new"
NORMAL = FailoverState.NORMAL
HEALTHY = ServerView(
    wanted=OLD, target=NEW, running=OLD, state=NORMAL, partner_state=NORMAL, fresh=True, pod_current=True
)
DONE = msgspec.structs.replace(HEALTHY, wanted=NEW, running=NEW)


def pair(primary: ServerView, secondary: ServerView) -> dict[Role, ServerView]:
    return {Role.PRIMARY: primary, Role.SECONDARY: secondary}


def decided(
    primary: ServerView, secondary: ServerView, *, established: bool = True, link_changed: bool = False
) -> tuple[str, str]:
    decision = rollout.configuration(pair(primary, secondary), established=established, link_changed=link_changed)
    return decision.action, decision.reason


def but(view: ServerView, **changes: object) -> ServerView:
    return msgspec.structs.replace(view, **changes)


BLANK = ServerView(target=NEW)
RECORDLESS = but(HEALTHY, wanted="")


@pytest.mark.parametrize(
    ("primary", "secondary", "established", "expected"),
    [
        (BLANK, BLANK, False, (Action.BOTH, "Configuring")),
        (BLANK, BLANK, True, (Action.BOTH, "Configuring")),
        (but(BLANK, wanted=NEW), BLANK, False, (Action.SECONDARY, "Configuring")),
        (BLANK, but(BLANK, wanted=NEW), False, (Action.PRIMARY, "Configuring")),
        (BLANK, DONE, True, (Action.PRIMARY, "Configuring")),
        (but(HEALTHY, state=FailoverState.RECOVER), HEALTHY, False, (Action.BOTH, "Configuring")),
        (but(BLANK, wanted=NEW), but(BLANK, wanted=NEW), False, (Action.WAIT, "Applying")),
        (DONE, DONE, True, (Action.NOTHING, "UpToDate")),
        (HEALTHY, HEALTHY, True, (Action.SECONDARY, "RollingOut")),
        (HEALTHY, DONE, True, (Action.PRIMARY, "RollingOut")),
        (DONE, HEALTHY, True, (Action.SECONDARY, "RollingOut")),
        (HEALTHY, but(DONE, running=OLD), True, (Action.WAIT, "Applying")),
        (DONE, but(DONE, running=OLD), True, (Action.WAIT, "Applying")),
        (HEALTHY, but(DONE, running=OLD, rejected=NEW), True, (Action.WAIT, "Rejected")),
        (but(DONE, running=OLD, rejected=NEW), DONE, True, (Action.WAIT, "Rejected")),
        (but(BLANK, wanted=NEW, rejected=NEW), BLANK, False, (Action.WAIT, "Rejected")),
        # Its DHCPServer was deleted and made again: what it runs counts.
        (RECORDLESS, RECORDLESS, True, (Action.SECONDARY, "RollingOut")),
        (DONE, RECORDLESS, True, (Action.SECONDARY, "RollingOut")),
        (RECORDLESS, but(RECORDLESS, state=FailoverState.RECOVER), True, (Action.WAIT, "WaitingForNormal")),
        (but(BLANK, unheard=True), DONE, True, (Action.WAIT, "WaitingForReport")),
        (but(BLANK, unheard=True), BLANK, True, (Action.SECONDARY, "Configuring")),
        (but(RECORDLESS, running=NEW), but(RECORDLESS, running=NEW), True, (Action.BOTH, "Configuring")),
        (RECORDLESS, BLANK, True, (Action.SECONDARY, "Configuring")),
        # An earlier one was refused; what is wanted now is another one.
        (HEALTHY, but(HEALTHY, wanted="bad", rejected="bad"), True, (Action.SECONDARY, "RollingOut")),
        (HEALTHY, but(HEALTHY, wanted="other"), True, (Action.WAIT, "Applying")),
    ],
)
def test_who_gets_a_configuration(
    primary: ServerView, secondary: ServerView, *, established: bool, expected: tuple[str, str]
) -> None:
    assert decided(primary, secondary, established=established) == expected


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", [state for state in FailoverState if state is not NORMAL])
@pytest.mark.parametrize("field", ["state", "partner_state"])
def test_any_other_state_of_any_server_stops_it(role: Role, state: FailoverState, field: str) -> None:
    views = {**pair(HEALTHY, HEALTHY), role: but(HEALTHY, **{field: state})}

    decision = rollout.configuration(views, established=True, link_changed=False)

    assert (decision.action, decision.reason) == (Action.WAIT, "WaitingForNormal")
    assert str(state) in decision.message


@pytest.mark.parametrize("role", list(Role))
def test_an_old_report_stops_it(role: Role) -> None:
    views = {**pair(HEALTHY, HEALTHY), role: but(HEALTHY, fresh=False)}

    assert rollout.configuration(views, established=True, link_changed=False).reason == "WaitingForReport"


def test_a_changed_link_waits_and_tells_what_to_do() -> None:
    decision = rollout.configuration(pair(HEALTHY, HEALTHY), established=True, link_changed=True)

    assert (decision.action, decision.reason) == (Action.WAIT, "LinkChanged")
    assert "delete the pair and apply it again" in decision.message


def test_a_changed_link_of_a_pair_that_never_served_is_only_a_configuration() -> None:
    assert decided(HEALTHY, HEALTHY, established=False, link_changed=True) == (Action.BOTH, "Configuring")


def test_the_engines_complaint_is_told() -> None:
    views = pair(HEALTHY, but(HEALTHY, wanted=NEW, rejected=NEW, complaint="line 7: semicolon expected"))

    assert "line 7: semicolon expected" in rollout.configuration(views, established=True, link_changed=False).message


STALE = but(DONE, pod_current=False)


@pytest.mark.parametrize(
    ("primary", "secondary", "expected"),
    [
        (DONE, DONE, (Action.NOTHING, "UpToDate")),
        (STALE, STALE, (Action.SECONDARY, "ReplacingPod")),
        (STALE, DONE, (Action.PRIMARY, "ReplacingPod")),
        (STALE, but(DONE, fresh=False), (Action.WAIT, "WaitingForReport")),
        (STALE, but(DONE, state=FailoverState.STARTUP), (Action.WAIT, "WaitingForNormal")),
        (but(HEALTHY, pod_current=False), DONE, (Action.WAIT, "ConfigurationFirst")),
        # A pod that has not started yet has nothing to lose, and may never start as it is.
        (DONE, but(STALE, pod_started=False, fresh=False), (Action.SECONDARY, "ReplacingPod")),
        (but(STALE, pod_started=False, fresh=False), STALE, (Action.PRIMARY, "ReplacingPod")),
    ],
)
def test_whose_pod_is_replaced(primary: ServerView, secondary: ServerView, expected: tuple[str, str]) -> None:
    decision = rollout.template(pair(primary, secondary))

    assert (decision.action, decision.reason) == expected


STATES = st.sampled_from(list(FailoverState))
VIEWS = st.builds(
    ServerView,
    wanted=st.sampled_from(["", OLD, NEW, "bad"]),
    target=st.sampled_from([OLD, NEW]),
    running=st.sampled_from(["", OLD, NEW]),
    rejected=st.sampled_from(["", "", OLD, NEW, "bad"]),
    state=STATES | st.just(NORMAL),
    partner_state=STATES | st.just(NORMAL),
    fresh=st.booleans() | st.just(True),  # noqa: FBT003  # a value, not a flag
    pod_current=st.booleans(),
    pod_started=st.booleans() | st.just(True),  # noqa: FBT003  # a value, not a flag
)


@given(VIEWS, VIEWS, st.booleans())
def test_a_served_pair_changes_one_configured_server_at_a_time_and_only_from_normal(
    primary: ServerView,
    secondary: ServerView,
    link_changed: bool,  # noqa: FBT001  # hypothesis passes by position
) -> None:
    views = pair(primary, secondary)
    action = Action(rollout.configuration(views, established=True, link_changed=link_changed).action)

    changed = [role for role in action.roles if views[role].wanted]
    assert len(changed) <= 1
    for role in action.roles:
        assert views[role].wanted != views[role].target
        assert views[role].rejected != views[role].target
    if changed:
        assert not link_changed
        for view in views.values():
            assert view.fresh
            assert (view.state, view.partner_state) == (NORMAL, NORMAL)
            # Empty: its DHCPServer was made anew over a daemon that runs, and nothing is under way at it.
            assert view.wanted in ("", view.running, view.rejected)


@given(VIEWS, VIEWS)
def test_a_started_pod_is_replaced_only_from_normal_and_alone(primary: ServerView, secondary: ServerView) -> None:
    views = pair(primary, secondary)
    action = Action(rollout.template(views).action)

    assert action is not Action.BOTH
    for role in action.roles:
        assert not views[role].pod_current
        if views[role].pod_started:
            assert all(view.fresh and view.state is NORMAL and view.partner_state is NORMAL for view in views.values())


@given(st.lists(st.tuples(st.sampled_from([OLD, NEW, "third"]), st.lists(st.integers(0, 5), max_size=8)), max_size=6))
def test_over_any_history_no_two_servers_are_on_their_way_at_once(history: list[tuple[str, list[int]]]) -> None:
    """The operator decides at any moment between edits, restarts and reports; servers restart in their own time."""
    wanted = dict.fromkeys(Role, OLD)
    running = dict.fromkeys(Role, OLD)
    for target, moments in history:
        for moment in moments:
            settled = all(wanted[role] == running[role] for role in Role)
            state = NORMAL if settled else FailoverState.COMMUNICATIONS_INTERRUPTED
            views = {
                role: ServerView(
                    wanted=wanted[role],
                    target=target,
                    running=running[role],
                    state=state,
                    partner_state=state,
                    fresh=True,
                )
                for role in Role
            }
            decision = rollout.configuration(views, established=True, link_changed=False)
            for role in Action(decision.action).roles:
                wanted[role] = target
            assert sum(wanted[role] != running[role] for role in Role) <= 1
            if moment % 2:  # a server has restarted and reported
                running = dict(wanted)


def test_every_rollout_ends() -> None:
    for start in itertools.product([OLD, NEW], repeat=2):
        running = dict(zip(Role, start, strict=True))
        for _ in range(3):
            views = {role: but(HEALTHY, wanted=running[role], running=running[role]) for role in Role}
            decision = rollout.configuration(views, established=True, link_changed=False)
            running.update(dict.fromkeys(Action(decision.action).roles, NEW))
        assert set(running.values()) == {NEW}
