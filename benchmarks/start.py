"""From apply to both servers normal."""

import statistics
import time
from typing import Any

from benchmarks.report import Figure, Target
from benchmarks.stage import EXAMPLE, Stage, say

RUNS = 5
_TARGET = Target(30)


def measure(stage: Stage, record: dict[str, Any], runs: int = RUNS) -> list[Figure]:
    """Apply the example several times on the warm lab; return the figures, and put each run's into the record."""
    seconds: list[float] = record.setdefault("seconds", [])
    for run in range(runs):
        began = time.monotonic()
        stage.lab.kubectl("apply", "--filename", str(EXAMPLE))
        stage.await_normal()
        seconds.append(time.monotonic() - began)
        say(f"start: run {run + 1} of {runs}: {seconds[-1]:.2f} s")
        stage.world.remove_example()
    note = f"{runs} runs"
    return [
        Figure("start", "apply to both normal, median", statistics.median(seconds), "s", _TARGET, note),
        Figure("start", "apply to both normal, fastest", min(seconds), "s"),
        Figure("start", "apply to both normal, slowest", max(seconds), "s", _TARGET),
    ]
