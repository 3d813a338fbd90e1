"""What everything costs while nothing happens: memory, and processor time over a minute."""

import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from benchmarks import procfs
from benchmarks.report import Figure, Target
from benchmarks.stage import Container, Object, Stage, await_calm, say
from tests.e2e.world import OF_PAIR
from tests.lab.waiting import until

WINDOW_SECONDS = 60.0
PAIRS = 10
_MEGABYTE = 1e6
_CALM = 0.05
_CALM_SECONDS = 120.0
_SETTLE_SECONDS = 10.0
_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Resting:
    """One component over the window."""

    memory: procfs.Memory
    core_percent: float


def measure(stage: Stage, record: dict[str, Any]) -> list[Figure]:
    """Measure one pair, then ten; leaves the objects to be deleted with the lab."""
    stage.apply(stage.example())
    stage.await_normal()
    pods = sorted(each["metadata"]["name"] for each in stage.servers())
    parts = {f"{pod} {name}": found for pod in pods for name, found in stage.server_parts(pod).items()}
    one = record["one pair"] = _observe(parts | _replicas(stage))
    figures = [figure for name, found in one.items() for figure in _figures(name, found, pairs=1)]
    more = [each for number in range(1, PAIRS) for each in idle_pair(stage.example(), number)]
    stage.apply(more)
    until(
        "every pair has its servers and pods", lambda: _objects(stage) == (2 * PAIRS, 2 * PAIRS), timeout=180, every=0.5
    )
    ten = record["ten pairs"] = _observe(_replicas(stage))
    return figures + [figure for name, found in ten.items() for figure in _figures(name, found, pairs=PAIRS)]


def idle_pair(example: list[Object], number: int) -> list[Object]:
    """Return the example under other names and addresses, for nodes that do not exist. Pure."""
    objects = deepcopy(example)
    for each in objects:
        each["metadata"]["name"] = f"{each['metadata']['name']}-{number}"
        spec = each["spec"]
        if each["kind"] == "DHCPFailoverPair":
            for role in ("primary", "secondary"):
                spec[role]["nodeName"] = f"no-such-{role}-{number}"
        else:
            spec["pairRef"]["name"] = f"{spec['pairRef']['name']}-{number}"
    return objects


def _objects(stage: Stage) -> tuple[int, int]:
    return len(stage.servers()), len(stage.world.every("pods", selector=OF_PAIR))


def _replicas(stage: Stage) -> dict[str, Container]:
    return {f"operator, {role}": found for role, found in stage.operators().items()}


def _observe(parts: Mapping[str, Container]) -> dict[str, Resting]:
    """Watch components for a minute, once they have calmed down."""
    pids = [pid for part in parts.values() for pid in part.pids]
    await_calm(pids, share=_CALM, timeout=_CALM_SECONDS)
    time.sleep(_SETTLE_SECONDS)  # what follows a start only: first counts, first renewals
    say(f"rest: watching {len(parts)} components for {WINDOW_SECONDS:.0f} s")
    began = time.monotonic()
    before = {name: procfs.cpu_seconds(part.pids) for name, part in parts.items()}
    time.sleep(WINDOW_SECONDS)
    seconds = time.monotonic() - began
    after = {name: procfs.cpu_seconds(part.pids) for name, part in parts.items()}
    return {
        name: Resting(procfs.memory(part.pids), (after[name] - before[name]) / seconds * _PERCENT)
        for name, part in parts.items()
    }


def _figures(name: str, found: Resting, pairs: int) -> list[Figure]:
    memory, core = targets(name)
    note = f"{pairs} pair{'s' * (pairs > 1)}"
    return [
        Figure("rest", f"{name}: RSS", found.memory.rss / _MEGABYTE, "MB", memory, note),
        Figure("rest", f"{name}: PSS", found.memory.pss / _MEGABYTE, "MB", None, note),
        Figure("rest", f"{name}: CPU", found.core_percent, "% of a core", core, note),
    ]


def targets(name: str) -> tuple[Target | None, Target | None]:
    """Return the targets of a component's resident memory (MB) and processor time (% of a core). Pure."""
    if name.endswith("sidecar"):
        return Target(40), Target(0.5)
    if name.endswith("guard"):
        return Target(20), None
    if name.startswith("operator"):
        return Target(120), None
    return None, None
