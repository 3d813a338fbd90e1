"""What a guard remembers over its own end, and which servers it sees beside its own."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.fenced import serve
from tests.net.guarded import Guard
from tests.net.jig import Jig


@pytest.fixture
def guard(jig: Jig) -> Iterator[Guard]:
    """A guard that runs, in the primary's place, without a server yet."""
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as made:
        made.start()
        yield made


def test_token_and_record_outlive_the_guard(guard: Guard) -> None:
    status = guard.client.remember({"epoch": 7, "deep": {"a": [1, None]}})
    assert status.record == {"epoch": 7, "deep": {"a": [1, None]}}
    guard.signal(signal.SIGKILL)
    guard.start()
    again = guard.client.status()
    assert (again.token, again.record) == (status.token, status.record)
    assert len(status.token) >= 32
    (guard.lease_dir / "twinlease.json").write_text('{"epoch": 7', encoding="ascii")
    torn = guard.client.status()
    assert torn.record is None
    assert "twinlease.json" in torn.record_error
    serve(guard)
    assert guard.client.remember({"epoch": 8}).record == {"epoch": 8}
    (guard.run_dir / "token").unlink()  # what a reboot does
    guard.signal(signal.SIGKILL)
    guard.start()
    assert guard.client.status().token != status.token


def test_a_stray_server_is_seen(jig: Jig, guard: Guard) -> None:
    assert guard.client.status().alone
    with jig.primary.namespace.entered():
        stray = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    status = guard.client.status()
    assert (status.alone, "packet sockets" in status.others) == (False, True)
    stray.close()
    assert guard.client.status().alone
    serve(guard)
    assert guard.client.status().alone, "our own child does not count"


def test_a_lease_directory_in_use_is_seen(jig: Jig, guard: Guard) -> None:
    serve(guard)
    with Guard(jig.secondary.directory / "pod", jig.secondary.namespace) as second:
        second.lease_dir.rmdir()
        second.lease_dir.symlink_to(Path(guard.lease_dir))
        second.start()
        assert "another server uses" in second.client.status().others
        guard.signal(signal.SIGTERM)
        assert second.client.status().alone
