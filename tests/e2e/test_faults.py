"""The dozen cases of the fault matrix that tell most, once each; `make fault-matrix` runs all of them, many times.

Prometheus watches them: each case causes its alerts and no others, and they stop when it is mended.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.alarms import ALARMS, LATE, SPED_UP
from tests.e2e.release import Release
from tests.e2e.watched import Watched, watching
from tests.e2e.world import World
from tests.faults import cases
from tests.faults.runner import describe, roles, run_case
from tests.faults.stage import Stage

_CALM_SECONDS = 30.0


@pytest.fixture(scope="module")
def stage(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The pair of the fault matrix, with its short timers."""
    world.remove_example()
    stage = Stage(world.lab, tmp_path_factory.mktemp("faults"))
    stage.set_apart()
    yield stage
    stage.remove()
    stage.set_apart(apart=False)


@pytest.fixture(scope="module")
def watched(stage: Stage, release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The Prometheus that watches all cases."""
    with watching(stage.lab, release, tmp_path_factory.mktemp("prometheus"), SPED_UP) as watched:
        yield watched


@pytest.mark.parametrize(("number", "name"), [pytest.param(*each, id=each[1]) for each in enumerate(ALARMS)])
def test_fault(stage: Stage, watched: Watched, number: int, name: str, tmp_path: Path) -> None:
    (case,) = cases.named((name,))
    said = [describe(case)]
    stage.prepare(case)
    watched.await_calm(_CALM_SECONDS, but=LATE)
    began, before = time.time(), set(watched.firing())
    result = run_case(stage, case, roles(number), number, say=said.append, keep=tmp_path)
    if result.stuck:
        stage.remove()
    assert not result.failures, "\n".join([*said, *result.failures, f"see {tmp_path}"])
    watched.await_calm(_CALM_SECONDS, but=LATE)
    alarm, fired = ALARMS[name], watched.fired(began)
    told = f"fired: {', '.join(sorted(map(str, fired)))}"
    assert alarm.must <= {each.name for each in fired}, told
    assert {each.name for each in fired - before} <= alarm.must | alarm.may | {"TwinleaseLinkFlapping"}, told
