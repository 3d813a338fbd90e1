"""The command line of the benchmarks."""

import argparse
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from benchmarks import gap, permit, rest, start, takeover, throughput
from benchmarks.report import Figure, Verdict, table
from benchmarks.stage import CannotRunError, Stage, say, staged

MET, MISSED, NOT_RUN, INTERRUPTED = 0, 1, 2, 130
_WAIT_SECONDS = 3600.0

Part = Callable[[Stage, dict[str, Any]], list[Figure]]
"""Measures on a stage, fills a record as it goes, returns figures."""


@dataclass
class Results:
    """What came of the parts: figures, everything measured, and why a part did not run."""

    figures: list[Figure] = field(default_factory=list)
    record: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The exit status: 0 if all ran and met their targets, 1 if a figure missed its, 2 if a part did not run."""
        if self.failed:
            return NOT_RUN
        return MISSED if any(each.verdict is Verdict.MISSED for each in self.figures) else MET


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts, print what they measured, and return the exit status (see ``Results``)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = make_parser().parse_args(words)
    signal.signal(signal.SIGTERM, _interrupt)
    parts = _parts(chosen.rounds, chosen.runs)
    results = Results()
    status = None
    try:
        _run({chosen.part: parts[chosen.part]} if chosen.part else parts, chosen.wait, results)
    except KeyboardInterrupt:
        status = INTERRUPTED
    command = " ".join(["python -m benchmarks", *words])
    _show(command, results)
    if chosen.json:
        chosen.json.write_text(
            json.dumps(document(command, results), indent=2, default=asdict) + "\n", encoding="utf-8"
        )
    return results.status if status is None else status


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=list(_parts(0, 0)), help="only this (default: all)")
    parser.add_argument("--rounds", type=_rounds, default=throughput.ROUNDS, metavar="N",
                        help="of throughput and gap (default: %(default)s; at least 6, for the interval)")  # fmt: skip
    parser.add_argument("--runs", type=_runs, default=takeover.RUNS, metavar="N",
                        help="of takeover (default: %(default)s)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--wait", type=float, default=_WAIT_SECONDS, metavar="SECONDS",
                        help="for a lab in use to become free (default: %(default)g)")  # fmt: skip
    return parser


def document(command: str, results: Results) -> dict[str, Any]:
    """Return everything as JSON has it."""
    return {
        "command": command,
        "cores": os.cpu_count(),
        "figures": [described(each) for each in results.figures],
        "failed": results.failed,
        "parts": results.record,
    }


def described(figure: Figure) -> dict[str, Any]:
    """Return a figure for the JSON document."""
    return {
        "part": figure.part,
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "target": str(figure.target) if figure.target else None,
        "verdict": str(figure.verdict),
        "note": figure.note,
    }


def _parts(rounds: int, runs: int) -> dict[str, Part]:
    return {
        "start": start.measure,
        "rest": rest.measure,
        "permit": permit.measure,
        "throughput": lambda stage, record: throughput.measure(stage, rounds, record),
        "gap": lambda stage, record: gap.measure(stage, rounds, record),
        "takeover": lambda stage, record: takeover.measure(stage, runs, record),
    }


def _run(parts: dict[str, Part], wait_seconds: float, results: Results) -> None:
    """Run each part on a lab of its own, so that none inherits what another left."""
    for name, part in parts.items():
        say(f"{name}: a fresh lab")
        record = results.record.setdefault(name, {})
        try:
            with staged(wait_seconds) as stage:
                results.figures += part(stage, record)
        except KeyboardInterrupt:
            results.failed[name] = "interrupted; the lab is gone"
            raise
        except CannotRunError as error:
            results.failed[name] = str(error)
        except Exception as error:  # noqa: BLE001  # the other parts can still be measured; this one is reported
            traceback.print_exc()
            results.failed[name] = f"{type(error).__name__}: {error}"


def _show(command: str, results: Results) -> None:
    print(f"\n{command}   on {os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}\n")
    print(table(results.figures), end="")
    for part, why in results.failed.items():
        print(f"{part}: NOT MEASURED: {why}")


def _rounds(text: str) -> int:
    value = int(text)
    if value < 6:  # noqa: PLR2004 - fewer give no 95 % interval
        raise argparse.ArgumentTypeError("at least 6: fewer give no 95 % interval of the median")
    return value


def _runs(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt
