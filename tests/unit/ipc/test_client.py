"""The guard's client against sockets that misbehave."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twinlease.ipc.client import GuardClient, GuardUnreachable
from twinlease.ipc.protocol import ProtocolError, decode_request, encode_result

STATUS = {
    "version": "1",
    "running": True,
    "pid": 5,
    "revision": "a" * 64,
    "current": "a" * 64,
    "startedAt": 12.5,
    "starts": 2,
    "lastExit": {"time": 3, "code": -9, "reason": "Signalled", "log": ["last words"]},
    "storageError": None,
    "droppedLogBytes": 0,
    "token": "00112233445566778899aabbccddeeff",
    "permit": {"deadline": 77.5, "lapsed": False},
    "fence": {"kernel": True, "reason": "Proven", "message": "tried"},
    "alone": False,
    "others": "socket 1",
    "record": {"counter": 3},
    "recordError": None,
    "clockSteps": 1,
    "clockStep": -50.5,
}

Answer = Callable[[socket.socket], object]


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Callable[[Answer], GuardClient]]:
    """Return a function that starts a guard which answers one connection as it is told."""
    path = tmp_path / "guard.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    threads: list[threading.Thread] = []

    def start(answer: Answer) -> GuardClient:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return GuardClient(path)

    yield start
    for thread in threads:
        thread.join(5)
    listener.close()


def test_a_status_is_read(guard: Callable[[Answer], GuardClient]) -> None:
    def answer(connection: socket.socket) -> None:
        request = decode_request(connection.recv(65536)[:-1])
        reply = encode_result(request.id, {**STATUS, "newer": "field"})
        for at in range(0, len(reply), 50):
            connection.sendall(reply[at : at + 50])

    status = guard(answer).status()
    assert (status.running, status.pid, status.starts, status.storage_error) == (True, 5, 2, "")
    assert status.last_exit is not None
    assert status.last_exit.log == ("last words",)
    assert status.permit == (77.5, False)
    assert status.fence == (True, "Proven", "tried")
    assert (status.alone, status.others) == (False, "socket 1")
    assert (status.clock_steps, status.clock_step) == (1, -50.5)
    assert (status.record, status.record_error) == ({"counter": 3}, "")


def test_a_status_that_lacks_something_is_refused(guard: Callable[[Answer], GuardClient]) -> None:
    def answer(connection: socket.socket) -> None:
        request = decode_request(connection.recv(65536)[:-1])
        connection.sendall(encode_result(request.id, {"version": "1"}))

    with pytest.raises(ProtocolError, match="lacks or garbles"):
        guard(answer).status()


def test_a_permit_without_end_is_no_number(guard: Callable[[Answer], GuardClient]) -> None:
    asked = []

    def answer(connection: socket.socket) -> None:
        request = decode_request(connection.recv(65536)[:-1])
        asked.append((request.op, request.fields))
        permit = {"deadline": None, "lapsed": False}
        connection.sendall(
            encode_result(request.id, {**STATUS, "permit": permit, "record": None, "recordError": "torn"})
        )

    status = guard(answer).permit(None)
    assert asked == [("permit", {"deadline": None, "steps": 0})]
    assert (status.permit.deadline, status.record, status.record_error) == (None, None, "torn")


def test_a_guard_that_hangs_up_is_unreachable(guard: Callable[[Answer], GuardClient]) -> None:
    with pytest.raises(GuardUnreachable, match="hung up"):
        guard(lambda connection: connection.recv(65536)).status()


def test_a_guard_that_says_nothing_is_unreachable_in_time(guard: Callable[[Answer], GuardClient]) -> None:
    ended = threading.Event()
    began = time.monotonic()
    with pytest.raises(GuardUnreachable, match="timed out"):
        guard(lambda _: ended.wait(10)).status()
    ended.set()
    assert time.monotonic() - began < 4


def test_no_guard_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(GuardUnreachable):
        GuardClient(tmp_path / "none").status()
