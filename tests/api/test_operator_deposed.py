"""A leader that is stopped before a write, and goes on when another has long finished, changes nothing any more."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from msgspec import UNSET

from tests.api.operating import Operator, Start
from tests.api.seats import Seat
from tests.api.test_operator_serving import AFTER, renewed
from tests.api.world import World
from twinlease.api.servinglease import Answer, ServingLeaseSpec
from twinlease.kube.protocol import SERVING_LEASES, ApiError

_PATIENCE = 60.0


class Paused:
    """An operator that stops before its next write of the serving lease until it is told to go on."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._reached = threading.Event()
        self._go_on = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        operator.observed.before = self._stop

    def run_into_it(self) -> bool:
        """Let it look; tell whether it has come to a write."""
        self._thread.start()
        while self._thread.is_alive() and not self._reached.wait(0.01):
            pass
        return self._reached.is_set()

    def resume(self) -> None:
        """Let it go on with what it was about to do, and be done."""
        self._operator.observed.before = lambda _method, _path: None
        self._go_on.set()
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive()

    def _look(self) -> None:
        with suppress(ApiError):
            self._operator.look()

    def _stop(self, method: str, path: str) -> None:
        if method in ("PUT", "POST") and f"/{SERVING_LEASES.plural}" in path and not self._reached.is_set():
            self._reached.set()
            assert self._go_on.wait(_PATIENCE)


Story = Callable[[World, Operator, Seat, Seat], None]


def order(world: World, operator: Operator, primary: Seat, secondary: Seat) -> None:
    del world, secondary
    renewed(operator, primary, AFTER - 1)
    operator.wait(1)


def answered(world: World, operator: Operator, primary: Seat, secondary: Seat) -> None:
    order(world, operator, primary, secondary)
    operator.look()


def withdraw(world: World, operator: Operator, primary: Seat, secondary: Seat) -> None:
    answered(world, operator, primary, secondary)
    primary.answer(Answer.REFUSED, "CommunicationsInterrupted", partner="Normal")


def grant(world: World, operator: Operator, primary: Seat, secondary: Seat) -> None:
    answered(world, operator, primary, secondary)
    primary.answer(Answer.EXECUTED, "PartnerDown", partner="CommunicationsInterrupted")
    operator.look()
    secondary.crash(state="CommunicationsInterrupted")
    secondary.ask()


def settle(world: World, operator: Operator, primary: Seat, secondary: Seat) -> None:
    grant(world, operator, primary, secondary)
    operator.look()
    secondary.confirm("Normal")
    primary.confirm("Normal")


def survive(world: World, operator: Operator, primary: Seat, secondary: Seat) -> None:
    operator.look()
    primary.crash(state="CommunicationsInterrupted")
    primary.ask()
    secondary.crash(state="Normal")
    secondary.ask()
    del world


def _finished(successor: Operator, primary: Seat, secondary: Seat) -> ServingLeaseSpec:
    """Let a new leader come to where there is nothing to do, with everybody still there, and on from there."""
    successor.look()
    for seat in (primary, secondary):
        again(seat)
    successor.wait(AFTER)  # what it must see for itself takes its time
    for seat in (primary, secondary):
        again(seat)
    successor.look()
    return primary.lease()


def again(seat: Seat) -> None:
    """Write the same once more: a leader that is new believes only what it has seen arrive."""
    own = seat.own
    if own.incarnation == seat.incarnation:
        seat.write(asks=own.asks)


@pytest.mark.parametrize("story", [order, withdraw, grant, settle, survive])
def test_a_deposed_leader_can_do_no_harm(world: World, operator: Operator, start: Start, story: Story) -> None:
    primary, secondary = world.seat("primary"), world.seat("secondary")
    operator.look()
    story(world, operator, primary, secondary)
    old = Paused(operator)
    assert old.run_into_it(), "there was something to write"
    before = primary.lease()
    successor = start()
    successor.now = operator.now
    after = _finished(successor, primary, secondary)
    assert after != before, "the new leader did something"
    version = world.admin.get(SERVING_LEASES, "p", world.namespace)["metadata"]["resourceVersion"]
    old.resume()

    found = world.admin.get(SERVING_LEASES, "p", world.namespace)
    # It may look once more like any leader; what it was about to write when it was stopped is lost for good.
    assert primary.lease().epoch >= after.epoch
    assert found["metadata"]["resourceVersion"] == version
    assert primary.lease() == after


def test_a_renewal_that_is_just_being_taken_in_is_seen_by_whoever_looks(world: World, operator: Operator) -> None:
    """The watch has stored it, and has not noted yet that it came: a look just then must not take it for silence."""
    primary, secondary = world.seat("primary"), world.seat("secondary")
    operator.look()
    renewed(operator, primary, AFTER - 1)
    operator.wait(1)
    secondary.cut_off(1)
    renewal = world.admin.get(SERVING_LEASES, "p", world.namespace)
    looks = []

    def meanwhile() -> None:
        if not looks:
            looks.append("once")
            operator.look_once()

    operator.meanwhile = meanwhile
    operator.hear(SERVING_LEASES, renewal)
    assert looks, "nobody looked meanwhile"
    assert primary.lease().order is UNSET
    assert secondary.granted
