"""The lab, booted once for all end-to-end tests, and always taken away again."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest

from tests.e2e.release import Release
from tests.e2e.world import World
from tests.lab import images, paths
from tests.lab.cluster import Lab


def pytest_configure() -> None:
    """Have a termination end the session as Ctrl-C does: with the lab taken away."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this session, with the project's image on its nodes and nothing else of the project.

    With TWINLEASE_LAB_REUSE=1 it is the one that runs already, and stays when the session ends.
    """
    if os.environ.get("TWINLEASE_LAB_REUSE") == "1":
        lab = Lab.attach()
        _load_project_image(lab)
        yield lab
        return
    lab = Lab.boot()
    try:
        _load_project_image(lab)
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="session")
def release(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The chart as Helm has installed it, with monitors and alerts."""
    release = Release(lab, tmp_path_factory.mktemp("helm"))
    release.install()
    return release


@pytest.fixture(scope="session")
def world(lab: Lab, release: Release) -> World:
    """The lab with the operator installed."""
    del release  # it is there
    world = World(lab)
    world.await_operator()
    return world


@pytest.fixture(scope="module")
def example(world: World) -> Iterator[World]:
    """The lab with the example pair in normal, for the length of a module."""
    world.remove_example()
    world.apply_example()
    yield world
    world.lab.faults.mend()
    world.remove_example()


@pytest.fixture
def breakable(lab: Lab) -> Iterator[Lab]:
    """The lab, for a test that breaks it: whole before, and mended after."""
    _mend(lab)
    yield lab
    _mend(lab)


@pytest.fixture
def scratch(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A Kubernetes namespace of the test's own."""
    name = request.node.name.replace("_", "-").partition("[")[0][:50].lower()
    lab.kubectl("create", "namespace", name)
    yield name
    lab.faults.mend()  # a node without power would never confirm that its pods are gone
    lab.kubectl("delete", "namespace", name, "--timeout=60s", timeout=70)
    lab.recycle_volumes()


def _mend(lab: Lab) -> None:
    lab.faults.mend()
    for name in lab.machines:
        lab.await_node(name, ready=True)


def _load_project_image(lab: Lab) -> None:
    if Path(paths.REPOSITORY / "Dockerfile").exists():
        lab.load_image(images.project())
