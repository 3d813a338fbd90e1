"""Durations as Kubernetes writes them, in whole seconds."""

import re

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def seconds(text: str) -> int:
    """Return the whole seconds of a duration such as ``1h30m``.

    Raises:
        ValueError: The text is no duration of hours, minutes and seconds in that order.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is no duration: write hours, minutes and seconds, like 1h30m or 45s")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def text(total: int) -> str:
    """Return the shortest duration for a number of seconds: ``90`` becomes ``1m30s``.

    Raises:
        ValueError: The number is negative.
    """
    if total < 0:
        raise ValueError(f"{total} s is no duration")
    hours, rest = divmod(total, 3600)
    minutes, left = divmod(rest, 60)
    parts = (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{left}s" if left else "")
    return "".join(parts) or "0s"
