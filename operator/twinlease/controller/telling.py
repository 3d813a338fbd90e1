"""Verdicts as they are told: a countdown is no news, so the same verdict gets new numbers only now and then."""

import logging
import re
import threading
import time
from collections.abc import Callable

from msgspec import Struct

from twinlease.controller.cache import PairKey
from twinlease.decide.partnerdown import Action, Verdict
from twinlease.log import kv

_log = logging.getLogger(__name__)

PERIOD_SECONDS = 10.0
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class _Told(Struct, frozen=True):
    what: tuple[str, ...]
    verdict: Verdict
    when: float


class Teller:
    """Remembers what was told of each pair, and logs what is new. Safe to use from several threads.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[PairKey, _Told] = {}

    def tell(self, key: PairKey, verdict: Verdict) -> Verdict:
        """Return the verdict to tell: this one, or the last one if this says the same with other numbers too soon."""
        what = (verdict.action, verdict.reason, verdict.survivor, _NUMBER.sub("#", verdict.message))
        now = self._clock()
        with self._lock:
            old = self._told.get(key)
            if old is not None and old.what == what and now - old.when < PERIOD_SECONDS:
                return old.verdict
            self._told[key] = _Told(what, verdict, now)
        if old is None or old.what != what:
            _say(key, verdict)
        return verdict


def _say(key: PairKey, verdict: Verdict) -> None:
    fields = kv(
        namespace=key[0],
        pair=key[1],
        action=str(verdict.action),
        reason=verdict.reason,
        survivor=verdict.survivor or "none",
        message=verdict.message,
        **verdict.evidence,
    )
    grave = verdict.action in (Action.ORDER, Action.WITHDRAW)
    _log.log(logging.WARNING if grave else logging.INFO, "serving", extra=fields)
