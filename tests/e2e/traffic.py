"""Clients while something is done to the pair, and whether they noticed."""

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from tests.lab.crowd import Habit, Pace
from tests.lab.history import Verdict, judge
from tests.lab.load import Load, Plan, lab_machines
from tests.lab.recorder import Recorder, lab_taps
from tests.lab.waiting import until

_LOAD = Plan(
    rate=4.0,
    mix={Habit.STAY: 3, Habit.REBOOT: 3, Habit.RELEASE: 2},
    pace=Pace(stay=(3.0, 10.0), away=(0.5, 2.0)),
)
_WARM = 8


class Traffic:
    """Clients on both sides of the LAN from entering to leaving the block; then their account, and the wire's.

    Attributes:
        verdict: On all that was on the wire.
        longest_wait: Seconds for which a client at most had no address that it wanted.
        summary: All clients in figures.

    Args:
        alive: So many clients on each side.
    """

    def __init__(self, alive: int = 16) -> None:
        self._plan = replace(_LOAD, alive=alive)
        self._stack = ExitStack()
        self.verdict: Verdict
        self.longest_wait = 0.0
        self.summary = ""

    def __enter__(self) -> Self:
        """Begin, and return when some have addresses."""
        with ExitStack() as stack:
            self._recorder = stack.enter_context(Recorder(lab_taps()))
            self._load = stack.enter_context(Load(lab_machines(), self._plan))
            until("clients have addresses", lambda: len(self._load.holders()) >= _WARM, timeout=30)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and judge."""
        with self._stack:
            self._load.stop()
            self.verdict = judge(self._recorder.stop().whole().observations)
        spans = [span for life in self._load.outcomes() for span in life.gaps]
        self.longest_wait = max((until_ - since for since, until_ in spans if until_ < float("inf")), default=0.0)
        self.summary = str(self._load.summary())
