"""What the two sidecars say to each other, and what they do not take."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from twinlease.model.states import Role
from twinlease.sidecar.promises import (
    LARGEST_SECONDS,
    MAX_BYTES,
    MESSAGES_PER_SECOND,
    Conversation,
    Granted,
    Pledge,
    Terms,
    key_of,
)

KEY = key_of("c2VjcmV0")
A = Terms(
    role=Role.PRIMARY,
    incarnation="a" * 36 + "/" + "0" * 32,
    epoch=5,
    partner="b" * 36 + "/" + "1" * 32,
    partner_epoch=6,
    lease_epoch=6,
    address="10.0.0.3",
    asks=True,
    promise=240,
    max_promise=1800,
    refuses="",
)
B = replace(
    A, role=Role.SECONDARY, incarnation=A.partner, epoch=6, partner=A.incarnation, partner_epoch=5, address="10.0.0.2"
)


def talker(key: bytes = KEY, name: str = "s") -> Conversation:
    numbers = itertools.count()
    return Conversation(key, lambda: f"{name}{next(numbers):015d}")


class Talk:
    """A asks and B answers; both clocks are given."""

    def __init__(self, a: Terms = A, b: Terms = B) -> None:
        self.a, self.b = talker(name="a"), talker(name="b")
        self.terms_a, self.terms_b = a, b
        self.now = 100.0

    def ask(self, *, long: bool = False, renounce: bool = False) -> bytes:
        """Return A's next request, a second later."""
        self.now += 1
        return self.a.request(self.terms_a, self.now, long=long, renounce=renounce)

    def hear(self, data: bytes, source: str = "10.0.0.2") -> Pledge | Granted | bytes | None:
        """Have B take a message."""
        return self.b.take(data, source, self.terms_b, self.now, 6000.0 + self.now)

    def back(self, data: bytes, source: str = "10.0.0.3") -> Pledge | Granted | bytes | None:
        """Have A take a message."""
        return self.a.take(data, source, self.terms_a, self.now, 5000.0 + self.now)

    def greet(self) -> "Talk":
        """Have A learn B's session."""
        refusal = self.hear(self.ask())
        assert isinstance(refusal, bytes)
        found = self.back(refusal)
        assert isinstance(found, Granted)
        assert (found.seconds, found.refused) == (0, "UnknownSession")
        return self

    def grant(self, data: bytes) -> bytes:
        """Have B grant a request."""
        pledge = self.hear(data)
        assert isinstance(pledge, Pledge)
        return self.b.reply(pledge.request, self.terms_b, 6000.0 + self.now, granted=pledge.seconds)


@pytest.fixture
def talk() -> Talk:
    """Two who know each other."""
    return Talk().greet()


def test_a_promise_counts_from_the_moment_of_asking(talk: Talk) -> None:
    request = talk.ask()
    sent = talk.now
    reply = talk.grant(request)
    talk.now += 7
    found = talk.back(reply)
    assert isinstance(found, Granted)
    assert (found.asked, found.seconds, found.refused) == (sent, 240, "")
    assert abs(found.clock.offset - 1000) <= 4
    assert (found.clock.trip, found.clock.at) == (7, talk.now)
    assert talk.a.heard == talk.now
    assert not talk.a.refused
    assert not talk.b.refused


def test_who_wants_nothing_is_told_the_time_whoever_it_is(talk: Talk) -> None:
    for terms in (A, replace(A, epoch=0), replace(A, incarnation="pod-x/00", epoch=3)):
        talk.now += 1
        reply = talk.hear(talk.a.request(terms, talk.now, long=False, renounce=False, nothing=True))
        assert isinstance(reply, bytes)
        found = talk.back(reply)
        assert isinstance(found, Granted)
        assert (found.seconds, found.refused, found.clock.offset) == (0, "", 1000)
    assert not talk.a.refused
    assert not talk.b.refused


def test_a_step_of_our_own_clock_between_question_and_answer_is_not_in_the_measurement(talk: Talk) -> None:
    reply = talk.grant(talk.ask())
    found = talk.a.take(reply, "10.0.0.3", talk.terms_a, talk.now, 5000.0 + 60.0 + talk.now)
    assert isinstance(found, Granted)
    assert found.clock.offset == 940


def test_the_long_one_is_asked_for_as_such(talk: Talk) -> None:
    pledge = talk.hear(talk.ask(long=True))
    assert isinstance(pledge, Pledge)
    assert (pledge.seconds, pledge.request.long, pledge.request.renounce) == (1800, True, False)


def test_messages_are_small(talk: Talk) -> None:
    request = talk.ask(long=True)
    assert len(request) <= MAX_BYTES
    assert len(talk.grant(request)) <= MAX_BYTES


def test_another_key_is_nobody(talk: Talk) -> None:
    forger = talker(key_of("other"))
    assert talk.hear(forger.request(A, 1.0, long=False, renounce=True)) is None
    assert talk.b.refused == {"WrongKey": 1}


def test_every_changed_byte_is_noticed(talk: Talk) -> None:
    request = talk.ask()
    for position in range(0, len(request), 7):
        talk.now += 1
        assert talk.hear(request[:position] + bytes([request[position] ^ 1]) + request[position + 1 :]) is None
    assert set(talk.b.refused) == {"WrongKey"}
    assert isinstance(talk.hear(request), Pledge)


@given(st.binary(max_size=MAX_BYTES + 10))
def test_noise_is_dropped(data: bytes) -> None:
    fresh = Talk()
    assert fresh.hear(data) is None
    assert set(fresh.b.refused) <= {"WrongKey", "Malformed"}


def test_a_replayed_or_overtaken_request_counts_once(talk: Talk) -> None:
    first, second = talk.ask(), talk.ask(renounce=True)
    assert isinstance(talk.hear(second), Pledge)
    assert talk.hear(second) is None
    assert talk.hear(first) is None
    assert talk.b.refused == {"Replayed": 2}


def test_a_recording_of_an_earlier_process_is_worth_nothing(talk: Talk) -> None:
    recorded = talk.ask(renounce=True)
    assert isinstance(talk.hear(recorded), Pledge)
    talk.b = talker(name="again")
    assert isinstance(talk.hear(recorded), bytes)  # refused, and told whom to ask for
    assert talk.b.refused == {"UnknownSession": 1}


def test_a_recording_of_an_askers_earlier_process_is_not_taken(talk: Talk) -> None:
    recorded = talk.ask(renounce=True)
    assert isinstance(talk.hear(talk.ask()), Pledge)
    talk.a = talker(name="again")
    talk.greet()
    assert isinstance(talk.hear(talk.ask()), Pledge)
    assert talk.hear(recorded) is None
    assert talk.b.refused == {"Replayed": 1}


def test_an_answer_to_nothing_or_told_twice_is_dropped(talk: Talk) -> None:
    reply = talk.grant(talk.ask())
    assert isinstance(talk.back(reply), Granted)
    assert talk.back(reply) is None
    assert talk.a.refused == {"UnknownAnswer": 1}


def test_after_renouncing_no_earlier_answer_counts(talk: Talk) -> None:
    reply = talk.grant(talk.ask(long=True))
    talk.a.forget_requests()
    assert talk.back(reply) is None


def test_a_message_of_our_own_role_or_from_elsewhere_is_dropped(talk: Talk) -> None:
    assert talk.hear(talk.ask(), source="10.0.0.9") is None
    talk.terms_a = replace(A, role=Role.SECONDARY)
    assert talk.hear(talk.ask()) is None
    assert talk.b.refused == {"WrongAddress": 1, "WrongRole": 1}


@pytest.mark.parametrize(
    ("asker", "asked", "reason"),
    [
        (replace(A, epoch=4), B, "OldEpoch"),
        (replace(A, epoch=6), B, "OldEpoch"),
        (replace(A, incarnation="another"), B, "NotTheHolder"),
        (A, replace(B, partner="", partner_epoch=-1), "OldEpoch"),
        (A, replace(B, refuses="OrderConsumed"), "OrderConsumed"),
        (replace(A, promise=-1), B, "TooLong"),
        (replace(A, promise=LARGEST_SECONDS + 1), B, "TooLong"),
    ],
)
def test_who_gets_no_promise(asker: Terms, asked: Terms, reason: str) -> None:
    talk = Talk(asker, asked).greet()
    refusal = talk.hear(talk.ask())
    assert isinstance(refusal, bytes)
    found = talk.back(refusal)
    assert isinstance(found, Granted)
    assert (found.seconds, found.refused) == (0, reason)
    assert talk.b.refused == {reason: 1}
    assert talk.a.refused == {f"By{reason}": 1}


def test_a_partner_that_knows_more_than_we_is_believed() -> None:
    # It was granted anew while we do not reach the API: a promise too many costs time, not safety.
    talk = Talk(replace(A, incarnation="anew", epoch=7), B).greet()
    assert isinstance(talk.hear(talk.ask()), Pledge)


def test_a_promise_of_another_incarnation_is_not_asked_for() -> None:
    talk = Talk(A, replace(B, incarnation="b2"))
    talk.greet()  # by which A learns who answers
    assert isinstance(talk.hear(talk.ask()), Pledge)
    talk.terms_b = replace(B, incarnation="b3")
    refusal = talk.hear(talk.ask())
    assert isinstance(refusal, bytes)
    found = talk.back(refusal)
    assert isinstance(found, Granted)
    assert found.refused == "WrongIncarnation"


def test_a_flood_is_not_read(talk: Talk) -> None:
    requests = [talk.a.request(A, talk.now, long=False, renounce=False) for _ in range(50)]
    taken = [talk.hear(request) for request in requests]
    assert sum(each is not None for each in taken) <= MESSAGES_PER_SECOND
    assert talk.b.refused["TooMany"] >= 50 - MESSAGES_PER_SECOND
    talk.now += 1
    assert isinstance(talk.hear(talk.ask()), Pledge)
