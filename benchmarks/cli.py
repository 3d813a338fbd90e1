"""The command line of the benchmarks."""

import argparse
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from benchmarks import rest, start, throughput
from benchmarks.report import Figure, Verdict, table
from benchmarks.stage import CannotRunError, Stage, say, staged

MET, MISSED, NOT_RUN, INTERRUPTED = 0, 1, 2, 130
_WAIT_SECONDS = 3600.0

Part = Callable[[Stage, dict[str, Any]], list[Figure]]
"""Measures on a stage, fills a record as it goes, returns figures."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts; return 0 if all ran and met their targets, 1 if one missed its, 2 if one did not run."""
    chosen = make_parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    parts = _parts(chosen.rounds)
    wanted = {chosen.part: parts[chosen.part]} if chosen.part else parts
    try:
        figures, record, failed = _run(wanted, chosen.wait)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the lab is gone\n")
        return INTERRUPTED
    command = " ".join(["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    print(f"\n{command}   on {os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}\n")
    print(table(figures), end="")
    for part, why in failed.items():
        print(f"{part}: NOT MEASURED: {why}")
    if chosen.json:
        document = {"command": command, "cores": os.cpu_count(), "parts": record, "failed": failed,
                    "figures": [described(each) for each in figures]}  # fmt: skip
        chosen.json.write_text(json.dumps(document, indent=2, default=asdict) + "\n", encoding="utf-8")
    if failed:
        return NOT_RUN
    return MISSED if any(each.verdict is Verdict.MISSED for each in figures) else MET


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=["start", "rest", "throughput"], help="only this (default: all)")
    parser.add_argument("--rounds", type=_rounds, default=throughput.ROUNDS, metavar="N",
                        help="of the throughput (default: %(default)s; at least 6, for the interval)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--wait", type=float, default=_WAIT_SECONDS, metavar="SECONDS",
                        help="for a lab in use to become free (default: %(default)g)")  # fmt: skip
    return parser


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


def _parts(rounds: int) -> dict[str, Part]:
    return {
        "start": start.measure,
        "rest": rest.measure,
        "throughput": lambda stage, record: throughput.measure(stage, rounds, record),
    }


def _run(parts: dict[str, Part], wait_seconds: float) -> tuple[list[Figure], dict[str, Any], dict[str, str]]:
    """Run each part on a lab of its own, so that none inherits what another left; return figures, record, failures."""
    figures: list[Figure] = []
    record: dict[str, Any] = {name: {} for name in parts}
    failed: dict[str, str] = {}
    for name, part in parts.items():
        say(f"{name}: a fresh lab")
        try:
            with staged(wait_seconds) as stage:
                figures += part(stage, record[name])
        except CannotRunError as error:
            failed[name] = str(error)
        except Exception as error:  # noqa: BLE001  # the other parts can still be measured; this one is reported
            traceback.print_exc()
            failed[name] = f"{type(error).__name__}: {error}"
    return figures, record, failed


def _rounds(text: str) -> int:
    value = int(text)
    if value < 6:  # noqa: PLR2004 - fewer give no 95 % interval
        raise argparse.ArgumentTypeError("at least 6: fewer give no 95 % interval of the median")
    return value


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt
