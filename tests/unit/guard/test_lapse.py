"""No process is let out of the fence again after its permit has lapsed, whatever meets whatever.

Every sequence of what can happen to a permit, a few events long, is replayed on the guard's own rules, keeper and
fence; only the kernel, the process and the clock are pretended. What must hold is kept beside, by other means.
"""

import errno
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from twinlease.guard.fence import ARM_SECONDS, Fence, Kernel
from twinlease.guard.keeper import Clocks, Keeper
from twinlease.guard.nft import Chain, Message, NftError, add_element
from twinlease.guard.permit import STEPPED_SECONDS
from twinlease.ipc.protocol import FenceSpec, Mode, ProtocolError

if TYPE_CHECKING:
    from twinlease.guard.loop import Loop

SPEC = FenceSpec(Mode.KERNEL, "", 0, 0, 0, 0)
FIRST, MORE = 2.0, 3.0
NEVER = float("-inf")
ADD = add_element(1, "t", "permit", b"\x11", 1.0).kind
ROUNDING = 0.001


class TimedKernel:
    """Sets whose elements end, on a clock that is pretended."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._arm = float("-inf")
        self._permits: dict[int, float] = {}

    @property
    def open_until(self) -> float:
        """Until when answers get out, as it stands."""
        return max(self._permits.values(), default=float("-inf"))

    def commit(self, messages: Sequence[Message]) -> None:
        """Do it all, or nothing."""
        now, arm, permits = self._clock(), self._arm, dict(self._permits)
        for message in messages:
            if message.what == "element of arm" and message.kind == ADD:
                arm = now + milliseconds(message)
            elif message.what == "element of arm":
                if arm <= now:
                    raise NftError(errno.ENOENT, message.what)
                arm = float("-inf")
            elif message.what == "set permit":
                permits.pop(message.family, None)
            elif message.what == "element of permit":
                permits.setdefault(message.family, now + milliseconds(message))
            elif message.what.startswith("table"):
                permits.clear()
        self._arm, self._permits = arm, permits

    def rules(self, chain: Chain) -> int:
        """Say that the gate is there."""
        del chain
        return 1

    def close(self) -> None:
        """Do nothing."""


def milliseconds(message: Message) -> float:
    """Return the time of an element, seconds: the last attribute but for the key's padding."""
    at = message.body.index(b"\x0c\x00\x04\x00") + 4
    return int.from_bytes(message.body[at : at + 8], "big") / 1000


class NoLoop:
    """A loop that never calls back by itself."""

    def __init__(self) -> None:
        self.timers: dict[str, Callable[[], None]] = {}

    def after(self, _seconds: float, name: str, callback: Callable[[], None]) -> None:
        """Keep a timer."""
        self.timers[name] = callback

    def cancel(self, name: str) -> None:
        """Forget it."""
        self.timers.pop(name, None)

    def watch(self, *_: object) -> None:
        """Do nothing."""

    def unwatch(self, _: int) -> None:
        """Do nothing."""


class World:
    """A keeper, and beside it what is true of the process that runs: until when it may answer at most."""

    def __init__(self) -> None:
        self.now, self.wall = 100.0, 1000.0
        self.limit = NEVER
        self.kernel = TimedKernel(lambda: self.now)
        self._loop = NoLoop()
        self._stall = 0.0
        self._known, self._fresh = 0, True
        self._killed = False
        fence = Fence(lambda: cast("Kernel", self.kernel), lambda _: "")
        clocks = Clocks(self._boot, lambda: self.wall)
        self.keeper = Keeper(cast("Loop", self._loop), fence, self._kill, lambda *_: None, clocks)
        self.start()

    # --- what can happen ----------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start a process, in place of the one that may run."""
        self.exit()
        self.keeper.prepare("lo", 6767, SPEC)
        self._killed = False
        self.limit = self.now + (FIRST if self._fresh else STEPPED_SECONDS)
        self.keeper.begin(self.now + FIRST, self._known)

    def exit(self) -> None:
        """Have the process end, and be reaped."""
        self.limit = NEVER
        self.keeper.ended()

    def moment(self) -> None:
        """Let some time pass, in which nobody gets to run."""
        self._passes(0.35)

    def deadline(self) -> None:
        """Let the time of a first deadline pass, likewise."""
        self._passes(FIRST)

    def tick(self) -> None:
        """Let the keeper look."""
        self._loop.timers.pop("permit", lambda: None)()

    def stalled_tick(self) -> None:
        """Let the keeper look, and stand still after each look at the clock for as long as an arm lasts."""
        self._stall = ARM_SECONDS - ROUNDING
        self.tick()
        self._stall = 0.0

    def permit(self) -> None:
        """Have a permit arrive."""
        until = self.now + MORE
        if self._killed or self.limit <= self.now:
            self.limit = min(self.limit, self.now)
        elif self._fresh:
            self.limit = until
        with suppress(ProtocolError):
            self.keeper.extend(until, self._known)

    def stalled_permit(self) -> None:
        """Have a permit arrive, and the keeper stand still over it."""
        self._stall = ARM_SECONDS - ROUNDING
        self.permit()
        self._stall = 0.0

    def close(self) -> None:
        """Close the permit."""
        self.limit = min(self.limit, self.now)
        self.keeper.close()

    def step(self) -> None:
        """Have the wall clock step; what is reckoned from now on was begun before it."""
        self.wall += 60.0
        self._fresh = False

    def learn(self) -> None:
        """Have whoever reckons permits ask how things are, and reckon anew."""
        self._known, self._fresh = self.keeper.status()["clockSteps"], True

    # --- what must hold -----------------------------------------------------------------------------------------------
    def holds(self) -> bool:
        """Tell whether no answer gets out later than the process may answer, but for the time of an arm."""
        until = self.kernel.open_until
        return until <= self.now or until <= self.limit + ARM_SECONDS + ROUNDING

    def _boot(self) -> float:
        now = self.now
        self._passes(self._stall)
        return now

    def _passes(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    def _kill(self, _reason: str) -> None:
        self._killed = True


EVENTS = (
    World.start, World.exit, World.moment, World.deadline, World.tick, World.stalled_tick,
    World.permit, World.stalled_permit, World.close, World.step, World.learn,
)  # fmt: skip


@contextmanager
def world() -> Iterator[World]:
    """Return a world, and close what it holds afterwards."""
    made = World()
    try:
        yield made
    finally:
        made.keeper.release()


def replay(events: Iterable[Callable[[World], None]]) -> None:
    """Have events happen, and see after each what gets out."""
    seen = []
    with world() as now:
        for event in events:
            seen.append(event.__name__)
            event(now)
            assert now.holds(), (seen, now.kernel.open_until, now.limit, now.now)


NEAREST = (
    World.start, World.exit, World.deadline, World.tick, World.stalled_tick, World.permit, World.close, World.step,
)  # fmt: skip


def test_every_short_history() -> None:
    for events in itertools.product(NEAREST, repeat=4):
        replay(events)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(EVENTS), max_size=25))
def test_long_histories(events: list[Callable[[World], None]]) -> None:
    replay(events)


def test_a_permit_that_holds_is_prolonged_and_lets_answers_out() -> None:
    with world() as now:
        for _ in range(10):
            now.moment()
            now.permit()
            assert now.kernel.open_until > now.now
        assert now.limit > 100.0 + FIRST
