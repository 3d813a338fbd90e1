"""The permit on its way to the guard."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import IN_FORCE, guard
from twinlease.api.permit import Isolation
from twinlease.decide.permit import MARGIN
from twinlease.ipc.client import GuardStatus, GuardUnreachable, PermitStatus
from twinlease.ipc.protocol import Code, ProtocolError
from twinlease.sidecar.keeper import Keeper

D = 240.0
REV = "1" * 64


class FakeGuard:
    """A guard that notes until when the server may answer."""

    def __init__(self) -> None:
        self.running = True
        self.started = 50.0
        self.deadline: float | None = 0.0
        self.lapsed = False
        self.steps = 0
        self.answers = True
        self.told: list[float | None] = []

    def status(self) -> GuardStatus:
        """Say how things are."""
        revision = REV if self.running else ""
        permit = PermitStatus(self.deadline if self.running else 0.0, lapsed=self.lapsed)
        return guard(revision, permit=permit, started_at=self.started if self.running else 0, clock_steps=self.steps)

    def permit(self, deadline: float | None, steps: int) -> GuardStatus:
        """Set the deadline; one that was reckoned before a step lengthens nothing."""
        if not self.answers:
            raise GuardUnreachable("no socket")
        if not self.running or self.lapsed:
            raise ProtocolError(Code.LAPSED, "no server runs")
        self.told.append(deadline)
        if steps == self.steps or (deadline is not None and (self.deadline is None or deadline < self.deadline)):
            self.deadline = deadline
        return self.status()


class Scene:
    """A keeper with a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.guard = FakeGuard()
        self.news = 0
        self.keeper = Keeper(self.guard, lambda: self.now, self.changed)

    def changed(self) -> None:
        """Count."""
        self.news += 1

    def serving(self) -> "Scene":
        """Confirm a grant, and have a server run under it."""
        self.keeper.confirmed(self.now, IN_FORCE)
        self.guard.deadline, _ = self.keeper.starts()
        self.keeper.saw(self.guard.status())
        return self


@pytest.fixture
def scene() -> Scene:
    """A server under a permit."""
    return Scene().serving()


def test_a_renewal_counts_from_when_it_was_sent(scene: Scene) -> None:
    scene.now = 1040.5
    scene.keeper.confirmed(1040.0, IN_FORCE)
    assert scene.guard.told == [1040.0 + D - MARGIN]
    assert scene.keeper.held.epoch == 5


def test_a_promise_extends_and_small_gains_are_not_told(scene: Scene) -> None:
    for second in range(1, 31):
        scene.now = 1000.0 + second
        scene.keeper.answered(scene.now - 0.01, D)
    assert 1 <= len(scene.guard.told) <= 2
    assert scene.keeper.held.permit.deadline == pytest.approx(1030.0 - 0.01 + D - MARGIN)


def test_nothing_is_held_before_a_grant_is_confirmed() -> None:
    scene = Scene()
    scene.keeper.answered(999.0, 1800)
    assert scene.keeper.held.epoch == 0
    assert scene.keeper.deadline == float("-inf")
    assert scene.guard.told == []


def test_what_has_ended_is_not_revived(scene: Scene) -> None:
    scene.now = 1000.0 + D
    scene.keeper.answered(scene.now, 1800)
    scene.keeper.confirmed(scene.now, IN_FORCE)
    assert scene.keeper.held.broken
    assert scene.guard.told == []
    # Another grant is another matter.
    scene.keeper.confirmed(scene.now, replace(IN_FORCE, epoch=7))
    assert not scene.keeper.held.broken


def test_a_renewal_sent_after_the_end_does_not_close_the_gap_that_nobody_saw(scene: Scene) -> None:
    scene.now = 1000.0 + D + 5
    scene.keeper.confirmed(1000.0 + D + 4, IN_FORCE)
    assert scene.keeper.held.broken
    assert scene.news >= 1


def test_a_shorter_permit_is_in_force_before_it_is_confirmed(scene: Scene) -> None:
    shorter = replace(IN_FORCE, duration="1m")
    assert scene.keeper.before_write(shorter, IN_FORCE)
    assert scene.guard.told == [1000.0 + 60 - MARGIN]
    scene.guard.answers = False
    assert not scene.keeper.before_write(replace(IN_FORCE, duration="30s"), IN_FORCE)


def test_a_longer_one_counts_only_when_it_is_confirmed(scene: Scene) -> None:
    longer = replace(IN_FORCE, duration="1h")
    assert scene.keeper.before_write(longer, IN_FORCE)
    assert scene.guard.told == []
    scene.keeper.confirmed(1001.0, longer)
    assert scene.guard.told == [1001.0 + 3600 - MARGIN]


def test_while_a_start_is_under_way_nothing_is_shortened(scene: Scene) -> None:
    scene.keeper.starts()
    assert not scene.keeper.before_write(replace(IN_FORCE, duration="1m"), IN_FORCE)
    assert not scene.keeper.renounce()
    scene.keeper.saw(scene.guard.status())
    assert scene.keeper.before_write(replace(IN_FORCE, duration="1m"), IN_FORCE)


def test_a_gain_that_meets_no_server_does_not_end_a_start_that_is_under_way(scene: Scene) -> None:
    """Between the end of the old server and the beginning of the new one, while the guard replaces it."""
    scene.keeper.answered(1000.0, 1800)
    deadline, _ = scene.keeper.starts()
    scene.guard.running = False
    scene.now = 1200.0
    scene.keeper.answered(1200.0, 1800)
    assert not scene.keeper.renounce(), "the partner must not hear of it: the new server begins with the long promise"
    scene.guard.running, scene.guard.deadline = True, deadline
    scene.keeper.saw(scene.guard.status())
    scene.keeper.confirmed(1200.1, IN_FORCE)
    assert scene.keeper.renounce()
    assert scene.guard.deadline == pytest.approx(1200.1 + D - MARGIN)


def test_a_server_that_is_about_to_end_is_left_alone(scene: Scene) -> None:
    """Its permit is closed so that it answers nobody any more; the guard kills it if it is told to extend that."""
    scene.keeper.ends()
    scene.guard.lapsed = True
    scene.now = 1040.0
    scene.keeper.confirmed(1040.0, IN_FORCE)
    assert not scene.keeper.held.broken
    scene.guard.lapsed = scene.guard.running = False
    scene.keeper.saw(scene.guard.status())
    assert scene.keeper.starts() == (1040.0 + D - MARGIN, 0)


def test_a_guard_that_goes_by_more_than_is_held_is_told(scene: Scene) -> None:
    scene.guard.deadline = 1000.0 + 1800
    scene.keeper.saw(scene.guard.status())
    assert scene.guard.told == [1000.0 + D - MARGIN]
    scene.keeper.saw(scene.guard.status())
    assert len(scene.guard.told) == 1


def test_a_promise_is_given_up_with_the_guard_first_and_only_for_a_renewal_that_holds(scene: Scene) -> None:
    scene.keeper.answered(1000.0, 1800)
    assert scene.guard.told[-1] == 1000.0 + 1800 - MARGIN
    assert scene.keeper.renounce()
    assert scene.guard.told[-1] == 1000.0 + D - MARGIN
    scene.keeper.answered(1001.0, 1800)
    scene.guard.answers = False
    assert not scene.keeper.renounce()
    assert scene.keeper.held.permit.promised == 1800
    scene.guard.answers, scene.now = True, 1000.0 + D
    assert not scene.keeper.renounce()


def test_a_server_that_ended_by_itself_breaks_no_permit(scene: Scene) -> None:
    scene.guard.running = False
    scene.now = 1040.0
    scene.keeper.confirmed(1040.0, IN_FORCE)
    assert not scene.keeper.held.broken
    assert scene.keeper.deadline == 1040.0 + D - MARGIN


def test_a_permit_that_the_guard_ended_is_broken(scene: Scene) -> None:
    scene.guard.lapsed = True
    scene.keeper.saw(scene.guard.status())
    assert scene.keeper.held.broken


def test_a_step_of_the_clock_leaves_time_to_renew_and_no_more(scene: Scene) -> None:
    scene.keeper.answered(1000.0, 1800)
    scene.keeper.stepped()
    assert scene.guard.told[-1] == 1001.0
    scene.now = 1000.5
    scene.keeper.confirmed(1000.4, IN_FORCE)
    assert scene.guard.told[-1] == 1000.4 + D - MARGIN
    scene.keeper.stepped()
    scene.now = 1001.6
    assert scene.keeper.held.broken


def test_what_was_sent_before_a_step_of_the_clock_earns_nothing_after_it(scene: Scene) -> None:
    """A machine that is stopped with a request under way, and goes on: its boot clock has not counted the pause."""
    scene.keeper.stepped()
    scene.now = 1000.1
    scene.keeper.confirmed(999.9, IN_FORCE)
    scene.keeper.answered(999.9, 1800)
    assert scene.guard.told == [1001.0]
    assert scene.keeper.deadline == pytest.approx(1001.0)
    scene.keeper.confirmed(999.9, replace(IN_FORCE, epoch=6))
    assert scene.keeper.held.broken
    scene.keeper.confirmed(1000.05, replace(IN_FORCE, epoch=7))
    assert scene.keeper.deadline == pytest.approx(1000.05 + D - MARGIN)


def test_a_step_that_only_the_guard_has_seen_yet_leaves_nothing_of_what_was_sent_before_it(scene: Scene) -> None:
    scene.guard.steps, scene.guard.deadline, scene.now = 1, 1041.0, 1040.0
    scene.keeper.confirmed(1039.9, IN_FORCE)
    assert scene.guard.deadline == 1041.0
    assert scene.keeper.deadline == 1041.0
    assert scene.news == 1, "a renewal is wanted at once"
    scene.now = 1040.2
    scene.keeper.confirmed(1040.1, IN_FORCE)
    assert scene.guard.deadline == 1040.1 + D - MARGIN


def test_a_start_under_way_is_told_apart_from_what_is_reckoned_after_a_step(scene: Scene) -> None:
    _, steps = scene.keeper.starts()
    scene.guard.steps, scene.guard.deadline = 1, 1001.0
    assert scene.keeper.saw(scene.guard.status())
    assert (steps, scene.keeper.starts()[1], scene.keeper.deadline) == (0, 1, 1001.0)
    assert not scene.keeper.saw(scene.guard.status()), "once"
    scene.guard.steps = 0  # another guard
    assert not scene.keeper.saw(scene.guard.status())


def test_without_isolation_there_is_no_end(scene: Scene) -> None:
    endless = replace(IN_FORCE, isolation=Isolation.SERVE)
    scene.keeper.confirmed(1001.0, endless)
    assert scene.guard.told[-1] is None
    assert scene.keeper.deadline is None
    # Back to a fence: with the guard before the API hears of it.
    assert scene.keeper.before_write(IN_FORCE, endless)
    assert scene.guard.told[-1] == 1001.0 + D - MARGIN


def test_another_process_of_the_sidecar_goes_on_with_what_the_guard_knows() -> None:
    scene = Scene()
    scene.guard.deadline = 1100.0
    scene.keeper.adopt(5, scene.guard.status())
    assert scene.keeper.held.permit.deadline == pytest.approx(1100.0)
    assert not scene.keeper.held.broken
    assert scene.guard.told == []
    scene.keeper.confirmed(1000.0, IN_FORCE)
    assert scene.guard.told[-1] == 1000.0 + D - MARGIN


@pytest.mark.parametrize("left", [3000.0, None])
def test_what_another_process_earned_by_a_longer_permit_ends_before_a_shorter_one_is_confirmed(
    left: float | None,
) -> None:
    """A survivor's sidecar dies, its partner is back, and the next process confirms the shorter time of both."""
    scene = Scene()
    scene.guard.deadline = None if left is None else scene.now + left
    scene.keeper.adopt(5, scene.guard.status())
    isolation = Isolation.SERVE if left is None else Isolation.FENCE
    alone = replace(IN_FORCE, duration="1h", isolation=isolation)
    assert scene.keeper.before_write(alone, alone)
    assert scene.guard.told == [], "as long as it is the same, nothing is lost"
    assert scene.keeper.before_write(IN_FORCE, alone)
    assert scene.guard.told == [scene.now + D - MARGIN]
    scene.guard.answers = False
    assert not scene.keeper.before_write(replace(IN_FORCE, duration="1m"), IN_FORCE)


def test_a_promise_that_another_process_had_outlasts_a_renewal_of_the_same_length() -> None:
    scene = Scene()
    scene.guard.deadline = 1000.0 + 1800
    scene.keeper.adopt(5, scene.guard.status())
    assert scene.keeper.before_write(IN_FORCE, IN_FORCE)
    assert scene.guard.told == []
    scene.now = 1002.0
    scene.keeper.answered(1001.9, 1800)
    assert scene.keeper.before_write(replace(IN_FORCE, duration="1m"), IN_FORCE)
    assert scene.keeper.held.permit.promised == 1800, "this one the partner knows of"


@pytest.mark.parametrize("status", [{"running": False}, {"lapsed": True}, {"deadline": 999.0}])
def test_what_the_guard_does_not_hold_is_not_gone_on_with(status: dict[str, Any]) -> None:
    scene = Scene()
    scene.guard.deadline = 1100.0
    for name, value in status.items():
        setattr(scene.guard, name, value)
    scene.keeper.adopt(5, scene.guard.status())
    assert scene.keeper.held.broken


def test_a_grant_that_was_given_back_is_worth_nothing(scene: Scene) -> None:
    scene.keeper.end()
    scene.keeper.confirmed(1001.0, IN_FORCE)
    scene.keeper.answered(1001.0, 1800)
    assert scene.keeper.deadline == float("-inf")
