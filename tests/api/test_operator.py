"""The operator against a real API server; the test plays scheduler, kubelets and sidecars."""

import itertools
from collections.abc import Callable

import pytest

from tests.api.world import Observed, World
from tests.lab.apiserver import ApiServer
from twinlease.controller import acceptance
from twinlease.controller.loop import Controller, Settings
from twinlease.controller.renderer import Renderer
from twinlease.kube import official
from twinlease.kube.client import Client
from twinlease.kube.protocol import PAIRS, POOLS, Transport

Start = Callable[[], "Operator"]


class Operator:
    """An operator that looks at one pair when told to."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        self.observed = Observed(transport)
        self._key = (namespace, "p")
        self._controller = Controller(
            Settings(namespaces=[namespace], image="image:1", instance="test"),
            Client(self.observed, "twinlease-operator"),
            render=Renderer(),
            judge=acceptance.judge,
            may_write=lambda: True,
        )

    def look(self, name: str = "p") -> int:
        """Learn what there is, reconcile until nothing is left to write; return the number of writes."""
        before = len(self.observed.writes)
        for _ in range(10):
            self._controller.resync()
            writes, _ = self._controller.reconcile((self._key[0], name))
            if not writes:
                return len(self.observed.writes) - before
        raise AssertionError("the tenth look still writes")


@pytest.fixture
def transport(server: ApiServer) -> Transport:
    return official.OfficialTransport(official.configuration(server.kubeconfig))


@pytest.fixture
def world(transport: Transport, namespace: str) -> World:
    made = World(transport, namespace)
    made.nodes()
    return made


@pytest.fixture
def start(transport: Transport, namespace: str) -> Start:
    return lambda: Operator(transport, namespace)


def bring_up(world: World, operator: Operator) -> None:
    """Apply a pair with a pool and go on until both servers are normal."""
    world.pair()
    world.pool()
    settle(world, operator)


def settle(world: World, operator: Operator) -> None:
    """Let operator, scheduler and sidecars act in turns until nobody has anything to do."""
    for _ in itertools.repeat(None, 20):
        writes = operator.look()
        world.schedule()
        world.sidecars()
        if not writes:
            return
    raise AssertionError("the world does not settle")


def test_a_pair_comes_up_from_nothing(world: World, start: Start) -> None:
    operator = start()

    bring_up(world, operator)

    conditions = world.conditions(PAIRS, "p")
    assert {each: found["status"] for each, found in conditions.items()} == {
        "Valid": "True",
        "Available": "True",
        "Redundant": "True",
        "Progressing": "False",
    }
    assert "range 10.9.0.100 10.9.0.199" in world.text("p-primary")
    assert world.conditions(POOLS, "lan")["Programmed"]["status"] == "True"


def test_a_second_look_writes_nothing(world: World, start: Start) -> None:
    bring_up(world, start())
    another = start()
    another.look()

    assert another.look() == 0
