"""A wall clock that steps, with real daemons: what a linked dhcpd gives away by it, and how soon ours is dead."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.lab.waiting import until
from tests.net.apart import LONGEST, MCLT, Client, brief, interrupt
from tests.net.client import Clients, hardware_addresses
from tests.net.guarded import Guard, alive, start
from tests.net.jig import Jig
from tests.net.wallclock import WallClock
from twinlease.ipc.protocol import FenceSpec, Mode
from twinlease.model.states import FailoverState, Role

STEP = 12
"""Less than the longest lease, so that what is given away early was somebody's."""
DEAD_SECONDS = 0.5
"""Measured: 0.04 to 0.09; this machine may be busy."""


def holder(jig: Jig, crowd: Clients, role: Role) -> Client:
    """Have a client hold a server's longest lease, which both servers know of."""
    first = Client(crowd, hardware_addresses(1)[0])
    jig.reach(role)
    assert first.lease(15)
    until("a long lease", lambda: first.renew() > MCLT, timeout=8, every=0.3)
    return first


def strangers(crowd: Clients, first: Client, until_then: float) -> float:
    """Have strangers ask for its address; return how many seconds too early one got it, 0 if none did."""
    crowding = hardware_addresses(32, family=1)  # each server leaves half of them to the other
    while time.time() < until_then:
        if any(ack.address == first.address for ack in crowd.lease(crowding, timeout=1.2).values()):
            return first.ends - time.time()
    return 0.0


def test_a_linked_dhcpd_with_a_clock_set_back_has_its_partner_give_leases_away(
    jig: Jig, clients: Clients, record_property: Callable[[str, object], None]
) -> None:
    clock = WallClock(jig.secondary.directory)
    jig.secondary.environment = clock.plain
    jig.start(brief("10.77.0.100", "10.77.0.103"))
    first = holder(jig, clients, Role.SECONDARY)
    clock.set(-STEP)
    first.renew()
    jig.reach(Role.PRIMARY)
    early = strangers(clients, first, first.ends - 1)
    record_property("given away before its end", f"{early:.1f} s")
    assert early > 0


@contextmanager
def guarded(jig: Jig) -> Iterator[dict[Role, Guard]]:
    """Start a real guard and a real dhcpd on either side, and wait until they are normal."""
    service = brief("10.77.0.100", "10.77.0.103")
    jig.configure(service)
    guards: dict[Role, Guard] = {}
    with ExitStack() as stack:
        for role, server in jig.servers.items():
            partner = service.endpoints[role.other]
            own = service.endpoints[role].failover_port
            fence = FenceSpec(
                Mode.KERNEL, str(partner.failover_address), own, service.omapi_port, 0, partner.failover_port
            )
            guard = stack.enter_context(Guard(server.directory / "pod", server.namespace))
            guard.overrides.update(server.environment or {})
            guard.start()
            guard.client.apply(guard.offer(guard.engine.render(service, role)), start(fence=fence))
            guards[role] = guard
        for role, guard in guards.items():
            jig.servers[role].engine = guard.engine
        jig.await_normal()
        yield guards


def died(guard: Guard, pid: int, clock: WallClock, seconds: int) -> float:
    """Set a server's clock; return how many seconds later it is dead."""
    clock.set(seconds)
    since = time.monotonic()
    until("it is dead", lambda: not alive(pid), timeout=5, every=0.001)
    took = time.monotonic() - since
    until("it is noted", lambda: not guard.client.status().running, timeout=2, every=0.01)
    return took


@pytest.mark.parametrize(
    ("role", "step"), [(Role.SECONDARY, -STEP), (Role.PRIMARY, -STEP), (Role.PRIMARY, STEP)], ids=str
)
def test_a_server_whose_clock_steps_in_contact_is_dead_before_it_does_harm(
    jig: Jig, clients: Clients, role: Role, step: int, record_property: Callable[[str, object], None]
) -> None:
    clock = WallClock(jig.servers[role].directory)
    jig.servers[role].environment = clock.environment
    with guarded(jig) as guards:
        first = holder(jig, clients, role)
        guards[role].client.remember({"epoch": 3})
        took = died(guards[role], guards[role].client.status().pid, clock, step)
        record_property("dead after the step", f"{took * 1000:.0f} ms")
        assert took < DEAD_SECONDS
        status = guards[role].client.status()
        assert status.last_exit is not None
        assert (status.last_exit.reason, status.last_exit.code) == ("ClockStepped", -signal.SIGKILL)
        assert (status.clock_steps, status.clock_step) == (1, pytest.approx(step, abs=0.2))
        until(
            "it is remembered", lambda: guards[role].client.status().record == {"epoch": 3, "misled": True}, timeout=2
        )
        assert guards[role].client.remember({"epoch": 4}).record == {"epoch": 4, "misled": True}, "by whoever writes"
        jig.reach(role.other)
        assert strangers(clients, first, first.ends - 1) == 0


def test_a_server_out_of_contact_lives_through_a_step_of_its_clock(jig: Jig) -> None:
    clock = WallClock(jig.primary.directory)
    jig.primary.environment = clock.environment
    with guarded(jig) as guards:
        interrupt(jig)
        guard = guards[Role.PRIMARY]
        clock.set(STEP)
        until("it is seen", lambda: guard.client.status().clock_steps == 1, timeout=2, every=0.01)
        time.sleep(2 * DEAD_SECONDS)  # what must not happen within that time
        assert guard.client.status().running


def alone(jig: Jig, guards: dict[Role, Guard]) -> Guard:
    """Have the secondary die and the primary survive it, in partner-down."""
    guards[Role.SECONDARY].signal(signal.SIGKILL)
    guards[Role.SECONDARY].process = None
    kept = {"relationship": "lan", "hold": LONGEST}
    guards[Role.PRIMARY].client.start(start("survive")._replace(parameters=kept), restart=True)
    assert jig.primary.enter_partner_down().local is FailoverState.PARTNER_DOWN
    return guards[Role.PRIMARY]


def test_a_survivor_whose_clock_steps_forward_is_dead_before_it_gives_away_what_it_keeps(
    jig: Jig, record_property: Callable[[str, object], None]
) -> None:
    clock = WallClock(jig.primary.directory)
    jig.primary.environment = clock.environment
    with guarded(jig) as guards:
        guard = alone(jig, guards)
        clock.set(-STEP)
        until("it is seen", lambda: guard.client.status().clock_steps == 1, timeout=2, every=0.01)
        time.sleep(2 * DEAD_SECONDS)  # what must not happen within that time
        assert guard.client.status().running, "it keeps them for longer"
        took = died(guard, guard.client.status().pid, clock, 60)
        record_property("dead after the step", f"{took * 1000:.0f} ms")
        assert took < DEAD_SECONDS


def test_a_plain_survivor_whose_clock_steps_forward_gives_away_what_it_keeps(
    jig: Jig, clients: Clients, record_property: Callable[[str, object], None]
) -> None:
    clock = WallClock(jig.primary.directory)
    jig.primary.environment = clock.plain
    jig.start(brief("10.77.0.100", "10.77.0.103"))
    first = holder(jig, clients, Role.SECONDARY)
    jig.secondary.signal(signal.SIGKILL)
    jig.primary.stop()
    jig.reach(Role.PRIMARY)
    jig.primary.survive(LONGEST)
    clock.set(60)
    early = strangers(clients, first, first.ends - 1)
    record_property("given away before its end", f"{early:.1f} s")
    assert early > 0
