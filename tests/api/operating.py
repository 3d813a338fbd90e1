"""An operator that looks when told to, with its own account's rights, on a real API server."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.api.world import Observed, World
from tests.lab.apiserver import ApiServer
from twinlease.controller import acceptance
from twinlease.controller.loop import Controller, Settings
from twinlease.controller.renderer import Renderer
from twinlease.kube import official
from twinlease.kube.client import Client
from twinlease.kube.protocol import SERVICE_ACCOUNTS, Json, Resource, Transport

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
_TURNS = 20
_QUIET_TURNS = 2


class Operator:
    """One operator; a new one knows nothing of what an earlier one did.

    ``meanwhile`` is called whenever it reads its monotonic clock: what its other threads do just then.
    """

    def __init__(self, transport: Transport, namespace: str, *, image: str = "image:1") -> None:
        self.observed = Observed(transport)
        self.namespace = namespace
        self.now = 1_800_000_000.0
        self.passed = 0.0
        self.meanwhile: Callable[[], None] = lambda: None
        self._controller = Controller(
            Settings(namespaces=[namespace], image=image, instance="test"),
            Client(self.observed, "twinlease-operator"),
            render=Renderer(),
            judge=acceptance.judge,
            may_write=lambda: True,
            clock=lambda: self.now,
            monotonic=self._monotonic,
        )

    def wait(self, seconds: float) -> None:
        """Let time pass for this operator."""
        self.now += seconds
        self.passed += seconds

    def hear(self, resource: Resource, body: Json) -> None:
        """Take in what a watch tells of an object."""
        self._controller.feed(resource, "MODIFIED", body)

    def look_once(self, pair: str = "p") -> None:
        """Reconcile once, with what is known."""
        self._controller.reconcile((self.namespace, pair))

    def _monotonic(self) -> float:
        self.meanwhile()
        return self.passed

    def look(self, pair: str = "p") -> int:
        """Learn what there is, reconcile until nothing is left to write; return the number of writes."""
        before = len(self.observed.writes)
        self._controller.resync()
        for _ in range(_TURNS):
            writes, _ = self._controller.reconcile((self.namespace, pair))
            if not writes:
                return len(self.observed.writes) - before
        raise AssertionError(f"still writing after {_TURNS} looks: {self.observed.writes[-5:]}")


Start = Callable[..., Operator]
"""Starts an operator that knows nothing; takes what ``Operator`` takes by name."""


def bring_up(world: World, operator: Operator) -> None:
    """Bring a pair with a pool to normal."""
    world.pair()
    world.pool()
    settle(world, operator)


def settle(world: World, operator: Operator, pair: str = "p") -> None:
    """Let operator, scheduler and sidecars act in turns until nobody has anything to do; their clocks agree."""
    idle = 0
    world.clock = lambda: operator.now
    for _ in range(_TURNS):
        idle = 0 if operator.look(pair) else idle + 1
        if idle == _QUIET_TURNS:
            return
        world.schedule()
        world.sidecars()
    raise AssertionError("the world does not settle")


def administrator(server: ApiServer) -> Transport:
    """Return the way to the API of somebody who may do everything."""
    return official.OfficialTransport(official.configuration(server.kubeconfig))


def account(server: ApiServer, namespace: str, name: str) -> Transport:
    """Return the way to the API of a service account, with a token from the API's own token request."""
    configuration = official.configuration(server.kubeconfig)
    configuration.cert_file = configuration.key_file = None
    configuration.api_key = {"BearerToken": f"Bearer {_token(server, namespace, name)}"}
    return official.OfficialTransport(configuration)


def account_kubeconfig(server: ApiServer, namespace: str, name: str) -> str:
    """Return a kubeconfig of a service account."""
    document = json.loads(server.kubeconfig.read_text(encoding="utf-8"))
    for user in document["users"]:
        user["user"] = {"token": _token(server, namespace, name)}
    return json.dumps(document)


def _token(server: ApiServer, namespace: str, name: str) -> str:
    path = SERVICE_ACCOUNTS.path(namespace, name, "token")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    return str(administrator(server).request("POST", path, body=body)["status"]["token"])
