"""The lease database's name and counter, and the record that keeps them."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import LINEAGE, RECORD, TENURE, guard, recorded
from twinlease.api.servinglease import Answer, Answered, Entry, Grant, InForce, Lineage, Own, Start
from twinlease.api.servinglease import DatabaseVerdict as V
from twinlease.engines.protocol import Watermark
from twinlease.ipc.client import GuardStatus, GuardUnreachable
from twinlease.model.states import FailoverState as S
from twinlease.sidecar import database
from twinlease.sidecar.clock import Clocks
from twinlease.sidecar.database import Found
from twinlease.sidecar.neighbour import longest_promises
from twinlease.sidecar.peer import Promises
from twinlease.sidecar.record import Durable, NotRememberedError, Record, parse
from twinlease.sidecar.tenure import Standing

FOUND = Found(record=RECORD, readable=True, recorded=recorded())
NONE = replace(recorded(S.UNKNOWN), exists=False, newest=0, newest_address="", held=0, held_until=0, transitions=0)
REACH = Watermark(newest=1_700_000_060, newest_address="10.0.0.101")


@pytest.mark.parametrize(
    ("found", "confirmed", "verdict"),
    [
        (FOUND, LINEAGE, V.INTACT),
        (FOUND, Lineage(), V.FOREIGN),
        (FOUND, replace(LINEAGE, counter=8), V.STALE),
        (replace(FOUND, recorded=replace(recorded(), newest=1_700_000_030)), LINEAGE, V.SHORT),
        (replace(FOUND, record=Record(), recorded=NONE), LINEAGE, V.LOST),
        (replace(FOUND, record=Record(), recorded=NONE), Lineage(), V.VIRGIN),
        (replace(FOUND, record=Record()), LINEAGE, V.FOREIGN),
        (replace(FOUND, record=replace(RECORD, complete=False)), LINEAGE, V.LOST),
        (replace(FOUND, readable=False), LINEAGE, V.UNKNOWN),
        (replace(FOUND, recorded=None), LINEAGE, V.UNKNOWN),
        # Without the API it is compared with itself.
        (FOUND, None, V.INTACT),
        (replace(FOUND, recorded=replace(recorded(), newest=1_700_000_030)), None, V.SHORT),
        (replace(FOUND, record=Record()), None, V.UNKNOWN),
    ],
)
def test_what_is_found(found: Found, confirmed: Lineage | None, verdict: V) -> None:
    assert database.judged(found, confirmed) is verdict


def test_a_file_that_the_guard_made_for_a_server_that_never_ran_is_virgin() -> None:
    empty = replace(NONE, exists=True)
    assert database.judged(Found(record=Record(), readable=True, recorded=empty), Lineage()) is V.VIRGIN


def test_a_running_server_was_verified_when_it_was_started() -> None:
    begun = replace(TENURE, begun=True, start=Start.RECOVER)
    assert database.running(FOUND, begun) is V.INTACT
    assert database.running(FOUND, TENURE) is V.UNKNOWN
    filling = replace(FOUND, record=replace(RECORD, complete=False))
    assert database.running(filling, begun) is V.LOST
    assert database.running(replace(FOUND, readable=False), begun) is V.UNKNOWN


def test_a_database_that_is_not_the_confirmed_one_gets_another_name() -> None:
    assert database.named(RECORD, V.INTACT, lambda: "new") == RECORD
    for verdict in set(V) - {V.INTACT}:
        new = database.named(RECORD, verdict, lambda: "new")
        assert (new.id, new.counter, new.newest, new.complete) == ("new", 0, 0, False)
        assert (new.epoch, new.consumed) == (RECORD.epoch, RECORD.consumed)


def test_the_disk_is_one_ahead_and_never_more() -> None:
    first = database.ahead(RECORD, LINEAGE, REACH)
    assert (first.counter, first.newest, first.address) == (8, 1_700_000_060, "10.0.0.101")
    assert database.ahead(first, LINEAGE, REACH).counter == 8  # the write did not get through
    assert database.ahead(first, replace(LINEAGE, counter=8), None) == replace(first, counter=9)


@given(st.lists(st.booleans()))
def test_whatever_gets_through_the_disk_is_never_behind(through: list[bool]) -> None:
    record, confirmed = RECORD, LINEAGE
    for arrived in through:
        record = database.ahead(record, confirmed, REACH)
        assert confirmed.counter < record.counter <= confirmed.counter + 1
        if arrived:
            confirmed = database.lineage_of(record, 0.0)
        found = Found(record=record, readable=True, recorded=replace(recorded(), newest=REACH.newest))
        assert database.judged(found, confirmed) is V.INTACT


@pytest.mark.parametrize("standing", Standing)
def test_what_is_put_on_record(standing: Standing) -> None:
    granted = standing in {Standing.OFFERED, Standing.HELD}
    renamed = replace(RECORD, complete=False)
    for verdict in V:
        assert database.confirms(verdict, standing, TENURE, RECORD) == (verdict is V.INTACT)
        assert database.confirms(verdict, standing, TENURE, renamed) == (verdict is V.INTACT or granted)
        assert not database.confirms(verdict, standing, TENURE, Record())


class Disk:
    """A guard that remembers, or does not."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.full = False

    def remember(self, record: Mapping[str, Any]) -> GuardStatus:
        """Keep a record."""
        if self.full:
            raise GuardUnreachable("no socket")
        self.kept.append(dict(record))
        return guard(record=dict(record))


def test_a_record_outlives_the_sidecar() -> None:
    disk = Disk()
    durable = Durable(disk)
    durable.read(guard())
    assert not durable.found
    durable.set(consumed=6, answered=Answered(epoch=6, result=Answer.EXECUTED, reason="PartnerDown"))
    after = Durable(disk)
    after.read(guard(record=disk.kept[-1]))
    assert after.found
    assert after.record == durable.record


def test_what_is_not_on_the_disk_is_not_so() -> None:
    disk = Disk()
    durable = Durable(disk)
    with pytest.raises(NotRememberedError, match="not been asked"):
        durable.set(epoch=3)
    durable.read(guard())
    disk.full = True
    with pytest.raises(NotRememberedError):
        durable.set(epoch=3)
    assert durable.record.epoch == 0


def test_what_is_there_already_is_not_written_again() -> None:
    disk = Disk()
    durable = Durable(disk)
    durable.read(guard())
    for _ in range(3):
        durable.set(epoch=3)
    assert len(disk.kept) == 1


@pytest.mark.parametrize("found", [{"v": 2}, {"v": 1, "counter": "seven"}, {"v": 1, "answered": 3}])
def test_a_record_that_is_not_ours_is_not_overwritten(found: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # which, is for the log
        parse(found)
    durable = Durable(Disk())
    durable.read(guard(record=found))
    assert not durable.readable
    with pytest.raises(NotRememberedError):
        durable.set(epoch=3)


def test_a_record_that_the_guard_cannot_read_is_a_problem() -> None:
    durable = Durable(Disk())
    durable.read(guard(record_error="Input/output error"))
    assert (durable.readable, durable.problem) == (False, "Input/output error")
    durable.read(guard(record={"v": 1, "epoch": 4}))
    assert durable.record.epoch == 4


def promises(disk: Disk, now: list[float], **record: Any) -> Promises:  # noqa: ANN401  # fields of the record
    durable = Durable(disk)
    durable.read(guard(record={"v": 1, **record} if record else None))
    return Promises(durable, Clocks(boot=lambda: now[0], wall=lambda: now[0]))


def test_a_long_promise_is_on_the_disk_before_it_is_made() -> None:
    disk, now = Disk(), [100.0]
    made = promises(disk, now)
    assert not made.make(
        240, long=False, renounced=False, allowed=lambda: True
    )  # what was promised before is not known
    made.begin(ever=False, short=0, long=0)
    assert made.make(1800, long=True, renounced=False, allowed=lambda: True)
    assert (disk.kept[-1]["longPromise"], disk.kept[-1]["longSeconds"]) == (True, 1800)
    assert made.promiser.until == 100.0 + 1800 + 19
    assert made.make(240, long=False, renounced=False, allowed=lambda: True)
    assert made.promiser.until == 100.0 + 1800 + 19
    assert made.make(240, long=False, renounced=True, allowed=lambda: True)
    assert made.promiser.until == 100.0 + 240 + 3.4
    assert disk.kept[-1]["longPromise"] is False


def test_a_promise_that_cannot_be_remembered_is_not_made() -> None:
    disk, now = Disk(), [100.0]
    made = promises(disk, now)
    made.begin(ever=False, short=0, long=0)
    disk.full = True
    assert not made.make(1800, long=True, renounced=False, allowed=lambda: True)
    assert not made.promiser.running(100.0)


def test_while_an_order_is_judged_nothing_is_promised() -> None:
    made = promises(Disk(), [100.0])
    made.begin(ever=False, short=0, long=0)
    made.suspend()
    assert not made.make(240, long=False, renounced=False, allowed=lambda: True)
    made.resume()
    assert made.make(240, long=False, renounced=False, allowed=lambda: True)


def test_a_lost_disk_may_have_promised_whatever_the_partner_went_by() -> None:
    """The partner is cut off from the API: it asks for what it confirmed, not for what its grant says since."""
    lowered = Grant(promise="1m", max_promise="5m")
    before = InForce(epoch=3, promise="4m", max_promise="30m")
    assert longest_promises(Entry(grant=lowered, own=Own(in_force=before))) == (240, 1800)
    assert longest_promises(Entry(grant=Grant())) == (240, 1800)


def test_what_was_allowed_a_moment_ago_is_not_promised() -> None:
    made = promises(Disk(), [100.0])
    made.begin(ever=False, short=0, long=0)
    assert not made.make(240, long=False, renounced=False, allowed=lambda: False)
    assert not made.promiser.running(100.0)


@pytest.mark.parametrize(
    ("record", "ever", "until"),
    [
        ({"shortSeconds": 240}, True, 243.4),
        ({"shortSeconds": 240, "longSeconds": 1800, "longPromise": False}, True, 243.4),
        ({"shortSeconds": 240, "longSeconds": 1800, "longPromise": True}, True, 1819.0),
        ({}, True, 1819.0),  # a lost disk
        ({}, False, float("-inf")),  # a server that never was
    ],
)
def test_after_a_boot_everything_that_may_have_been_promised_counts_anew(
    record: dict[str, Any], until: float, *, ever: bool
) -> None:
    made = promises(Disk(), [0.0], **record)
    assert made.promiser.until == float("inf")
    made.begin(ever=ever, short=240, long=1800)
    assert made.promiser.until == pytest.approx(until)
