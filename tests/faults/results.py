"""Results: one JSON line per run, and what they prove together. Pure, but for reading and appending the file."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from tests.lab import paths

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one case.

    Attributes:
        case: Its name.
        version: Of the product, as `git describe` has it.
        began: Seconds since the epoch.
        victim: Which server it was done to.
        failures: What was not as expected; empty: all was.
        duplicates: Addresses that two clients had at once.
        stuck: The pair did not become normal by itself.
        figures: What was measured.
        marks: When the steps were, seconds after the first.
    """

    case: str
    version: str
    began: float
    victim: str
    failures: tuple[str, ...] = ()
    duplicates: int = 0
    stuck: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)
    marks: Mapping[str, float] = field(default_factory=dict)


def default_file() -> Path:
    """Return where results accumulate unless told otherwise: in the cache, outside the tree."""
    return paths.cache_directory() / "fault-matrix.jsonl"


def append(file: Path, result: Result) -> None:
    """Add a run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(result)) + "\n")


def load(file: Path) -> list[Result]:
    """Read all runs.

    Raises:
        ValueError: A line is none.
    """
    results = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            results.append(msgspec.json.decode(line, type=Result))
        except msgspec.MsgspecError as error:
            raise ValueError(f"{file}:{number}: {error}") from error
    return results


def bound(failures: int, runs: int) -> float:
    """Return the probability that a run's failure does not exceed, with 95 % confidence (Clopper and Pearson, 1934).

    For none in n it is close to 3/n, the rule of three.
    """
    if failures >= runs:
        return 1.0
    low, high = failures / runs, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        seen = sum(math.comb(runs, k) * middle**k * (1 - middle) ** (runs - k) for k in range(failures + 1))
        low, high = (middle, high) if seen > 1 - _CONFIDENCE else (low, middle)
    return high


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share of all do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


_FIGURES = {
    "takeover_ms": "partner-down after the threshold, ms",
    "client_gap_s": "nobody got a lease for, s",
    "client_wait_s": "a client waited for, s",
    "entering_gap_s": "gap on entering, s",
    "silent_after_deadline_s": "last answer after the deadline, s",
}


def report(results: Iterable[Result]) -> str:
    """Return a table in markdown: what was run, what failed, and what that proves."""
    by_case: dict[str, list[Result]] = {}
    everything = list(results)
    for each in everything:
        by_case.setdefault(each.case, []).append(each)
    head = ["case", "runs", "failed", "stuck", "duplicates", "failure ≤", *_FIGURES.values()]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [_row(name, runs) for name, runs in sorted(by_case.items())]
    lines.append(_row("**all**", everything))
    versions = ", ".join(sorted({each.version for each in everything}))
    lines += ["", f"Failure ≤: with 95 % confidence (none in n: about 3/n). Figures: median / p99. Version: {versions}"]
    if everything:
        doubled = sum(bool(each.duplicates) for each in everything)
        lines.append(
            f"Runs with a duplicate: {doubled} of {len(everything)}, at most {bound(doubled, len(everything)):.1%}"
        )
    return "\n".join(lines) + "\n"


def _row(name: str, runs: Sequence[Result]) -> str:
    failed = sum(bool(each.failures) for each in runs)
    cells = [name, str(len(runs)), str(failed), str(sum(each.stuck for each in runs))]
    cells += [str(sum(each.duplicates for each in runs)), f"{bound(failed, len(runs)):.0%}" if runs else ""]
    for figure in _FIGURES:
        values = [each.figures[figure] for each in runs if figure in each.figures]
        digits = 0 if figure.endswith("_ms") else 2
        middle = statistics.median(values) if values else 0.0
        cells.append(f"{middle:.{digits}f} / {percentile(values, 0.99):.{digits}f}" if values else "")
    return f"| {' | '.join(cells)} |"
