"""The permit and the kernel's fence around a real dhcpd: who gets an answer, and until when."""

import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.lab.shell import run
from tests.lab.waiting import until
from tests.net.client import Clients, Kind, hardware_addresses
from tests.net.fenced import ALONE, PARTNER, PORTS, boot_time, serve
from tests.net.guarded import INTERFACE, Guard, alive, as_user, confined, connection, dhcpd_of, start
from tests.net.jig import Jig, Namespace
from tests.net.services import SECONDARY
from twinlease.guard.fence import ARM_SECONDS, Fence
from twinlease.guard.selftest import leaks
from twinlease.ipc.protocol import Code, Op, ProtocolError, Request, encode_request

if TYPE_CHECKING:
    from twinlease.ipc.client import GuardStatus

CLIENT, OTHER = hardware_addresses(2, family=3)
SERVER, RELAY = "10.77.0.2", "10.77.0.9"
SLACK = 0.15
"""What a busy machine may add to any of our times, in seconds."""


def until_boot_time(when: float) -> None:
    until(f"CLOCK_BOOTTIME is {when}", lambda: boot_time() >= when, timeout=30, every=0.01)


@pytest.fixture
def guard(jig: Jig) -> Iterator[Guard]:
    """A guard that runs, in the primary's place, without a server yet."""
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as made:
        made.start()
        yield made


def served(clients: Clients) -> bool:
    """Tell whether a broadcast is answered, by a raw frame."""
    return any(reply.kind is Kind.OFFER for reply in clients.ask(CLIENT, listen=0.5))


def relayed(jig: Jig, listen: float = 0.5) -> bool:
    """Tell whether a relay agent is answered, by UDP."""
    with jig.clients.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((RELAY, 67))
        sock.settimeout(listen)
        relay = socket.inet_aton(RELAY)
        message = struct.pack("!BBBBIHH4s4s4s4s16s192x", 1, 1, 6, 1, 99, 0, 0, b"", b"", b"", relay, OTHER)
        sock.sendto(message + b"\x63\x82\x53\x63\x35\x01\x01\xff".ljust(64, b"\0"), (SERVER, 67))
        try:
            return bool(sock.recv(2000))
        except TimeoutError:
            return False


class Ear:
    """Hears everything that servers say on the clients' LAN."""

    def __init__(self, namespace: Namespace) -> None:
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self._socket.bind((INTERFACE, 0x0800))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def answers(self, seconds: float) -> int:
        """Return how many frames have come from a server's port since the last call, and within so many seconds."""
        end = time.monotonic() + seconds
        count = 0
        while select.select([self._socket], [], [], max(0.0, end - time.monotonic()))[0]:
            frame, (_, _, kind, *_) = self._socket.recvfrom(2048)
            count += kind != socket.PACKET_OUTGOING and frame[23] == socket.IPPROTO_UDP and frame[34:36] == b"\0\x43"
        return count


@pytest.fixture
def relay(jig: Jig) -> None:
    """Give the clients' side an address of its own."""
    jig.clients.ip(f"address add {RELAY}/24 dev eth0")


def ended(guard: Guard) -> tuple[str, int]:
    """Wait until the server has ended; return reason and code."""
    until("the server has ended", lambda: not guard.client.status().running, timeout=5, every=0.01)
    last = guard.client.status().last_exit
    assert last is not None
    return last.reason, last.code


def tables(namespace: Namespace) -> str:
    with namespace.entered():
        return run(["nft", "list", "ruleset"])


# --- under a permit ---------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("relay")
def test_answers_leave_only_under_a_permit(jig: Jig, guard: Guard, clients: Clients) -> None:
    status = serve(guard)
    assert (status.fence.kernel, status.fence.reason) == (True, "Proven")
    assert served(clients)
    assert relayed(jig)
    assert guard.client.close().permit.lapsed
    assert not served(clients)
    assert not relayed(jig)
    assert alive(status.pid), "a closed server is left to tell its partner what it has acknowledged"
    with pytest.raises(ProtocolError, match="killed") as caught:
        guard.client.permit(boot_time() + 60)
    assert caught.value.code == Code.LAPSED
    assert ended(guard) == ("PermitEnded", -signal.SIGKILL)
    assert served_after_a_new_start(guard, clients)


def served_after_a_new_start(guard: Guard, clients: Clients) -> bool:
    guard.client.start(start(deadline=boot_time() + 60))
    return served(clients)


def test_the_server_is_killed_when_its_permit_ends_and_not_before(guard: Guard, clients: Clients) -> None:
    serve(guard, 2.0)
    deadline = boot_time() + 2.5
    assert guard.client.permit(deadline).permit == (deadline, False)
    assert served(clients)
    until("dhcpd has ended", lambda: not guard.client.status().running, timeout=5, every=0.005)
    assert -0.001 <= boot_time() - deadline < SLACK
    assert ended(guard) == ("PermitEnded", -signal.SIGKILL)
    assert guard.client.status().permit == (0.0, False)
    assert not served(clients)
    with pytest.raises(ProtocolError, match="no server runs") as caught:
        guard.client.permit(boot_time() + 60)
    assert caught.value.code == Code.LAPSED


def test_a_start_under_a_permit_that_is_over_changes_nothing(guard: Guard) -> None:
    pid = serve(guard).pid
    over = start(deadline=boot_time())
    commands: list[Callable[[], GuardStatus]] = [
        lambda: guard.client.start(over, restart=True),
        lambda: guard.client.apply(guard.offer(ALONE + "# 2\n"), over),
    ]
    for command in commands:
        with pytest.raises(ProtocolError, match="is over") as caught:
            command()
        assert caught.value.code == Code.LAPSED
    assert (guard.client.status().pid, alive(pid)) == (pid, True)


def test_a_restart_is_one_command(guard: Guard, clients: Clients) -> None:
    before = serve(guard)
    after = guard.client.start(start(deadline=boot_time() + 60), restart=True)
    assert (alive(before.pid), alive(after.pid), after.starts) == (False, True, before.starts + 1)
    assert served(clients)


def test_a_permit_without_end(guard: Guard, clients: Clients) -> None:
    assert serve(guard, None).permit.deadline is None
    until_boot_time(boot_time() + 1.5)
    assert served(clients)
    guard.client.permit(boot_time() + 0.3)
    assert ended(guard)[0] == "PermitEnded"


# --- frozen and killed ------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("relay")
def test_what_queued_in_a_frozen_server_is_answered_to_nobody(jig: Jig, guard: Guard, clients: Clients) -> None:
    deadline = boot_time() + 2.0
    pid = guard.client.apply(guard.offer(ALONE), start(deadline=deadline)).pid
    ear = Ear(jig.clients)
    assert served(clients)
    assert ear.answers(0.0) > 0
    assert guard.process is not None
    with connection(guard) as sock, sock.makefile("rb") as replies:
        sock.sendall(encode_request(Request(1, Op.STATUS, {})))
        assert json.loads(replies.readline())["result"]["running"]
        os.kill(guard.process.pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGSTOP)
        for mac in hardware_addresses(50, family=4):
            clients.ask(mac, listen=0.0)
        assert not relayed(jig, listen=0.01)
        # A permit that was on its way when the machine stopped.
        sock.sendall(encode_request(Request(2, Op.PERMIT, {"deadline": boot_time() + 60, "steps": 0})))
        until_boot_time(deadline + ARM_SECONDS)
        os.kill(pid, signal.SIGCONT)
        assert ear.answers(1.0) == 0, "thawed before its guard"
        os.kill(guard.process.pid, signal.SIGCONT)
        assert json.loads(replies.readline())["error"]["code"] == Code.LAPSED
    assert ear.answers(0.5) == 0
    ear.close()
    assert ended(guard)[0] == "PermitEnded"
    assert served_after_a_new_start(guard, clients)


def test_a_killed_guard_leaves_the_fence_closed_for_the_next_one(jig: Jig, guard: Guard, clients: Clients) -> None:
    pid = serve(guard, None).pid
    guard.signal(signal.SIGKILL)
    until("dhcpd dies with its guard", lambda: not alive(pid), timeout=5)
    with jig.primary.namespace.entered():
        until("the fence is closed", lambda: leaks(INTERFACE) == "", timeout=2, every=0.01)
    guard.start()
    with jig.primary.namespace.entered():
        assert leaks(INTERFACE) == ""
    status = guard.client.start(start(deadline=boot_time() + 60))
    assert status.fence.reason == "Proven"
    assert served(clients)


def test_a_second_guard_beside_a_live_one_gets_no_fence(jig: Jig, guard: Guard) -> None:
    serve(guard)
    with Guard(jig.secondary.directory / "pod", jig.primary.namespace) as second:
        second.start()
        status = second.client.status()
        assert (status.alone, "packet sockets of user 0" in status.others) == (False, True)
        status = second.client.apply(second.offer(ALONE.replace("7911", "7912")), start(deadline=boot_time() + 60))
        assert (status.fence.kernel, status.fence.reason) == (False, "TableInUse")
        second.client.stop(1)
    assert guard.client.status().fence.kernel


# --- who tampers with it ----------------------------------------------------------------------------------------------
def test_a_flushed_ruleset_opens_nothing(jig: Jig, guard: Guard, clients: Clients) -> None:
    serve(guard)
    with jig.primary.namespace.entered():
        run(["nft", "flush", "ruleset"])
    assert served(clients)
    assert guard.client.close().running
    assert not served(clients)


@contextmanager
def guard_made_with(jig: Jig, arguments: str) -> Iterator[Guard]:
    """Start a guard whose parts are made otherwise."""
    program = (
        "import os, time; from pathlib import Path; from twinlease.guard.__main__ import run;"
        "from twinlease.guard.fence import Fence; from twinlease.guard.keeper import Clocks, system_clocks;"
        "from twinlease.guard.settings import from_environment;"
        f"run(from_environment(os.environ), {arguments})"
    )
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as made:
        made.start(sys.executable, "-c", program)
        yield made


@pytest.mark.parametrize(
    "tampering",
    [
        "delete table inet twinlease",
        "delete table netdev twinlease",
        "flush ruleset",
        "flush table inet twinlease",
        "flush chain netdev twinlease out",
    ],
)
def test_a_plain_table_that_goes_takes_the_server_with_it(jig: Jig, clients: Clients, tampering: str) -> None:
    with guard_made_with(jig, "Fence(owned=False)") as guard:
        status = serve(guard)
        assert (status.fence.kernel, status.fence.reason) == (True, "PlainTable")
        assert served(clients)
        with jig.primary.namespace.entered():
            run(["nft", *tampering.split()])
        assert ended(guard) == ("FenceLost", -signal.SIGKILL)


@pytest.mark.parametrize(("user", "device"), [(4242, INTERFACE), (0, "lo")])
def test_a_fence_around_somebody_else_is_no_fence(jig: Jig, user: int, device: str) -> None:
    with jig.primary.namespace.entered():
        fence = Fence(self_test=lambda _: leaks(INTERFACE))
        proven = fence.prepare(device, user, PORTS)
        assert (proven.kernel, proven.reason) == (False, "SelfTestFailed")
        assert f"a raw frame on {INTERFACE} gets out" in proven.message
        assert "ports are closed" in proven.message
        assert "a UDP packet gets out" in leaks(INTERFACE), "half a fence would be in the way"
        assert "dport 7911 drop" in tables(jig.primary.namespace)
        fence.remove()
        assert tables(jig.primary.namespace) == ""


# --- the device -------------------------------------------------------------------------------------------------------
def test_a_server_does_not_outlive_its_devices_name(jig: Jig, guard: Guard) -> None:
    serve(guard)
    jig.primary.namespace.ip("link set eth0 name eth7")
    assert ended(guard) == ("LinkReplaced", -signal.SIGKILL)


def test_a_server_does_not_outlive_its_device(jig: Jig, guard: Guard) -> None:
    serve(guard)
    jig.primary.namespace.ip("link del eth0", "link add eth0 type veth peer name far", "link set eth0 up")
    assert ended(guard)[0] in {"LinkReplaced", "Exited"}  # dhcpd may see it first


def test_a_device_that_goes_down_and_up_is_the_same(jig: Jig, guard: Guard, clients: Clients) -> None:
    pid = serve(guard).pid
    jig.primary.namespace.ip("link set eth0 down", "link set eth0 up", "link set lo down", "link set lo up")
    until("it serves again", lambda: served(clients), timeout=5)
    assert guard.client.status().pid == pid
    guard.client.close()
    assert not served(clients)


# --- the ports --------------------------------------------------------------------------------------------------------
def test_ports_are_open_to_whom_they_are_meant_for(jig: Jig, guard: Guard) -> None:
    own = jig.primary.namespace
    with own.entered(), socket.create_server(("0.0.0.0", 647)), socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("0.0.0.0", 648))
        peer.settimeout(0.3)
        jig.clients.ip(f"address add {RELAY}/24 dev eth0")
        assert reaches(jig.clients, SERVER, 647), "open as long as there is no fence"
        serve(guard, fence=PORTS._replace(partner=""))
        assert [reaches(own, to, port) for to in (SERVER, "127.0.0.1") for port in (647, 7911)] == [True] * 4
        assert [reaches(jig.secondary.namespace, SERVER, port) for port in (647, 7911)] == [False, False]
        guard.client.start(start(deadline=None, fence=PORTS), restart=True)
        assert [reaches(jig.secondary.namespace, SERVER, port) for port in (647, 7911)] == [True, False]
        assert [reaches(jig.clients, SERVER, port) for port in (647, 7911)] == [False, False]
        assert [heard(peer, jig.clients), heard(peer, jig.secondary.namespace), heard(peer, own)] == [False, True, True]
    assert str(SECONDARY.ip) == PARTNER


def reaches(namespace: Namespace, address: str, port: int) -> bool:
    """Tell whether a TCP port answers."""
    with namespace.entered():
        try:
            socket.create_connection((address, port), timeout=0.3).close()
        except TimeoutError:
            return False
    return True


def heard(peer: socket.socket, namespace: Namespace) -> bool:
    """Tell whether a datagram from a namespace gets in."""
    with namespace.entered(), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"?", (SERVER, 648))
    try:
        return bool(peer.recv(10))
    except TimeoutError:
        return False


# --- without the kernel -----------------------------------------------------------------------------------------------
def test_without_net_admin_it_serves_under_the_process_permit_and_says_so(jig: Jig, clients: Clients) -> None:
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as guard:
        guard.start("setpriv", "--bounding-set=-net_admin", "--inh-caps=-all", "--", sys.executable)
        status = serve(guard, 2.0)
        assert (status.fence.kernel, status.fence.reason) == (False, "NoCapability")
        assert "CAP_NET_ADMIN" in status.fence.message
        assert tables(jig.primary.namespace) == ""
        assert served(clients)
        assert ended(guard)[0] == "PermitEnded"
        serve(guard)
        guard.client.close()
        assert ended(guard) == ("PermitEnded", -signal.SIGKILL), "where the kernel does not, only its end silences it"


def test_where_the_fence_is_relied_on_nothing_starts_without_it(jig: Jig) -> None:
    relied_on = PORTS._replace(proven=True)
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as guard:
        guard.start()
        assert serve(guard, fence=relied_on).fence.kernel
        guard.signal(signal.SIGKILL)
        guard.start("setpriv", "--bounding-set=-net_admin", "--inh-caps=-all", "--", sys.executable)
        leases = (guard.lease_dir / "dhcpd.leases").read_bytes()
        deadline = boot_time() + 60
        commands: list[Callable[[], GuardStatus]] = [
            lambda: guard.client.start(start("empty", deadline=deadline, fence=relied_on)),
            lambda: guard.client.apply(guard.offer(ALONE + "# 2\n"), start(deadline=deadline, fence=relied_on)),
        ]
        for command in commands:
            with pytest.raises(ProtocolError, match="CAP_NET_ADMIN") as caught:
                command()
            assert caught.value.code == Code.UNPROVEN
        status = guard.client.status()
        assert (status.running, status.starts, status.fence.reason) == (False, 0, "NoCapability")
        assert (guard.lease_dir / "dhcpd.leases").read_bytes() == leases, "what was refused has changed nothing"
        assert guard.client.start(start(deadline=deadline, fence=PORTS)).running


@pytest.mark.usefixtures("relay")
def test_the_fence_holds_for_the_user_and_the_rights_of_a_pod(jig: Jig, clients: Clients) -> None:
    with confined(jig) as guard, as_user():
        status = serve(guard)
        assert (status.fence.kernel, status.fence.reason) == (True, "Proven")
        with as_root():
            assert served(clients)
            assert relayed(jig)
        guard.client.close()
        with as_root():
            assert not served(clients)
            assert not relayed(jig)
            assert alive(dhcpd_of(guard))
        assert guard.client.stop(5).alone


@contextmanager
def as_root() -> Iterator[None]:
    """Act as root for the length of a block within ``as_user``."""
    uid, gid = os.geteuid(), os.getegid()
    os.seteuid(0)
    os.setegid(0)
    try:
        yield
    finally:
        os.setegid(gid)
        os.seteuid(uid)


# --- clocks, and the end ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("by", [3600.0, -61.0])
def test_a_step_of_the_wall_clock_cuts_the_permit_short(jig: Jig, by: float) -> None:
    step = jig.directory / "step"
    step.write_text("0", encoding="ascii")
    step.chmod(0o644)
    clocks = f"clocks=Clocks(system_clocks().boot, lambda: time.time() + float(Path({str(step)!r}).read_text()))"
    with guard_made_with(jig, clocks) as guard:
        serve(guard)

        def stepped(clock: float) -> bool:
            step.with_suffix(".new").write_text(str(clock), encoding="ascii")
            step.with_suffix(".new").replace(step)
            before = guard.client.status().clock_steps
            until("it was seen", lambda: guard.client.status().clock_steps == before, timeout=2, every=0.01)
            return True

        assert stepped(by)
        status = guard.client.status()
        assert status.permit.deadline is not None
        assert status.permit.deadline < boot_time() + 1.0
        deadline = boot_time() + 60
        assert guard.client.permit(deadline).permit == status.permit, "reckoned before it"
        assert guard.client.permit(deadline, 1).permit == (deadline, False), "asked the API anew"
        assert stepped(0.0)
        assert ended(guard) == ("ClockStepped", -signal.SIGKILL)
        assert guard.client.status().clock_steps == 2


def test_a_clean_end_lets_the_server_finish_and_takes_the_fence_down(jig: Jig, guard: Guard) -> None:
    pid = serve(guard).pid
    assert guard.process is not None
    guard.process.send_signal(signal.SIGTERM)
    with jig.primary.namespace.entered():
        until("the fence is closed", lambda: leaks(INTERFACE) == "", timeout=2, every=0.01)
    assert alive(pid), "it has half a second to tell its partner what it has acknowledged"
    assert guard.process.wait(10) == 0
    assert not alive(pid)
    assert "reason=Stopped" in guard.said()
    assert tables(jig.primary.namespace) == ""
