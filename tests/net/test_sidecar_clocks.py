"""Real sidecars, guards and dhcpds whose wall clocks step, differ from the start, or drift apart."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.lab.waiting import until
from tests.net.client import Clients, hardware_addresses
from tests.net.granting import CALM, QUICK
from tests.net.guarded import alive
from tests.net.jig import Jig
from tests.net.managed import ManagedPair, Member, managed
from tests.net.services import service
from tests.net.wallclock import WallClock
from twinlease.api.servinglease import Asks, Start
from twinlease.decide.pairview import Policy
from twinlease.model.states import Role

A, B = Role.PRIMARY, Role.SECONDARY
STEP = 50
DEAD_SECONDS = 0.3
"""Measured: 0.02 to 0.03; 0.5 to 0.6 where its guard does not know."""


@contextmanager
def clocked(jig: Jig, policy: Policy = CALM) -> Iterator[tuple[ManagedPair, dict[Role, WallClock]]]:
    """Make a managed pair of which each member has a wall clock of its own."""
    clocks = {role: WallClock(jig.servers[role].directory) for role in Role}
    with managed(jig, policy) as pair:
        for role, member in pair.members.items():
            member.under(clocks[role])
        yield pair, clocks


def skew(pair: ManagedPair, role: Role) -> int:
    """Return the difference of the clocks that an asking server tells of, milliseconds; 0: none, or it does not ask."""
    asks = pair.operator.own(role).asks
    return asks.skew_millis if isinstance(asks, Asks) else 0


def waits(pair: ManagedPair, role: Role) -> bool:
    """Tell whether a server waits for its clock."""
    return skew(pair, role) != 0 and not pair.members[role].pid


def ended(member: Member) -> str:
    """Return why a member's server ended last."""
    last = member.guard.client.status().last_exit
    return "" if last is None else last.reason


@pytest.mark.parametrize(("role", "step"), [(B, -STEP), (A, STEP)], ids=str)
def test_a_server_whose_clock_steps_waits_until_it_is_right_and_the_other_serves(
    jig: Jig, clients: Clients, role: Role, step: int
) -> None:
    with clocked(jig) as (pair, clocks):
        pair.start(service())
        member = pair.members[role]
        starts = member.guard.client.status().starts
        clocks[role].set(step)
        until("it waits for its clock", lambda: waits(pair, role), timeout=8, every=0.05)
        assert ended(member) in ("ClockStepped", "Stopped"), "its guard or its sidecar, whoever saw it first"
        until("the other takes over", lambda: pair.members[role.other].states[0] == "PartnerDown", timeout=10)
        assert skew(pair, role) == pytest.approx(-step * 1000, abs=1000)
        until("the step is told", lambda: f"stepped by {step:+d}.0 s" in str(member.status), timeout=5)
        crowd = hardware_addresses(4)
        assert clients.lease(crowd, timeout=15).keys() == set(crowd), "the other serves everybody"
        assert member.guard.client.status().starts == starts
        clocks[role].set(0)
        pair.await_normal(timeout=60)
        assert pair.operator.grant(role).start is Start.RECOVER, "it takes everything from the other"
        assert member.guard.client.status().starts == starts + 1


def test_a_server_that_was_killed_for_its_clock_takes_all_over_also_in_another_pod(jig: Jig) -> None:
    with clocked(jig) as (pair, clocks):
        pair.start(service())
        member = pair.secondary
        with pair.api.out_of_reach(member.sidecar.port):
            clocks[B].set(-STEP)
            until("it is killed", lambda: ended(member) == "ClockStepped", timeout=5, every=0.01)
            until("it is remembered", lambda: member.record["misled"], timeout=3, every=0.01)
            member.kill()
        clocks[B].set(0)
        member.new_pod()
        before = pair.operator.grant(B).epoch
        member.start()
        until("it is granted a start", lambda: pair.operator.grant(B).epoch > before, timeout=20)
        until("it has a holder", lambda: pair.operator.grant(B).holder, timeout=20)
        assert pair.operator.grant(B).start is Start.RECOVER
        until("it has started anew", lambda: not member.record["misled"], timeout=10)


def test_of_two_that_drift_apart_the_secondary_stops_cleanly(jig: Jig, clients: Clients) -> None:
    with clocked(jig) as (pair, clocks):
        clocks[A].set(1)
        clocks[B].set(-1)
        pair.start(service())
        first = pair.primary.pid
        clocks[A].set(2)
        clocks[B].set(-2)
        until("the secondary waits for its clock", lambda: waits(pair, B), timeout=15, every=0.05)
        assert ended(pair.secondary) == "Stopped"
        assert skew(pair, B) == pytest.approx(4000, abs=1000)
        crowd = hardware_addresses(4)
        assert clients.lease(crowd, timeout=15).keys() == set(crowd)
        clocks[B].set(0)  # no step that a server would be killed for: 2 s nearer
        clocks[A].set(1)
        pair.await_normal(timeout=30)
        assert pair.operator.grant(B).start is Start.RESUME
        assert pair.primary.pid == first


def test_of_two_that_are_stopped_with_different_clocks_one_serves(jig: Jig, clients: Clients) -> None:
    with clocked(jig) as (pair, clocks):
        pair.start(service())
        for member in pair.members.values():
            member.kill()
        clocks[A].set(STEP)
        for member in pair.members.values():
            member.new_pod()
            member.start()
        until("one waits for its clock", lambda: waits(pair, A) or waits(pair, B), timeout=20, every=0.05)
        crowd = hardware_addresses(4)
        assert clients.lease(crowd, timeout=40).keys() == set(crowd), "the other serves"
        assert sum(bool(member.pid) for member in pair.members.values()) == 1
        waiting = A if waits(pair, A) else B
        clocks[A].set(0)
        until("the clock that was wrong is right", lambda: skew(pair, waiting) == 0, timeout=15)


def test_a_survivor_whose_clock_steps_forward_is_the_survivor_again_at_once(
    jig: Jig, record_property: Callable[[str, object], None]
) -> None:
    with clocked(jig, QUICK) as (pair, clocks):
        pair.start(service())
        pair.secondary.kill()
        until("the primary takes over", lambda: pair.primary.states[0] == "PartnerDown", timeout=30)
        starts, pid = pair.primary.guard.client.status().starts, pair.primary.pid
        clocks[A].set(STEP)
        since = time.monotonic()
        until("it is dead", lambda: not alive(pid), timeout=2, every=0.001)
        record_property("dead after the step", f"{(time.monotonic() - since) * 1000:.0f} ms")
        until("it is noted", lambda: ended(pair.primary) == "ClockStepped", timeout=2, every=0.01)
        assert time.monotonic() - since < DEAD_SECONDS
        until("it runs again", lambda: pair.primary.guard.client.status().starts > starts, timeout=3, every=0.01)
        assert pair.operator.grant(A).start is Start.SURVIVE
        until("it is in partner-down", lambda: pair.operator.own(A).report.state == "PartnerDown", timeout=5)


def test_two_whose_clocks_are_set_at_the_same_time_come_back_by_themselves(
    jig: Jig, clients: Clients, record_property: Callable[[str, object], None]
) -> None:
    with clocked(jig) as (pair, clocks):
        pair.start(service())
        pids = [member.pid for member in pair.members.values()]
        for role in Role:
            clocks[role].set(STEP)
        since = time.monotonic()
        until("both are dead", lambda: not any(map(alive, pids)), timeout=2, every=0.001)
        crowd = hardware_addresses(4)
        assert clients.lease(crowd[:1], timeout=20).keys() == {crowd[0]}, "one serves"
        record_property("nobody serves for", f"{time.monotonic() - since:.1f} s")
        assert clients.lease(crowd, timeout=15).keys() == set(crowd)
        pair.await_normal(timeout=60)
        record_property("normal after", f"{time.monotonic() - since:.1f} s")
        starts = {pair.operator.grant(role).start for role in Role}
        assert starts == {Start.SURVIVE, Start.RECOVER}, "one of them, whoever asks first"
