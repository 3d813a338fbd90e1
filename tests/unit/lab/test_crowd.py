"""One made-up client: what it says when, and what it makes of answers. Time is a number."""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest

from tests.lab.crowd import Habit, Pace, Simulated, State
from tests.lab.dhcp import BROADCAST, Kind, address_bytes
from tests.lab.wire import EVERYWHERE, NOWHERE, Packet

MAC, SERVER_MAC = bytes.fromhex("0a0000000001"), bytes.fromhex("020000000001")
A, X = "10.0.0.1", "10.0.0.100"
PACE = Pace(retry=2.0, longest_retry=8.0, stay=(20.0, 20.0), away=(3.0, 3.0))


@dataclass
class Life:
    """A client, and a server that answers when told to."""

    client: Simulated
    now: float = 0.0
    sent: list[tuple[float, Packet]] = field(default_factory=list)

    def until(self, time: float) -> list[tuple[float, Packet]]:
        """Let time pass; return what the client said meanwhile."""
        before = len(self.sent)
        while self.client.due <= time:
            self.now = self.client.due
            self._said(self.client.act(self.now))
        self.now = time
        return self.sent[before:]

    def answer(self, kind: Kind, lease: int = 40, xid: int | None = None) -> None:
        """Answer the last question."""
        question = self.sent[-1][1]
        options = {54: address_bytes(A), 51: lease.to_bytes(4, "big")}
        given = NOWHERE if kind is Kind.NAK else X
        packet = Packet(
            kind, question.xid if xid is None else xid, MAC, yiaddr=given, options=options, source_mac=SERVER_MAC
        )
        self._said(self.client.hear(packet, self.now))

    def _said(self, packets: list[Packet]) -> None:
        self.sent += [(self.now, packet) for packet in packets]


def living(habit: Habit = Habit.STAY) -> Life:
    """Return a client that is about to ask."""
    return Life(Simulated(MAC, habit, Random(7), PACE, identified=True, broadcast=True, due=0.0))  # noqa: S311 - a test


def bound(habit: Habit = Habit.STAY, lease: int = 40) -> Life:
    """Return a client that has its address since 0.0."""
    life = living(habit)
    life.until(0.0)
    life.answer(Kind.OFFER)
    life.answer(Kind.ACK, lease)
    assert life.client.state is State.BOUND
    return life


def kinds(said: list[tuple[float, Packet]]) -> list[Kind]:
    return [packet.kind for _, packet in said]


def test_it_discovers_requests_and_is_bound() -> None:
    life = bound()
    (_, discover), (_, request) = life.sent
    assert (discover.kind, request.kind) == (Kind.DISCOVER, Kind.REQUEST)
    assert (request.requested, request.server, request.ciaddr, request.xid) == (X, A, NOWHERE, discover.xid)
    assert request.client_id == b"\x01" + MAC
    assert request.broadcast
    assert life.client.holds(X, 39.9)
    assert not life.client.holds(X, 40.0)


def test_unanswered_it_asks_again_ever_slower_and_says_for_how_long() -> None:
    said = living().until(40.0)
    assert set(kinds(said)) == {Kind.DISCOVER}
    times = [time for time, _ in said]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert [round(wait / base, 0) for wait, base in zip(waits, (2, 4, 8, 8), strict=False)] == [1, 1, 1, 1]
    assert [packet.seconds for _, packet in said] == [int(time) for time in times]


def test_an_offer_that_comes_to_nothing_is_given_up() -> None:
    life = living()
    life.until(0.0)
    life.answer(Kind.OFFER)
    said = life.until(60.0)
    assert kinds(said)[:4] == [Kind.REQUEST, Kind.REQUEST, Kind.REQUEST, Kind.DISCOVER]
    assert said[3][1].xid != said[2][1].xid
    assert len(life.client.exchanges) == 1


def test_it_renews_at_half_time_with_its_server_alone_and_rebinds_with_all() -> None:
    life = bound()
    said = life.until(39.9)
    assert said[0][0] == 20.0
    for time, packet in said:
        unicast = time < 35.0
        assert (packet.kind, packet.ciaddr, packet.source, packet.requested) == (Kind.REQUEST, X, X, "")
        assert packet.target == (A if unicast else EVERYWHERE)
        assert packet.target_mac == (SERVER_MAC if unicast else BROADCAST)
    assert said[-1][0] >= 35.0


def test_the_lease_counts_from_when_the_request_was_sent() -> None:
    life = bound()
    life.until(20.0)
    life.now = 21.5
    life.answer(Kind.ACK)
    assert life.client.until == 60.0
    assert life.until(45.0)[0][0] == 40.0


def test_at_the_end_of_its_lease_it_stops_and_begins_anew() -> None:
    life = bound()
    said = life.until(40.0)
    assert said[-1][1].kind is Kind.DISCOVER
    assert not life.client.holds(X, 40.0)
    assert [(each.purpose, each.outcome) for each in life.client.exchanges] == [
        ("new", "ack"), ("renew", "lost"), ("new", ""),
    ]  # fmt: skip


def test_an_hours_lease_is_left_alone_for_half_an_hour() -> None:
    life = bound(lease=3600)
    assert life.until(1799.0) == []
    assert kinds(life.until(1800.0)) == [Kind.REQUEST]


@pytest.mark.parametrize("when", [20.0, 36.0], ids=["renewing", "rebinding"])
def test_refused_it_stops_at_once_and_begins_anew(when: float) -> None:
    life = bound()
    life.until(when)
    life.answer(Kind.NAK)
    assert not life.client.holds(X, when)
    said = life.until(when + 1)
    assert kinds(said) == [Kind.DISCOVER]
    assert [each.outcome for each in life.client.exchanges] == ["ack", "nak", ""]


def test_a_refusal_after_the_ack_is_ignored() -> None:
    life = bound()
    life.answer(Kind.NAK)
    assert life.client.holds(X, 0.0)


def test_answers_to_others_or_to_old_questions_are_ignored() -> None:
    life = living()
    life.until(0.0)
    life.answer(Kind.OFFER, xid=life.sent[0][1].xid ^ 1)
    life.answer(Kind.ACK)  # nothing was requested
    assert kinds(life.sent) == [Kind.DISCOVER]
    assert life.client.hear(Packet(Kind.OFFER, life.sent[0][1].xid, SERVER_MAC, yiaddr=X), 0.0) == []


@pytest.mark.parametrize("lease", [0, 2])
def test_a_lease_that_is_over_when_it_comes_is_none(lease: int) -> None:
    life = living()
    life.until(0.0)
    life.answer(Kind.OFFER)
    life.now = 2.0
    life.answer(Kind.ACK, lease)
    assert life.client.state is State.REQUESTING


def test_a_rebooter_asks_for_what_it_had_again_and_again() -> None:
    life = bound(Habit.REBOOT, lease=30)
    for begin in (0.0, 23.0):
        life.until(begin + 20.5)
        assert not life.client.holds(X, life.now)
        ((time, packet),) = life.until(begin + 23.0)
        assert (time, packet.kind, packet.requested) == (begin + 23.0, Kind.REQUEST, X)
        assert (packet.server, packet.ciaddr, packet.target) == ("", NOWHERE, EVERYWHERE)
        life.answer(Kind.ACK, 30)
        assert life.client.holds(X, life.now)


def test_a_rebooter_that_nobody_answers_goes_on_with_its_lease_to_its_end() -> None:
    life = bound(Habit.REBOOT, lease=100)
    life.until(50.0)
    assert life.client.holds(X, 50.0)
    assert [each.outcome for each in life.client.exchanges] == ["ack", "silence", ""]  # T1 came, it renews
    life.until(100.0)
    assert not life.client.holds(X, 100.0)


def test_a_rebooter_that_is_refused_begins_anew() -> None:
    life = bound(Habit.REBOOT)
    life.until(23.0)
    life.answer(Kind.NAK)
    assert kinds(life.until(24.0)) == [Kind.DISCOVER]


def test_a_releaser_gives_its_address_back_and_comes_again_as_new() -> None:
    life = bound(Habit.RELEASE, lease=60)
    ((time, release),) = life.until(20.0)
    assert (time, release.kind, release.ciaddr, release.server) == (20.0, Kind.RELEASE, X, A)
    assert (release.target, release.target_mac, release.client_id) == (A, SERVER_MAC, b"\x01" + MAC)
    assert not life.client.holds(X, 20.0)
    assert kinds(life.until(23.0)) == [Kind.DISCOVER]


def test_a_vanisher_is_never_heard_of_again() -> None:
    life = bound(Habit.VANISH, lease=60)
    assert life.until(1e6) == []
    assert (life.client.state, life.client.due) == (State.GONE, math.inf)
    assert not life.client.holds(X, 21.0)
