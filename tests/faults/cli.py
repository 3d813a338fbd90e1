"""The command line: run the matrix, list its cases, report what the results prove."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.faults import cases, results
from tests.faults.case import CLOCK, Case
from tests.faults.results import Result
from tests.faults.runner import describe, preserve, roles, run_case, version
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
    run.add_argument("--labs", type=int, default=1, metavar="N", help="share the runs among so many labs at once")
    run.add_argument("--share", type=_share, default=(0, 1), metavar="I/N", help="do each Nth run, from the Ith (0..)")
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


def _share(text: str) -> tuple[int, int]:
    index, _, number = text.partition("/")
    if not (index.isdecimal() and number.isdecimal() and int(index) < int(number)):
        raise argparse.ArgumentTypeError(f"{text!r}: want I/N with I below N, like 0/2")
    return int(index), int(number)


def _run(chosen: argparse.Namespace) -> int:
    if chosen.labs > 1:
        return _run_shared(chosen)
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
            failed = 0
            for case, number in chosen_runs(_possible(stage, wanted), chosen.runs, nearest, chosen.share):
                failed += not _once(stage, case, file, number)
    finally:
        if not chosen.attach:
            lab.down()
    sys.stdout.write(f"\n{results.report(results.load(file))}")
    return _FAILED if failed else 0


def _run_shared(chosen: argparse.Namespace) -> int:
    """Run a share of the runs on each of several labs, one process for each, and return the worst exit status."""
    file = chosen.results or results.default_file()
    command = [sys.executable, "-m", "tests.faults", "run", "--runs", str(chosen.runs), "--case", chosen.case]
    command += ["--results", str(file), *(["--nearest", str(chosen.nearest)] if chosen.nearest is not None else [])]
    images.project()  # once, before all of them want it
    children = [
        subprocess.Popen(
            [*command, "--share", f"{index}/{chosen.labs}"], env={**os.environ, "TWINLEASE_LAB": f"f{index}"}
        )
        for index in range(chosen.labs)
    ]
    try:
        return max(abs(child.wait()) for child in children)
    finally:
        for child in children:
            child.terminate()  # each takes its own lab down
        for child in children:
            child.wait()


def _possible(stage: Stage, wanted: Sequence[Case]) -> list[Case]:
    for case in wanted:
        if lacking := case.needs - stage.abilities:
            say(f"{case.name} is left out: this lab cannot do {', '.join(sorted(lacking))}")
    return [case for case in wanted if case.needs <= stage.abilities]


def chosen_runs(
    wanted: Sequence[Case], runs: int, nearest: int, share: tuple[int, int] = (0, 1)
) -> Iterator[tuple[Case, int]]:
    """Yield each run of each case with its number, all cases once before any again; share i of n: each nth from i."""
    everything = [
        (case, number) for number in range(max(runs, nearest)) for case in wanted if number < case.runs(runs, nearest)
    ]
    yield from everything[share[0] :: share[1]]


def _once(stage: Stage, case: Case, file: Path, number: int) -> bool:
    say(f"\n{describe(case)}")
    keep = results.default_file().parent / "faults" / f"{case.name}-{time.strftime('%m%d-%H%M%S')}"
    try:
        if stage.prepare(case):
            say("  the pair had to be made anew")
        result = run_case(stage, case, roles(number), number, say=say, keep=keep)
    except (NotInTimeError, CommandError, HistoryError) as error:
        # Not begun, or not judged: that is no proof of anything, and counts as a failure.
        stage.faults.mend()
        result = Result(case.name, version(), time.time(), str(roles(number)), (f"not run: {error}",), stuck=True)
        preserve(stage, keep, result)
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
