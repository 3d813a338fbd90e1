"""Runs one case: load and observers first, then the steps, then the mending, then the judgement."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

from tests.e2e.world import OPERATOR_NAMESPACE, PAIR
from tests.faults import expect
from tests.faults.case import END, MEND, START, Case, Do, Step, Until, Wait, cast
from tests.faults.results import Result
from tests.faults.stage import ADDRESSES, Stage, whole
from tests.faults.timeline import LEASE, Change
from tests.faults.watcher import Watcher
from tests.lab.crowd import Habit, Pace
from tests.lab.history import judge
from tests.lab.load import Load, Outcome, Plan, lab_machines
from tests.lab.paths import REPOSITORY
from tests.lab.recorder import Recorder, lab_taps
from tests.lab.shell import CommandError, run
from tests.lab.waiting import NotInTimeError
from twinlease.model.states import Role

# On each half of the LAN: enough that somebody asks all the time, few enough for half of the addresses. (In
# communications-interrupted what is released or expires does not become free.)
LOAD = Plan(
    rate=3.0,
    alive=24,
    mix={Habit.STAY: 3, Habit.REBOOT: 3, Habit.RELEASE: 2, Habit.VANISH: 2},
    pace=Pace(stay=(3.0, 10.0), away=(0.5, 2.0)),
)
_WARM_ACKS = 10  # from each server, before the first step
_WARM_SECONDS = 30.0
_SETTLING_SECONDS = 4.0  # of load after the end, so that both servers are seen to answer

Say = Callable[[str], None]


@dataclass
class _Script:
    """The steps of a run as they are gone through."""

    stage: Stage
    watcher: Watcher
    say: Say
    marks: dict[str, float]
    failures: list[str]

    def mark(self, name: str, at: float | None = None) -> None:
        self.marks.setdefault(name, time.monotonic() if at is None else at)

    def go(self, steps: tuple[Step, ...]) -> None:
        """Go through steps; the first that fails ends the script."""
        since = time.monotonic()
        for step in steps:
            began = time.monotonic() - self.marks[START] if START in self.marks else 0.0
            match step:
                case Do():
                    self.say(f"  {began:5.1f}  {step.says}")
                    since = time.monotonic()
                    step.act(self.stage)
                    self.mark(step.mark) if step.mark else None
                case Wait():
                    time.sleep(step.seconds)
                    self.mark(step.mark) if step.mark else None
                case Until():
                    happened = self._await(step, since)
                    if happened is None:
                        self.failures.append(f"{step.says}: not within {step.within:g} s")
                        self.say(f"  {time.monotonic() - self.marks[START]:5.1f}  NOT: {step.says}")
                        return
                    self.say(f"  {happened - self.marks[START]:5.1f}  {step.says}")
                    self.mark(step.mark or step.says, happened)

    def _await(self, step: Until, since: float) -> float | None:
        return self.watcher.until(lambda seen: step.happened(seen, self.stage.cast, since), step.within)


def run_case(stage: Stage, case: Case, victim: Role, number: int, *, say: Say, keep: Path) -> Result:
    """Run a case once and return its result; the pair is normal before.

    Args:
        stage: The pair.
        case: Which.
        victim: Who is the case's victim.
        number: Of the run: the load differs from run to run, and is the same for the same number.
        say: Told what is done and seen.
        keep: Directory for what helps to understand a failure.
    """
    began = time.time()
    stage.begin(victim)
    script: _Script
    with ExitStack() as stack:
        # Load ends first, then who listens.
        recorder = stack.enter_context(Recorder(lab_taps()))
        watcher = stack.enter_context(Watcher(stage.lab.api, PAIR, told=_Teller(say)))
        plan = replace(LOAD, seed=crc32(f"{case.name}/{number}".encode()) & 0xFFFF)
        load = stack.enter_context(Load(lab_machines(), plan))
        script = _Script(stage, watcher, say, {}, [])
        _warm_up(recorder)
        script.mark(START)
        try:
            script.go(case.steps)
        except (CommandError, LookupError, NotInTimeError) as error:
            script.failures.append(f"a step could not be done: {error}")
        stuck = _mend(script, case)
        _settle(recorder, script)
        load.stop()
    recording, timeline = recorder.stop().whole(), watcher.timeline()
    verdict = judge(recording.observations)
    seen = expect.Run(case, stage.cast, script.marks, timeline, verdict, ADDRESSES)
    found = expect.judge(seen)
    failures = (*script.failures, *found.failures, *(["not normal again"] if stuck else []))
    figures = {**found.figures, "acks": float(verdict.statistics.acks.total())}
    figures["client_wait_s"] = _longest_wait(load.outcomes(), script.marks)
    figures["back_s"] = script.marks[END] - script.marks[MEND]
    marks = {name: round(at - script.marks[START], 3) for name, at in script.marks.items()}
    result = Result(case.name, version(), began, str(victim), failures, len(verdict.violations), stuck, figures, marks)
    if failures:
        recording.dump(_directory(keep) / "history.jsonl")
        preserve(stage, keep, result, timeline.changes, f"{verdict.report()}\n{load.summary()}\n")
    return result


def describe(case: Case) -> str:
    """Return what is done and expected, said before the run."""
    lines = [f"{case.name}: {case.says}"]
    lines += [f"  expected: {each.says}" for each in case.expects]
    return "\n".join(lines)


def version() -> str:
    """Return the product's version as git has it."""
    done = subprocess.run(
        ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def roles(number: int) -> Role:
    """Return who is the victim in the run of that number: one after the other."""
    return (Role.SECONDARY, Role.PRIMARY)[number % 2]


def _warm_up(recorder: Recorder) -> None:
    """Wait until both servers have given leases."""
    deadline = time.monotonic() + _WARM_SECONDS
    while True:
        acks = [seen.server for seen in recorder.so_far() if seen.kind == "ACK"]
        if all(acks.count(address) >= _WARM_ACKS for address in ADDRESSES.values()):
            return
        if time.monotonic() > deadline:
            counts = {address: acks.count(address) for address in ADDRESSES.values()}
            raise NotInTimeError(f"both servers give leases: not within {_WARM_SECONDS:g} s: {counts}")
        time.sleep(0.1)


def _mend(script: _Script, case: Case) -> bool:
    """Mend everything, wait until the pair is normal, and tell whether it is stuck."""
    script.mark(MEND)
    script.say(f"  {time.monotonic() - script.marks[START]:5.1f}  mend")
    mended = time.monotonic()
    script.stage.faults.mend()
    with suppress(CommandError):
        script.go(case.mending)
    end = script.watcher.until(lambda seen: whole(seen, mended), case.back)
    script.mark(END, end)
    script.say(f"  {script.marks[END] - script.marks[START]:5.1f}  {'STUCK' if end is None else 'both are normal'}")
    return end is None


def _settle(recorder: Recorder, script: _Script) -> None:
    """Let the load go on until both have answered after the end, for some seconds at most."""
    deadline = time.monotonic() + _SETTLING_SECONDS
    while time.monotonic() < deadline:
        late = {seen.server for seen in recorder.so_far() if seen.time > script.marks[END] and seen.kind == "ACK"}
        if set(ADDRESSES.values()) <= late:
            return
        time.sleep(0.1)


def _longest_wait(lives: list[Outcome], marks: Mapping[str, float]) -> float:
    """Return for how long a client at most had no address that it wanted, of those who asked before the mending."""
    spans = [span for life in lives for span in life.gaps if marks[START] <= span[0] < marks[MEND]]
    return max((min(until, marks[END]) - since for since, until in spans), default=0.0)


class _Teller:
    """Tells verdicts as they come."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = ""

    def __call__(self, change: Change) -> None:
        conditions = (change.content or {}).get("status", {}).get("conditions", [])
        for each in conditions:
            said = f"{each['reason']}: {each.get('message', '')}"
            if each["type"] == "PartnerDown" and each["reason"] != self._last:
                self._last = each["reason"]
                self._say(f"         · {said}")


def _directory(keep: Path) -> Path:
    keep.mkdir(parents=True, exist_ok=True)
    return keep


def preserve(stage: Stage, keep: Path, result: Result, changes: tuple[Change, ...] = (), said: str = "") -> None:
    """Keep what helps to understand a failure."""
    _directory(keep)
    (keep / "result.txt").write_text("\n".join([*result.failures, "", said]), encoding="utf-8")
    with (keep / "objects.jsonl").open("w", encoding="utf-8") as lines:
        for each in changes:
            seen = {"time": each.time, "kind": each.kind, "name": each.name}
            lines.write(json.dumps({**seen, ("spec" if each.kind == LEASE else "object"): each.content}) + "\n")
    for name, arguments in {
        "objects.txt": ["get", "dhcp,dhcpservinglease,pods", "-A", "-o", "wide"],
        "pair.txt": ["describe", "dfp", PAIR],
        "events.txt": ["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"],
        "operator.log": ["logs", f"--namespace={OPERATOR_NAMESPACE}", "-l", "app.kubernetes.io/name=twinlease",
                         "--prefix", "--tail=2000"],
    }.items():  # fmt: skip
        with suppress(CommandError):
            (keep / name).write_text(stage.lab.kubectl(*arguments), encoding="utf-8")
    for actor in cast(Role.PRIMARY):
        logs = stage.lab.machines[stage.node(actor)].directory / "var/log/pods"
        with suppress(CommandError):
            run(["cp", "--recursive", str(logs), str(keep / f"pods-{stage.node(actor)}")])
