"""One real API server for the whole session, a namespace of its own for each test."""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.api.operating import MANIFESTS, Operator, Start, account, administrator, bring_up
from tests.api.world import World
from tests.lab.apiserver import ApiServer
from tests.lab.rest import ApiError, Rest
from tests.lab.waiting import until
from twinlease.kube.protocol import Transport

CRDS = Path(__file__).resolve().parents[2] / "crds"
KINDS = ("dhcpfailoverpairs", "dhcppools", "dhcpreservations", "dhcpservers", "dhcpservingleases")
_numbers = itertools.count(1)


def _is_served(api: Rest, plural: str) -> bool:
    try:
        api.get(f"/apis/twinlease.io/v1alpha1/{plural}")
    except ApiError:
        return False
    return True


@pytest.fixture(scope="session")
def server() -> Iterator[ApiServer]:
    """Return a running API server that knows our kinds."""
    with ApiServer() as running:
        running.kubectl("apply", "--server-side", "-f", str(CRDS))
        api = Rest(running.kubeconfig)
        for plural in KINDS:
            until(f"{plural} are served", partial(_is_served, api, plural), timeout=30.0)
        yield running


@pytest.fixture(scope="session")
def api(server: ApiServer) -> Rest:
    """Return a client of the server, as its administrator."""
    return Rest(server.kubeconfig)


@pytest.fixture
def namespace(api: Rest) -> str:
    """Return the name of a new namespace."""
    name = f"test-{next(_numbers)}"
    api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture(scope="session")
def rights(server: ApiServer) -> Transport:
    """Return the way to the API with the rights that the manifests give the operator, and no others."""
    server.kubectl("apply", "--server-side", "-f", str(MANIFESTS))
    return account(server, "twinlease-system", "twinlease-operator")


@pytest.fixture
def world(server: ApiServer, namespace: str) -> World:
    """Return an empty namespace in a cluster with three nodes."""
    made = World(administrator(server), namespace, server)
    made.nodes()
    return made


@pytest.fixture
def start(rights: Transport, namespace: str) -> Start:
    """Return what starts an operator."""
    return lambda **more: Operator(rights, namespace, **more)


@pytest.fixture
def operator(world: World, start: Start) -> Operator:
    """Return an operator that has brought a pair with a pool to normal."""
    started = start()
    bring_up(world, started)
    return started
