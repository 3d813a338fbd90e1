"""One real API server for the whole session, a namespace of its own for each test."""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.lab.rest import ApiError, Rest
from tests.lab.waiting import until

CRDS = Path(__file__).resolve().parents[2] / "crds"
KINDS = ("dhcpfailoverpairs", "dhcppools", "dhcpreservations", "dhcpservers")
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
