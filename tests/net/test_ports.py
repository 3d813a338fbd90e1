"""Who reaches the ports of a fenced server: its partner and its own machine, and nobody else at any time."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from tests.lab.shell import run
from tests.lab.waiting import until
from tests.net.fenced import PORTS, boot_time
from tests.net.guarded import OPEN, Guard, start
from tests.net.jig import NORMAL, Jig, Namespace, await_states, closing
from tests.net.services import PRIMARY, SECONDARY, service
from twinlease.ipc.client import Start
from twinlease.ipc.protocol import FenceSpec
from twinlease.model.states import Role

NODE_ON_LAN, PARTNER = str(PRIMARY.ip), str(SECONDARY.ip)
NODE_FOR_PODS, POD, STRANGER = "10.244.0.1", "10.244.0.2", "10.77.0.9"
NODE = (NODE_ON_LAN, NODE_FOR_PODS)
"""Both addresses of the primary's node."""
_PATIENCE_SECONDS = 0.15


class Reached(NamedTuple):
    """A port that somebody reached."""

    who: str
    address: str
    port: int


class Scanner(threading.Thread):
    """Tries the TCP ports again and again, from one place."""

    def __init__(self, who: str, where: Namespace) -> None:
        super().__init__(name=f"scan {who}", daemon=True)
        self.reached: list[Reached] = []
        self.rounds = 0
        self._who, self._where = who, where
        self._ending = threading.Event()

    def run(self) -> None:
        """Scan until told to stop."""
        with self._where.entered():
            while not self._ending.is_set():
                for address in NODE:
                    self.reached += [Reached(self._who, address, port) for port in _open(address)]
                self.rounds += 1

    def stop(self) -> None:
        """Stop, and wait for that."""
        self._ending.set()
        self.join(10)


def _open(address: str) -> list[int]:
    """Return which of the TCP ports answer, as a port scanner finds out: all are tried at once."""
    found = []
    tries = []
    for port in (PORTS.omapi_port, PORTS.failover_port):
        sock = socket.socket()
        sock.settimeout(0)
        sock.connect_ex((address, port))
        tries.append((port, sock))
    time.sleep(_PATIENCE_SECONDS)
    for port, sock in tries:
        with sock:
            try:
                sock.getpeername()
            except OSError:  # no answer, or a refusal
                continue
            found.append(port)
    return found


@pytest.fixture
def pod(jig: Jig) -> Iterator[Namespace]:
    """Another pod of the primary's node: behind a veth of the node, with an address that is not of the LAN."""
    namespace = Namespace()
    namespace.ip(f"link add eth0 type veth peer name pod0 netns {jig.primary.namespace.path}")
    jig.primary.namespace.ip(f"address add {NODE_FOR_PODS}/24 dev pod0", "link set pod0 up")
    namespace.ip(f"address add {POD}/24 dev eth0", "link set eth0 up", f"route add default via {NODE_FOR_PODS}")
    yield namespace
    namespace.close()


@pytest.fixture
def stranger(jig: Jig) -> Namespace:
    """Somebody else on the LAN, who knows the way to the node's other address too."""
    jig.clients.ip(f"address add {STRANGER}/24 dev eth0", f"route add default via {NODE_ON_LAN}")
    return jig.clients


@contextmanager
def scanned(places: dict[str, Namespace]) -> Iterator[Sequence[Scanner]]:
    """Scan from everywhere for the length of a block."""
    scanners = [Scanner(who, where) for who, where in places.items()]
    for scanner in scanners:
        scanner.start()
    try:
        yield scanners
    finally:
        for scanner in scanners:
            scanner.stop()


def scanned_once_more(scanners: Sequence[Scanner]) -> None:
    """Wait until everybody has tried every port once more from the beginning."""
    before = [scanner.rounds for scanner in scanners]
    for scanner, rounds in zip(scanners, before, strict=True):
        until("a round is over", lambda s=scanner, r=rounds: s.rounds > r + 1, timeout=10)  # type: ignore[misc]


def linked(jig: Jig) -> None:
    """Wait until the partner says that both are normal: its connection to the failover port is there."""
    with closing(jig.secondary.control()) as control:
        await_states(control, NORMAL, timeout=20)


@pytest.fixture
def guard(jig: Jig) -> Iterator[Guard]:
    """The primary under a guard, normal with its partner."""
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as made:
        made.start()
        made.client.apply(made.offer(made.engine.render(service(), Role.PRIMARY)), under_permit())
        jig.secondary.configure(service())
        jig.secondary.start()
        linked(jig)
        yield made


def under_permit(fence: FenceSpec = PORTS) -> Start:
    """Return how the primary is started."""
    return start(deadline=boot_time() + 120, fence=fence)


OPEN_PORTS = {(NODE_ON_LAN, PORTS.failover_port), *((address, PORTS.omapi_port) for address in NODE)}
"""Where dhcpd listens: for its partner at the address that its configuration names, for OMAPI at every one."""
EVERYTHING = {Reached(who, address, port) for who in ("stranger", "pod") for address, port in OPEN_PORTS}


def test_a_scan_from_the_lan_and_from_a_pod_finds_nothing_at_any_time(
    jig: Jig, guard: Guard, stranger: Namespace, pod: Namespace
) -> None:
    places = {"stranger": stranger, "pod": pod}
    guard.client.start(under_permit(OPEN), restart=True)
    with scanned(places) as scanners:
        scanned_once_more(scanners)
    assert {each for scanner in scanners for each in scanner.reached} == EVERYTHING, "without the fence all is open"
    guard.client.start(under_permit(), restart=True)
    linked(jig)
    with scanned(places) as scanners:
        scanned_once_more(scanners)
        for _ in range(3):
            guard.client.start(under_permit(), restart=True)
            scanned_once_more(scanners)
        linked(jig)
        with jig.primary.namespace.entered():
            run(["nft", "flush", "ruleset"])
        scanned_once_more(scanners)
        guard.client.start(under_permit(), restart=True)
        linked(jig)
        guard.signal(signal.SIGKILL)
        scanned_once_more(scanners)
        guard.start()
        guard.client.start(under_permit())
        scanned_once_more(scanners)
        linked(jig)
    assert [scanner.reached for scanner in scanners] == [[], []]


def test_after_tables_that_anybody_may_flush_are_made_anew_the_ports_are_closed_again(
    jig: Jig, guard: Guard, stranger: Namespace, pod: Namespace
) -> None:
    guard.signal(signal.SIGTERM)  # and with it go the tables that are its own
    program = (
        "import os; from twinlease.guard.__main__ import run; from twinlease.guard.fence import Fence;"
        "from twinlease.guard.settings import from_environment; run(from_environment(os.environ), Fence(owned=False))"
    )
    guard.start(sys.executable, "-c", program)
    assert guard.client.start(under_permit()).fence.reason == "PlainTable"
    with jig.primary.namespace.entered():
        run(["nft", "flush", "ruleset"])
    until("the server is killed", lambda: not guard.client.status().running, timeout=5, every=0.01)
    guard.client.start(under_permit())
    with scanned({"stranger": stranger, "pod": pod}) as scanners:
        linked(jig)
        scanned_once_more(scanners)
    assert [scanner.reached for scanner in scanners] == [[], []]


def test_the_sidecars_port_hears_the_partner_only(jig: Jig, guard: Guard, stranger: Namespace, pod: Namespace) -> None:
    with jig.primary.namespace.entered():
        sock = socket.socket(type=socket.SOCK_DGRAM)
    with sock:
        sock.bind(("0.0.0.0", PORTS.peer_port))
        sock.settimeout(5)
        for restarted in (False, True):
            if restarted:
                guard.client.start(under_permit(), restart=True)
            # The partner's comes last, and what comes before it was sent before it.
            for where in (stranger, pod, jig.secondary.namespace):
                with where.entered(), socket.socket(type=socket.SOCK_DGRAM) as sender:
                    for address in NODE if where is not jig.secondary.namespace else (NODE_ON_LAN,):
                        sender.sendto(b"?", (address, PORTS.peer_port))
            assert sock.recvfrom(10)[1][0] == PARTNER
