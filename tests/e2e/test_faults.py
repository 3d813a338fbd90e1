"""The dozen cases of the fault matrix that tell most, once each; `make fault-matrix` runs all of them, many times."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import World
from tests.faults import cases
from tests.faults.runner import describe, roles, run_case
from tests.faults.stage import Stage

DOZEN = (
    "dhcpd-killed",
    "pod-deleted",
    "node-power-off",
    "node-frozen",
    "isolated",
    "lan-split-victim-without-api",
    "peer-cut",
    "api-cut-one",
    "promise",
    "disk-rolled-back",
    "leader-killed-ordered",
    "tables-deleted",
)


@pytest.fixture(scope="module")
def stage(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The pair of the fault matrix, with its short timers."""
    world.remove_example()
    stage = Stage(world.lab, tmp_path_factory.mktemp("faults"))
    stage.set_apart()
    yield stage
    stage.remove()
    stage.set_apart(apart=False)


@pytest.mark.parametrize(("number", "name"), [pytest.param(*each, id=each[1]) for each in enumerate(DOZEN)])
def test_fault(stage: Stage, number: int, name: str, tmp_path: Path) -> None:
    (case,) = cases.named((name,))
    said = [describe(case)]
    stage.prepare(case)
    result = run_case(stage, case, roles(number), number, say=said.append, keep=tmp_path)
    if result.stuck:
        stage.remove()
    assert not result.failures, "\n".join([*said, *result.failures, f"see {tmp_path}"])
