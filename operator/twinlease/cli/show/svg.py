"""A pair's history as a picture: a lane for each server, a mark for each verdict. Scalable Vector Graphics 1.1."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from twinlease.api.pairstatus import HistoryEntry
from twinlease.cli.facts import PairFacts
from twinlease.cli.show import words
from twinlease.cli.show.timeline import Stretch, stretches
from twinlease.decide import dates
from twinlease.model.states import FailoverState, Role

_WIDTH, _LEFT, _RIGHT = 960, 96, 16
_LANE, _GAP, _TOP = 44, 10, 64
_PLOT = _WIDTH - _LEFT - _RIGHT
_CHARACTER = 7.0
"""Width of a character of 11 px, about: texts are left out where they would not fit."""

_COLOURS = {
    FailoverState.NORMAL: "#2e8b57",
    FailoverState.COMMUNICATIONS_INTERRUPTED: "#e0a100",
    FailoverState.PARTNER_DOWN: "#7b4fa3",
    FailoverState.RECOVER: "#3b7dd8",
    FailoverState.RECOVER_WAIT: "#6fa3e8",
    FailoverState.RECOVER_DONE: "#3b7dd8",
    FailoverState.STARTUP: "#9ab8d8",
    FailoverState.UNKNOWN: "#b9b9b9",
}
_OTHER = "#c0553b"
_PALE = frozenset({FailoverState.COMMUNICATIONS_INTERRUPTED, FailoverState.STARTUP, FailoverState.UNKNOWN})
"""States whose colour is too light for white letters."""
_STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#222} .title{font-size:15px;font-weight:600} "
    ".lane{font-size:12px;font-weight:600} .in{fill:#fff} .axis{fill:#666} "
    ".mark{stroke:#444;stroke-width:1;stroke-dasharray:2 3}"
)


def draw(facts: PairFacts, now: float) -> str:
    """Return the picture of a pair's history up to ``now``, seconds since the epoch; empty history, empty lanes."""
    history = facts.status.history
    start = dates.seconds(history[0].time) if history else now - 1
    end = max(now, start + 1)
    marks = list(_marks(history, start, end))
    rows = 1 + max((row for _, row in _rows(marks)), default=0)
    axis = _TOP + 2 * (_LANE + _GAP)
    height = axis + 34 + 15 * rows
    body = [f'<text class="title" x="16" y="26">{escape(f"{facts.namespace}/{facts.name}")}</text>']
    body.append(f'<text class="axis" x="16" y="46">{escape(_covered(history, start, end))}</text>')
    for index, role in enumerate(Role):
        body += _lane(stretches(history, role, now), role, _TOP + index * (_LANE + _GAP), start, end)
    body += _axis(axis, start, end)
    body += _labels(marks, axis)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img">\n<title>{escape(_covered(history, start, end))}</title>\n'
        f'<style>{_STYLE}</style>\n<rect width="{_WIDTH}" height="{height}" fill="#fff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _covered(history: Sequence[HistoryEntry], start: float, end: float) -> str:
    if not history:
        return "nothing has been recorded yet"
    return f"failover states from {dates.text(start)} to {dates.text(end)}, {words.span(end - start)}"


def _x(moment: float, start: float, end: float) -> float:
    return _LEFT + _PLOT * (moment - start) / (end - start)


def _lane(found: Sequence[Stretch], role: Role, top: int, start: float, end: float) -> Iterator[str]:
    yield f'<text class="lane" x="16" y="{top + _LANE / 2 + 4:.0f}">{role}</text>'
    yield f'<rect x="{_LEFT}" y="{top}" width="{_PLOT}" height="{_LANE}" fill="#f2f2f2"/>'
    for each in found:
        left, width = _x(each.start, start, end), _PLOT * (each.end - each.start) / (end - start)
        known = each.state in set(FailoverState)
        colour = _COLOURS.get(FailoverState(each.state), _OTHER) if known else _OTHER
        said = f"{role}: {each.state} from {dates.text(each.start)} for {words.span(each.end - each.start)}"
        yield (
            f'<rect x="{left:.1f}" y="{top}" width="{max(width, 1):.1f}" height="{_LANE}" fill="{colour}">'
            f"<title>{escape(said)}</title></rect>"
        )
        text = _fitting(each.state, width)
        if text:
            ink = "" if each.state in _PALE else ' class="in"'
            yield f'<text{ink} x="{left + 5:.1f}" y="{top + _LANE / 2 + 4:.0f}">{escape(text)}</text>'


def _fitting(state: str, width: float) -> str:
    """Return a state's name, or its capitals, or nothing: whatever fits."""
    for text in (state, "".join(each for each in state if each.isupper())):
        if len(text) * _CHARACTER + 8 <= width:
            return text
    return ""


def _axis(top: int, start: float, end: float) -> Iterator[str]:
    """Yield five times below the lanes."""
    for step in range(5):
        moment = start + (end - start) * step / 4
        anchor = ("start", "middle", "middle", "middle", "end")[step]
        x = _x(moment, start, end)
        text = datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%SZ")
        yield f'<text class="axis" x="{x:.1f}" y="{top + 12}" text-anchor="{anchor}">{text}</text>'


def _marks(history: Sequence[HistoryEntry], start: float, end: float) -> Iterator[tuple[float, str]]:
    """Yield place and word of each change of the verdict."""
    before = None
    for each in history:
        if each.reason and each.reason != before:
            yield _x(dates.seconds(each.time), start, end), each.reason
        before = each.reason


def _rows(marks: Sequence[tuple[float, str]]) -> Iterator[tuple[tuple[float, str], int]]:
    """Yield each mark with the first row in which its word does not run into another one."""
    ends: list[float] = []
    for x, word in marks:
        row = next((row for row, end in enumerate(ends) if end <= x), len(ends))
        end = x + len(word) * _CHARACTER + 10
        ends[row : row + 1] = [end]
        yield (x, word), row


def _labels(marks: Sequence[tuple[float, str]], axis: int) -> Iterator[str]:
    for (x, word), row in _rows(marks):
        bottom = axis + 32 + 15 * row
        yield f'<line class="mark" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom - 10}"/>'
        anchor, shift = ("end", -3) if x + len(word) * _CHARACTER + 3 > _WIDTH else ("start", 3)
        yield f'<text x="{x + shift:.1f}" y="{bottom}" text-anchor="{anchor}">{escape(word)}</text>'
