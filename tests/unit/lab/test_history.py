"""The judge of a history: each rule by a history made by hand, and planted overlaps by the hundred."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.dhcp import Kind
from tests.lab.history import FOR_EVER, Verdict, first_answer, judge, last_answer, longest_gap, main
from tests.lab.observed import Client, HistoryError, Observation, Recording, load

A, B = "10.0.0.1", "10.0.0.2"
X, Y = "10.0.0.100", "10.0.0.101"
ANN, BOB = "06:00:00:00:00:0a", "06:00:00:00:00:0b"


class Tale:
    """A history being told."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self._xid = 0

    def say(self, kind: Kind, mac: str, time: float, **more: object) -> None:
        """Add any message."""
        plain = Observation(time, "left", kind.name, mac, self._xid)
        self.seen.append(replace(plain, **more))  # type: ignore[arg-type]

    def lease(self, mac: str, address: str, time: float, seconds: int = 30, server: str = A, **more: object) -> None:
        """Add a REQUEST, and its ACK 0.01 s later."""
        self._xid += 1
        self.say(Kind.REQUEST, mac, time, requested=address, **more)
        self.say(Kind.ACK, mac, time + 0.01, yiaddr=address, lease=seconds, server=server, **more)

    def verdict(self) -> Verdict:
        """Have it judged, with its clock's origin somewhere else too: nothing may depend on that."""
        shifted = judge([replace(seen, time=seen.time - 1e6) for seen in reversed(self.seen)])
        found = judge(self.seen)
        assert len(shifted.violations) == len(found.violations)
        assert len(shifted.grazes) == len(found.grazes)
        return found


@pytest.fixture
def tale() -> Tale:
    """Nothing has happened yet."""
    return Tale()


def test_an_empty_history_is_a_good_one() -> None:
    verdict = judge([])
    assert verdict.violations == ()
    assert "0 violations" in verdict.report()


def test_two_owners_at_once_are_a_violation_told_in_one_sentence(tale: Tale) -> None:
    tale.lease(ANN, X, 100.0, segment="left")
    tale.lease(BOB, X, 110.0, server=B, segment="right")
    (found,) = tale.verdict().violations
    assert str(found) == (
        f"{X} is two clients' for 19.990 s: {ANN} by ACK of {A} on left at 0.010, until 30.000; "
        f"and {BOB} by ACK of {B} on right at 10.010, until 40.000"
    )
    assert str(found) in tale.verdict().report()


def test_one_after_the_other_is_fine(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.lease(BOB, X, 30.0, server=B)
    verdict = tale.verdict()
    assert (verdict.violations, verdict.grazes) == ((), ())


def test_the_client_counts_from_its_request_not_from_the_answer(tale: Tale) -> None:
    tale.say(Kind.REQUEST, ANN, 0.0, requested=X)
    tale.say(Kind.ACK, ANN, 5.0, yiaddr=X, lease=30, server=A)
    tale.lease(BOB, X, 31.0)
    assert tale.verdict().violations == ()


def test_of_several_requests_the_last_before_the_ack_counts(tale: Tale) -> None:
    tale.say(Kind.REQUEST, ANN, 0.0, requested=X)
    tale.say(Kind.REQUEST, ANN, 4.0, requested=X)
    tale.say(Kind.ACK, ANN, 5.0, yiaddr=X, lease=30, server=A)
    tale.lease(BOB, X, 31.0)
    assert len(tale.verdict().violations) == 1


def test_without_its_request_the_ack_counts(tale: Tale) -> None:
    tale.say(Kind.ACK, ANN, 5.0, yiaddr=X, lease=30, server=A)
    tale.lease(BOB, X, 31.0)
    assert len(tale.verdict().violations) == 1


def test_a_server_may_cut_off_fractions_of_seconds(tale: Tale) -> None:
    tale.lease(ANN, X, 0.9)
    tale.lease(BOB, X, 30.1)
    verdict = tale.verdict()
    assert verdict.violations == ()
    assert [round(graze.seconds, 2) for graze in verdict.grazes] == [0.79]
    assert len(judge(tale.seen, tolerance=0.5).violations) == 1


def test_a_renewal_prolongs(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.lease(ANN, X, 15.0, server=B)
    tale.lease(BOB, X, 35.0)
    (found,) = tale.verdict().violations
    assert (found.earlier.server, found.earlier.end) == (B, 45.0)


def test_a_shorter_renewal_shortens(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0, 600)
    tale.lease(ANN, X, 5.0, 10)
    tale.lease(BOB, X, 16.0)
    assert tale.verdict().violations == ()


def test_the_other_servers_shorter_answer_to_the_same_request_does_not_shorten(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0, 600)
    tale.say(Kind.ACK, ANN, 0.02, yiaddr=X, lease=10, server=B)
    tale.lease(BOB, X, 16.0)
    verdict = tale.verdict()
    assert len(verdict.violations) == 1
    assert verdict.statistics.both == 1


def test_the_other_servers_longer_answer_lengthens(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0, 10)
    tale.say(Kind.ACK, ANN, 0.02, yiaddr=X, lease=600, server=B)
    tale.lease(BOB, X, 16.0)
    assert len(tale.verdict().violations) == 1


def test_the_same_ack_from_both_is_fine(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.say(Kind.ACK, ANN, 0.02, yiaddr=X, lease=30, server=B)
    verdict = tale.verdict()
    assert (verdict.violations, verdict.statistics.both, verdict.statistics.new) == ((), 1, 1)


@pytest.mark.parametrize(("kind", "field"), [(Kind.RELEASE, "ciaddr"), (Kind.DECLINE, "requested")])
def test_release_and_decline_end_ownership(tale: Tale, kind: Kind, field: str) -> None:
    tale.lease(ANN, X, 0.0)
    tale.say(kind, ANN, 5.0, **{field: X})
    tale.lease(BOB, X, 6.0)
    assert tale.verdict().violations == ()


def test_a_release_by_another_or_of_another_ends_nothing(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.say(Kind.RELEASE, BOB, 5.0, ciaddr=X)
    tale.say(Kind.RELEASE, ANN, 5.0, ciaddr=Y)
    tale.lease(BOB, X, 6.0)
    assert len(tale.verdict().violations) == 1


def nak(tale: Tale, time: float, **request: object) -> None:
    """Have Ann ask anew, and refused."""
    tale.say(Kind.REQUEST, ANN, time, xid=77, **request)
    tale.say(Kind.NAK, ANN, time + 0.01, xid=77, server=B)


@pytest.mark.parametrize("field", ["ciaddr", "requested"])
def test_a_nak_ends_what_the_client_asked_to_keep(tale: Tale, field: str) -> None:
    tale.lease(ANN, X, 0.0)
    nak(tale, 5.0, **{field: X})
    tale.lease(BOB, X, 6.0)
    assert tale.verdict().violations == ()


def test_a_nak_about_another_address_ends_nothing(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    nak(tale, 5.0, requested=Y)
    tale.lease(BOB, X, 6.0)
    assert len(tale.verdict().violations) == 1


def test_a_client_that_is_bound_ignores_the_other_servers_nak(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.say(Kind.NAK, ANN, 0.02, server=B)
    tale.lease(BOB, X, 6.0)
    assert len(tale.verdict().violations) == 1


def test_a_nak_to_a_question_given_up_is_ignored(tale: Tale) -> None:
    tale.say(Kind.REQUEST, ANN, 0.0, xid=77, requested=X)
    tale.lease(ANN, X, 1.0)
    tale.say(Kind.NAK, ANN, 2.0, xid=77, server=B)
    tale.lease(BOB, X, 6.0)
    assert len(tale.verdict().violations) == 1


def test_a_client_that_uses_one_transaction_for_all_can_still_be_refused(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.say(Kind.REQUEST, ANN, 15.0, ciaddr=X)
    tale.say(Kind.NAK, ANN, 15.01, server=B)
    tale.lease(BOB, X, 16.0)
    assert tale.verdict().violations == ()


def test_another_address_does_not_end_the_old_one(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.lease(ANN, Y, 5.0, server=B)
    tale.lease(BOB, X, 6.0)
    verdict = tale.verdict()
    assert len(verdict.violations) == 1
    assert verdict.statistics.different == 1


def test_two_servers_with_two_addresses_for_one_client_are_counted_but_no_violation(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.say(Kind.ACK, ANN, 0.02, yiaddr=Y, lease=30, server=B)
    verdict = tale.verdict()
    assert (verdict.violations, verdict.statistics.different) == ((), 1)


def test_an_ack_for_an_inform_gives_nothing(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.say(Kind.INFORM, BOB, 5.0, xid=9, ciaddr=X)
    tale.say(Kind.ACK, BOB, 5.01, xid=9, ciaddr=X, server=A)
    tale.say(Kind.ACK, BOB, 5.02, xid=9, ciaddr=X, yiaddr=X, lease=30, server=B)  # wrong, but no lease either
    verdict = tale.verdict()
    assert (verdict.violations, verdict.statistics.inform_acks) == ((), 2)
    assert verdict.statistics.acks == {A: 1}


def test_an_offer_gives_nothing(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.say(Kind.OFFER, BOB, 5.0, yiaddr=X, lease=30, server=B)
    assert tale.verdict().violations == ()


def test_an_ack_after_its_own_end_gives_nothing_and_is_counted(tale: Tale) -> None:
    tale.say(Kind.REQUEST, ANN, 0.0, requested=X)
    tale.say(Kind.ACK, ANN, 40.0, yiaddr=X, lease=30, server=A)
    tale.say(Kind.ACK, BOB, 41.0, yiaddr=X, lease=0, server=B)
    tale.lease(BOB, X, 42.0)
    verdict = tale.verdict()
    assert (verdict.violations, verdict.statistics.stale, verdict.statistics.new) == ((), 2, 1)


def test_a_lease_of_no_length_does_not_end_the_one_before(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.lease(ANN, X, 5.0, 0)
    tale.lease(BOB, X, 10.0)
    assert len(tale.verdict().violations) == 1


def test_a_late_discover_of_the_same_transaction_does_not_hide_its_request(tale: Tale) -> None:
    tale.say(Kind.REQUEST, ANN, 0.0, requested=X)
    tale.say(Kind.DISCOVER, ANN, 4.0)
    tale.say(Kind.ACK, ANN, 5.0, yiaddr=X, lease=30, server=A)
    tale.lease(BOB, X, 31.0)
    assert tale.verdict().violations == ()


def test_an_infinite_lease_never_ends(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0, FOR_EVER)
    tale.lease(BOB, X, 1e9)
    (found,) = tale.verdict().violations
    assert found.earlier.end == math.inf


def test_one_overlap_is_one_violation_however_often_both_renew(tale: Tale) -> None:
    for round_ in range(5):
        tale.lease(ANN, X, 10.0 * round_)
        tale.lease(BOB, X, 10.0 * round_ + 5, server=B)
    tale.lease(ANN, X, 500.0)
    tale.lease(BOB, X, 505.0)
    assert [found.later.acked for found in tale.verdict().violations] == [5.01, 505.01]


def test_a_third_owner_is_a_violation_with_each_of_the_two(tale: Tale) -> None:
    for index, mac in enumerate((ANN, BOB, "06:00:00:00:00:0c")):
        tale.lease(mac, X, float(index))
    assert len(tale.verdict().violations) == 3


def test_identifiers_part_clients_on_one_interface(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0, client_id="01")
    tale.lease(ANN, X, 5.0, client_id="02")
    assert len(tale.verdict().violations) == 1


def test_one_identifier_on_two_interfaces_is_two_clients(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0, client_id="01")
    tale.lease(BOB, X, 5.0, client_id="01")
    assert len(tale.verdict().violations) == 1


def test_an_ack_without_identifier_belongs_to_its_request(tale: Tale) -> None:
    for index, identifier in enumerate(("01", "02", "02")):
        tale.say(Kind.REQUEST, ANN, 5.0 * index, xid=index, client_id=identifier, requested=X)
        tale.say(Kind.ACK, ANN, 5.0 * index + 0.01, xid=index, yiaddr=X, lease=30, server=A)
    assert len(tale.verdict().violations) == 1


def test_a_client_whose_identifier_was_not_seen_is_itself(tale: Tale) -> None:
    tale.say(Kind.ACK, ANN, 0.0, yiaddr=X, lease=30, server=A)  # before the recorder saw anything of Ann
    tale.lease(ANN, X, 15.0, client_id="01")
    tale.say(Kind.RELEASE, ANN, 16.0, client_id="01", ciaddr=X)
    tale.lease(BOB, X, 17.0)
    assert tale.verdict().violations == ()


def test_an_ack_whose_request_was_not_seen_is_the_only_known_clients(tale: Tale) -> None:
    tale.say(Kind.DISCOVER, ANN, 0.0, xid=1, client_id="01")
    tale.say(Kind.ACK, ANN, 3.0, xid=2, yiaddr=X, lease=30, server=A)
    verdict = tale.verdict()
    assert [(answer.client, answer.waited) for answer in verdict.answers] == [(Client(ANN, "01"), 3.0)]
    assert verdict.unanswered == {}


def test_a_message_seen_on_both_segments_counts_once(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.seen += [replace(seen, segment="right", time=seen.time + 0.001) for seen in tale.seen]
    figures = tale.verdict().statistics
    assert (figures.acks.total(), figures.both, figures.messages) == (1, 0, {"REQUEST": 1, "ACK": 1})


def test_a_repeated_message_on_one_segment_counts_again(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.seen += [replace(seen, time=seen.time + 0.001) for seen in tale.seen]
    assert tale.verdict().statistics.acks == {A: 2}


def test_it_is_known_when_a_server_answered_and_how_long_clients_waited(tale: Tale) -> None:
    tale.lease(ANN, X, 0.0)
    tale.lease(ANN, X, 15.0, server=B)
    tale.say(Kind.DISCOVER, BOB, 20.0, xid=50)
    tale.say(Kind.OFFER, BOB, 24.0, xid=50, yiaddr=Y, server=B)
    tale.lease(BOB, Y, 24.5, server=B)
    tale.say(Kind.DISCOVER, "06:00:00:00:00:0c", 26.0, xid=51)
    verdict = tale.verdict()
    answers = verdict.answers
    assert [answer.waited for answer in answers] == [pytest.approx(value) for value in (0.01, 0.01, None, 4.51)]
    assert [answer.new for answer in answers] == [True, False, False, True]
    assert (last_answer(answers, A), last_answer(answers, B)) == (0.01, 24.51)
    assert last_answer(answers, B, before=24.0) == 15.01
    assert last_answer(answers, "10.0.0.3") is None
    assert first_answer(answers, B, after=15.01) == 24.0
    assert first_answer(answers, A, after=15.0) is None
    assert longest_gap(answers, 0.0, 30.0) == (0.01, 24.51)
    assert longest_gap(answers, 0.0, 30.0, new=False) == (0.01, 15.01)
    assert longest_gap(answers, 0.0, 60.0) == (24.51, 60.0)
    assert longest_gap(answers, 0.0, 30.0, server=A) == (0.01, 30.0)
    assert verdict.unanswered == {Client("06:00:00:00:00:0c"): 26.0}


# --- many histories ---------------------------------------------------------------------------------------------------
@st.composite
def orderly(draw: st.DrawFn) -> list[tuple[str, str, float, int]]:
    """Draw owners of a few addresses, one after the other, each renewing: client, address, time, lease."""
    leases = []
    for address in (X, Y):
        now = draw(st.floats(0, 20))
        for owner in range(draw(st.integers(1, 5))):
            seconds, last = draw(st.integers(3, 60)), now
            for _ in range(draw(st.integers(1, 4))):
                leases.append((f"06:00:00:00:{owner:02x}:{address[-2:]}", address, now, seconds))
                last, now = now, now + seconds * draw(st.floats(0.3, 0.9))
            now = last + seconds + draw(st.floats(0, 30))
    return leases


def told(leases: list[tuple[str, str, float, int]]) -> Tale:
    """Make a history of leases."""
    tale = Tale()
    for number, (mac, address, time, seconds) in enumerate(sorted(leases, key=lambda lease: lease[2])):
        tale.lease(mac, address, time, seconds, server=(A, B)[number % 2])
    return tale


@given(orderly())
def test_owners_in_turn_are_never_flagged(leases: list[tuple[str, str, float, int]]) -> None:
    verdict = told(leases).verdict()
    assert (verdict.violations, verdict.grazes) == ((), ())


@given(orderly(), st.data())
def test_a_planted_overlap_is_always_flagged(leases: list[tuple[str, str, float, int]], data: st.DataObject) -> None:
    _, address, time, seconds = data.draw(st.sampled_from(leases))
    at = time + data.draw(st.floats(0.02, seconds - 1.1))
    lease = data.draw(st.integers(2, 60))
    verdict = told([*leases, (BOB, address, at, lease)]).verdict()
    assert any(BOB in {found.earlier.client.mac, found.later.client.mac} for found in verdict.violations)


# --- files ------------------------------------------------------------------------------------------------------------
def stored(tale: Tale, file: Path, dropped: int = 0) -> Path:
    """Write a history to a file."""
    Recording(tuple(tale.seen), 0.0, 100.0, 1.7e9, dropped).dump(file)
    return file


def test_a_history_is_read_as_it_was_written_and_judged_alike(
    tale: Tale, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tale.lease(ANN, X, 0.0, client_id="01ff")
    tale.say(Kind.INFORM, BOB, 3.0, ciaddr=Y)
    file = stored(tale, tmp_path / "good")
    assert load(file).observations == tuple(tale.seen)
    assert main(["judge", str(file)]) == 0
    tale.lease(BOB, X, 5.0)
    assert main(["judge", str(stored(tale, tmp_path / "bad"))]) == 1
    assert "two clients'" in capsys.readouterr().out


def test_what_is_not_whole_is_not_judged(tale: Tale, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tale.lease(ANN, X, 0.0)
    assert main(["judge", str(stored(tale, tmp_path / "history", dropped=3))]) == 2
    assert "3 messages were lost" in capsys.readouterr().err
    assert main(["judge", str(tmp_path / "absent")]) == 2


@pytest.mark.parametrize("text", ["", "{}\n", "nonsense", '{"history":2,"began":0,"ended":0,"wall":0,"dropped":0}\n'])
def test_no_other_file_is_taken_for_a_history(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(HistoryError, match="file"):
        load(file)


def test_a_torn_file_is_told_by_its_line(tale: Tale, tmp_path: Path) -> None:
    tale.lease(ANN, X, 0.0)
    file = stored(tale, tmp_path / "history")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(HistoryError, match="history:3: "):
        load(file)
