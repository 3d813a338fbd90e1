"""The sidecar's small parts: pauses, memory, configurations, publishing, watching."""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tests.lab.waiting import until
from tests.unit.sidecar.snapshots import server
from twinlease.api.server import ServerStatus, WantedConfig
from twinlease.engines.protocol import CheckError, CheckResult, Engine
from twinlease.kube.client import Client
from twinlease.kube.protocol import SERVERS, ApiError, Json
from twinlease.sidecar.backoff import Backoff
from twinlease.sidecar.configs import ConfigSource
from twinlease.sidecar.memory import Memory, Served
from twinlease.sidecar.observed import LastLease, Verdict, server_object
from twinlease.sidecar.publisher import Publisher
from twinlease.sidecar.watcher import Watcher

TEXT = 'subnet 10.0.0.0 netmask 255.255.255.0 {\n  option domain-name "süd";\n}\n'
REVISION = hashlib.sha256(TEXT.encode()).hexdigest()
WANTED = WantedConfig(revision=REVISION, config_maps=("c-0", "c-1"))


class Transport:
    """An API in memory: ConfigMaps to get, DHCPServers to list and watch, statuses to apply."""

    def __init__(self) -> None:
        self.config_maps: dict[str, Json] = {}
        self.server: Json | None = None
        self.lines: list[bytes | ApiError] = []
        self.applied: list[tuple[float, Json]] = []
        self.refusals: list[ApiError] = []

    def request(self, method: str, path: str, **more: Any) -> Json:  # noqa: ANN401  # as the protocol's
        """Answer."""
        if method == "PATCH":
            if self.refusals:
                raise self.refusals.pop(0)
            self.applied.append((time.monotonic(), more["body"]["status"]))
            return {}
        if "/configmaps/" in path:
            name = path.rpartition("/")[2]
            if name not in self.config_maps:
                raise ApiError(403, "Forbidden", f"configmaps {name} is forbidden")
            return self.config_maps[name]
        return {"metadata": {"resourceVersion": "1"}, "items": [self.server] if self.server else []}

    @contextmanager
    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Iterator[Iterator[bytes]]:
        """Tell the prepared lines, then be silent."""
        del path, query, timeout

        def lines() -> Iterator[bytes]:
            while True:
                while self.lines:
                    line = self.lines.pop(0)
                    if isinstance(line, ApiError):
                        raise line
                    yield line
                time.sleep(0.01)

        yield lines()


class Checker:
    """As much of an engine as checks configurations."""

    def __init__(self, verdict: CheckResult | CheckError) -> None:
        self.verdict = verdict
        self.seen = ""

    def check(self, config: Path) -> CheckResult:
        """Give the prepared verdict."""
        self.seen = config.read_text(encoding="utf-8")
        if isinstance(self.verdict, CheckError):
            raise self.verdict
        return self.verdict


GOOD = CheckResult(accepted=True, message="")


def obtain(transport: Transport, directory: Path, verdict: CheckResult | CheckError = GOOD) -> tuple[Verdict, str]:
    checker = Checker(verdict)
    found = ConfigSource(Client(transport, "m"), "n", directory).obtain(WANTED, cast("Engine", checker))
    assert found.revision == REVISION
    return found.verdict, found.message


@pytest.fixture
def api() -> Transport:
    """An API that holds the wanted configuration in two chunks."""
    transport = Transport()
    half = TEXT.index("\n") + 1
    transport.config_maps = {"c-0": {"data": {"config": TEXT[:half]}}, "c-1": {"data": {"config": TEXT[half:]}}}
    return transport


def test_pauses_double_up_to_a_bound_and_start_anew() -> None:
    now = [100.0]
    backoff = Backoff(1.0, 30.0, lambda: now[0])
    assert backoff.ready
    assert [backoff.failed() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    readiness = []
    for passed in (0.0, 29.9, 0.2):
        now[0] += passed
        readiness.append(backoff.ready)
    assert readiness == [False, False, True]
    backoff.reset()
    assert backoff.failed() == 1


def test_memory_outlives_the_sidecar(tmp_path: Path) -> None:
    assert (Memory(tmp_path).server(), Memory(tmp_path).served()) == (None, None)
    Memory(tmp_path).keep_server(server())
    Memory(tmp_path).keep_served(Served(12.25, 3))
    assert Memory(tmp_path).server() == server()
    assert Memory(tmp_path).served() == Served(12.25, 3)
    assert Memory(tmp_path).lease() == LastLease()
    known = LastLease(epoch=3, survivor="primary", longest=600)
    Memory(tmp_path).keep_lease(known)
    assert Memory(tmp_path).lease() == known
    (tmp_path / "server.json").write_text("{half", encoding="ascii")
    assert Memory(tmp_path).server() is None


def test_a_memory_that_cannot_be_kept_is_no_failure(tmp_path: Path) -> None:
    Memory(tmp_path / "none").keep_server(server())
    assert Memory(tmp_path / "none").server() is None


def test_a_configuration_is_put_together_checked_and_left_for_the_guard(api: Transport, tmp_path: Path) -> None:
    (tmp_path / "an older one").touch()
    assert obtain(api, tmp_path) == (Verdict.ACCEPTED, "")
    assert [path.name for path in tmp_path.iterdir()] == [REVISION]
    assert (tmp_path / REVISION).read_bytes() == TEXT.encode()
    assert (tmp_path / REVISION).stat().st_mode & 0o777 == 0o600


def test_a_configuration_that_the_parser_refuses(api: Transport, tmp_path: Path) -> None:
    refused = CheckResult(accepted=False, message="line 2: no")
    assert obtain(api, tmp_path, refused) == (Verdict.REJECTED, "line 2: no")


def test_what_may_be_better_next_time_is_unreadable(api: Transport, tmp_path: Path) -> None:
    assert obtain(api, tmp_path, CheckError("no program"))[0] is Verdict.UNREADABLE
    del api.config_maps["c-1"]
    verdict, message = obtain(api, tmp_path)
    assert verdict is Verdict.UNREADABLE
    assert "forbidden" in message
    api.config_maps["c-1"] = {"data": {}}
    assert obtain(api, tmp_path)[0] is Verdict.UNREADABLE


def test_chunks_in_the_wrong_order_are_not_the_configuration(api: Transport, tmp_path: Path) -> None:
    first, second = api.config_maps.values()
    api.config_maps = {"c-0": second, "c-1": first}
    assert obtain(api, tmp_path)[0] is Verdict.DIGEST_MISMATCH
    assert list(tmp_path.iterdir()) == []


def status(state: str) -> ServerStatus:
    return ServerStatus(pod_uid=state)


@pytest.fixture
def publisher(api: Transport) -> Publisher:
    """A publisher that runs."""
    made = Publisher(Client(api, "m"), "n", "lan-primary")
    made.start()
    return made


def test_the_first_change_is_written_at_once_and_then_the_newest(api: Transport, publisher: Publisher) -> None:
    publisher.submit(status("first"))
    until("it is written", lambda: len(api.applied) == 1, timeout=0.4, every=0.005)
    for number in range(5):
        publisher.submit(status(str(number)))
    until("all is written", lambda: publisher.idle, timeout=2)
    assert [written["podUid"] for _, written in api.applied] == ["first", "4"]
    assert api.applied[1][0] - api.applied[0][0] >= 0.5


def test_a_write_that_fails_is_repeated_until_it_works(api: Transport, publisher: Publisher) -> None:
    api.refusals = [ApiError(0, "", "no answer"), ApiError(500, "InternalError", "etcd")]
    publisher.submit(status("first"))
    until("it is written", lambda: len(api.applied) == 1, timeout=5)
    until("nothing is left", lambda: publisher.idle, timeout=2)


def test_without_an_object_there_is_nothing_to_repeat(api: Transport, publisher: Publisher) -> None:
    api.refusals = [ApiError(404, "NotFound", "no")]
    publisher.submit(status("first"))
    until("it is given up", lambda: publisher.idle, timeout=2)
    assert api.applied == []


def as_json(name: str, revision: str) -> Json:
    built = msgspec.to_builtins(server(revision))
    assert isinstance(built, dict)
    return {**built, "metadata": {**built["metadata"], "name": name, "resourceVersion": "5"}}


def test_the_watcher_lists_watches_and_begins_again_after_an_error(api: Transport) -> None:
    api.server = as_json("lan-primary", "a" * 64)
    changed = threading.Event()
    watcher = Watcher(Client(api, "m"), SERVERS, "n", "lan-primary", server_object, changed.set)
    watcher.start()

    def wants(revision: str) -> bool:
        latest = watcher.latest
        return latest is not None and bool(latest.spec.config) and latest.spec.config.revision == revision  # type: ignore[union-attr]  # bool() of UNSET is False

    until("it is listed", lambda: wants("a" * 64), timeout=2)
    assert changed.wait(2)
    line = {"type": "MODIFIED", "object": as_json("lan-primary", "b" * 64)}
    api.lines.append(msgspec.json.encode(line))
    until("the change is seen", lambda: wants("b" * 64), timeout=2)
    api.lines.append(msgspec.json.encode({"type": "DELETED", "object": as_json("lan-primary", "c" * 64)}))
    api.server = as_json("lan-primary", "d" * 64)
    api.lines.append(ApiError(0, "", "the connection broke"))
    until("it lists again", lambda: wants("d" * 64), timeout=5)


def test_an_object_that_makes_no_sense_does_not_end_the_watcher(api: Transport) -> None:
    api.server = {"metadata": {"name": "lan-primary"}, "spec": {"role": 7}}
    watcher = Watcher(Client(api, "m"), SERVERS, "n", "lan-primary", server_object, lambda: None)
    watcher.start()
    watcher.join(0.2)
    api.server = as_json("lan-primary", "a" * 64)
    until("it is read after all", lambda: watcher.latest is not None, timeout=5)
