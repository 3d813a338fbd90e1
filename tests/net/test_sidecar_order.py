"""Real sidecars, guards and dhcpds: an order to enter partner-down, carried out once, whatever crashes."""

import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from tests.lab.waiting import until
from tests.net.apart import INTERRUPTED
from tests.net.apiserver import Object, PatchError
from tests.net.client import Clients, hardware_addresses
from tests.net.granting import QUICK
from tests.net.jig import Jig, await_states, closing
from tests.net.managed import ManagedPair, Member, managed
from tests.net.services import service
from twinlease.api.servinglease import Evidence, Order, Phase
from twinlease.decide.pairview import entry
from twinlease.engines.isc import records
from twinlease.model.states import FailoverState, Role

A, B = Role.PRIMARY, Role.SECONDARY


@pytest.fixture
def pair(jig: Jig, clients: Clients) -> Iterator[ManagedPair]:
    """A managed pair with short times and some leases that is Normal/Normal."""
    with managed(jig, QUICK) as made:
        made.start(service())
        assert len(clients.lease(hardware_addresses(20, family=9), timeout=30)) == 20
        yield made


@pytest.fixture
def running(pair: ManagedPair) -> ManagedPair:
    """The same after the secondary's node died; nobody has decided anything yet."""
    return bereft(pair)


@pytest.fixture
def alone(running: ManagedPair, jig: Jig) -> ManagedPair:
    """The same in a state out of which partner-down is not entered without a stop."""
    jig.configure(service())
    jig.primary.set_state(FailoverState.RESOLUTION_INTERRUPTED)
    until("it says so", lambda: running.operator.own(A).report.state == "ResolutionInterrupted", timeout=10)
    return running


def bereft(pair: ManagedPair) -> ManagedPair:
    """Have the secondary's node die while nobody decides anything."""
    pair.operator.paused = True
    pair.secondary.kill()
    until("contact is lost", lambda: pair.operator.own(A).report.state == "CommunicationsInterrupted", timeout=10)
    until("what the primary promised has ended", lambda: not pair.operator.own(A).report.promising, timeout=15)
    return pair


def order(pair: ManagedPair, *, interruption: int | None = None) -> int:
    """Order the primary into partner-down, as the operator does; return the epoch."""
    lease = pair.operator.lease
    epoch = lease.epoch + 1
    number = entry(lease, A).own.report.interruption if interruption is None else interruption
    grant = entry(lease, B).grant
    secondary = replace(entry(lease, B), grant=replace(grant, holder="", node=""))
    pair.operator.write(
        replace(
            lease,
            epoch=epoch,
            phase=Phase.ALONE,
            survivor="primary",
            order=Order(epoch=epoch, interruption=number, evidence=Evidence.OUT_OF_SERVICE),
            servers=replace(lease.servers, secondary=secondary),
        )
    )
    return epoch


def answered(pair: ManagedPair, epoch: int, *, within: float = 10.0) -> tuple[str, str]:
    """Wait for the answer to an order and return it."""
    until("the order is answered", lambda: pair.operator.own(A).answer.epoch == epoch, timeout=within, every=0.005)
    answer = pair.operator.own(A).answer
    return str(answer.result), answer.reason


def preparations(member: Member) -> int:
    """Return how often a member's leases were prepared for partner-down."""
    return member.guard.said().count("survives alone")


def entries(member: Member) -> int:
    """Return how often a member's server entered partner-down while it ran."""
    return member.guard.said().count("I move from communications-interrupted to partner-down")


def test_a_dead_partner_is_taken_over_from_at_the_threshold_without_a_stop(pair: ManagedPair, clients: Clients) -> None:
    member = pair.primary
    before = member.guard.client.status()
    pair.secondary.kill()
    died = time.monotonic()
    until("the order is carried out", lambda: pair.operator.own(A).answer.epoch > 0, timeout=30, every=0.005)
    took = time.monotonic() - died
    own = pair.operator.own(A)
    assert (own.answer.result, own.answer.reason) == ("Executed", "PartnerDown")
    assert own.report.state == "PartnerDown"  # in the same write
    assert own.report.serving
    after = member.guard.client.status()
    assert (after.pid, after.starts) == (before.pid, before.starts)
    assert (preparations(member), entries(member)) == (0, 1)
    held = member.guard.engine.recorded(member.guard.lease_dir / "dhcpd.leases")
    assert held.held_until >= held.since + 600  # the longest lease
    assert len(clients.lease(hardware_addresses(1), timeout=5)) == 1
    milliseconds = re.findall(r"order answered .*millis=(\d+)", member.sidecar.said())
    sys.stdout.write(
        f"partner-down {took:.2f} s after the death, T {QUICK.after} s; order seen to answered {milliseconds[0]} ms\n"
    )
    assert took < QUICK.after + 4
    assert int(milliseconds[0]) < 2000
    assert member.record["consumed"] == own.answer.epoch


def test_running_an_order_is_carried_out_once_however_often_it_is_seen(running: ManagedPair) -> None:
    member = running.primary
    epoch = order(running)
    assert answered(running, epoch) == ("Executed", "PartnerDown")
    member.sidecar.signal(signal.SIGKILL)
    number = running.operator.own(A).renewal
    member.sidecar.start()
    until("the next one renews", lambda: running.operator.own(A).renewal > number + 1, timeout=10)
    until("it knows", lambda: running.operator.own(A).report.state == "PartnerDown", timeout=10)
    assert (preparations(member), entries(member)) == (0, 1)


def test_running_and_killed_as_soon_as_the_order_is_consumed_it_is_not_begun_again(running: ManagedPair) -> None:
    """Whether it was there or not yet when its sidecar died: leases that are held by then are only parked."""
    member = running.primary
    epoch = order(running)
    with suppress(FileNotFoundError):
        until("it is consumed", lambda: member.record["consumed"] == epoch, timeout=5, every=0.0005)
    member.sidecar.signal(signal.SIGKILL)
    member.sidecar.start()
    result, _ = said = answered(running, epoch, within=25)
    assert said in {("Executed", "PartnerDown"), ("Refused", "Interrupted")}
    assert (preparations(member), entries(member)) == (0, 1 if result == "Executed" else 0)


def test_running_the_dead_one_comes_back_and_both_are_normal(running: ManagedPair) -> None:
    epoch = order(running)
    assert answered(running, epoch)[0] == "Executed"
    running.operator.paused = False
    running.secondary.new_pod()
    running.secondary.start()
    running.await_normal(timeout=60)
    until("both may serve", lambda: running.operator.lease.phase is Phase.BOTH, timeout=5)
    assert preparations(running.primary) == 0


@pytest.mark.parametrize("killed", ["never", "consumed", "stopped"])
def test_what_somebody_put_into_partner_down_by_hand_is_extended_all_the_same(
    pair: ManagedPair, jig: Jig, killed: str
) -> None:
    """With its sidecar away throughout, nothing is held yet of what the dead partner may have promised.

    Should the sidecar die as soon as the order is consumed, the next one does not take that for its doing. Should it
    die when it has stopped the server, that asks for a grant, and all is extended by the start that follows.
    """
    member = pair.primary
    pair.operator.paused = True
    member.sidecar.signal(signal.SIGKILL)
    pair.secondary.kill()
    jig.configure(service())
    with closing(jig.primary.control()) as control:
        await_states(control, INTERRUPTED, timeout=5)
    epoch = order(pair)
    jig.primary.set_state(FailoverState.PARTNER_DOWN)
    by_hand, starts = int(time.time()), member.guard.client.status().starts
    assert min(ends(member)) < records.text(by_hand + 600), "else it would show nothing"
    member.sidecar.start()
    if killed != "never":
        until("it is consumed", lambda: member.record["consumed"] == epoch, timeout=15, every=0.0005)
        while killed == "stopped" and (guard := member.guard.client.status()).running and guard.starts == starts:
            pass
        member.sidecar.signal(signal.SIGKILL)
        member.sidecar.start()
    result, reason = answered(pair, epoch, within=25)
    assert reason == "PartnerDown"
    assert result == "Executed" or (result == "Unknown" and killed != "never")
    if result == "Unknown":
        assert not member.guard.client.status().running
        pair.operator.paused = False
        until("it serves alone", lambda: pair.operator.own(A).report.state == "PartnerDown", timeout=20)
    assert member.guard.client.status().starts == starts + 1
    assert len(ends(member)) == 20
    assert min(ends(member)) >= records.text(by_hand + 600)  # the longest lease


def ends(member: Member) -> list[bytes]:
    """Return when the leases of a member's lease file end that count as active."""
    found = records.leases((member.guard.lease_dir / "dhcpd.leases").read_bytes())
    last = {lease.address: lease for lease in found}
    return [lease.ends for lease in last.values() if lease.state == "active"]


def test_an_order_is_carried_out_once_however_often_it_is_seen(alone: ManagedPair) -> None:
    member = alone.primary
    epoch = order(alone)
    assert answered(alone, epoch) == ("Executed", "PartnerDown")
    member.sidecar.signal(signal.SIGKILL)
    number = alone.operator.own(A).renewal
    member.sidecar.start()
    until("the next one renews", lambda: alone.operator.own(A).renewal > number + 1, timeout=10)
    assert preparations(member) == 1
    assert alone.operator.own(A).report.state == "PartnerDown"


def test_in_contact_it_is_refused(pair: ManagedPair) -> None:
    pair.operator.paused = True
    before = pair.primary.guard.client.status().starts
    pair.secondary.sidecar.signal_only(signal.SIGSTOP)  # it would stop its server, which the order revokes
    epoch = order(pair, interruption=1)
    assert answered(pair, epoch) == ("Refused", "InContact")
    assert pair.primary.guard.client.status().starts == before
    assert preparations(pair.primary) == 0


def test_for_another_interruption_it_is_refused(alone: ManagedPair) -> None:
    epoch = order(alone, interruption=alone.operator.own(A).report.interruption + 1)
    assert answered(alone, epoch) == ("Refused", "AnotherInterruption")
    assert preparations(alone.primary) == 0


def test_killed_as_soon_as_the_order_is_consumed_it_is_not_begun_again(alone: ManagedPair) -> None:
    """The sidecar dies at some moment after it noted the order: whatever the guard makes of it, it happens once."""
    member = alone.primary
    epoch = order(alone)
    with suppress(FileNotFoundError):
        until("it is consumed", lambda: member.record["consumed"] == epoch, timeout=5, every=0.0005)
    member.sidecar.signal(signal.SIGKILL)
    member.sidecar.start()
    result, reason = answered(alone, epoch, within=25)
    assert (result, reason) in {("Executed", "PartnerDown"), ("Refused", "Interrupted")}
    assert preparations(member) <= 1
    if result == "Executed":
        assert alone.operator.own(A).report.state in {"PartnerDown", "Unknown"}
    else:
        assert preparations(member) == 0


def test_consumed_and_nothing_done_is_refused(alone: ManagedPair) -> None:
    member = alone.primary
    member.sidecar.signal(signal.SIGKILL)
    epoch = order(alone)
    member.guard.client.remember({**member.record, "consumed": epoch, "epoch": epoch})
    member.sidecar.start()
    assert answered(alone, epoch) == ("Refused", "Interrupted")
    assert preparations(member) == 0


def test_killed_before_its_answer_arrives_the_next_one_answers_the_same(alone: ManagedPair) -> None:
    member = alone.primary
    killed: list[bool] = []

    def kill(operations: list[Object]) -> None:
        values = [each["value"] for each in operations if each["path"].endswith("/own")]
        if not killed and any(value.get("answer", {}).get("epoch") for value in values):
            killed.append(True)
            member.sidecar.signal(signal.SIGKILL)
            raise PatchError("the sidecar is dead, and so is its request")

    alone.api.before_patch = kill
    epoch = order(alone)
    until("it is killed", lambda: bool(killed), timeout=10)
    assert alone.operator.own(A).answer.epoch == 0
    assert member.record["answered"]["epoch"] == epoch
    member.sidecar.start()
    assert answered(alone, epoch) == ("Executed", "PartnerDown")
    assert preparations(member) == 1


def test_a_survivor_that_crashes_asks_and_survives_again(alone: ManagedPair) -> None:
    member = alone.primary
    epoch = order(alone)
    assert answered(alone, epoch) == ("Executed", "PartnerDown")
    member.guard.client.stop(1)
    until("it asks", lambda: alone.operator.own(A).asks is not UNSET, timeout=5)
    alone.operator.paused = False
    # Not by the state alone: what is reported may still be that of before the crash.
    until("it is granted its start", lambda: alone.operator.grant(A).start == "Survive", timeout=15)
    until("it is in partner-down again", lambda: member.pid and member.states[0] == "PartnerDown", timeout=15)
    assert preparations(member) == 2


def test_the_dead_one_comes_back_and_both_are_normal(alone: ManagedPair) -> None:
    epoch = order(alone)
    assert answered(alone, epoch)[0] == "Executed"
    alone.operator.paused = False
    alone.secondary.new_pod()
    alone.secondary.start()
    alone.await_normal(timeout=60)
    assert alone.operator.grant(B).start == "Recover"
    until("both may serve", lambda: alone.operator.lease.phase is Phase.BOTH, timeout=5)
    until("promises are made again", lambda: alone.operator.own(A).report.promising, timeout=10)
