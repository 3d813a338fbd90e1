"""What a lease database is, compared with what was confirmed of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from twinlease.api.servinglease import DatabaseVerdict as V
from twinlease.api.servinglease import Lineage
from twinlease.decide.lineage import OnDisk, ahead, judge

CONFIRMED = Lineage(id="db", counter=7, newest=1000, address="10.0.0.1")
DISK = OnDisk(id="db", counter=7, newest=1000, leases=True, held=3, reached=1000)
EMPTY = OnDisk()
NEVER = Lineage()


@pytest.mark.parametrize(
    ("confirmed", "disk", "verdict"),
    [
        (CONFIRMED, DISK, V.INTACT),
        (CONFIRMED, replace(DISK, counter=8), V.INTACT),
        (CONFIRMED, replace(DISK, reached=2000), V.INTACT),
        (CONFIRMED, replace(DISK, held=0), V.INTACT),
        # Rolled back.
        (CONFIRMED, replace(DISK, counter=6), V.STALE),
        (CONFIRMED, replace(DISK, counter=6, reached=900, newest=900), V.STALE),
        # The record is the last one, and the leases are not.
        (CONFIRMED, replace(DISK, reached=999), V.SHORT),
        (CONFIRMED, replace(DISK, newest=1500, reached=1200), V.SHORT),
        (CONFIRMED, replace(DISK, reached=0, held=0, leases=False), V.SHORT),
        # Gone, or another's.
        (CONFIRMED, EMPTY, V.LOST),
        (CONFIRMED, replace(EMPTY, leases=True), V.LOST),
        (CONFIRMED, replace(EMPTY, leases=True, held=2), V.FOREIGN),
        (CONFIRMED, replace(DISK, id="other"), V.FOREIGN),
        (CONFIRMED, replace(DISK, id="other", held=0), V.LOST),
        # Emptied by us, and not yet filled by the partner.
        (CONFIRMED, replace(DISK, complete=False), V.LOST),
        # Nothing was ever confirmed.
        (NEVER, EMPTY, V.VIRGIN),
        (NEVER, replace(EMPTY, leases=True), V.SPENT),
        (NEVER, replace(EMPTY, id="old"), V.SPENT),
        (NEVER, replace(EMPTY, leases=True, held=1), V.FOREIGN),
        (NEVER, replace(DISK, held=1), V.FOREIGN),
        # Nothing can be said.
        (CONFIRMED, replace(DISK, readable=False), V.UNKNOWN),
        (NEVER, replace(EMPTY, readable=False), V.UNKNOWN),
    ],
)
def test_the_verdict(confirmed: Lineage, disk: OnDisk, verdict: V) -> None:
    assert judge(confirmed, disk) is verdict


def test_a_disk_that_is_further_than_one_write_ahead_shows_that_the_api_was_rolled_back() -> None:
    assert not ahead(CONFIRMED, replace(DISK, counter=8))
    assert ahead(CONFIRMED, replace(DISK, counter=9))
    assert not ahead(CONFIRMED, replace(DISK, id="other", counter=9))
    assert not ahead(NEVER, replace(DISK, counter=9))


DISKS = st.builds(
    OnDisk,
    id=st.sampled_from(["", "db", "other"]),
    counter=st.integers(0, 9),
    newest=st.integers(0, 3),
    leases=st.booleans(),
    held=st.integers(0, 2),
    reached=st.integers(0, 3),
    complete=st.booleans(),
    readable=st.booleans(),
)
LINEAGES = st.builds(Lineage, id=st.sampled_from(["", "db"]), counter=st.integers(0, 9), newest=st.integers(0, 3))


@given(LINEAGES, DISKS)
def test_intact_is_what_was_confirmed_as_far_as_it_goes(confirmed: Lineage, disk: OnDisk) -> None:
    if judge(confirmed, disk) is V.INTACT:
        assert confirmed.id == disk.id != ""
        assert disk.counter >= confirmed.counter
        assert disk.reached >= max(confirmed.newest, disk.newest)
        assert disk.complete
        assert disk.readable


@given(LINEAGES, DISKS)
def test_leases_that_still_run_are_never_taken_for_nothing(confirmed: Lineage, disk: OnDisk) -> None:
    if disk.held and disk.id != confirmed.id and disk.readable:
        assert judge(confirmed, disk) is V.FOREIGN
    if judge(confirmed, disk) in {V.VIRGIN, V.SPENT}:
        assert not disk.held
        assert not confirmed.id
