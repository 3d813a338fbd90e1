"""Stripping reservations from a lease file: all of them, and nothing else."""

from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.engines.records import DELETED, FAILOVER, GROUP, HEADER, HOST, ONE_LINE, SUBCLASS, lease
from twinlease.engines.isc.leasefile import (
    copy,
    create_if_missing,
    put_before,
    strip_reservations,
    without_reservations,
)
from twinlease.engines.isc.records import without_torn_end
from twinlease.engines.process import EditError

LEASE = lease("10.0.0.1", "active")
KEPT = [HEADER, LEASE, lease("10.0.0.2", "backup", mac=None), FAILOVER, SUBCLASS, b"\n"]
STRIPPED = [HOST, DELETED, ONE_LINE, GROUP]


def stripped(data: bytes) -> bytes:
    return b"".join(without_reservations(data.splitlines(keepends=True)))


@given(st.lists(st.sampled_from([*KEPT, *STRIPPED])))
def test_exactly_the_reservations_go(records: list[bytes]) -> None:
    assert stripped(b"".join(records)) == b"".join(record for record in records if record in KEPT)


damage = st.one_of(
    st.sampled_from([*KEPT, *STRIPPED]),
    st.sampled_from([record[:-2] for record in STRIPPED]),  # no closing brace
    st.binary(max_size=30),
    st.sampled_from([b"host", b'host "x"', b"}\n", b"\x00\x00\n", b"hosts\n", b"hostile x;\n"]),
)


@given(st.lists(damage))
def test_stripping_twice_is_stripping_once(records: list[bytes]) -> None:
    once = stripped(b"".join(records))
    assert stripped(once) == once


@given(st.lists(damage.map(lambda record: record if record.endswith(b"\n") else record + b"\n")))
def test_every_whole_lease_stays_whatever_is_damaged_around_it(records: list[bytes]) -> None:
    kept = stripped(b"".join(record for part in records for record in (part, LEASE)))
    assert kept.count(LEASE) == len(records) + records.count(LEASE)


@given(st.sampled_from(STRIPPED), st.integers(min_value=0))
def test_a_record_that_a_crash_cut_short_takes_no_lease_with_it(record: bytes, cut: int) -> None:
    lengths = list(accumulate(len(line) for line in record.splitlines(keepends=True)))
    part = record[: lengths[cut % len(lengths)]]
    assert stripped(LEASE + part + LEASE) == LEASE + LEASE


def test_the_file_is_replaced_durably_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(HEADER + HOST + LEASE)
    path.chmod(0o640)
    (tmp_path / "dhcpd.leases.new").write_bytes(b"left by a crash")
    assert strip_reservations(path) is True
    assert path.read_bytes() == HEADER + LEASE
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["dhcpd.leases"]


def test_a_file_without_reservations_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(HEADER + LEASE + FAILOVER)
    before = path.stat()
    assert strip_reservations(path) is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_new_file_is_empty_and_an_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    assert create_if_missing(path) is True
    assert path.read_bytes() == b""
    path.write_bytes(LEASE)
    assert create_if_missing(path) is False
    assert path.read_bytes() == LEASE


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("directory", "link"):
        with pytest.raises(EditError, match="no ordinary file"):
            create_if_missing(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_directory_is_an_edit_error(tmp_path: Path) -> None:
    with pytest.raises(EditError, match="No such file"):
        create_if_missing(tmp_path / "absent" / "dhcpd.leases")
    with pytest.raises(EditError, match="No such file"):
        strip_reservations(tmp_path / "dhcpd.leases")


def test_a_failed_replacement_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(HOST + LEASE)
    (tmp_path / "dhcpd.leases.new").mkdir()  # nothing can be written there
    with pytest.raises(EditError):
        strip_reservations(path)
    assert path.read_bytes() == HOST + LEASE


@given(st.lists(st.sampled_from([*KEPT, *STRIPPED])))
def test_what_is_whole_is_whole_to_the_end(records: list[bytes]) -> None:
    data = b"".join(records)
    assert b"".join(without_torn_end(data.splitlines(keepends=True))) == data


@pytest.mark.parametrize("record", [LEASE, FAILOVER])
def test_a_torn_end_goes_and_nothing_before_it(record: bytes) -> None:
    for length in range(1, len(record)):
        kept = b"".join(without_torn_end((HEADER + LEASE + record[:length]).splitlines(keepends=True)))
        # The last byte alone, a line's end, is no loss.
        assert kept == HEADER + LEASE + (record[:length] if length == len(record) - 1 else b""), length


def test_a_copy_is_put_before_what_is_there(tmp_path: Path) -> None:
    path, kept = tmp_path / "dhcpd.leases", tmp_path / "copy"
    path.write_bytes(HEADER + LEASE)
    path.chmod(0o640)
    assert copy(path, kept) is True
    assert kept.read_bytes() == HEADER + LEASE
    later = HEADER + lease("10.0.0.9", "free")
    path.write_bytes(later)
    put_before(path, kept)
    once = path.read_bytes()
    assert once == HEADER + LEASE + b"\n" + later
    assert path.stat().st_mode & 0o777 == 0o640
    # Cut short after this and done again: the last record of each lease is still the later file's.
    put_before(path, kept)
    assert path.read_bytes() == HEADER + LEASE + b"\n" + once
    assert {entry.name for entry in tmp_path.iterdir()} == {"dhcpd.leases", "copy"}


def test_a_copy_serves_where_the_lease_file_is_gone(tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(HEADER + LEASE)
    put_before(tmp_path / "dhcpd.leases", tmp_path / "copy")
    assert (tmp_path / "dhcpd.leases").read_bytes() == HEADER + LEASE + b"\n"


def test_without_a_lease_file_there_is_nothing_to_copy(tmp_path: Path) -> None:
    assert copy(tmp_path / "dhcpd.leases", tmp_path / "copy") is False
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EditError, match="directory is gone"):
        copy(tmp_path / "absent" / "dhcpd.leases", tmp_path / "copy")


def test_a_failed_copy_or_restoration_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path, kept = tmp_path / "dhcpd.leases", tmp_path / "copy"
    path.write_bytes(LEASE)
    (tmp_path / "copy.new").mkdir()  # nothing can be written there
    with pytest.raises(EditError, match="cannot be copied"):
        copy(path, kept)
    assert not kept.exists()
    with pytest.raises(EditError, match="cannot be restored"):
        put_before(path, kept)
    assert path.read_bytes() == LEASE
