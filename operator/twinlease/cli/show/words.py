"""How states, marks, times and spans look."""

from datetime import UTC, datetime

from rich.text import Text

from twinlease.decide import dates
from twinlease.model import durations
from twinlease.model.states import FailoverState

GOOD, WARN, BAD, DIM, STRONG = "green", "yellow", "bold red", "dim", "bold"

_STATES = {
    str(FailoverState.NORMAL): GOOD,
    str(FailoverState.PARTNER_DOWN): "magenta",
    str(FailoverState.UNKNOWN): BAD,
}
_ABSENT = 60.0
"""Seconds without a renewal of the operators' election: four times as long as an election takes, for clocks differ."""
_RED = frozenset({"NoSafeServer", "LeaseDatabaseLost", "LeaseDatabaseFound", "WitnessRolledBack", "PolicyMissing"})


def state(name: str) -> Text:
    """Return a failover state, or two with a stroke between them, in the colours of what they mean."""
    found = Text()
    for index, each in enumerate(name.split("/")):
        if index:
            found.append("/", DIM)
        found.append(each or "Unknown", _STATES.get(each, WARN))
    return found


def verdict(reason: str) -> Text:
    """Return a verdict's word in the colour of what it means."""
    style = GOOD if reason == "Normal" else BAD if reason in _RED else WARN
    return Text.assemble((reason or "NotJudgedYet", style))


def mark(*, holds: bool, ascii_only: bool = False) -> Text:
    """Return a tick or a cross."""
    if ascii_only:
        return Text("+" if holds else "x", GOOD if holds else BAD)
    return Text("✓" if holds else "✗", GOOD if holds else BAD)


def span(seconds: float) -> str:
    """Return a span of time as people read it: whole seconds below an hour, minutes below a day, else hours."""
    whole = max(0, round(seconds))
    if whole >= 24 * 3600:
        days, rest = divmod(whole, 24 * 3600)
        return f"{days}d{rest // 3600}h" if rest >= 3600 else f"{days}d"  # noqa: PLR2004  # an hour
    return durations.text(whole - whole % 60 if whole >= 3600 else whole)  # noqa: PLR2004  # an hour


def clock(date: str, now: float) -> str:
    """Return a date as a time of day, UTC, with the day where that is not today's."""
    there, here = (datetime.fromtimestamp(each, UTC) for each in (dates.seconds(date), now))
    return there.strftime("%H:%M:%SZ" if there.date() == here.date() else "%Y-%m-%d %H:%M:%SZ")


def since(date: str, now: float) -> str:
    """Return since when and for how long something has been so."""
    return f"since {clock(date, now)}, for {span(now - dates.seconds(date))}"


def deserted(renewed: list[float], now: float) -> str:
    """Return what to say where no operator leads; empty: one does, or nobody may know.

    Args:
        renewed: When each operator that is known said last that it leads, seconds since the epoch.
        now: The same, by the clock of who looks.
    """
    if not renewed or now - max(renewed) < _ABSENT:
        return ""
    return (
        f"No operator has led for {span(now - max(renewed))}: nothing below is newer than that, and nobody takes over "
        "until one does."
    )


def at(date: str, now: float) -> str:
    """Return when something will be: how far away, and the time; or that it is over."""
    left = dates.seconds(date) - now
    return f"in {span(left)}, at {clock(date, now)}" if left > 0 else f"since {clock(date, now)}"
