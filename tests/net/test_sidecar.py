"""Real sidecars, guards and dhcpds: a pair that looks after itself."""

import os
import signal
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from msgspec.structs import replace

from tests.lab.waiting import until
from tests.net.client import Clients, hardware_addresses
from tests.net.guarded import INTERFACE, alive
from tests.net.jig import Jig
from tests.net.managed import ManagedPair, Member, cpu_seconds, managed, memory_kib
from tests.net.services import NO_POOLS, PRIMARY, service
from tests.unit.engines.cases import run
from twinlease.ipc.client import Counts, GuardStatus, PermitStatus
from twinlease.model.states import Role
from twinlease.sidecar.observed import ANNOTATION_ESTABLISHED

ENDS = NO_POOLS.endpoints
CONDITIONS = [
    "NetworkReady", "ConfigAccepted", "Running", "Serving", "Permitted", "KernelFence", "LeaseDatabaseIntact",
]  # fmt: skip


@pytest.fixture
def pair(jig: Jig) -> Iterator[ManagedPair]:
    """A managed pair of which nothing runs yet."""
    with managed(jig) as made:
        yield made


@pytest.fixture
def normal(pair: ManagedPair) -> ManagedPair:
    """A managed pair that is Normal/Normal."""
    pair.start(service())
    return pair


def reports(member: Member, kind: str, status: str, reason: str, *, within: float = 10.0) -> None:
    """Wait until a condition is reported."""
    until(
        f"{member.name}: {kind} {status} {reason}",
        lambda: member.condition(kind) == (status, reason),
        timeout=within,
        every=0.01,
    )


def runs(member: Member, revision: str) -> None:
    """Wait until a member reports that it runs a configuration, and no other was refused.

    One whose partner has just been changed waits until the two are normal again.
    """
    until(f"{member.name} runs it", lambda: member.status["config"] == {"revision": revision}, timeout=40)


def restart_sidecar(member: Member, until_it_says: str) -> None:
    """Kill a sidecar, start the next, and wait until that one has decided something."""
    member.sidecar.signal(signal.SIGKILL)
    before = len(member.sidecar.said())
    member.sidecar.start()
    until("the next sidecar has decided", lambda: until_it_says in member.sidecar.said()[before:], timeout=10)


def running_of(status: GuardStatus) -> GuardStatus:
    """Return what a guard says of its server, without what changes all the time."""
    return status._replace(record=None, counts=Counts(), permit=PermitStatus(None, lapsed=status.permit.lapsed))


def running(member: Member) -> GuardStatus:
    """Return what a member's guard says of its server."""
    return running_of(member.guard.client.status())


def serving(clients: Clients) -> bool:
    """Tell whether a new client gets an address."""
    return len(clients.lease(hardware_addresses(1), timeout=5)) == 1


def test_a_pair_comes_up_in_the_order_of_the_architecture(pair: ManagedPair, clients: Clients) -> None:
    for member in pair.members.values():
        member.spec(service())
        member.guard.start()
        member.sidecar.start()
        # Addresses first: the operator cannot render without those of both.
        reports(member, "NetworkReady", "True", "Found")
        assert member.status["network"]["address"].startswith("10.77.0.")
        assert member.condition("Running") == ("False", "NoConfig")
        assert [had["type"] for had in member.status["conditions"]] == CONDITIONS
    pair.want(service())
    pair.await_normal()
    for member in pair.members.values():
        status = member.status
        assert all(had["status"] == "True" for had in status["conditions"])
        assert status["serving"]
        assert status["daemon"]["version"].startswith("4.4.")
        assert status["failover"]["mclt"] == "30s"
        assert status["config"] == {"revision": member.guard.client.status().revision}
    assert serving(clients)


def test_a_calm_pair_writes_nothing_and_costs_almost_nothing(normal: ManagedPair) -> None:
    # Usage is counted every ten seconds: only when it shows the balanced pool there is nothing left to tell.
    until(
        "balanced pools are reported, and that nothing is on its way",
        lambda: all(
            member.status["pools"][0].get("backup") == 50 and "unackedUpdates" not in member.status["failover"]
            for member in normal.members.values()
        ),
        timeout=25,
    )
    for member in normal.members.values():
        until("the partner is heard", lambda m=member: m.status["peer"].get("heard", False), timeout=10)  # type: ignore[misc]
    quiet = len(normal.api.writes)
    time.sleep(1.5)  # what the last change still brings about

    def calm() -> bool:
        nonlocal quiet
        before, quiet = quiet, len(normal.api.writes)
        return before == quiet

    until("the last change is reported", calm, timeout=10, every=1.5)
    member = normal.primary
    assert member.guard.process is not None
    assert member.sidecar.process is not None
    guard, sidecar = member.guard.process.pid, member.sidecar.process.pid
    before, began = (cpu_seconds(guard), cpu_seconds(sidecar)), time.monotonic()
    time.sleep(11)  # longer than the interval of anything that happens by itself
    took = time.monotonic() - began
    assert len(normal.api.writes) == quiet
    # Twice what is aimed at: other tests may run on the same cores. The benchmark has the figures.
    assert (cpu_seconds(sidecar) - before[1]) / took < 0.01
    assert (cpu_seconds(guard) - before[0]) / took < 0.005
    assert memory_kib(guard) < 20_000
    assert memory_kib(sidecar) < 45_000


def test_killing_the_sidecar_touches_nothing_and_the_next_one_goes_on(normal: ManagedPair, clients: Clients) -> None:
    member = normal.primary
    before, conditions = member.guard.client.status(), member.status["conditions"]
    assert member.sidecar.signal(signal.SIGKILL) == -signal.SIGKILL
    assert serving(clients)
    assert running(member) == running_of(before)
    restart_sidecar(member, "action=Wait reason=Running")
    assert running(member) == running_of(before)
    assert alive(before.pid)
    # It goes on from what the one before it reported: what is as it was keeps its time.
    normal.secondary.guard.client.stop(5)
    until("it reports", lambda: member.states[0] == "CommunicationsInterrupted", timeout=5)
    assert member.status["conditions"][:3] == conditions[:3]


def test_sigterm_ends_the_sidecar_at_once_and_dhcpd_goes_on(normal: ManagedPair) -> None:
    member = normal.primary
    pid = member.pid
    began = time.monotonic()
    assert member.sidecar.signal(signal.SIGTERM) == 0
    assert time.monotonic() - began < 1
    assert member.pid == pid
    assert alive(pid)


def test_killing_the_guard_takes_dhcpd_with_it_and_both_come_back(normal: ManagedPair, clients: Clients) -> None:
    member = normal.primary
    pid, revision = member.pid, member.guard.client.status().revision
    member.guard.signal(signal.SIGKILL)
    until("dhcpd died too", lambda: not alive(pid), timeout=5)
    reports(member, "Running", "False", "GuardUnreachable", within=2)
    member.guard.start()
    reports(member, "Running", "True", "Running")
    assert member.guard.client.status().revision == revision
    normal.await_normal(timeout=40)
    assert serving(clients)


def test_a_dhcpd_that_dies_is_told_within_a_second_and_started_again(normal: ManagedPair) -> None:
    member = normal.primary
    pid = member.pid
    os.kill(pid, signal.SIGKILL)
    reports(member, "Running", "False", "Exited", within=1.2)
    reports(member, "Running", "True", "Running")
    assert member.pid != pid
    last = member.status["daemon"]["lastExit"]
    assert (last["reason"], last["code"]) == ("Signalled", -signal.SIGKILL)
    assert any("failover peer lan" in line for line in last["log"])


def test_repeated_exits_are_met_with_patience(normal: ManagedPair) -> None:
    member = normal.primary
    begins = []
    for _ in range(3):
        os.kill(member.pid, signal.SIGKILL)
        until("it is gone", lambda: member.pid == 0, timeout=5, every=0.01)
        began = time.monotonic()
        until("it is back", lambda: member.pid != 0, timeout=15, every=0.05)
        begins.append(time.monotonic() - began)
    assert begins[0] < 2.5
    assert begins[2] > 3


def test_the_partners_end_is_told_within_a_second(normal: ManagedPair) -> None:
    normal.secondary.guard.client.stop(5)
    until(
        "the primary tells it",
        lambda: normal.primary.states[0] == "CommunicationsInterrupted",
        timeout=1.2,
        every=0.01,
    )
    assert normal.primary.status["serving"]


def test_a_rejected_configuration_leaves_the_last_good_one_serving(normal: ManagedPair, clients: Clients) -> None:
    member = normal.primary
    before = member.guard.client.status()
    bad = member.want(service(), text="subnet 10.77.0.0 netmask 255.255.255.0 {\n  range nonsense;\n}\n")
    reports(member, "ConfigAccepted", "False", "Rejected")
    config = member.status["config"]
    assert (config["revision"], config["rejected"]) == (before.revision, bad)
    assert "line 2" in config["message"]
    assert running(member) == running_of(before)
    assert serving(clients)
    # Neither a new sidecar nor time makes it try again; a better one does.
    restart_sidecar(member, "action=Wait reason=Rejected")
    runs(member, member.want(service(run("10.77.0.100", "10.77.0.150"))))
    normal.await_normal(timeout=40)


def test_a_configuration_that_dhcpd_does_not_survive_is_rejected_too(normal: ManagedPair, clients: Clients) -> None:
    member = normal.primary
    before = member.guard.client.status()
    bad = member.want(service(), text="authoritative;\n")
    reports(member, "ConfigAccepted", "False", "Rejected")
    assert "No subnet declaration" in member.status["config"]["message"]
    after = member.guard.client.status()
    assert (after.revision, after.running) == (before.revision, True)
    # The server bore one restart; a new sidecar must not make it bear another.
    restart_sidecar(member, "action=Wait reason=Rejected")
    assert running(member) == running_of(after)
    assert member.status["config"]["rejected"] == bad
    assert serving(clients)


def test_chunks_that_do_not_fit_the_revision_are_never_run(normal: ManagedPair) -> None:
    member = normal.primary
    before = member.guard.client.status()
    revision = member.want(service(run("10.77.0.100", "10.77.0.120")))
    runs(member, revision)
    normal.api.put("configmaps", "forged", data={"config": "authoritative;\n"})
    member.spec(service(), config={"revision": before.revision, "configMaps": ["forged"]})
    reports(member, "ConfigAccepted", "False", "DigestMismatch")
    assert member.guard.client.status().revision == revision


def test_a_changed_configuration_is_run(normal: ManagedPair, clients: Clients) -> None:
    changed = service(run("10.77.0.30", "10.77.0.39"))
    revisions = {member: member.want(changed) for member in normal.members.values()}
    for member, revision in revisions.items():
        runs(member, revision)
    normal.await_normal(timeout=40)
    (ack,) = clients.lease(hardware_addresses(1), timeout=10).values()
    assert IPv4Address("10.77.0.30") <= ack.address <= IPv4Address("10.77.0.39")


def test_an_order_that_comes_late_waits_until_both_are_normal_again(normal: ManagedPair, clients: Clients) -> None:
    member = normal.secondary
    normal.primary.guard.signal(signal.SIGKILL)  # its dhcpd with it
    until("contact is lost", lambda: member.states[0] == "CommunicationsInterrupted", timeout=10)
    before = member.guard.client.status()
    revision = member.want(service(run("10.77.0.100", "10.77.0.150")))
    reports(member, "Running", "True", "WaitingForNormal")
    assert member.condition("ConfigAccepted") == ("True", "Accepted")
    restart_sidecar(member, "reason=WaitingForNormal")
    assert running(member) == running_of(before)
    assert serving(clients)
    normal.primary.guard.start()
    runs(member, revision)
    assert member.guard.client.status().starts == before.starts + 1
    normal.await_normal(timeout=40)


def test_another_control_port_is_no_silence(normal: ManagedPair) -> None:
    member = normal.secondary
    moved = replace(service(), omapi_port=7912)
    normal.api.objects["dhcpservers", member.name]["metadata"]["annotations"] = {ANNOTATION_ESTABLISHED: "true"}
    restart_sidecar(member, "reason=Running")
    runs(member, member.want(moved))
    normal.await_normal(timeout=40)


def test_a_first_configuration_with_which_the_two_do_not_meet_is_replaced(pair: ManagedPair) -> None:
    primary, secondary = (pair.members[role] for role in Role)
    apart = replace(service(), endpoints={role: replace(end, failover_port=648) for role, end in ENDS.items()})
    for member, first in ((primary, service()), (secondary, apart)):
        member.want(first)
        member.guard.start()
        member.sidecar.start()
    for member in pair.members.values():
        reports(member, "Running", "True", "Running")
    pair.want(service(run("10.77.0.100", "10.77.0.150")))
    pair.await_normal()


def test_an_address_that_goes_away_is_told_within_a_second(normal: ManagedPair) -> None:
    member = normal.primary
    pid = member.pid
    member.namespace.ip(f"address del {PRIMARY} dev {INTERFACE}")
    reports(member, "NetworkReady", "False", "AddressMissing", within=1)
    assert member.pid == pid
    member.namespace.ip(f"address add {PRIMARY} dev {INTERFACE}")
    reports(member, "NetworkReady", "True", "Found", within=1)


def test_a_link_that_goes_down_is_told_within_a_second(normal: ManagedPair) -> None:
    member = normal.primary
    member.namespace.ip(f"link set {INTERFACE} down")
    reports(member, "NetworkReady", "False", "LinkDown", within=1)


def test_an_interface_that_was_made_anew_gets_a_server_that_listens_on_it(normal: ManagedPair) -> None:
    member = normal.primary
    before = member.guard.client.status()
    member.namespace.ip(
        f"link set {INTERFACE} down",
        f"link set {INTERFACE} name old0",
        f"address del {PRIMARY} dev old0",
        f"link add {INTERFACE} type veth peer name far0",
        f"address add {PRIMARY} dev {INTERFACE}",
        "link set far0 up",
        f"link set {INTERFACE} up",
    )
    until("another dhcpd runs", lambda: member.pid not in (0, before.pid), timeout=10)
    after = member.guard.client.status()
    assert (after.revision, after.starts) == (before.revision, before.starts + 1)
    reports(member, "NetworkReady", "True", "Found")


def test_a_missing_interface_is_told_with_what_there_is(pair: ManagedPair) -> None:
    member = pair.primary
    member.want(service(), interface="eth7")
    member.guard.start()
    member.sidecar.start()
    reports(member, "NetworkReady", "False", "InterfaceMissing")
    reports(member, "Running", "False", "NoNetwork")
    messages = [had["message"] for had in member.status["conditions"] if had["type"] == "NetworkReady"]
    assert messages == ["the node has no interface eth7; it has eth0"]


def test_paused_nothing_new_is_started(normal: ManagedPair) -> None:
    member = normal.primary
    before = member.guard.client.status()
    member.want(service(run("10.77.0.30", "10.77.0.39")), paused=True)
    until("it is told", lambda: member.status.get("observedGeneration", 0) >= 2, timeout=10)
    os.kill(before.pid, signal.SIGKILL)
    reports(member, "Running", "False", "Paused")
    runs(member, member.want(service(run("10.77.0.30", "10.77.0.39"))))


def test_without_the_api_what_runs_goes_on_and_nothing_is_started(normal: ManagedPair, clients: Clients) -> None:
    one, other = normal.primary, normal.secondary
    before = running_of(one.guard.client.status())
    with normal.api.unreachable():
        one.sidecar.signal(signal.SIGKILL)
        one.sidecar.start()
        until("the next one knows its grant", lambda: "reason=Running" in one.sidecar.said()[-2000:], timeout=15)
        assert running(one) == before
        assert serving(clients)
        # With sidecar and guard both gone nobody knows until when it was permitted.
        other.sidecar.signal(signal.SIGKILL)
        other.guard.signal(signal.SIGKILL)
        other.guard.start()
        other.sidecar.start()
        until("it waits", lambda: "reason=WaitingForGrant" in other.sidecar.said()[-2000:], timeout=15)
        assert other.pid == 0
    normal.await_normal(timeout=40)


def test_usage_is_reported_now_and_then(normal: ManagedPair, clients: Clients) -> None:
    assert len(clients.lease(hardware_addresses(20), timeout=15)) == 20
    until("20 active", lambda: normal.primary.status["pools"][0].get("active") == 20, timeout=25)
    (pool,) = normal.primary.status["pools"]
    assert pool["addresses"] == 100
    assert pool["free"] + pool["backup"] == 80


def test_at_a_small_flood_of_changes_the_status_is_written_twice_a_second_at_most(normal: ManagedPair) -> None:
    member = normal.primary
    began, before = time.monotonic(), len(normal.api.writes)
    for _ in range(15):
        member.namespace.ip(f"address del {PRIMARY} dev {INTERFACE}")
        time.sleep(0.1)  # the pace of the changes is what is tested
        member.namespace.ip(f"address add {PRIMARY} dev {INTERFACE}")
        time.sleep(0.1)
    took = time.monotonic() - began
    mine = [name for name, _ in normal.api.writes[before:] if name == member.name]
    assert 2 <= len(mine) <= 2 * took + 2
    reports(member, "NetworkReady", "True", "Found", within=2)
