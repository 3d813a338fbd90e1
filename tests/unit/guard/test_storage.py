"""The lease directory as the guard keeps it."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from twinlease.guard.settings import Settings, from_environment
from twinlease.guard.storage import Storage
from twinlease.ipc.protocol import Code, ProtocolError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Directories of a pod."""
    found = Settings(engine="ISC", run_dir=tmp_path / "run", lease_dir=tmp_path / "leases")
    found.candidates.mkdir(parents=True)
    found.lease_dir.mkdir()
    return found


def offer(settings: Settings, text: str) -> str:
    revision = hashlib.sha256(text.encode()).hexdigest()
    (settings.candidates / revision).write_text(text, encoding="utf-8")
    return revision


def test_a_candidate_is_installed_and_becomes_current_only_when_told(settings: Settings) -> None:
    storage = Storage(settings)
    first, second = offer(settings, "first"), offer(settings, "second")
    assert storage.current() == ""
    assert storage.install(first).read_text(encoding="utf-8") == "first"
    assert storage.current() == ""
    storage.make_current(first)
    storage.install(second)
    assert storage.current() == first
    storage.make_current(second)
    assert Storage(settings).current() == second


def test_only_the_current_and_the_one_before_are_kept(settings: Settings) -> None:
    storage = Storage(settings)
    revisions = [offer(settings, text) for text in "abcd"]
    for revision in revisions:
        storage.install(revision)
        storage.make_current(revision)
    assert {path.name for path in settings.configs.iterdir()} == {"current", *revisions[-2:]}


def test_the_wrong_text_is_not_installed(settings: Settings) -> None:
    revision = offer(settings, "right")
    (settings.candidates / revision).write_text("wrong", encoding="utf-8")
    with pytest.raises(ProtocolError) as caught:
        Storage(settings).install(revision)
    assert caught.value.code == Code.DIGEST
    assert list(settings.configs.iterdir()) == []


@pytest.mark.parametrize("content", ["", "../../../etc/passwd", "0" * 64])
def test_a_link_that_leads_nowhere_is_no_current(settings: Settings, content: str) -> None:
    settings.configs.mkdir()
    if content:
        (settings.configs / "current").symlink_to(content)
    assert Storage(settings).current() == ""


def test_a_missing_directory_is_told(settings: Settings) -> None:
    settings.lease_dir.rmdir()
    storage = Storage(settings)
    assert "is no directory" in storage.error()
    with pytest.raises(ProtocolError) as caught:
        storage.lock()
    assert caught.value.code == Code.STORAGE
    settings.lease_dir.mkdir()
    assert storage.error() == ""
    storage.lock()


def test_a_failure_to_write_is_told_until_it_works(settings: Settings) -> None:
    revision = offer(settings, "text")
    settings.configs.write_text("in the way", encoding="ascii")
    storage = Storage(settings)
    with pytest.raises(ProtocolError) as caught:
        storage.install(revision)
    assert caught.value.code == Code.STORAGE
    assert storage.error() == caught.value.message != ""
    settings.configs.unlink()
    storage.install(revision)
    assert storage.error() == ""


def test_the_lock_lasts_as_long_as_any_heir_of_it(settings: Settings) -> None:
    first = Storage(settings)
    fd = first.lock()
    assert first.lock() == fd
    heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(fd,))
    os.close(fd)
    with pytest.raises(ProtocolError, match="another server uses"):
        Storage(settings).lock()
    heir.communicate(b"\n", timeout=10)
    os.close(Storage(settings).lock())


def test_settings_come_from_the_environment() -> None:
    default = from_environment({})
    assert (default.engine, str(default.socket)) == ("ISC", "/run/twinlease/guard.sock")
    assert str(default.configs) == "/var/lib/twinlease/config"
    other = from_environment({"TWINLEASE_RUN_DIR": "/a", "TWINLEASE_LEASE_DIR": "/b"})
    assert (str(other.candidates), str(other.lease_dir)) == ("/a/candidate", "/b")


def test_a_full_disk_leaves_no_half_of_a_configuration(settings: Settings) -> None:
    revision = offer(settings, "x" * 5000)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(ProtocolError) as caught:
            Storage(settings).install(revision)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.code == Code.STORAGE
    assert list(settings.configs.iterdir()) == []


def test_what_would_fill_the_disk_is_refused(settings: Settings) -> None:
    storage = Storage(settings)
    storage.room(1000)
    with pytest.raises(ProtocolError, match="bytes are free") as caught:
        storage.room(1 << 60)
    assert caught.value.code == Code.STORAGE


def test_a_copy_of_the_leases_goes_when_its_revision_is_current(settings: Settings) -> None:
    storage = Storage(settings)
    first, second = offer(settings, "first"), offer(settings, "second")
    storage.install(first)
    storage.make_current(first)
    storage.install(second)
    copy = storage.copy_for(second)
    assert storage.copy() is None
    copy.write_text("leases", encoding="ascii")
    half = copy.with_name(f"{copy.name}.new")
    half.write_text("lea", encoding="ascii")
    storage.forget_settled_copy()
    assert (storage.copy(), half.exists()) == (copy, False)
    storage.make_current(second)
    assert storage.copy() is None
    # Also after a crash between the two.
    copy.write_text("leases", encoding="ascii")
    Storage(settings).forget_settled_copy()
    assert storage.copy() is None


def test_a_copy_stays_while_the_link_cannot_be_written(settings: Settings) -> None:
    storage = Storage(settings)
    revision = offer(settings, "text")
    storage.install(revision)
    storage.copy_for(revision).write_text("leases", encoding="ascii")
    (settings.configs / ".current").mkdir()
    storage.make_current(revision)
    assert storage.error()
    assert storage.copy() == storage.copy_for(revision)
    storage.forget_copy(storage.copy_for(revision))
    assert storage.copy() is None


def test_a_record_is_kept_until_it_is_replaced(settings: Settings) -> None:
    storage = Storage(settings)
    assert storage.record() == (None, "")
    storage.remember({"epoch": 1})
    storage.remember({"epoch": 2, "a": "b"})
    assert Storage(settings).record() == ({"epoch": 2, "a": "b"}, "")
    assert {path.name for path in settings.lease_dir.iterdir()} == {"twinlease.json"}


@pytest.mark.parametrize("content", ["", '{"epoch": 2', "[]", "\xff", '{"a": "' + "x" * 9000 + '"}', "[" * 8000])
def test_a_record_that_is_none_is_told(settings: Settings, content: str) -> None:
    settings.record.write_text(content, encoding="latin-1")
    record, error = Storage(settings).record()
    assert record is None
    assert "twinlease.json" in error


def test_a_record_that_cannot_be_written_leaves_the_one_before(settings: Settings) -> None:
    storage = Storage(settings)
    storage.remember({"epoch": 1})
    (settings.lease_dir / ".twinlease.json.new").mkdir()
    with pytest.raises(ProtocolError) as caught:
        storage.remember({"epoch": 2})
    assert caught.value.code == Code.STORAGE
    assert storage.record() == ({"epoch": 1}, "")


def test_a_directory_in_use_is_told_without_a_start(settings: Settings) -> None:
    first = Storage(settings)
    assert first.foreign() == ""
    assert "another server uses" in Storage(settings).foreign()
    os.close(first.lock())
    assert Storage(settings).foreign() == ""
