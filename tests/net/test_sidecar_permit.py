"""Real sidecars, guards and dhcpds: nothing serves without a permit."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from tests.lab.waiting import until
from tests.net.client import Clients, hardware_addresses
from tests.net.fenced import boot_time
from tests.net.granting import QUICK
from tests.net.guarded import alive
from tests.net.jig import Jig
from tests.net.managed import PEER_PORT, ManagedPair, Member, managed
from tests.net.services import PRIMARY, service
from twinlease.decide.permit import MARGIN, period
from twinlease.model.states import Role
from twinlease.sidecar.observed import HUNG_SECONDS

A, B = Role.PRIMARY, Role.SECONDARY


@pytest.fixture
def pair(jig: Jig) -> Iterator[ManagedPair]:
    """A managed pair with short times, of which nothing runs yet."""
    with managed(jig, QUICK) as made:
        yield made


@pytest.fixture
def normal(pair: ManagedPair) -> ManagedPair:
    """The same, Normal/Normal."""
    pair.start(service())
    return pair


def left(member: Member) -> float:
    """Return for how long a member's server may still answer, as its guard was told, seconds."""
    return (member.guard.client.status().permit.deadline or 0.0) - boot_time()


def dies(pid: int, within: float) -> float:
    """Wait until a process is dead; return when (monotonic)."""
    until("it is killed", lambda: not alive(pid), timeout=within, every=0.005)
    return time.monotonic()


def last_renewal(pair: ManagedPair, member: Member) -> float:
    """Return when a member's last write arrived (monotonic)."""
    path = f"/spec/servers/{member.role}/own"
    return max(at for at, _, patch in pair.api.patches if any(each["path"] == path for each in patch))


def test_nothing_starts_before_it_is_granted(pair: ManagedPair) -> None:
    pair.operator.paused = True
    pair.want(service())
    for member in pair.members.values():
        member.start()
    for member in pair.members.values():
        until(
            "it asks",
            lambda m=member: (a := pair.operator.own(m.role).asks) is not UNSET and a.stopped and a.ready,  # type: ignore[misc]
            timeout=10,
        )
        for kind in ("Running", "Permitted"):
            until(
                f"{kind} is told",
                lambda m=member, k=kind: m.condition(k) == ("False", "WaitingForGrant"),  # type: ignore[misc]
                timeout=5,
            )
        assert member.guard.client.status().starts == 0
        assert not (member.guard.lease_dir / "dhcpd.leases").exists()
    pair.operator.paused = False
    pair.await_normal()
    for member in pair.members.values():
        own, grant = pair.operator.own(member.role), pair.operator.grant(member.role)
        assert own.in_force.epoch == grant.epoch
        assert own.in_force.kernel_fence
        assert own.lineage.id == member.record["id"]
        assert member.condition("Permitted") == ("True", "Held")


def test_cut_from_the_api_and_without_a_partner_it_is_killed_when_its_renewal_ends(normal: ManagedPair) -> None:
    member, partner = normal.primary, normal.secondary
    partner.kill()
    pid = member.pid
    with normal.api.out_of_reach(member.sidecar.port):
        cut = time.monotonic()
        dead = dies(pid, 20)
        renewed, promise = last_renewal(normal, member), cut  # the partner was dead before
        sys.stdout.write(
            f"killed {dead - renewed:.3f} s after its last renewal arrived, D {QUICK.duration} s, K {MARGIN} s\n"
        )
        assert dead - min(renewed, promise) <= QUICK.duration
        assert dead - renewed >= QUICK.duration - MARGIN - 2 * period(QUICK.duration)
        last = member.guard.client.status().last_exit
        assert last is not None
        assert last.reason == "PermitEnded"
        assert not normal.operator.own(A).released
    until("it asks anew", lambda: normal.operator.own(A).asks is not UNSET, timeout=10)


def test_a_daemon_that_hangs_is_not_vouched_for_and_ends_with_its_permit(normal: ManagedPair) -> None:
    member = normal.secondary
    os.kill(member.pid, signal.SIGSTOP)
    pid, stopped = member.pid, time.monotonic()
    # As long as it may merely be slow, renewals and promises go on; then what was last promised runs out.
    dead = dies(pid, HUNG_SECONDS + QUICK.max_promise + 10)
    assert dead - stopped > HUNG_SECONDS
    last = member.guard.client.status().last_exit
    assert last is not None
    assert last.reason == "PermitEnded"


def test_a_promise_keeps_both_serving_without_the_api_and_is_given_up_afterwards(
    normal: ManagedPair, clients: Clients
) -> None:
    before = {member: member.pid for member in normal.members.values()}
    with normal.api.unreachable():
        time.sleep(QUICK.duration + 3 * period(QUICK.duration))  # longer than any renewal lasts
        assert {member: member.pid for member in normal.members.values()} == before
        assert len(clients.lease(hardware_addresses(1), timeout=5)) == 1
        for member in normal.members.values():
            assert member.record["longPromise"]
            assert member.record["longSeconds"] == QUICK.max_promise
    for member in normal.members.values():
        until("the long promise is given up", lambda m=member: not m.record["longPromise"], timeout=10)  # type: ignore[misc]
        until("it renews", lambda m=member: m.condition("Permitted") == ("True", "Held"), timeout=10)  # type: ignore[misc]
    assert {member: member.pid for member in normal.members.values()} == before


def test_a_promise_ends_with_the_partner(normal: ManagedPair) -> None:
    pid = normal.primary.pid
    with normal.api.unreachable():
        # Made is not heard: it is on the promiser's disk before the answer is sent.
        until("a long promise has arrived", lambda: left(normal.primary) > QUICK.promise + MARGIN, timeout=10)
        normal.secondary.kill()
        killed = time.monotonic()
        dead = dies(pid, QUICK.max_promise + 2)
        sys.stdout.write(f"killed {dead - killed:.3f} s after its partner, promised {QUICK.max_promise} s\n")
        assert QUICK.max_promise - 2 * MARGIN - 1 <= dead - killed <= QUICK.max_promise


def test_a_revoked_server_is_stopped_at_once_and_asks(normal: ManagedPair) -> None:
    member, pid = normal.primary, normal.primary.pid
    began = time.monotonic()
    normal.operator.revoke(A)
    dead = dies(pid, 3)
    sys.stdout.write(f"stopped {1000 * (dead - began):.0f} ms after its revocation was written\n")
    assert dead - began < 1
    until("it asks", lambda: (a := normal.operator.own(A).asks) is not UNSET and a.reason == "Revoked", timeout=5)
    assert normal.operator.own(A).report.state == "Unknown"
    normal.operator.paused = False
    normal.await_normal(timeout=40)
    assert member.pid != pid


def test_a_deleted_pod_gives_its_grant_back_and_the_next_one_resumes(normal: ManagedPair) -> None:
    member = normal.primary
    epoch = normal.operator.grant(A).epoch
    normal.operator.paused = True
    began = time.monotonic()
    member.delete()
    sys.stdout.write(f"guard and sidecar ended within {1000 * (time.monotonic() - began):.0f} ms\n")
    own = normal.operator.own(A)
    assert (own.released, own.asks, own.in_force.epoch) == (epoch, UNSET, 0)
    assert own.database.state == "Normal"
    assert "released=True" in member.sidecar.said()
    normal.operator.paused = False
    member.new_pod()
    member.start()
    normal.await_normal(timeout=40)
    assert normal.operator.grant(A).start == "Resume"
    assert normal.operator.grant(B).start == "Fresh"


def test_the_end_of_the_sidecar_alone_gives_nothing_back(normal: ManagedPair) -> None:
    member, pid = normal.primary, normal.primary.pid
    began = time.monotonic()
    assert member.sidecar.signal(signal.SIGTERM) == 0
    assert time.monotonic() - began < 1
    assert normal.operator.own(A).released == 0
    member.sidecar.start()
    number = normal.operator.own(A).renewal
    until("the next one renews", lambda: normal.operator.own(A).renewal > number, timeout=5)
    assert normal.operator.own(A).incarnation == normal.operator.grant(A).holder
    assert member.pid == pid


def test_without_its_sidecar_a_server_ends_with_its_permit(normal: ManagedPair) -> None:
    member, pid = normal.primary, normal.primary.pid
    member.sidecar.signal(signal.SIGKILL)
    began = time.monotonic()
    assert dies(pid, 10) - began <= max(QUICK.duration, QUICK.promise)


def test_a_guard_that_restarts_resumes_under_the_same_grant(normal: ManagedPair) -> None:
    member = normal.primary
    epoch = normal.operator.grant(A).epoch
    member.guard.signal(signal.SIGKILL)
    member.guard.start()
    until("it runs again", lambda: member.pid != 0, timeout=10)
    normal.await_normal(timeout=40)
    assert normal.operator.grant(A).epoch == epoch
    assert member.guard.client.status().fence.kernel
    until("the fence is proven anew", lambda: normal.operator.own(A).in_force.kernel_fence, timeout=5)


def test_a_server_does_not_run_unfenced_while_the_api_says_that_the_kernel_fences_it(normal: ManagedPair) -> None:
    member, epoch = normal.primary, normal.operator.grant(A).epoch
    until("it is relied on", lambda: normal.operator.own(A).in_force.kernel_fence, timeout=5)
    member.guard.signal(signal.SIGKILL)
    with normal.api.out_of_reach(member.sidecar.port):
        member.guard.start("setpriv", "--bounding-set=-net_admin", "--inh-caps=-all", "--", sys.executable)
        until("a start was refused", lambda: "code=unproven" in member.sidecar.said(), timeout=10)
        held = time.monotonic() + 2  # the permit holds, and it may try again
        while time.monotonic() < held:
            assert member.guard.client.status().starts == 0
            time.sleep(0.01)
    until("it runs again", lambda: member.pid != 0, timeout=5, every=0.002)
    assert not normal.operator.own(A).in_force.kernel_fence, "confirmed before it was started"
    normal.await_normal(timeout=40)
    assert normal.operator.grant(A).epoch == epoch


def test_a_server_that_crashes_out_of_contact_comes_back_after_its_partner_took_over(normal: ManagedPair) -> None:
    normal.operator.paused = True
    member, epoch = normal.primary, normal.operator.grant(A).epoch
    normal.secondary.guard.client.close()
    normal.secondary.guard.client.stop(1)
    normal.secondary.sidecar.signal_only(signal.SIGSTOP)
    until("contact is lost", lambda: normal.operator.own(A).report.state == "CommunicationsInterrupted", timeout=10)
    member.guard.client.stop(1)
    until("the grant is given back", lambda: normal.operator.own(A).released == epoch, timeout=5)
    own = normal.operator.own(A)
    assert (own.database.verdict, own.database.state) == ("Intact", "CommunicationsInterrupted")
    assert own.asks is not UNSET
    assert own.asks.stopped
    assert member.pid == 0
    normal.secondary.sidecar.signal_only(signal.SIGCONT)


def test_maintenance_stops_and_gives_back(normal: ManagedPair) -> None:
    member, epoch = normal.primary, normal.operator.grant(A).epoch
    normal.operator.paused = True
    member.want(service(), maintenance=True)
    until("the grant is given back", lambda: normal.operator.own(A).released == epoch, timeout=10)
    own = normal.operator.own(A)
    assert own.asks is UNSET
    assert own.database.state == "Normal"
    until("it is told", lambda: member.condition("Running") == ("False", "Maintenance"), timeout=5)


def test_what_a_former_sidecar_earned_for_longer_ends_with_what_the_next_one_confirms(normal: ManagedPair) -> None:
    """A survivor's hour, and its partner is back: the new process dies too, right after it confirmed the minutes."""
    member, operator = normal.primary, normal.operator
    operator.paused = True

    def retime(duration: str) -> None:
        lease = operator.lease
        grant = replace(lease.servers.primary.grant, duration=duration)
        operator.write(
            replace(lease, servers=replace(lease.servers, primary=replace(lease.servers.primary, grant=grant)))
        )

    def left() -> float:
        deadline = member.guard.client.status().permit.deadline
        assert deadline is not None
        return deadline - time.clock_gettime(time.CLOCK_BOOTTIME)

    retime("25s")
    until("the guard goes by the longer time", lambda: left() > 20, timeout=15)
    member.sidecar.signal(signal.SIGKILL)
    retime("5s")
    pid = member.pid
    with member.guard.namespace.entered():
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with taken:
        taken.bind((str(PRIMARY.ip), PEER_PORT))  # nothing can be renounced
        member.sidecar.start()
        until(
            "the shorter one is confirmed", lambda: operator.own(A).in_force.duration == "5s", timeout=10, every=0.002
        )
        member.sidecar.signal(signal.SIGKILL)
        began = time.monotonic()
        assert dies(pid, 30) - began <= QUICK.duration
