"""Two real sidecars on a LAN with somebody who records, replays and forges what they say to each other."""

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGKILL

import pytest

from tests.lab.waiting import until
from tests.net.granting import QUICK
from tests.net.jig import SECRET, Jig, Namespace
from tests.net.managed import PEER_PORT, ManagedPair, Member, managed
from tests.net.services import PRIMARY, SECONDARY, service
from twinlease.api.servinglease import Phase
from twinlease.model.states import Role
from twinlease.sidecar.clock import boottime
from twinlease.sidecar.promises import Conversation, Granted, Terms, key_of

A, B = Role.PRIMARY, Role.SECONDARY
TO = (str(PRIMARY.ip), PEER_PORT)
_UDP_HEADERS = 28


@pytest.fixture
def pair(jig: Jig) -> Iterator[ManagedPair]:
    """A managed pair that is Normal/Normal and on speaking terms."""
    with managed(jig, QUICK) as made:
        made.start(service())
        for member in made.members.values():
            until("the partner is heard", lambda m=member: m.status["peer"].get("heard", False), timeout=10)  # type: ignore[misc]
        yield made


@contextmanager
def bound(namespace: Namespace, address: str, port: int) -> Iterator[socket.socket]:
    """Open a UDP socket in a namespace."""
    with namespace.entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        yield sock


def recorded(namespace: Namespace, count: int) -> list[bytes]:
    """Return the next datagrams that reach the sidecar in a namespace."""
    found: list[bytes] = []
    with namespace.entered():
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x0800))
    with sniffer:
        sniffer.settimeout(5)
        while len(found) < count:
            data = sniffer.recv(2048)
            to = PEER_PORT.to_bytes(2, "big")
            if data[9] == socket.IPPROTO_UDP and data[22:24] == to:
                found.append(data[_UDP_HEADERS:])
    return found


def left(member: Member) -> float:
    """Return for how long a member's server may answer."""
    return (member.guard.client.status().permit.deadline or 0.0) - boottime()


def refused(member: Member, reason: str) -> bool:
    """Tell whether a member tells of messages refused for a reason."""
    return member.status["peer"].get("refused", {}).get(reason, 0) > 0


def terms(pair: ManagedPair, **changes: object) -> Terms:
    """Return how the secondary stands, with changes."""
    holder, epoch = pair.operator.grant(B).holder, pair.operator.grant(B).epoch
    told = {"incarnation": holder, "epoch": epoch, "promise": 4, "max_promise": 12, "address": str(PRIMARY.ip)}
    return Terms(role=B, **{**told, **changes})  # type: ignore[arg-type]


def converse(sock: socket.socket, talk: Conversation, who: Terms) -> Granted:
    """Ask the primary's sidecar once, and return its answer."""
    sock.sendto(talk.request(who, 1.0, long=False, renounce=False), TO)
    while True:
        found = talk.take(sock.recv(1024), str(PRIMARY.ip), who, 1.0, 1.0)
        if isinstance(found, Granted):
            return found


def test_what_is_forged_replayed_reordered_or_of_an_old_epoch_is_refused_and_counted(pair: ManagedPair) -> None:
    member, other = pair.primary, pair.secondary
    recording = recorded(member.namespace, 3)
    # From elsewhere on the LAN, with a key of one's own, and noise.
    with bound(other.namespace, str(SECONDARY.ip), 0) as sock:
        sock.sendto(b"noise", TO)
        sock.sendto(secrets.token_bytes(200), TO)
        forger = Conversation(key_of("guessed"), lambda: secrets.token_hex(8))
        sock.sendto(forger.request(terms(pair), 1.0, long=True, renounce=True), TO)
        # In another order, and once more.
        for data in reversed(recording):
            sock.sendto(data, TO)
    for reason in ("Malformed", "WrongKey", "Replayed"):
        until(f"{reason} is counted", lambda r=reason: refused(member, r), timeout=5)  # type: ignore[misc]
    # With the right key, but not as it should be.
    other.sidecar.close()
    with bound(other.namespace, str(SECONDARY.ip), PEER_PORT) as sock:
        talk = Conversation(key_of(SECRET), lambda: secrets.token_hex(8))
        assert converse(sock, talk, terms(pair)).refused == "UnknownSession"
        assert converse(sock, talk, terms(pair)).seconds == 4
        assert converse(sock, talk, terms(pair, epoch=pair.operator.grant(B).epoch - 1)).refused == "OldEpoch"
        assert converse(sock, talk, terms(pair, incarnation="pod-x/00")).refused == "NotTheHolder"
        assert converse(sock, talk, terms(pair, promise=10**6)).refused == "TooLong"
    for reason in ("OldEpoch", "NotTheHolder", "TooLong"):
        until(f"{reason} is counted", lambda r=reason: refused(member, r), timeout=5)  # type: ignore[misc]


def test_who_is_in_partner_down_promises_nothing(pair: ManagedPair) -> None:
    pair.secondary.kill()
    until("it took over", lambda: pair.operator.own(A).report.state == "PartnerDown", timeout=30)
    with bound(pair.secondary.namespace, str(SECONDARY.ip), PEER_PORT) as sock:
        talk = Conversation(key_of(SECRET), lambda: secrets.token_hex(8))
        assert converse(sock, talk, terms(pair)).refused == "UnknownSession"
        # Somebody who says that a grant of later than all that is known is his.
        assert converse(sock, talk, terms(pair, epoch=99)).refused == "PartnerDown"
    assert not pair.operator.own(A).report.promising


def test_after_a_return_a_sidecar_that_begins_anew_without_the_api_promises_all_the_same(pair: ManagedPair) -> None:
    pair.secondary.kill()
    until("it took over", lambda: pair.operator.own(A).report.state == "PartnerDown", timeout=30)
    pair.secondary.new_pod()
    pair.secondary.start()
    pair.await_normal(timeout=60)
    until("both may serve", lambda: pair.operator.lease.phase is Phase.BOTH, timeout=10)
    until("it promises again", lambda: pair.operator.own(A).report.promising, timeout=10)
    before = {member.role: member.pid for member in pair.members.values()}
    with pair.api.unreachable():
        until("both have a long promise", lambda: min(map(left, pair.members.values())) > 9, timeout=15, every=0.05)
        pair.primary.sidecar.signal(SIGKILL)
        pair.primary.sidecar.start()
        later = time.monotonic() + 1.5 * pair.operator.policy.max_promise
        until("what was promised before is over", lambda: time.monotonic() > later, timeout=30, every=0.5)
        assert {member.role: member.pid for member in pair.members.values()} == before
