"""The operator's leader is killed in each phase of a pair's first reconcile; the other replica finishes it."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.world import EXAMPLE, OPERATOR_NAMESPACE, PAIR, PRIMARY, SECONDARY, World
from tests.lab.waiting import until

TAKEOVER_SECONDS = 120


def _has(kind: str, name: str) -> Callable[[World], bool]:
    return lambda world: any(each["metadata"]["name"] == name for each in world.every(kind))


def _rendered(world: World) -> bool:
    return bool(world.every("configmaps", selector=f"twinlease.io/server={PRIMARY}"))


def _placed(world: World) -> bool:
    return any(each["spec"].get("nodeName") for each in world.every("pods", selector=f"twinlease.io/pair={PAIR}"))


def _reported(world: World) -> bool:
    return any(each.get("status", {}).get("network", {}).get("address") for each in world.every("dsrv"))


def _told(world: World) -> bool:
    return any(each["spec"].get("config") for each in world.every("dsrv"))


def _starting(world: World) -> bool:
    return any(each.get("status", {}).get("config", {}).get("revision") for each in world.every("dsrv"))


PHASES = {
    "the pair exists": lambda world: True,  # noqa: ARG005  # the others look
    "the key exists": _has("secret", f"{PAIR}-omapi"),
    "a server object exists": _has("dsrv", PRIMARY),
    "a pod exists": _has("pod", SECONDARY),
    "a pod is placed": _placed,
    "a server has reported its address": _reported,
    "a configuration is rendered": _rendered,
    "a server was told to run it": _told,
    "a server runs it": _starting,
}


@pytest.fixture
def blank(world: World) -> Iterator[World]:
    """The lab with the operator, and no pair in it before and after."""
    world.remove_example()
    yield world
    world.remove_example()


@pytest.mark.parametrize("phase", PHASES)
def test_the_other_replica_finishes(blank: World, phase: str) -> None:
    until("somebody leads", lambda: bool(blank.leader()), timeout=60, every=0.2)
    leader, identity = blank.leader(), blank.holder()
    blank.lab.kubectl("apply", "--filename", str(EXAMPLE))
    until(phase, lambda: PHASES[phase](blank), timeout=60, every=0.05)
    blank.kill_in_pod(leader, "operator", OPERATOR_NAMESPACE)
    until("another process leads", lambda: blank.holder() not in ("", identity), timeout=TAKEOVER_SECONDS, every=0.2)
    blank.wait("dfp", PAIR, "Redundant", timeout=TAKEOVER_SECONDS)
    assert blank.both_normal()
