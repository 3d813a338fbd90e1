"""The real guard around a real dhcpd."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.waiting import until
from tests.net.guarded import Guard, alive, as_user, confined, connection, dhcpd_of, freeze, process_of, start
from tests.net.jig import UID, Jig
from tests.net.services import service
from twinlease.ipc.client import GuardUnreachable
from twinlease.ipc.protocol import MAX_LINE, Code, Op, ProtocolError, Request, encode_request
from twinlease.model.states import Role

NO_SUBNET = "authoritative;\n"
"""Valid for the parser, and yet dhcpd ends at once with it."""


@pytest.fixture
def guard(jig: Jig) -> Iterator[Guard]:
    """A guard that runs, in the primary's place, without a server yet."""
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as made:
        made.start()
        yield made


def good(guard: Guard) -> str:
    """Offer a configuration that serves and return its revision."""
    return guard.offer(guard.engine.render(service(), Role.PRIMARY))


def test_it_starts_nothing_by_itself_and_says_so(guard: Guard) -> None:
    status = guard.client.status()
    assert (status.running, status.pid, status.revision, status.current, status.starts) == (False, 0, "", "", 0)
    assert status.last_exit is None
    with pytest.raises(ProtocolError) as caught:
        guard.client.start(start())
    assert caught.value.code == Code.NO_CONFIG


def test_apply_installs_durably_and_starts(guard: Guard) -> None:
    revision = good(guard)
    status = guard.client.apply(revision, start())
    assert alive(status.pid)
    assert (status.revision, status.current, status.starts) == (revision, revision, 1)
    assert time.time() - 10 < status.started_at <= time.time()
    installed = guard.lease_dir / "config"
    assert (installed / "current").resolve().read_bytes() == (guard.run_dir / "candidate" / revision).read_bytes()
    with pytest.raises(ProtocolError, match="runs already"):
        guard.client.start(start())
    assert guard.client.status().pid == status.pid


def test_the_next_configuration_replaces_the_server_and_an_old_one_leaves_the_disk(guard: Guard) -> None:
    pids = []
    revisions = []
    for comment in range(4):
        revisions.append(guard.offer(f"# {comment}\n" + guard.engine.render(service(), Role.PRIMARY)))
        pids.append(guard.client.apply(revisions[-1], start()).pid)
    assert [alive(pid) for pid in pids] == [False, False, False, True]
    kept = {path.name for path in (guard.lease_dir / "config").iterdir()}
    assert kept == {"current", *revisions[-2:]}
    status = guard.client.status()
    assert status.last_exit is not None
    assert (status.last_exit.reason, status.last_exit.code) == ("Stopped", -signal.SIGTERM)


def test_a_configuration_that_dhcpd_does_not_survive_leaves_the_last_good_one_serving(guard: Guard) -> None:
    revision = good(guard)
    guard.client.apply(revision, start())
    with pytest.raises(ProtocolError) as caught:
        guard.client.apply(guard.offer(NO_SUBNET), start())
    assert caught.value.code == Code.START
    assert "No subnet declaration for eth0" in caught.value.message
    status = guard.client.status()
    assert alive(status.pid)
    assert (status.revision, status.current, status.starts) == (revision, revision, 3)


def test_a_first_configuration_that_dhcpd_does_not_survive_is_not_current(guard: Guard) -> None:
    with pytest.raises(ProtocolError):
        guard.client.apply(guard.offer(NO_SUBNET), start())
    status = guard.client.status()
    assert (status.running, status.current) == (False, "")
    assert status.last_exit is not None
    assert (status.last_exit.reason, status.last_exit.code) == ("Exited", 1)
    assert any("No subnet declaration" in line for line in status.last_exit.log)


@pytest.mark.parametrize("kind", ["missing", "other text", "symbolic link", "pipe"])
def test_a_candidate_that_is_not_what_it_should_be_changes_nothing(guard: Guard, kind: str) -> None:
    before = guard.client.apply(good(guard), start())
    revision = "0" * 64
    candidate = guard.run_dir / "candidate" / revision
    if kind == "other text":
        candidate.write_text("authoritative;\n", encoding="ascii")
    elif kind == "symbolic link":
        candidate.symlink_to(guard.run_dir / "candidate" / before.revision)
    elif kind == "pipe":
        os.mkfifo(candidate)
    with pytest.raises(ProtocolError) as caught:
        guard.client.apply(revision, start())
    assert caught.value.code == (Code.DIGEST if kind == "other text" else Code.NO_CONFIG)
    status = guard.client.status()
    assert (status.pid, status.revision, status.current) == (before.pid, before.revision, before.revision)


def test_start_runs_what_was_installed_last_also_under_a_new_guard(guard: Guard) -> None:
    revision = good(guard)
    pid = guard.client.apply(revision, start()).pid
    assert guard.signal(signal.SIGKILL) == -signal.SIGKILL
    until("dhcpd dies with its guard", lambda: not alive(pid), timeout=5)
    guard.start()
    assert not guard.client.status().running
    status = guard.client.start(start())
    assert status.revision == revision
    assert alive(status.pid)


def test_stop_stops_and_an_exit_is_told_with_its_last_words(guard: Guard) -> None:
    pid = guard.client.apply(good(guard), start()).pid
    assert not guard.client.stop(5).running
    assert not alive(pid)
    pid = guard.client.start(start()).pid
    os.kill(pid, signal.SIGKILL)
    until("the guard has noticed", lambda: not guard.client.status().running, timeout=5)
    last = guard.client.status().last_exit
    assert last is not None
    assert (last.reason, last.code) == ("Signalled", -signal.SIGKILL)
    assert "Server starting service." in last.log


def test_a_server_that_does_not_listen_is_killed_after_its_grace(guard: Guard) -> None:
    pid = guard.client.apply(good(guard), start()).pid
    freeze(pid)
    began = time.monotonic()
    status = guard.client.stop(0.5)
    assert 0.4 < time.monotonic() - began < 3
    assert not alive(pid)
    assert status.last_exit is not None
    assert status.last_exit.reason == "Killed"


def test_sigterm_stops_dhcpd_cleanly(guard: Guard) -> None:
    pid = guard.client.apply(good(guard), start()).pid
    assert guard.signal(signal.SIGTERM) == 0
    assert not alive(pid)
    assert "reason=Stopped" in guard.said()


def test_a_command_under_way_goes_on_without_its_client_and_status_does_not_wait_for_one_that_is_there(
    guard: Guard,
) -> None:
    pid = frozen(guard)
    revision = guard.offer("# another\n" + guard.engine.render(service(), Role.PRIMARY))
    with connection(guard) as sock:
        sent(guard, sock, line(Op.APPLY, revision=revision, **start().fields()))
        began = time.monotonic()
        assert guard.client.status().pid == pid
        assert time.monotonic() - began < 1
    os.kill(pid, signal.SIGCONT)
    assert guard.client.status().current == revision


def test_commands_run_one_after_the_other(guard: Guard) -> None:
    revision = good(guard)
    guard.client.apply(revision, start())
    lines = [
        {"v": 3, "id": 1, "op": "stop", "grace": 5},
        {"v": 3, "id": 2, "op": "start", "restart": False, **start().fields()},
        {"v": 3, "id": 3, "op": "stop", "grace": 5},
        {"v": 3, "id": 4, "op": "status"},
    ]
    with connection(guard) as sock:
        sock.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        reader = sock.makefile("rb")
        replies = [json.loads(reader.readline()) for _ in lines]
    assert [(reply["id"], reply["ok"]) for reply in replies] == [(1, True), (2, True), (3, True), (4, True)]
    assert [reply["result"]["running"] for reply in replies] == [False, True, False, False]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", Code.BAD_REQUEST),
        (os.urandom(300) + b"\n", Code.BAD_REQUEST),
        (b'{"v":3,"id":1,"op":"exec","argv":["/bin/sh"]}\n', Code.UNKNOWN_OP),
        (b'{"v":4,"id":1,"op":"status"}\n', Code.VERSION),
        (b'{"v":3,"id":1,"op":"status","more":1}\n', Code.BAD_REQUEST),
        (b"x" * (MAX_LINE + 1), Code.BAD_REQUEST),
    ],
)
def test_what_it_does_not_understand_is_refused_and_harms_nothing(guard: Guard, sent: bytes, code: str) -> None:
    pid = guard.client.apply(good(guard), start()).pid
    with connection(guard) as sock:
        sock.sendall(sent)
        reply = json.loads(sock.makefile("rb").readline())
    assert (reply["ok"], reply["error"]["code"]) == (False, code)
    assert guard.client.status().pid == pid
    assert alive(pid)


def test_an_unknown_edit_starts_nothing(guard: Guard) -> None:
    with pytest.raises(ProtocolError) as caught:
        guard.client.apply(good(guard), start("turn-to-gold"))
    assert caught.value.code == Code.EDIT
    assert not guard.client.status().running


def test_another_user_cannot_even_connect(guard: Guard) -> None:
    assert (guard.run_dir / "guard.sock").stat().st_mode & 0o777 == 0o600
    with as_user(), pytest.raises(GuardUnreachable, match="Permission denied"):
        guard.client.status()


def test_a_second_guard_on_the_same_leases_starts_nothing(guard: Guard, jig: Jig) -> None:
    revision = good(guard)
    pid = guard.client.apply(revision, start()).pid
    with Guard(jig.secondary.directory / "pod", jig.secondary.namespace) as second:
        second.lease_dir.rmdir()
        second.lease_dir.symlink_to(guard.lease_dir)
        second.start()
        with pytest.raises(ProtocolError, match="another server uses") as caught:
            second.client.start(start())
        assert caught.value.code == Code.STORAGE
        guard.signal(signal.SIGTERM)
        assert not alive(pid)
        assert second.client.start(start()).revision == revision


def test_a_full_output_blocks_neither_dhcpd_nor_the_guard(jig: Jig) -> None:
    reading, writing = os.pipe()
    with Guard(jig.primary.directory / "pod", jig.primary.namespace) as guard:
        guard.start(stdout=writing)
        os.close(writing)
        revision = good(guard)
        guard.client.apply(revision, start())

        def dropping() -> bool:
            flood(guard)
            return guard.client.status().dropped_log_bytes > 0

        until("more came than pipe and buffers hold", dropping, timeout=10)
        status = guard.client.status()
        assert alive(status.pid)
        assert status.starts == 1
        # Once somebody reads, the log goes on, and says what is missing.
        os.set_blocking(reading, False)
        drain(reading)
        guard.client.stop(5)
        until("the log goes on", lambda: b"bytes of log dropped here" in drain(reading), timeout=5)
        until("the guard is idle again", lambda: guard.client.status().last_exit is not None, timeout=5)
    os.close(reading)


def flood(guard: Guard) -> None:
    """Put into the pipe that dhcpd logs to what it takes, as dhcpd itself would."""
    with Path(f"/proc/{guard.client.status().pid}/fd/2").open("wb", buffering=0) as log:
        os.set_blocking(log.fileno(), False)
        log.write(b"a line of a busy server\n" * 8000)


def drain(reading: int) -> bytes:
    """Return what there is to read now."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(reading, 65536)
        except BlockingIOError:
            return b"".join(parts)
        if not part:
            return b"".join(parts)
        parts.append(part)


def test_storage_that_cannot_be_written_is_told_and_heals(jig: Jig) -> None:
    with confined(jig) as guard:
        os.chown(guard.lease_dir, 0, 0)
        with as_user():
            revision = good(guard)
            assert f"must be uid {UID}" in guard.client.status().storage_error
            with pytest.raises(ProtocolError) as caught:
                guard.client.apply(revision, start())
        assert caught.value.code == Code.STORAGE
        os.chown(guard.lease_dir, UID, UID)
        with as_user():
            assert guard.client.apply(revision, start()).storage_error == ""


CAPABILITIES = {"net_bind_service": 10, "net_admin": 12, "net_raw": 13}


def test_dhcpd_gets_exactly_its_capabilities_from_its_file(jig: Jig) -> None:
    with confined(jig) as guard:
        with as_user():
            guard.client.apply(good(guard), start())
        guard_sets, dhcpd_sets = capabilities(process_of(guard)), capabilities(dhcpd_of(guard))
    assert guard_sets["CapPrm"] == bits("net_raw", "net_bind_service", "net_admin")
    assert guard_sets["CapEff"] == guard_sets["CapInh"] == guard_sets["CapAmb"] == 0
    assert dhcpd_sets["CapPrm"] == dhcpd_sets["CapEff"] == bits("net_raw", "net_bind_service")


def test_pid_1_takes_dhcpd_with_it_also_where_the_kernel_forgets_the_death_signal(jig: Jig) -> None:
    with confined(jig) as guard:
        with as_user():
            guard.client.apply(good(guard), start())
        dhcpd = dhcpd_of(guard)
        os.kill(process_of(guard), signal.SIGKILL)
        until("dhcpd is gone", lambda: not alive(dhcpd), timeout=5)


def test_root_is_another_user_too(jig: Jig) -> None:
    with confined(jig) as guard:
        with pytest.raises(GuardUnreachable):
            guard.client.status()
        assert "refused a connection of uid 0" in guard.said()


def capabilities(pid: int) -> dict[str, int]:
    """Return a process's capability sets."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {line.split(":")[0]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}


def bits(*names: str) -> int:
    """Return the set of these capabilities."""
    return sum(1 << CAPABILITIES[name] for name in names)


# --- whoever asked is gone --------------------------------------------------------------------------------------------
def line(op: str, **fields: object) -> bytes:
    """Return a request's line."""
    return encode_request(Request(1, op, fields))


def frozen(guard: Guard) -> int:
    """Have a server run that ends by force only; return its process id."""
    pid = guard.client.apply(good(guard), start()).pid
    freeze(pid)
    return pid


def sent(guard: Guard, sock: socket.socket, request: bytes) -> None:
    """Send a request, and wait until the guard has taken it in: it looks at all that there is before it looks again."""
    sock.sendall(request)
    for _ in range(2):
        guard.client.status()


def test_what_waits_is_not_done_when_whoever_asked_has_hung_up(guard: Guard) -> None:
    pid = frozen(guard)
    begin = start().fields()
    revision = guard.offer("# 2\n" + guard.engine.render(service(), Role.PRIMARY))
    with connection(guard) as first, first.makefile("rb") as replies:
        sent(guard, first, line(Op.STOP, grace=0.5))
        for request in (
            line(Op.START, restart=True, **begin),
            line(Op.APPLY, revision=revision, **begin),
            line(Op.REMEMBER, record={"epoch": 9}),
        ):
            with connection(guard) as dead:
                sent(guard, dead, request)
                assert alive(pid)
        assert not json.loads(replies.readline())["result"]["running"]
    status = guard.client.stop(0)  # in line after them
    assert (status.running, status.starts, status.record) == (False, 1, None)
    assert guard.said().count("code=gone") == 3
    assert guard.client.start(start()).running


def test_a_permit_of_a_sidecar_that_has_died_meanwhile_is_not_given(guard: Guard) -> None:
    deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + 30
    pid = guard.client.apply(good(guard), start(deadline=deadline)).pid
    assert guard.process is not None
    os.kill(guard.process.pid, signal.SIGSTOP)
    with connection(guard) as dead:
        dead.sendall(line(Op.PERMIT, deadline=deadline + 60, steps=0) + line(Op.STOP, grace=1))
    os.kill(guard.process.pid, signal.SIGCONT)
    status = guard.client.status()
    assert (status.permit.deadline, status.pid, alive(pid)) == (deadline, pid, True)


@pytest.mark.parametrize("op", [Op.STOP, Op.START])
def test_the_next_one_sees_what_the_last_one_began_only_when_it_is_done(guard: Guard, op: str) -> None:
    pid = frozen(guard)
    with connection(guard) as dead:
        fields = {"grace": 1.0} if op == Op.STOP else {"restart": True, **start().fields()}
        sent(guard, dead, line(op, **fields))
        assert guard.client.status().pid == pid, "whoever asked is told at any time"
    if op == Op.START:
        threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()  # sooner than the guard would
    status = guard.client.status()
    assert not alive(pid)
    assert (status.running, status.starts) == ((False, 1) if op == Op.STOP else (True, 2))
    assert alive(status.pid) == status.running
