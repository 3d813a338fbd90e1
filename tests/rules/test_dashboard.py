"""Every query of the dashboard finds something in a real Prometheus that has seen a node die and return."""

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.rules.happenings import condition
from tests.rules.prometheus import Prometheus, PrometheusError, watching
from tests.rules.promql import problems
from tests.rules.world import PAIR, PRIMARY, SECONDARY, SERVERS, World, healthy, rising
from twinlease.metrics import table
from twinlease.metrics.collect import CONTENT_TYPE, Exposition
from twinlease.metrics.endpoint import Answer, Endpoint
from twinlease.monitoring.dashboard import DECISIONS, KINDS, ROWS, STATES, VARIABLES, dashboard
from twinlease.monitoring.files import ALERTS
from twinlease.monitoring.panel import WIDTH, Kind, Panel, Query, Row, laid_out

ROOT = Path(__file__).resolve().parents[2]
PANELS = [panel for row in ROWS for panel in row.panels]
QUERIES = [(panel, query) for panel in PANELS for query in panel.queries]
FRAMES = 24
"""Each is half a minute of the world, and one scrape: the whole takes so many seconds."""


def filled(query: str) -> str:
    """Return a query as Grafana would send it."""
    for name, value in (("__rate_interval", "10s"), ("namespace", "net"), ("pair", "lan")):
        query = re.sub(rf"\${name}\b", value, query)
    assert "$" not in query
    return query


def died_and_returned() -> World:
    """The secondary dies at minute 2, the primary enters partner-down at 4, the secondary recovers from 7 to 10."""
    world = condition(healthy(), "Redundant", {"status": "True", "reason": "Normal"})
    for metric in (table.STATE, table.PAIR_SERVER_STATE):
        world.states(
            metric, PRIMARY, ("Normal", 2.0), ("CommunicationsInterrupted", 2.0), ("PartnerDown", 6.0), "Normal"
        )
    world.states(table.PAIR_SERVER_STATE, SECONDARY, ("Normal", 2.0), ("Unknown", 5.0), ("RecoverWait", 3.0), "Normal")
    world.states(table.PHASE, PAIR, ("Both", 4.0), ("Alone", 3.0), ("Returning", 3.0), "Both")
    world.put(table.PAIR_SERVING, PAIR, (2, 2), (1, 8), 2).put(table.PAIR_EPOCH, PAIR, (7, 4), (8, 3), 9)
    world.put(table.THRESHOLD, PAIR, (None, 2), (60, 1), (0, 1), (None, 1))
    world.put(table.PEER_ADDRESSES, PRIMARY, (None, 4), (1800, 6), (None, 1))
    world.put(table.RECOVER_REMAINING, SECONDARY, (None, 7), (90, 3), (None, 1))
    world.put(table.DECISIONS, {**PAIR, "action": "Order", "reason": "Ordered"}, (None, 4), 1)
    world.put(table.DECISIONS, {**PAIR, "action": "Nothing", "reason": "Normal"}, *rising(0, 0.5))
    for each in SERVERS.values():
        world.put(table.POOL_RUNWAY, {**each, "pool": "office"}, 9000)
        world.put(table.PROMISE_REMAINING, each, 200)
        for kind in ("discover", "offer", "request", "ack"):
            world.put(table.DHCP_MESSAGES, {**each, "type": kind}, *rising(0, 0.5, by=40))
    return world.silent(SECONDARY, 2, 7)


class Film:
    """Shows the world to whoever scrapes it, frame by frame, by the very code that the components export with."""

    def __init__(self, world: World) -> None:
        self.shown = 0
        self._exposition = Exposition(lambda: world.at(self.shown / 2))
        self._look = self._exposition.timings(table.RECONCILE_SECONDS)
        self._request = self._exposition.timings(table.API_REQUEST_SECONDS)

    def next(self) -> Answer:
        """Return the next frame."""
        self._look(0.02, ("ok",))
        self._request(0.004, ("PATCH", "ok"))
        text = self._exposition.text()
        self.shown += 1
        return Answer(text, CONTENT_TYPE)


class Seen(NamedTuple):
    """A Prometheus, and between which times it saw all of it."""

    prometheus: Prometheus
    begin: float
    end: float

    def found(self, query: str) -> list[dict[str, object]]:
        """Return what a query found at any time."""
        return list(self.prometheus.series(filled(query), self.begin, self.end))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    film = Film(died_and_returned())
    endpoint = Endpoint("127.0.0.1", 0, {"/metrics": film.next})
    endpoint.bind()
    endpoint.start()
    target = f"127.0.0.1:{endpoint.port}"
    begin = time.time()
    with Prometheus(tmp_path_factory.mktemp("prometheus"), watching([target], [ROOT / ALERTS])) as prometheus:
        while film.shown < FRAMES:
            time.sleep(0.2)
        yield Seen(prometheus, begin, time.time())
    endpoint.close()


@pytest.mark.parametrize(
    ("panel", "query"), QUERIES, ids=[f"{panel.title}-{n}" for n, (panel, _) in enumerate(QUERIES)]
)
def test_a_query_finds_something(seen: Seen, panel: Panel, query: Query) -> None:
    assert seen.found(query.expr), panel.title


@pytest.mark.parametrize("query", [query.expr for _, query in QUERIES] + [DECISIONS])
def test_a_query_asks_for_what_is_exported(query: str) -> None:
    assert problems(query) == []


def test_the_states_of_both_servers_are_drawn_one_after_the_other(seen: Seen) -> None:
    panel = next(each for each in PANELS if each.title == "Failover state")
    meant = {each.number: each.text for each in STATES}
    drawn = {
        found["metric"]["server"]: [meant[value] for value, _ in itertools.groupby(int(v) for _, v in found["values"])]
        for found in seen.prometheus.series(filled(panel.queries[0].expr), seen.begin, seen.end)
    }
    assert drawn == {
        "lan-primary": ["Normal", "CommunicationsInterrupted", "PartnerDown", "Normal"],
        "lan-secondary": ["Normal", "Unknown", "RecoverWait", "Normal"],
    }


def test_a_decision_is_marked_where_it_was_taken(seen: Seen) -> None:
    found = seen.prometheus.series(filled(DECISIONS), seen.begin, seen.end)
    assert [each["metric"] for each in found] == [{"action": "Order", "reason": "Ordered"}]
    assert len(found[0]["values"]) <= 20, "no longer than the interval"


def test_the_variables_offer_what_there_is(seen: Seen) -> None:
    offered = {}
    for name, query in VARIABLES.items():
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", filled(query)).groups()  # type: ignore[union-attr]
        offered[name] = seen.prometheus.values(label, selector)
    assert offered == {"namespace": ["net"], "pair": ["lan"]}


def test_what_is_no_query_is_refused(seen: Seen) -> None:
    with pytest.raises(PrometheusError, match="parse error"):
        seen.found("max by (")


def test_panels_lie_on_the_grid_and_not_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < WIDTH
        taken |= cells


def test_a_panel_wider_than_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="width 25 must be at most 24"):
        laid_out([Row(title="r", panels=[Panel(title="p", description="", queries=[], width=25)])])


def test_each_panel_and_series_can_be_told_from_the_others() -> None:
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert all(panel.description.endswith(".") for panel in PANELS)
    assert all(query.legend for panel in PANELS if panel.kind is Kind.TIMES for query in panel.queries)
    assert {each.text for each in KINDS} == set(table.PERMITS)
    assert {each.text for each in STATES} == set(table.STATE.values)
