"""A pair of real dhcpds on our configurations, seen by real clients and through our control."""

import signal
import time
from collections import Counter
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.lab.shell import run as run_program
from tests.lab.waiting import until
from tests.net.client import Clients, Kind, hardware_addresses
from tests.net.jig import NORMAL, SECRET, Jig, Server, await_states, closing, states
from tests.net.services import NO_POOLS, PRIMARY, SECONDARY, SUBNET, service
from tests.unit.engines.cases import run
from twinlease.engines.protocol import ControlError
from twinlease.model.service import Reservation
from twinlease.model.states import FailoverState, Role

INTERRUPTED = (FailoverState.COMMUNICATIONS_INTERRUPTED, FailoverState.NORMAL)


def test_a_fresh_pair_is_normal_within_seconds_and_tells_all(jig: Jig) -> None:
    begin = time.monotonic()
    before = int(time.time())
    jig.start(service())
    assert time.monotonic() - begin < 10
    for server in jig.servers.values():
        with closing(server.control()) as control:
            # The first balancing is on its way when both are normal already.
            until("no unacknowledged update", lambda: control.failover().unacked_updates == 0, timeout=10)
            status = control.failover()
        assert (status.local, status.partner) == NORMAL
        assert before <= status.since <= time.time()
        assert before <= status.partner_since <= time.time()
        assert status.mclt == 30


def test_each_server_answers_its_share_and_every_client_gets_an_address_of_its_own(jig: Jig, clients: Clients) -> None:
    jig.start(service())
    macs = hardware_addresses(50)
    leases = clients.lease(macs, timeout=20)
    assert len(leases) == 50
    assert len({ack.address for ack in leases.values()}) == 50
    assert all(ack.address in run("10.77.0.100", "10.77.0.199") for ack in leases.values())
    servers = Counter(ack.server for ack in leases.values())
    assert set(servers) == {PRIMARY.ip, SECONDARY.ip}
    assert min(servers.values()) >= 10
    # mclt bounds a first lease although the pool asks for more: else the partner could not know when it ends.
    assert all(ack.lease_seconds <= 30 for ack in leases.values())


def test_usage_is_what_was_leased(jig: Jig, clients: Clients) -> None:
    offered = service()
    pools = {"lan": offered.pools[0].ranges}
    jig.start(offered)
    counters = [server.engine.lease_counter(server.lease_file) for server in jig.servers.values()]
    for counter in counters:
        counts = counter.count(pools)["lan"]
        assert counts["active"] == 0
        assert counts["free"] + counts["backup"] == 100
    assert len(clients.lease(hardware_addresses(30), timeout=20)) == 30
    # The partner's file follows its memory by seconds.
    until("30 active", lambda: all(c.count(pools)["lan"]["active"] == 30 for c in counters), timeout=10)
    for counter in counters:
        counts = counter.count(pools)["lan"]
        assert sum(counts.values()) == 100
        assert counts["free"] + counts["backup"] == 70
        counter.close()


def test_an_address_outside_the_ranges_is_never_offered(jig: Jig, clients: Clients) -> None:
    jig.start(service(run("10.77.0.100", "10.77.0.109"), run("10.77.0.111", "10.77.0.112")))
    leases = clients.lease(hardware_addresses(20), timeout=6)
    given = {ack.address for ack in leases.values()}
    assert IPv4Address("10.77.0.110") not in given
    assert len(given) == len(leases) == 12


def test_a_reservation_is_honoured_by_each_server_alone(jig: Jig, clients: Clients) -> None:
    mac = hardware_addresses(1, family=9)[0]
    address = IPv4Address("10.77.0.150")
    reservation = Reservation(name="nas", hardware_address=mac.hex(":"), address=address, hostname="nas")
    jig.start(service(run("10.77.0.100", "10.77.0.149"), reservations=(reservation,)))
    for alone, other in ((jig.primary, jig.secondary), (jig.secondary, jig.primary)):
        other.stop()
        ack = clients.lease([mac], timeout=10)[mac]
        assert ack.address == address
        assert ack.server == (PRIMARY if alone is jig.primary else SECONDARY).ip
        assert ack.options[12] == b"nas"
        other.start()
        jig.await_normal()


def test_a_client_that_knows_no_lease_time_gets_nothing_not_even_its_reservation(jig: Jig, clients: Clients) -> None:
    mac, other = hardware_addresses(2, family=9)
    reservation = Reservation(name="nas", hardware_address=mac.hex(":"), address=IPv4Address("10.77.0.150"))
    jig.start(service(run("10.77.0.100", "10.77.0.149"), reservations=(reservation,)))
    assert clients.bootp(mac, listen=2) == []
    assert clients.bootp(other, listen=1) == []
    for server in jig.servers.values():
        assert f"BOOTREQUEST from {mac.hex(':')} via eth0: bootp disallowed" in server.said()
    assert {reply.kind for reply in clients.ask(mac, listen=2)} == {Kind.OFFER}


@pytest.mark.parametrize("victim", Role)
def test_a_kill_shows_within_a_second_and_so_does_the_return(jig: Jig, victim: Role) -> None:
    jig.start(service())
    with closing(jig.servers[victim.other].control()) as control:
        assert states(control) == NORMAL
        begin = time.monotonic()
        jig.servers[victim].signal(signal.SIGKILL)
        await_states(control, INTERRUPTED, timeout=1)
        assert time.monotonic() - begin < 1
        jig.servers[victim].start()
        await_states(control, NORMAL, timeout=20)


def test_control_reconnects_after_a_restart_of_dhcpd(jig: Jig) -> None:
    jig.start(service())
    with closing(jig.primary.control()) as control:
        control.failover()
        jig.primary.stop()
        with pytest.raises(ControlError):
            control.failover()
        with pytest.raises(ControlError, match="refused"):
            control.failover()
        jig.primary.start()
        await_states(control, NORMAL, timeout=20)


def test_a_wrong_key_is_refused(jig: Jig) -> None:
    jig.start(service())
    other = "AAAAAAAAAAAAAAAAAAAAAA=="
    with closing(jig.primary.control(other)) as control, pytest.raises(ControlError, match="key"):
        control.failover()
    with closing(jig.primary.control(SECRET)) as control:
        assert states(control) == NORMAL


def test_a_frozen_dhcpd_is_an_error_in_time(jig: Jig) -> None:
    jig.start(service())
    with closing(jig.primary.control(timeout=0.3)) as control:
        control.failover()
        jig.primary.signal(signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(ControlError, match=r"no answer within 0\.3 s"):
            control.failover()
        assert time.monotonic() - begin < 1
        jig.primary.signal(signal.SIGCONT)


def test_an_unknown_relationship_is_an_error(jig: Jig) -> None:
    jig.start(service())
    elsewhere = replace(NO_POOLS, failover=replace(NO_POOLS.failover, name="elsewhere"))
    jig.primary.configure(elsewhere)  # the running server keeps its own
    with closing(jig.primary.control()) as control, pytest.raises(ControlError, match="'elsewhere'"):
        control.failover()


def test_an_idle_pair_costs_next_to_nothing(jig: Jig) -> None:
    jig.start(service())
    before = [server.cpu_seconds() for server in jig.servers.values()]
    time.sleep(2)  # the span that is measured
    after = [server.cpu_seconds() for server in jig.servers.values()]
    assert max(b - a for a, b in zip(before, after, strict=True)) < 0.1


def test_a_poll_costs_less_than_two_milliseconds(jig: Jig) -> None:
    jig.start(service())
    with closing(jig.primary.control()) as control:
        control.failover()
        begin = time.process_time()
        for _ in range(200):
            control.failover()
        each = (time.process_time() - begin) / 200
    assert each < 0.002, f"{each * 1000:.2f} ms"


def test_a_stripped_lease_file_keeps_its_leases(jig: Jig, clients: Clients) -> None:
    mac, other = hardware_addresses(2)
    address = IPv4Address("10.77.0.50")
    jig.start(service(reservations=(Reservation(name="nas", hardware_address=other.hex(":"), address=address),)))
    before = clients.lease([mac], timeout=10)[mac]
    for server in jig.servers.values():
        server.stop()
        host = next(line for line in _config(server).splitlines() if line.startswith("host ")).removesuffix(" {")
        # A deleted record kills the host of that name in the configuration, whatever the configuration says.
        with server.lease_file.open("a") as file:
            file.write(f"{host} {{\n  dynamic;\n  deleted;\n}}\ngroup left {{\n  dynamic;\n}}\n")
    for server in jig.servers.values():
        server.start()
        assert "host " not in server.lease_file.read_text()
    jig.await_normal()
    assert clients.lease([mac], timeout=10)[mac].address == before.address
    assert clients.lease([other], timeout=10)[other].address == address


def _config(server: Server) -> str:
    return (server.directory / "dhcpd.conf").read_text()


def test_a_pair_without_pools_meets_and_takes_its_first_pool_one_server_at_a_time(jig: Jig, clients: Clients) -> None:
    jig.start(NO_POOLS)
    mac = hardware_addresses(1)[0]
    assert clients.ask(mac, listen=1.5, secs=10) == []
    # A server that serves nobody on this LAN must not send its clients away either.
    assert clients.reboot(mac, IPv4Address("192.0.2.7"), listen=1) == []
    for server in (jig.secondary, jig.primary):
        server.stop()
        server.configure(service())
        server.start()
        jig.await_normal()
    leases = clients.lease(hardware_addresses(20), timeout=20)
    assert {ack.address in SUBNET for ack in leases.values()} == {True}
    assert {ack.server for ack in leases.values()} == {PRIMARY.ip, SECONDARY.ip}
    assert {reply.kind for reply in clients.reboot(mac, IPv4Address("192.0.2.7"), listen=1)} == {Kind.NAK}


def test_real_clients_are_served(jig: Jig, tmp_path: Path) -> None:
    jig.start(service())
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\n[ "$1" = bound ] && echo "$ip $router" > {tmp_path}/udhcpc\nexit 0\n')
    script.chmod(0o755)
    with jig.clients.entered():
        run_program(["udhcpc", "-i", "eth0", "-f", "-n", "-q", "-t", "10", "-T", "1", "-s", str(script)])
        leases = tmp_path / "dhclient.leases"
        run_program(
            [
                *("dhclient", "-4", "-1", "-lf", str(leases), "-pf", str(tmp_path / "pid")),
                *("-sf", "/bin/true", "-cf", "/dev/null", "eth0"),
            ]
        )
        run_program(["dhclient", "-x", "-pf", str(tmp_path / "pid"), "-lf", str(leases), "-sf", "/bin/true", "eth0"])
    address, router = (tmp_path / "udhcpc").read_text().split()
    assert IPv4Address(address) in run("10.77.0.100", "10.77.0.199")
    assert router == "10.77.0.1"
    assert "fixed-address 10.77.0.1" in leases.read_text()
