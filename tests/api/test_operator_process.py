"""The operator as a process: leading, takeover, release, many pairs, memory."""

import http.client
import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.operating import account_kubeconfig, administrator
from tests.api.world import World
from tests.lab.apiserver import ApiServer, free_ports
from tests.lab.waiting import until
from twinlease.kube.protocol import LEASES, PAIRS, RESERVATIONS, ROLE_BINDINGS, ROLES, Json, Transport
from twinlease.metrics.table import TABLE, Exporter, Kind

Launch = Callable[..., subprocess.Popen[bytes]]
PAIR_COUNT = 10
RESERVATIONS_EACH = 100
MOST_MEMORY_MB = 120


@pytest.fixture
def world(server: ApiServer, namespace: str) -> World:
    made = World(administrator(server), namespace, server)
    made.nodes()
    return made


@pytest.fixture
def launch(server: ApiServer, rights: Transport, namespace: str, tmp_path: Path) -> Iterator[Launch]:
    """Return what starts an operator for the namespace, with its own account; all end with the test."""
    del rights  # the account and its rights are there
    administrator(server).request("POST", f"{ROLES.path(namespace)}", body=_elections(namespace))
    administrator(server).request("POST", f"{ROLE_BINDINGS.path(namespace)}", body=_elections_binding(namespace))
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(account_kubeconfig(server, "twinlease-system", "twinlease-operator"), encoding="utf-8")
    started = []

    def start(name: str, *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "twinlease", "operator", "--kubeconfig", str(kubeconfig)]
        command += ["--namespace", namespace, "--lease-namespace", namespace, "--image", "image:1", *more]
        started.append(subprocess.Popen(command, env={**os.environ, "POD_NAME": name, "MALLOC_ARENA_MAX": "2"}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def _elections(namespace: str) -> Json:
    """Return the right to stand for election in the test's own namespace."""
    rules = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}]
    return {"metadata": {"name": "elections", "namespace": namespace}, "rules": rules}


def _elections_binding(namespace: str) -> Json:
    subject = {"kind": "ServiceAccount", "name": "twinlease-operator", "namespace": "twinlease-system"}
    role = {"apiGroup": ROLES.group, "kind": "Role", "name": "elections"}
    return {"metadata": {"name": "elections", "namespace": namespace}, "roleRef": role, "subjects": [subject]}


def holder(world: World) -> str:
    lease = world.admin.find(LEASES, "twinlease-operator", world.namespace)
    return "" if lease is None else str(lease["spec"].get("holderIdentity", "")).partition("_")[0]


def redundant(world: World, pair: str = "p") -> bool:
    world.schedule()
    world.sidecars()
    return world.conditions(PAIRS, pair).get("Redundant", {}).get("status") == "True"


def test_a_pair_comes_up_and_the_other_operator_takes_over(world: World, launch: Launch) -> None:
    one = launch("one")
    until("one leads", lambda: holder(world) == "one", timeout=30)
    two = launch("two")
    world.pair()
    world.pool()
    until("the pair is redundant", lambda: redundant(world), timeout=30)

    one.send_signal(signal.SIGTERM)
    assert one.wait(20) == 0
    until("two leads, as one has given the lead back", lambda: holder(world) == "two", timeout=8)
    world.pool("more", subnet="10.8.0.0/24", ranges=[])
    until("two carries on", lambda: "10.8.0.0" in world.text("p-secondary"), timeout=20)

    launch("three")
    two.kill()
    until("three leads once two's lease has ended", lambda: holder(world) == "three", timeout=40)


def get(port: int, path: str) -> tuple[int, str]:
    """Ask an operator for a page; status 0: nobody listens yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except ConnectionRefusedError:
        return 0, ""
    finally:
        connection.close()


def scrape(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return all series of an operator."""
    status, text = get(port, "/metrics")
    assert status == 200, text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_leader_tells_of_its_pairs_and_the_other_that_it_follows(world: World, launch: Launch) -> None:
    first, second = free_ports(2)
    launch("one", "--http-port", str(first))
    until("one leads", lambda: holder(world) == "one", timeout=30)
    launch("two", "--http-port", str(second))
    world.pair()
    world.pool()
    until("the pair is redundant", lambda: redundant(world), timeout=30)
    until("both are ready", lambda: all(get(port, "/readyz") == (200, "ok\n") for port in (first, second)), timeout=20)
    assert [get(port, "/healthz") for port in (first, second)] == [(200, "ok\n")] * 2

    me = {"namespace": world.namespace, "pair": "p"}

    def value(port: int, name: str, **labels: str) -> float | None:
        return scrape(port).get((f"twinlease_{name}", frozenset(labels.items())))

    until("it is told", lambda: value(first, "pair_serving_servers", **me) == 2, timeout=10)
    assert [value(port, "operator_leading") for port in (first, second)] == [1, 0]
    assert value(first, "pair_phase", **me, phase="Both") == 1
    assert value(first, "pair_condition", **me, type="Redundant", status="True", reason="Normal") == 1
    assert value(first, "pair_objects", **me, kind="DHCPPool", valid="true") == 1
    for role in ("primary", "secondary"):
        assert value(first, "pair_server_state", **me, server=f"p-{role}", role=role, state="Normal") == 1
    assert value(first, "operator_admission_policy") is not None
    found = scrape(first)
    decided = [value for (name, labels), value in found.items() if name == "twinlease_pair_decisions_total"]
    assert sum(decided) > 3
    looks = "twinlease_operator_reconcile_duration_seconds_count", frozenset({("result", "ok")})
    assert found[looks] > 3
    asked = "twinlease_api_request_duration_seconds_count", frozenset({("method", "GET"), ("result", "ok")})
    assert found[asked] > 10
    names = {name for name, _ in found}
    promised = {each.name for each in TABLE if each.by == (Exporter.LEADER,) and each.kind is not Kind.HISTOGRAM}
    # Nobody is cut off.
    assert promised - names <= {"twinlease_pair_takeover_in_seconds"}
    assert not any(name.startswith("twinlease_pair") for name, _ in scrape(second))

    world.admin.delete(PAIRS, "p", world.namespace)
    until(
        "the pair has no series any more",
        lambda: not any(("pair", "p") in labels for _, labels in scrape(first)),
        timeout=20,
    )


class Crowd(World):
    """Many pairs, each with nodes and a network of its own."""

    def address(self, node: str) -> str:
        """Return the address of node ``m<pair>-<number>``."""
        pair, number = node.removeprefix("m").split("-")
        return f"10.{pair}.0.{number}"


def test_ten_pairs_with_a_thousand_reservations_fit_into_the_memory(
    server: ApiServer, namespace: str, launch: Launch
) -> None:
    crowd = Crowd(administrator(server), namespace, server)
    for pair in range(PAIR_COUNT):
        crowd.nodes([f"m{pair}-1", f"m{pair}-2"])
        name = f"p{pair}"
        peers = [{"nodeName": f"m{pair}-{number}", "interface": "eth1"} for number in (1, 2)]
        crowd.pair(name, primary=peers[0], secondary=peers[1])
        ranges = [{"start": f"10.{pair}.4.1", "end": f"10.{pair}.7.254"}]
        crowd.pool(f"pool{pair}", name, subnet=f"10.{pair}.0.0/16", ranges=ranges)
        for number in range(RESERVATIONS_EACH):
            mac = f"02:00:00:00:{pair:02x}:{number:02x}"
            crowd.reservation(f"r{pair}-{number}", mac, f"10.{pair}.1.{number + 1}", name)

    (port,) = free_ports(1)
    began = time.monotonic()
    process = launch("one", "--http-port", str(port))
    for _ in itertools.repeat(None, 200):
        crowd.schedule()
        crowd.sidecars()
        found = crowd.all(PAIRS).values()
        if all(_holds(each, "Redundant") for each in found) and all(
            _holds(each, "Programmed") for each in crowd.all(RESERVATIONS).values()
        ):
            break
        time.sleep(0.2)
    else:
        raise AssertionError("not all pairs came up")
    took = time.monotonic() - began
    time.sleep(3.0)  # what the bring-up allocated is given back or it is not: this is what stays
    memory, busy = _memory_mb(process.pid), _cpu_seconds(process.pid)
    time.sleep(10.0)
    rest = (_cpu_seconds(process.pid) - busy) / 10
    busy_before = _cpu_seconds(process.pid)
    for _ in range(10):
        series = scrape(port)
        time.sleep(0.6)  # each is made anew
    scraping = (_cpu_seconds(process.pid) - busy_before) / 10
    memory = max(memory, _memory_mb(process.pid))
    figures = (
        f"{PAIR_COUNT} pairs: {took:.1f} s, {memory:.0f} MB, {rest:.1%} of a core at rest, {busy:.1f} s CPU in all, "
        f"{len(series)} series, {scraping * 1000:.0f} ms CPU for a scrape"
    )
    logging.getLogger(__name__).info(figures)

    assert memory <= MOST_MEMORY_MB, figures
    assert rest < 0.05, figures
    assert (
        sum(value for (name, _), value in series.items() if name == "twinlease_pair_serving_servers") == 2 * PAIR_COUNT
    )


def _holds(found: dict[str, dict[str, list[dict[str, str]]]], condition: str) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == condition and each["status"] == "True" for each in conditions)


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
