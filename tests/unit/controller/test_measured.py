"""What the leader exports of its pairs."""

from typing import Any

import msgspec
import pytest

from twinlease.api.servinglease import Phase, ServingLeaseSpec
from twinlease.controller.cache import Cache
from twinlease.controller.measured import Glance, Looks, Noted, glance, noted, of_looks, samples
from twinlease.controller.sightings import Memory, saw
from twinlease.decide.partnerdown import Action, Verdict
from twinlease.kube.protocol import PAIRS, POOLS, RESERVATIONS, SERVING_LEASES, Json, Resource
from twinlease.metrics.table import TABLE, Exporter

KEY = ("ns", "lan")
SPEC = {"primary": {"nodeName": "n1", "interface": "e0"}, "secondary": {"nodeName": "n2", "interface": "e0"}}
STATUS = {
    "state": "PartnerDown/Unknown",
    "servers": [
        {"name": "lan-primary", "role": "primary", "state": "PartnerDown", "serving": True},
        {"name": "lan-secondary", "role": "secondary", "state": "Unknown", "serving": False},
    ],
    "conditions": [
        {"type": "Redundant", "status": "False", "reason": "NotNormal", "lastTransitionTime": ""},
        {"type": "Somebodys", "status": "True", "reason": "Else", "lastTransitionTime": ""},
    ],
}
LEASE = ServingLeaseSpec(epoch=7, phase=Phase.ALONE, survivor="primary")


def held(cache: Cache, resource: Resource, name: str, **content: object) -> None:
    metadata: Json = {"namespace": "ns", "name": name, "uid": name, "resourceVersion": "1"}
    cache.store(resource, {"metadata": metadata, **content})


@pytest.fixture
def cache() -> Cache:
    """A cache with a pair whose primary serves alone, a pool, and two reservations of which one is wrong."""
    made = Cache()
    held(made, PAIRS, "lan", spec=SPEC, status=STATUS)
    held(made, SERVING_LEASES, "lan", spec=msgspec.to_builtins(LEASE))
    for resource, name, valid in ((POOLS, "a", "True"), (RESERVATIONS, "b", "True"), (RESERVATIONS, "c", "False")):
        condition = {"type": "Valid", "status": valid, "reason": "R", "lastTransitionTime": ""}
        held(made, resource, name, spec={"pairRef": {"name": "lan"}}, status={"conditions": [condition]})
    return made


def series(found: Glance | None, now: float = 0.0) -> dict[tuple[str, ...], float]:
    assert found is not None
    return {
        (each.metric.name.removeprefix("twinlease_pair_"), *each.labels[2:]): each.value
        for each in samples([found], now)
    }


def test_what_the_cache_knows(cache: Cache) -> None:
    memory = saw(Memory(), "lan", LEASE, 100.0)
    found = series(glance(cache, KEY, memory, 130.0))

    assert [found["phase", phase] for phase in ("Both", "Alone", "Returning")] == [0, 1, 0]
    assert (found["survivor", "primary"], found["survivor", "secondary"]) == (1, 0)
    assert found["epoch",] == 7
    assert found["server_state", "lan-primary", "primary", "PartnerDown"] == 1
    assert found["server_state", "lan-secondary", "secondary", "Unknown"] == 1
    assert found["serving_servers",] == 1
    assert found["condition", "Redundant", "False", "NotNormal"] == 1
    assert not any("Somebodys" in labels for labels in found)
    assert found["objects", "DHCPPool", "true"] == found["objects", "DHCPReservation", "true"] == 1
    assert (found["objects", "DHCPPool", "false"], found["objects", "DHCPReservation", "false"]) == (0, 1)
    assert not any(name == "server_report_age_seconds" for name, *_ in found), "no write was seen to arrive"


def test_what_the_user_wants_of_the_series_and_of_the_fence(cache: Cache) -> None:
    found = series(glance(cache, KEY, Memory(), 0.0))
    assert (found["metrics_port",], found["kernel_fence_wanted",]) == (7913, 1)

    other = Cache()
    held(other, PAIRS, "lan", spec={**SPEC, "metricsPort": 0, "fence": "Process"}, status=STATUS)
    found = series(glance(other, KEY, Memory(), 0.0))
    assert (found["metrics_port",], found["kernel_fence_wanted",]) == (0, 0)


def test_the_age_of_a_report_is_that_of_a_write_that_was_seen_to_arrive(cache: Cache) -> None:
    own = msgspec.structs.replace(LEASE.servers.primary.own, incarnation="i", renewal=1)
    primary = msgspec.structs.replace(LEASE.servers.primary, own=own)
    newer = msgspec.structs.replace(LEASE, servers=msgspec.structs.replace(LEASE.servers, primary=primary))
    memory = saw(saw(Memory(), "lan", LEASE, 100.0), "lan", newer, 120.0)
    found = series(glance(cache, KEY, memory, 150.0))

    assert found["server_report_age_seconds", "lan-primary", "primary"] == 30
    assert ("server_report_age_seconds", "lan-secondary", "secondary") not in found


def test_a_pair_that_is_gone_has_no_series(cache: Cache) -> None:
    cache.remove(PAIRS, {"metadata": {"namespace": "ns", "name": "lan", "uid": "lan"}})

    assert glance(cache, KEY, Memory(), 0.0) is None


def verdict(reason: str, action: Action = Action.NOTHING, retry: float | None = None) -> Verdict:
    return Verdict(action=action, reason=reason, message="", retry=retry)


@pytest.mark.parametrize(
    ("last", "left"),
    [
        (verdict("NotYet", retry=200.0), 150.0),
        (verdict("WaitingForEvidence", retry=20.0), 0.0),
        (verdict("Manual"), 0.0),
        (verdict("Normal"), None),
        (verdict("Returning", retry=9.0), None),
    ],
)
def test_the_threshold_counts_down_while_a_server_is_cut_off(cache: Cache, last: Verdict, left: float | None) -> None:
    found = glance(cache, KEY, Memory(), 0.0)
    assert found is not None
    made = series(of_looks(found, noted(Noted(), last, 1000.0), 3), 1050.0)

    assert made.get(("takeover_in_seconds",)) == left
    assert made["verdict", "Nothing", last.reason] == 1
    assert made["reconcile_failures",] == 3


def test_decisions_are_counted_by_what_and_why_and_forgotten_with_their_pair() -> None:
    looks = Looks()
    for each in (verdict("Normal"), verdict("NotYet", retry=1.0), verdict("Normal"), verdict("Ordered", Action.ORDER)):
        looks.note(KEY, each, 0.0)
    looks.note(("ns", "other"), verdict("Normal"), 0.0)

    found = looks.of([KEY])
    assert found.keys() == {KEY}
    assert found[KEY].counts == {("Nothing", "Normal"): 2, ("Nothing", "NotYet"): 1, ("Order", "Ordered"): 1}
    assert (found[KEY].action, found[KEY].reason) == ("Order", "Ordered")
    assert looks.of([("ns", "other")]) == {}


def test_every_sample_is_one_of_the_leader_s_with_its_labels(cache: Cache) -> None:
    of_leader = {metric.name: metric for metric in TABLE if metric.by == (Exporter.LEADER,)}
    found = glance(cache, KEY, Memory(), 0.0)
    assert found is not None
    made: list[Any] = list(samples([of_looks(found, noted(Noted(), verdict("Normal"), 0.0), 0)], 0.0))

    assert len(made) > 40
    for each in made:
        assert of_leader[each.metric.name] is each.metric
        assert len(each.labels) == len(each.metric.labels)
