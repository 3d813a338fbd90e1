"""The page of ``timeline``: how a pair stood over time, as a strip for each server and a line for each change."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from twinlease.api.pairstatus import HistoryEntry
from twinlease.cli.facts import PairFacts
from twinlease.cli.show import words
from twinlease.decide import dates
from twinlease.model.states import FailoverState, Role

_LETTERS = {
    "Normal": "N",
    "CommunicationsInterrupted": "C",
    "PartnerDown": "D",
    "Recover": "R",
    "RecoverWait": "W",
    "RecoverDone": "R",
    "Startup": "S",
    "PotentialConflict": "P",
    "ConflictDone": "P",
    "ResolutionInterrupted": "I",
    "Paused": "Z",
    "Shutdown": "Z",
    "Unknown": ".",
}
_NARROWEST = 20
_LABEL = 11


class Stretch(Struct, frozen=True, kw_only=True):
    """One state of one server; seconds since the epoch."""

    state: str
    start: float
    end: float


def stretches(history: Sequence[HistoryEntry], role: Role, now: float) -> list[Stretch]:
    """Return the states of a server one after the other, until now."""
    found: list[Stretch] = []
    starts = [dates.seconds(each.time) for each in history]
    ends = [*starts[1:], max(now, *starts[-1:], 0.0)] if starts else []
    for each, end in zip(history, ends, strict=True):
        state = each.primary if role is Role.PRIMARY else each.secondary
        if found and found[-1].state == state:
            found[-1] = Stretch(state=state, start=found[-1].start, end=end)
        else:
            found.append(Stretch(state=state, start=dates.seconds(each.time), end=end))
    return found


def page(facts: PairFacts, now: float, width: int) -> RenderableType:
    """Return the page of one pair for a console of so many columns; ``now`` is seconds since the epoch."""
    history = facts.status.history
    title = Text.assemble("Pair ", (facts.name, words.STRONG), f" in namespace {facts.namespace}")
    if not history:
        return Group(title, Text("Nothing has been recorded yet: an operator keeps the history in the pair's status."))
    strips = [_strip(history, role, now, width) for role in Role]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for row in _changes(history, now):
        table.add_row(*row)
    return Group(title, Text(), *strips, _legend(history), Text(), table)


def _strip(history: Sequence[HistoryEntry], role: Role, now: float, width: int) -> Text:
    """Return a server's states as letters, each column the state at its middle, so that nothing is drawn twice."""
    columns = max(_NARROWEST, min(width, 120) - _LABEL)
    found = stretches(history, role, now)
    start, end = found[0].start, max(found[-1].end, found[0].start + 1)
    line = Text(f"{role!s:<{_LABEL}}")
    for column in range(columns):
        moment = start + (end - start) * (column + 0.5) / columns
        state = next(each.state for each in reversed(found) if each.start <= moment)
        line.append(_LETTERS.get(state, "?"), words.state(state).spans[0].style if state else "")
    return line


def _legend(history: Sequence[HistoryEntry]) -> Text:
    seen = {state: None for each in history for state in (each.primary, each.secondary)}
    line = Text(" " * _LABEL)
    for index, state in enumerate(seen):
        line.append(f"{'' if not index else ', '}{_LETTERS.get(state, '?')} {state}", words.DIM)
    return line


def _changes(history: Sequence[HistoryEntry], now: float) -> Iterator[tuple[str, str, Text]]:
    """Yield for each entry when it began, how long it lasted, and what was new in it."""
    previous = HistoryEntry(time=history[0].time, primary="", secondary="", phase="", reason="")
    ends = [*(each.time for each in history[1:]), ""]
    for (before, each), end in zip(pairwise([previous, *history]), ends, strict=True):
        lasted = (dates.seconds(end) if end else now) - dates.seconds(each.time)
        yield each.time.replace("T", " "), words.span(lasted), Text(", ").join(_news(before, each))


def _news(before: HistoryEntry, now: HistoryEntry) -> Iterator[Text]:
    """Yield what is new in an entry."""
    if before.reason != now.reason:
        yield words.verdict(now.reason)
    for role in Role:
        old, new = ((each.primary if role is Role.PRIMARY else each.secondary) for each in (before, now))
        if old != new:
            yield Text(f"{role} ").append_text(words.state(new or FailoverState.UNKNOWN))
    if before.phase != now.phase or before.survivor != now.survivor:
        yield Text(f"phase {now.phase or 'none'}" + (f", survivor {now.survivor}" if now.survivor else ""))
