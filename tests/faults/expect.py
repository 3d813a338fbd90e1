"""Expectations: said in words before a run, judged on what was seen after it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from tests.faults.case import END, MEND, START, Actor, Case, Cast, K, Moment
from tests.faults.timeline import SERVER, Takeover, Timeline
from tests.lab.history import Answer, Verdict, longest_gap
from twinlease.model.states import FailoverState, Role

WITHIN = 1.0
"""Seconds after the threshold within which the survivor is in partner-down."""

_SETTLING = 3.0  # seconds after the daemon's entry into partner-down in which its gap is looked for


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a case, over.

    Attributes:
        marks: When each moment came, monotonic seconds; those that never came are missing.
        history: The judge's verdict on what clients saw.
        addresses: Server identifiers.
    """

    case: Case
    cast: Cast
    marks: Mapping[str, float]
    timeline: Timeline
    history: Verdict
    addresses: Mapping[Role, str]

    def at(self, moment: Moment) -> float:
        """Return when a moment was; one that never came is the run's end."""
        mark, after = moment
        return self.marks[mark] + after if mark in self.marks else self.marks[END]

    def answers(self, actor: Actor, since: float, until: float) -> list[Answer]:
        """Return what a server answered to dynamic clients in a span of time."""
        address = self.addresses[self.cast[actor]]
        return [each for each in self.history.answers if each.server == address and since < each.time < until]


@dataclass(frozen=True, slots=True)
class Found:
    """What became of an expectation: sentences about what is wrong, and what was measured."""

    failures: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


class Expectation(Protocol):
    """Something that is expected of a run."""

    @property
    def says(self) -> str:
        """Say what, in a sentence without its full stop."""

    def judge(self, run: Run) -> Found:
        """Judge a run."""


@dataclass(frozen=True, slots=True)
class Serves:
    """A server answers, without a pause longer than `gap` seconds."""

    actor: Actor
    since: Moment = (START, 0.0)
    until: Moment = (MEND, 0.0)
    gap: float = 3.0

    @property
    def says(self) -> str:
        """Say what."""
        span = f"from {_told(self.since)} to {_told(self.until)}"
        return f"the {self.actor} serves {span}, with no pause above {self.gap:g} s"

    def judge(self, run: Run) -> Found:
        """Judge a run."""
        begin, end = run.at(self.since), run.at(self.until)
        if end - begin <= self.gap:
            return Found()
        times = [begin, *(each.time for each in run.answers(self.actor, begin, end)), end]
        longest, since = max((after - before, before) for before, after in pairwise(times))
        if longest <= self.gap:
            return Found()
        after = since - run.marks[START]
        return Found((f"the {self.actor} was silent for {longest:.1f} s from {after:.1f} s on, when it should serve",))


@dataclass(frozen=True, slots=True)
class Silent:
    """A server answers nobody from K after its permit's deadline."""

    actor: Actor
    deadline: Moment
    until: Moment = (MEND, 0.0)

    @property
    def says(self) -> str:
        """Say what."""
        return f"the {self.actor} is silent from {_told(self.deadline)} + K ({K:g} s) to {_told(self.until)}"

    def judge(self, run: Run) -> Found:
        """Judge a run."""
        deadline, until = run.at(self.deadline), run.at(self.until)
        answers = run.answers(self.actor, run.marks[START], until)
        last = max((each.time for each in answers), default=run.marks[START])
        figures = {"silent_after_deadline_s": last - deadline}
        late = [each for each in answers if each.time > deadline + K]
        if not late:
            return Found(figures=figures)
        said = f"the {self.actor} answered {len(late)} times up to {last - deadline:.2f} s after its permit's deadline"
        return Found((said,), figures)


@dataclass(frozen=True, slots=True)
class NeedsGrant:
    """A server whose permit has lapsed answers nobody before it is granted anew, whatever it has queued."""

    actor: Actor
    since: Moment

    @property
    def says(self) -> str:
        """Say what."""
        return f"the {self.actor} answers nobody from {_told(self.since)} to its next grant"

    def judge(self, run: Run) -> Found:
        """Judge a run."""
        since = run.at(self.since)
        stale = run.answers(self.actor, since, run.timeline.granted(run.cast[self.actor], since))
        return Found((f"the {self.actor} gave {len(stale)} stale answers",) if stale else ())


@dataclass(frozen=True, slots=True)
class TakesOver:
    """A server is ordered into partner-down and is there soon after the threshold.

    Attributes:
        within: Seconds after the threshold; None: it does not matter, for the operator was hindered.
    """

    actor: Actor
    since: Moment = (START, 0.0)
    within: float | None = WITHIN

    @property
    def says(self) -> str:
        """Say what."""
        limit = "" if self.within is None else f", at most {self.within:g} s after it may be"
        return f"the {self.actor} is put into partner-down{limit}"

    def judge(self, run: Run) -> Found:
        """Judge a run."""
        role, since = run.cast[self.actor], run.at(self.since)
        orders = [each for each in run.timeline.takeovers(run.case.times.after) if each.ordered >= since]
        order = next((each for each in orders if each.survivor is role), None)
        if order is None:
            return Found((f"the {self.actor} was never ordered into partner-down",))
        entered = run.timeline.reached(role, FailoverState.PARTNER_DOWN, order.ordered)
        if entered is None:
            return Found((f"the {self.actor} was ordered into partner-down and never reported it",))
        figures = self._figures(run, order, entered)
        late = entered - order.threshold
        if self.within is None or late <= self.within:
            return Found(figures=figures)
        return Found((f"the {self.actor} was in partner-down {late:.2f} s after it might have been",), figures)

    def _figures(self, run: Run, order: Takeover, entered: float) -> dict[str, float]:
        answers = run.answers(self.actor, entered, run.marks[END])
        figures = {"takeover_ms": (entered - order.threshold) * 1000}
        if answers:
            figures["serving_ms"] = (answers[0].time - order.threshold) * 1000
        around = run.answers(self.actor, order.ordered - 1, entered + _SETTLING)
        figures["entering_gap_s"] = max((b.time - a.time for a, b in pairwise(around)), default=0.0)
        return figures


@dataclass(frozen=True, slots=True)
class NoTakeover:
    """No order is given."""

    since: Moment = (START, 0.0)
    until: Moment = (END, 0.0)

    @property
    def says(self) -> str:
        """Say what."""
        return "nobody is ordered into partner-down"

    def judge(self, run: Run) -> Found:
        """Judge a run."""
        begin, end = run.at(self.since), run.at(self.until)
        orders = [each for each in run.timeline.takeovers(run.case.times.after) if begin <= each.ordered <= end]
        return Found(
            tuple(
                f"the {each.survivor} was ordered into partner-down ({each.evidence}) for no reason" for each in orders
            )
        )


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The pair's condition PartnerDown gives these reasons, in this order; others may come in between.

    Attributes:
        never: Reasons that it must not give.
    """

    reasons: tuple[str, ...]
    since: Moment = (START, 0.0)
    never: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        """Say what."""
        unwanted = f", and never {' or '.join(self.never)}" if self.never else ""
        return f"the verdicts are {', '.join(self.reasons)}{unwanted}"

    def judge(self, run: Run) -> Found:
        """Judge a run."""
        seen = [reason for _, reason in run.timeline.verdicts(run.at(self.since))]
        left = iter(seen)
        missing = [each for each in self.reasons if each not in left]
        unwanted = [each for each in self.never if each in seen]
        if not missing and not unwanted:
            return Found()
        return Found((f"the verdicts were {', '.join(seen) or 'none'}; expected: {self.says}",))


@dataclass(frozen=True, slots=True)
class Untouched:
    """A server's daemon is not started anew."""

    actor: Actor
    since: Moment = (START, 0.0)
    until: Moment = (END, 0.0)

    @property
    def says(self) -> str:
        """Say what."""
        return f"the {self.actor}'s daemon runs on{f' from {_told(self.since)}' if self.since[0] != START else ''}"

    def judge(self, run: Run) -> Found:
        """Judge a run."""
        before = _daemon(run, self.actor, run.at(self.since))
        after = _daemon(run, self.actor, run.at(self.until))
        return Found() if before == after else Found((f"the {self.actor}'s daemon was started anew",))


@dataclass(frozen=True, slots=True)
class Reaches:
    """A server's sidecar reports a state.

    Attributes:
        earliest: Seconds after the moment before which it must not.
    """

    actor: Actor
    state: FailoverState
    since: Moment = (START, 0.0)
    earliest: float = 0.0

    @property
    def says(self) -> str:
        """Say what."""
        sooner = f", and no sooner than {self.earliest:g} s after it" if self.earliest else ""
        return f"the {self.actor} reports {self.state} after {_told(self.since)}{sooner}"

    def judge(self, run: Run) -> Found:
        """Judge a run."""
        since = run.at(self.since)
        reached = run.timeline.reached(run.cast[self.actor], self.state, since)
        if reached is not None and reached < since + self.earliest:
            return Found((f"the {self.actor} reported {self.state} {reached - since:.2f} s after {_told(self.since)}",))
        if reached is not None:
            return Found()
        seen = [state for _, state in run.timeline.states(run.cast[self.actor], since)]
        return Found((f"the {self.actor} never reported {self.state}, but {', '.join(seen)}",))


def judge(run: Run) -> Found:
    """Judge a run by what its case expects, and by what every case does."""
    failures = [str(each) for each in run.history.violations]
    figures: dict[str, float] = {}
    for found in (_revoked_are_silent(run), _both_serve_again(run), *(each.judge(run) for each in run.case.expects)):
        failures += found.failures
        figures |= found.figures
    fault = run.marks.get("fault", run.marks[START])
    begin, end = longest_gap(run.history.answers, fault, run.marks[MEND])
    figures["client_gap_s"] = end - begin
    return Found(tuple(failures), figures)


def _revoked_are_silent(run: Run) -> Found:
    """Demand that who has no grant answers nobody: from its revocation to the next grant."""
    failures = []
    for actor, role in run.cast.items():
        for since, until in run.timeline.revoked(role):
            late = run.answers(actor, since, until)
            if late:
                failures.append(f"the {actor} answered {len(late)} times without a grant")
    return Found(tuple(failures))


def _both_serve_again(run: Run) -> Found:
    silent = [actor for actor in Actor if not run.answers(actor, run.marks[END], float("inf"))]
    return Found(tuple(f"the {each} answered nobody after the end" for each in silent))


def _daemon(run: Run, actor: Actor, at: float) -> tuple[object, object]:
    """Return what tells one run of a server's daemon from another."""
    wanted = f"-{run.cast[actor]}"
    found: tuple[object, object] = (None, None)
    for each in run.timeline.changes:
        if each.kind == SERVER and each.name.endswith(wanted) and each.time <= at:
            daemon = (each.content or {}).get("status", {}).get("daemon", {})
            found = daemon.get("started"), daemon.get("starts")
    return found


def _told(moment: Moment) -> str:
    mark, after = moment
    return f"{mark} + {after:g} s" if after else mark
