"""The gap that clients see when a server's peer dies and when it enters partner-down, beside a bare pair.

Both pairs have their servers on the same two nodes, each on a LAN of its own, and the same clients ask both at the same
rate all the time. A node loses its power: so both pairs lose a server in the same instant. Then both survivors enter
partner-down, the managed one by itself, the bare one by an administrator's word to its control interface; which of them
is the first changes, so that a steady drift of the machine cancels out. Which server dies changes, too.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import bare, wires
from benchmarks.asker import Asker
from benchmarks.report import Figure, Target
from benchmarks.stage import CannotRunError, Stage, say
from benchmarks.statistics import TooFewError, median, median_interval
from tests.e2e.world import PAIR, PRIMARY, SECONDARY
from tests.faults.case import SURVIVOR, VICTIM, Case, cast
from tests.faults.runner import roles
from tests.faults.stage import ADDRESSES
from tests.faults.stage import Stage as Field
from tests.faults.timeline import Timeline
from tests.faults.watcher import Watcher
from tests.lab import netns
from tests.lab.model import CLIENTS
from tests.lab.tap import Tap
from tests.lab.waiting import NotInTimeError, until
from twinlease.model.states import FailoverState, Role

_CASE = Case("gap", "A node loses its power.", ())  # for its timers
_NO_WORSE = Target(1.0)
_SETTLED_SECONDS = 60.0
_CALM_SECONDS = 2.0
_INTERRUPTED_SECONDS = 15.0
_NOTICED_SECONDS = 0.5  # in which whatever follows from that would show
_TAKEOVER_SECONDS = 25.0
_WINDOW_SECONDS = 3.0
"""From shortly before an order on; in it a gap is looked for. Nothing else happens meanwhile."""

_BEFORE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Gaps:
    """The longest silences of the two survivors, seconds."""

    managed: float
    bare: float


@dataclass(frozen=True, slots=True)
class Death:
    """A node's death.

    Attributes:
        victim: Whose.
        bare_first: The bare survivor entered partner-down before the managed one.
        died: From the death until both survivors had noticed.
        entered: When partner-down was entered.
    """

    victim: str
    bare_first: bool
    died: Gaps
    entered: Gaps


def measure(stage: Stage, rounds: int, record: dict[str, Any]) -> list[Figure]:
    """Let a node die so often; return the figures, and put every death into the record as it comes."""
    deaths: list[Death] = record.setdefault("deaths", [])
    with tempfile.TemporaryDirectory(prefix="twinlease-gap-") as scratch, ExitStack() as stack:
        field = Field(stage.lab, Path(scratch))
        field.set_apart()
        field.fit(_CASE)
        second = stack.enter_context(wires.second_lan())
        stack.enter_context(bare.running(stage, [PRIMARY, SECONDARY]))
        taps = [Tap("managed", netns.path(CLIENTS[0].namespace)), Tap("bare", netns.path(second))]
        managed, other = (stack.enter_context(Asker(tap)) for tap in taps)
        for number in range(rounds):
            deaths.append(_Round(stage, field, managed, other).run(number))
            say(f"gap: death {number + 1} of {rounds}: {_told(deaths[-1])}")
    return figures(deaths)


def figures(deaths: Sequence[Death]) -> list[Figure]:
    """Return the figures of deaths. Pure.

    Raises:
        CannotRunError: Too few for an interval.
    """
    found = []
    for name, gaps in (
        ("peer dies", [each.died for each in deaths]),
        ("partner-down", [each.entered for each in deaths]),
    ):
        for pair in ("managed", "bare"):
            values = [getattr(each, pair) * 1000 for each in gaps]
            note = f"{min(values):.0f} to {max(values):.0f}, {len(values)} deaths"
            found.append(Figure("gap", f"{name}: {pair}, median of the longest", median(values), "ms", None, note))
        more = median([each.managed - each.bare for each in gaps]) * 1000
        found.append(Figure("gap", f"{name}: managed - bare, median", more, "ms"))
        ratios = [each.managed / each.bare for each in gaps]
        try:
            interval = median_interval(ratios)
        except TooFewError as error:
            raise CannotRunError(f"no verdict: {error}") from error
        covers = f"order statistics, covers {interval.coverage:.1%}"
        found += [
            Figure("gap", f"{name}: managed / bare, median", median(ratios), ""),
            Figure("gap", f"{name}: managed / bare, interval's lower end", interval.low, "", _NO_WORSE, covers),
            Figure("gap", f"{name}: managed / bare, interval's upper end", interval.high, "", None, covers),
        ]
    return found


def bare_is_first(number: int) -> bool:
    """Tell the order of the death of that number: M B, M B, B M, B M, so that each victim has both orders. Pure."""
    return number % 4 >= 2  # noqa: PLR2004 - two victims


class _Round:
    """One death, and back to normal."""

    def __init__(self, stage: Stage, field: Field, managed: Asker, other: Asker) -> None:
        self._stage = stage
        self._field = field
        self._managed = managed
        self._bare = other

    def run(self, number: int) -> Death:
        """Let a node die, and measure.

        Raises:
            CannotRunError: A survivor did not do what it should have, so that there is nothing to compare.
        """
        victim, bare_first = roles(number), bare_is_first(number)
        survivor = cast(victim)[SURVIVOR]
        self._field.begin(victim)
        self._settle()
        with Watcher(self._stage.lab.api, PAIR) as watcher:
            try:
                died = self._die(watcher, survivor)
                entered = self._enter(watcher, survivor, bare_first=bare_first)
            except NotInTimeError as error:
                raise CannotRunError(str(error)) from error
            finally:
                self._mend()
        return Death(str(victim), bare_first, died, entered)

    def _settle(self) -> None:
        until("every client has an address", lambda: self._managed.settled() and self._bare.settled(),
              timeout=_SETTLED_SECONDS)  # fmt: skip
        time.sleep(_CALM_SECONDS)

    def _die(self, watcher: Watcher, survivor: Role) -> Gaps:
        """Take the power of the victim's node, and wait until both survivors have noticed."""
        name, left = self._field.node(VICTIM), self._field.node(SURVIVOR)
        began = time.monotonic()
        wires.plug_second(name, connected=False)
        self._field.faults.power_off(name)
        noticed = FailoverState.COMMUNICATIONS_INTERRUPTED
        until("the bare survivor notices", lambda: bare.states(left)[0] == noticed, timeout=_INTERRUPTED_SECONDS)
        _reached(watcher, survivor, noticed, began, _INTERRUPTED_SECONDS)
        time.sleep(_NOTICED_SECONDS)
        return self._gaps(survivor, (began, began), time.monotonic() - began)

    def _enter(self, watcher: Watcher, survivor: Role, *, bare_first: bool) -> Gaps:
        """Have both survivors enter partner-down, one well after the other."""
        since = time.monotonic()
        early = self._declare() if bare_first else None
        _reached(watcher, survivor, FailoverState.PARTNER_DOWN, since, _TAKEOVER_SECONDS)
        # What is seen here was done a little earlier.
        ordered = _ordered(watcher.timeline(), survivor) - _BEFORE_SECONDS
        time.sleep(max(ordered + _WINDOW_SECONDS - time.monotonic(), 0.0))
        by_hand = self._declare() if early is None else early
        return self._gaps(survivor, (ordered, by_hand), _WINDOW_SECONDS)

    def _declare(self) -> float:
        began = bare.declare_partner_down(self._field.node(SURVIVOR)) - _BEFORE_SECONDS
        time.sleep(_WINDOW_SECONDS)
        return began

    def _gaps(self, survivor: Role, begins: tuple[float, float], seconds: float) -> Gaps:
        address = ADDRESSES[survivor]
        managed, other = begins
        return Gaps(
            self._managed.silence(address, managed, managed + seconds),
            self._bare.silence(address.replace(wires.MANAGED, wires.BARE, 1), other, other + seconds),
        )

    def _mend(self) -> None:
        wires.plug_second(self._field.node(VICTIM), connected=True)
        self._field.faults.mend()
        self._field.await_normal(_TAKEOVER_SECONDS * 4)
        bare.await_normal()


def _reached(watcher: Watcher, role: Role, state: FailoverState, since: float, within: float) -> None:
    if watcher.until(lambda seen: seen.reached(role, state, since), within) is None:
        raise CannotRunError(f"the managed survivor was not in {state} within {within:g} s")


def _ordered(timeline: Timeline, survivor: Role) -> float:
    orders = [each for each in timeline.takeovers(_CASE.times.after) if each.survivor is survivor]
    if not orders:
        raise CannotRunError("the managed survivor was in partner-down without an order that was seen")
    return orders[-1].ordered


def _told(death: Death) -> str:
    gaps = [f"{gap * 1000:.0f}" for pair in (death.died, death.entered) for gap in (pair.managed, pair.bare)]
    return "peer dies: {} ms, bare {} ms; partner-down: {} ms, bare {} ms".format(*gaps)
