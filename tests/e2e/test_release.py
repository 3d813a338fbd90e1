"""The way of a release on real kubelets, under the eyes of the real Prometheus: tried, upgraded and taken away.

It is installed before the first test of the session: all of them run on what Helm installs. A node dies here as well,
and what Prometheus says then is what a human on call reads.
"""

import re
import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest

from tests.chart.page import commands
from tests.e2e.release import NAME, Release
from tests.e2e.traffic import Traffic
from tests.e2e.watched import Watched, watching
from tests.e2e.world import EXAMPLE, OF_PAIR, OPERATOR_NAMESPACE, PAIR, PRIMARY, SERVING, World
from tests.lab.demo_failure import hurried
from tests.lab.model import PROJECT_IMAGE
from tests.lab.paths import REPOSITORY
from tests.lab.waiting import until
from twinlease.monitoring.alert import RUNBOOKS
from twinlease.monitoring.dashboard import DECISIONS, ROWS, VARIABLES

TIMES = {
    "failover": {"mclt": "15s", "maxResponseDelay": "3s"},
    "partnerDown": {"after": "23s"},
    "servingLease": {"duration": "10s", "promise": "10s", "maxPromise": "30s", "aloneDuration": "1m"},
}
SPED_UP = 20
"""What an alert waits minutes for takes seconds: TwinleasePairDegraded 15, TwinleaseSidecarAbsent 30. The pair's
`after` lies between the two, as it does by default."""

OF_TRAFFIC = frozenset({"TwinleaseRunwayLow"})
"""Alerts that the made-up clients are the cause of: they are ever new ones."""

NEXT = "next"
CLUSTER_WIDE = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
OURS = "app.kubernetes.io/name=twinlease"
ALL_WELL = "count(twinlease_server_serving == 1) == 2 and count(twinlease_operator_leading == 1) == 1"
QUERIES = [(panel.title, query.expr) for row in ROWS for panel in row.panels for query in panel.queries]
QUERIES.append(("Decisions", DECISIONS))


class Server(NamedTuple):
    """What an effect on a server would change."""

    pod: str
    restarts: dict[str, int]
    started: str


class Death(NamedTuple):
    """A node's death and return: between which times (Unix), and what was said of it."""

    begin: float
    end: float
    said: dict[str, dict[str, str]]


def servers(world: World) -> dict[str, Server]:
    """Return both servers as they are."""
    return {name: Server(world.pod_uid(name), world.restarts(name), started(world, name)) for name in SERVING}


def started(world: World, name: str) -> str:
    """Return when a server's daemon was started, by its sidecar's word; empty: it does not run."""
    return str(world.get("dsrv", name)["status"]["daemon"].get("started", ""))


def crash(world: World) -> None:
    """Kill the primary's dhcpd."""
    node = world.get("pod", PRIMARY)["spec"]["nodeName"]
    found = world.lab.faults.pod_processes(node, world.pod_uid(PRIMARY))
    world.lab.faults.kill_processes([pid for pid, name in found.items() if name == "dhcpd"])


def images(world: World) -> set[str]:
    """Return the images of the server pods."""
    pods = world.every("pods", selector=f"{OF_PAIR}={PAIR}")
    return {each["spec"]["containers"][0]["image"] for each in pods}


def begun(watched: Watched) -> float:
    """Return the time (Unix), once Prometheus has heard that all is well: it hears of changes up to a scrape late."""

    def well() -> bool:
        now = time.time()
        return bool(watched.prometheus.series(ALL_WELL, now, now))

    until("Prometheus has heard that all is well", well, timeout=30, every=0.2)
    return time.time()


def silent(watched: Watched, begin: float) -> dict[str, list[int]]:
    """Return when a server said that it answers nobody: its name -> seconds after the beginning."""
    found = watched.prometheus.series("twinlease_server_serving == 0", begin, time.time())
    return {each["metric"]["server"]: [round(at - begin) for at, _ in each["values"]] for each in found}


def fewest(watched: Watched, begin: float) -> int:
    """Return how many servers at least have answered clients at any time, by the operator's word."""
    found = watched.prometheus.series("max(twinlease_pair_serving_servers)", begin, time.time())
    return min(int(value) for each in found for _, value in each["values"])


def fired(watched: Watched, begin: float) -> set[str]:
    """Return the alerts that fired, but those of the traffic."""
    return {each.name for each in watched.fired(begin)} - OF_TRAFFIC


def filled(query: str) -> str:
    """Return a query of the dashboard as Grafana would send it."""
    for name, value in (("__rate_interval", "20s"), ("namespace", "default"), ("pair", PAIR)):
        query = re.sub(rf"\${name}\b", value, query)
    return query


@pytest.fixture(scope="module")
def watched(release: Release, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The Prometheus that watches all that happens here."""
    world.remove_example()
    with watching(world.lab, release, tmp_path_factory.mktemp("prometheus"), SPED_UP) as watched:
        yield watched


@pytest.fixture(scope="module")
def pair(world: World, watched: Watched) -> Iterator[World]:
    """The lab with the example pair, its timers short, watched for as long as it is there."""
    until("the operators are scraped", lambda: "up" in watched.up().values(), timeout=30)
    world.lab.kubectl("apply", "--filename=-", stdin=hurried(EXAMPLE, TIMES))
    world.wait("dfp", PAIR, "Redundant", timeout=120)
    yield world
    world.lab.faults.mend()
    world.remove_example()


@pytest.fixture(scope="module")
def death(pair: World, watched: Watched) -> Death:
    """The node of a server loses its power under load, and has it back when the survivor has taken over.

    Not the leading operator's node: another would first have to be elected, and Prometheus would hear of it that late.
    """
    begin = time.time()
    lease = pair.lease_one()
    leaders = pair.get("pod", pair.leader(), OPERATOR_NAMESPACE)["spec"]["nodeName"]
    victim = next(node for node in ("n2", "n1") if node != leaders)
    with Traffic(alive=8) as traffic:
        pair.lab.faults.power_off(victim)
        try:
            said = {"TwinleasePairDegraded": watched.await_firing("TwinleasePairDegraded", 40)}
            said["TwinleasePartnerDown"] = watched.await_firing("TwinleasePartnerDown", 60)
            assert pair.lease_one(mac=lease.mac).address == lease.address
        finally:
            pair.lab.faults.power_on(victim)
        pair.wait("dfp", PAIR, "Redundant", timeout=120)
        watched.await_calm(30, but=OF_TRAFFIC)
    assert not traffic.verdict.violations, traffic.verdict.report()
    return Death(begin, begun(watched), said)


def _others_lead(world: World, release: Release, earlier: set[str]) -> bool:
    """Tell whether none of the earlier operators is left, and one of the present ones leads."""
    pods = release.pods()
    return earlier.isdisjoint(pods.values()) and world.leader() in pods


@pytest.fixture
def afterwards(release: Release, world: World) -> Iterator[None]:
    """What a test takes away is installed again, for those that come after it."""
    yield
    release.install()
    world.await_operator()


def test_helms_test_finds_all_well(release: Release, world: World) -> None:
    del world  # it is installed
    said = release.test()
    assert "ok     an operator leads: twinlease-operator-" in said
    assert "wrong " not in said


def test_all_pods_are_scraped_that_the_monitors_select(pair: World, release: Release, watched: Watched) -> None:
    wanted = dict.fromkeys({*release.pods(), *SERVING}, "up")
    until("all are scraped", lambda: watched.up() == wanted, timeout=30, every=0.5)
    assert pair.both_normal()


def test_the_right_alerts_fire_when_a_node_dies_and_stop_when_it_returns(death: Death, watched: Watched) -> None:
    assert {each.name for each in watched.fired(death.begin, death.end)} - OF_TRAFFIC == set(death.said)


def test_an_alert_names_the_pair_and_a_page_that_exists(death: Death) -> None:
    for name, said in death.said.items():
        assert f"default/{PAIR}" in said["summary"]
        assert said["runbook_url"] == f"{RUNBOOKS}/{name}.md"
        assert (REPOSITORY / "docs" / "runbooks" / f"{name}.md").read_text(encoding="utf-8").startswith(f"# {name}\n")
    assert "1 of 2 servers answer clients." in death.said["TwinleasePairDegraded"]["description"]
    assert re.search(r"may be used in [\d.]+s\.", death.said["TwinleasePartnerDown"]["description"])


def test_upgrade_and_rollback_of_the_operator_touch_no_server(pair: World, release: Release, watched: Watched) -> None:
    before, begin = servers(pair), begun(watched)
    with Traffic() as traffic:
        for change in (partial(release.upgrade, "logLevel=debug"), partial(release.helm, "rollback", NAME, "--wait")):
            operators = set(release.pods().values())
            change()
            until("others lead", partial(_others_lead, pair, release, operators), timeout=60, every=0.2)
    assert servers(pair) == before
    assert not silent(watched, begin)
    assert not fired(watched, begin)
    assert not traffic.verdict.violations, traffic.verdict.report()
    assert traffic.longest_wait < 4.0, traffic.summary


def test_uninstall_stops_no_server_and_the_next_install_takes_the_pair_up(
    pair: World, release: Release, watched: Watched
) -> None:
    lease, before, begin = pair.lease_one(), servers(pair), begun(watched)
    with Traffic() as traffic:
        release.uninstall()
        # Prometheus goes on as it was told; where the Prometheus Operator tells it, its rules go with the release.
        watched.await_firing("TwinleaseOperatorAbsent", 60)
        assert not release.pods()
        assert not pair.lab.kubectl("get", CLUSTER_WIDE, f"--selector={OURS}", "--output=name")
        # Longer than the permit's duration: both live by renewals that no operator takes part in.
        assert not silent(watched, begin)
        assert servers(pair) == before
        assert pair.lease_one(mac=lease.mac).address == lease.address

        crash(pair)
        until("dhcpd runs again", lambda: started(pair, PRIMARY) not in ("", before[PRIMARY].started), timeout=60,
              every=0.2)  # fmt: skip
        until("both are normal, without an operator", pair.both_normal, timeout=60, every=0.2)
        crashed = servers(pair)

        release.install()
        pair.await_operator()
        pair.wait("dfp", PAIR, "Redundant", timeout=60)
        watched.await_calm(60, but=OF_TRAFFIC)
    assert servers(pair) == crashed
    # The election's Lease is the old leader's, who had no right any more to give it back; its end is not sped up here.
    assert fired(watched, begin) - {"TwinleaseOperatorNotLeading"} == {"TwinleaseOperatorAbsent"}
    assert not traffic.verdict.violations, traffic.verdict.report()
    assert traffic.longest_wait < 8.0, traffic.summary


def test_an_upgrade_of_the_image_replaces_one_server_at_a_time(pair: World, release: Release, watched: Watched) -> None:
    for machine in pair.lab.machines.values():
        machine.tag_image(PROJECT_IMAGE, PROJECT_IMAGE.replace(":dev", f":{NEXT}"))
    before, begin = servers(pair), begun(watched)
    with Traffic() as traffic:
        release.upgrade(f"image.tag={NEXT}")
        until("both run the next image", lambda: images(pair) == {PROJECT_IMAGE.replace(":dev", f":{NEXT}")},
              timeout=120, every=0.2)  # fmt: skip
        pair.wait("dfp", PAIR, "Redundant", timeout=60)
    assert all(each.pod != before[name].pod for name, each in servers(pair).items())
    assert fewest(watched, begin) == 1, "one at a time"
    assert not fired(watched, begin)
    assert not traffic.verdict.violations, traffic.verdict.report()
    assert traffic.longest_wait < 8.0, traffic.summary


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[f"{each[0]}-{n}" for n, each in enumerate(QUERIES)])
def test_a_query_of_the_dashboard_has_found_something_by_now(
    death: Death, watched: Watched, title: str, query: str
) -> None:
    assert watched.prometheus.series(filled(query), death.begin, time.time()), title


def test_the_dashboards_variables_offer_the_pair(death: Death, watched: Watched) -> None:
    del death
    offered = {}
    for name, query in VARIABLES.items():
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", filled(query)).groups()  # type: ignore[union-attr]
        offered[name] = watched.prometheus.values(label, selector)
    assert offered == {"namespace": ["default"], "pair": [PAIR]}


@pytest.mark.usefixtures("afterwards")
def test_everything_goes_in_the_order_of_the_page(pair: World, release: Release) -> None:
    lease = pair.lease_one()
    look, end, drop, sweep, uninstall, definitions = commands("Taking everything away")
    assert PAIR in pair.lab.kubectl(*look[1:])
    pair.lab.kubectl(*end[1:])
    assert not pair.offers(lease.mac)
    for step in (drop, sweep):
        pair.lab.kubectl(*step[1:])
    assert uninstall[:2] == ["helm", "uninstall"]
    release.helm(*(each for each in uninstall[1:] if each not in ("--namespace", OPERATOR_NAMESPACE)))
    pair.lab.kubectl(*definitions[1:])
    for what in ("pods,pvc,configmaps,secrets", CLUSTER_WIDE):
        left = pair.lab.kubectl("get", what, "--all-namespaces", "--output=name",
                                "--selector=app.kubernetes.io/managed-by=twinlease")  # fmt: skip
        assert not left
    assert not pair.lab.kubectl("get", f"crds,{CLUSTER_WIDE}", f"--selector={OURS}", "--output=name")
    # Helm's uninstall is over when the Deployment is; its pods have their grace.
    there = ("get", "pods", f"--namespace={OPERATOR_NAMESPACE}", "--output=name")
    until("the operators' pods are gone", lambda: not pair.lab.kubectl(*there), timeout=60, every=0.5)
