"""From a node's death to the survivor serving in partner-down: how much later than it may be.

The fault matrix's case of a node that loses its power, with its load, its short timers and its judge. It may be as soon
as the interruption has lasted T, the dead server's permit has ended for sure (D + epsilon after the last renewal seen),
and what the survivor had promised it is over: the latest of these is the threshold.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Figure, Target
from benchmarks.stage import CannotRunError, Stage, say
from benchmarks.statistics import median
from tests.faults import cases, results
from tests.faults.actions import power_off, takeover
from tests.faults.case import SURVIVOR, VICTIM, Case, Wait
from tests.faults.results import Result
from tests.faults.runner import roles, run_case
from tests.faults.stage import Stage as Field
from tests.lab.observed import HistoryError
from tests.lab.shell import CommandError
from tests.lab.waiting import NotInTimeError

RUNS = 50
_TARGET, _NONE = Target(1.0), Target(0)
_SERVED_SECONDS = 1.5  # in partner-down, before the node gets its power back: the survivor is to be seen to answer
_WITHIN_SECONDS = 20.0
CASE = Case(
    "takeover",
    "A node loses its power, and gets it back as soon as the survivor serves in partner-down.",
    (power_off(VICTIM), takeover(SURVIVOR, _WITHIN_SECONDS), Wait(_SERVED_SECONDS)),
    cases.named(("node-power-off",))[0].expects,
)


def measure(stage: Stage, runs: int, record: dict[str, Any]) -> list[Figure]:
    """Power a node off so often, one after the other; return the figures, and put each run into the record."""
    done: list[Result] = record.setdefault("runs", [])
    with tempfile.TemporaryDirectory(prefix="twinlease-takeover-") as scratch:
        field = Field(stage.lab, Path(scratch))
        field.set_apart()
        for number in range(runs):
            done.append(_run(field, number))
            say(f"takeover: run {number + 1} of {runs}: {_told(done[-1])}")
    return figures(done)


def figures(done: Sequence[Result]) -> list[Figure]:
    """Return the figures of runs. Pure.

    Raises:
        CannotRunError: The survivor took over in none of them.
    """
    duplicates = sum(each.duplicates for each in done)
    wrong = sum(bool(each.failures) for each in done)
    counts = [
        Figure("takeover", "addresses that two clients had", duplicates, "", _NONE, f"{len(done)} runs"),
        Figure("takeover", "runs that were not as expected", wrong, "", _NONE, f"of {len(done)}; the record says why"),
    ]
    found = []
    for key, name, target in (
        ("takeover_ms", "threshold to partner-down", None),
        ("serving_ms", "threshold to first answer in partner-down", _TARGET),
    ):
        late = [each.figures[key] / 1000 for each in done if key in each.figures]
        if not late:
            raise CannotRunError("the survivor took over in no run")
        note = f"{len(late)} runs"
        found += [
            Figure("takeover", f"{name}, median", median(late), "s", None, note),
            Figure("takeover", f"{name}, p99", percentile(late, 99), "s", target, note),
            Figure("takeover", f"{name}, slowest", max(late), "s", None, note),
        ]
    return counts + found


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile: the least value that so many per cent do not exceed. Pure."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def _run(field: Field, number: int) -> Result:
    """Run once; a run that cannot be judged is one that failed, and a pair that is stuck is made anew."""
    keep = results.default_file().parent / "takeover" / f"run-{number + 1}"
    try:
        field.prepare(CASE)
        result = run_case(field, CASE, roles(number), number, say=_silent, keep=keep)
    except (NotInTimeError, CommandError, HistoryError, LookupError) as error:
        field.faults.mend()
        result = Result(CASE.name, "", 0.0, str(roles(number)), (f"not run: {error}",), stuck=True)
    if result.stuck:
        field.remove()
    return result


def _told(result: Result) -> str:
    late = result.figures.get("serving_ms")
    return "; ".join([*([f"{late / 1000:.2f} s"] if late is not None else []), *result.failures])


def _silent(text: str) -> None:
    del text
