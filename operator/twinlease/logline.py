"""One shape for every log line of the project: time, level, who, a constant message, then key=value.

Standard library only and small, for the guard writes its lines by itself (``log`` is for everybody else).
"""

import json
import time
from collections.abc import Mapping

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/@%+-")


def line(level: str, name: str, message: str, fields: Mapping[str, object], now: float) -> str:
    """Return a log line without its end; ``now`` in seconds since the epoch, shown in UTC to the millisecond."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    pairs = "".join(f" {key}={_value(value)}" for key, value in fields.items())
    return f"{stamp}.{int(now * 1000) % 1000:03d}Z {level} {name} {message}{pairs}"


def _value(value: object) -> str:
    text = str(value)
    return text if text and _PLAIN.issuperset(text) else json.dumps(text, ensure_ascii=False)
