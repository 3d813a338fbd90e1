"""The command line: run the matrix, list its cases, report what the results prove."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.faults import cases, results
from tests.faults.case import CLOCK, Case
from tests.faults.results import Result
from tests.faults.runner import describe, roles, run_case, version
from tests.faults.stage import Stage
from tests.lab import clock, images, paths
from tests.lab.cluster import Lab
from tests.lab.observed import HistoryError
from tests.lab.shell import CommandError
from tests.lab.waiting import NotInTimeError

_FAILED, _INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one command and return its exit status: 1 if a run was not as expected."""
    chosen = make_parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return int(chosen.do(chosen))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return _INTERRUPTED


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run cases on a lab of their own; results accumulate in a file")
    run.add_argument("--runs", type=int, default=1, metavar="N", help="of each case (default: %(default)s)")
    run.add_argument("--nearest", type=int, metavar="N", help="of each case nearest to safety (default: as of others)")
    run.add_argument("--case", default="", metavar="A,B", help="only these cases (default: all)")
    run.add_argument("--results", type=Path, metavar="FILE", help="where results accumulate (default: in the cache)")
    run.add_argument("--attach", action="store_true", help="use the lab that runs, with the operator that is on it")
    run.set_defaults(do=_run)
    listing = commands.add_parser("list", help="say what each case does and expects")
    listing.add_argument("--case", default="", metavar="A,B", help="only these cases (default: all)")
    listing.set_defaults(do=_list)
    report = commands.add_parser("report", help="print what the results prove, as a table in markdown")
    report.add_argument("file", type=Path, nargs="?", help="results (default: in the cache)")
    report.set_defaults(do=_report)
    return parser


def _list(chosen: argparse.Namespace) -> int:
    for case in cases.named(_names(chosen.case)):
        sys.stdout.write(f"{describe(case)}\n")
    return 0


def _report(chosen: argparse.Namespace) -> int:
    sys.stdout.write(results.report(results.load(chosen.file or results.default_file())))
    return 0


def _run(chosen: argparse.Namespace) -> int:
    wanted = cases.named(_names(chosen.case))
    file = chosen.results or results.default_file()
    nearest = chosen.runs if chosen.nearest is None else chosen.nearest
    lab = Lab.attach() if chosen.attach else Lab.boot(crds=paths.REPOSITORY / "crds", disks=True)
    try:
        with tempfile.TemporaryDirectory(prefix="twinlease-faults-") as scratch:
            stage = Stage(lab, Path(scratch))
            if not chosen.attach:
                lab.load_image(archive := images.project())
                if any(CLOCK in case.needs for case in wanted):
                    lab.load_image(clock.image(archive))
                stage.world.install_operator()
            stage.set_apart()
            failed = _all(stage, wanted, file, chosen.runs, nearest)
    finally:
        if not chosen.attach:
            lab.down()
    sys.stdout.write(f"\n{results.report(results.load(file))}")
    return _FAILED if failed else 0


def _all(stage: Stage, wanted: Sequence[Case], file: Path, runs: int, nearest: int) -> int:
    """Run cases so often, all once before any again, and return how many runs were not as expected."""
    for case in wanted:
        if lacking := case.needs - stage.abilities:
            say(f"{case.name} is left out: this lab cannot do {', '.join(sorted(lacking))}")
    wanted = [case for case in wanted if case.needs <= stage.abilities]
    failed = 0
    for number in range(max(runs, nearest)):
        for case in wanted:
            if number < case.runs(runs, nearest):
                failed += not _once(stage, case, file, number)
    return failed


def _once(stage: Stage, case: Case, file: Path, number: int) -> bool:
    say(f"\n{describe(case)}")
    if stage.prepare(case):
        say("  the pair had to be made anew")
    keep = results.default_file().parent / "faults" / f"{case.name}-{time.strftime('%m%d-%H%M%S')}"
    try:
        result = run_case(stage, case, roles(number), number, say=say, keep=keep)
    except (NotInTimeError, CommandError, HistoryError) as error:
        # Not begun, or not judged: that is no proof of anything, and counts as a failure.
        stage.faults.mend()
        result = Result(case.name, version(), time.time(), str(roles(number)), (f"not run: {error}",), stuck=True)
    results.append(file, result)
    for failure in result.failures:
        say(f"  FAILED: {failure}")
    figures = ", ".join(f"{name} {value:.2f}" for name, value in result.figures.items())
    say(f"  {'failed, see ' + str(keep) if result.failures else 'passed'}: {figures}")
    if result.stuck:
        stage.remove()
    return not result.failures


def say(text: str) -> None:
    """Tell the user how far it is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _names(text: str) -> tuple[str, ...]:
    return tuple(each for each in text.split(",") if each)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt
