"""Keeps the running server's permit: renews it in the kernel, and kills the server when it ends.

Everything is looked at again at each tick, so that nothing hangs on a timer that came late or news that were lost.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from twinlease.guard import permit as rules
from twinlease.guard.alarm import SetAlarm
from twinlease.guard.contact import connected
from twinlease.guard.fence import PERIOD_SECONDS, Fence, FenceLostError
from twinlease.guard.links import LinkWatch
from twinlease.guard.loop import READ, Loop
from twinlease.guard.permit import ClockWatch, Permit, Reason
from twinlease.ipc.protocol import Code, FenceSpec, ProtocolError

_TICK_SECONDS = PERIOD_SECONDS / 3
"""Two renewals may come late without the permit ending."""
_CLOCK_SECONDS = 0.1
"""How often the clocks are compared while a server runs, should the kernel not tell that one was set. Twice as often it
took 0.28 % of a core (measured)."""


class Clocks(NamedTuple):
    """Seconds of CLOCK_BOOTTIME and of the wall clock."""

    boot: Callable[[], float]
    wall: Callable[[], float]


def system_clocks() -> Clocks:
    """Return the machine's clocks."""
    return Clocks(lambda: time.clock_gettime(time.CLOCK_BOOTTIME), time.time)


class Keeper:
    """Keeps one permit, of the server that runs.

    Args:
        loop: Who calls us.
        fence: The kernel's part.
        kill: Kills the server, at once, for a reason; harmless if none runs.
        log: Notes level, message and fields.
        clocks: What to read the time from.
        contact: Tells whether the server talks to its partner at this moment.
    """

    def __init__(
        self,
        loop: Loop,
        fence: Fence,
        kill: Callable[[str], None],
        log: Callable[[str, str, Mapping[str, object]], None],
        clocks: Clocks,
        contact: Callable[[FenceSpec], bool] = connected,
    ) -> None:
        self._loop = loop
        self._fence = fence
        self._kill = kill
        self._log = log
        self._clocks = clocks
        self._contact = contact
        self._spec: FenceSpec | None = None
        self._keeps = False
        self._watch = ClockWatch()
        self._alarm = SetAlarm()
        self._links = LinkWatch()
        self._permit = rules.NONE
        self._running = False
        self._killed = False

    def status(self) -> dict[str, Any]:
        """Return our part of the status."""
        now = self._look_at_clocks()
        lapsed = self._running and not self._permit.holds(now)
        proven = self._fence.proven
        return {
            "permit": {"deadline": self._permit.deadline, "lapsed": lapsed},
            "fence": proven._asdict(),
            "clockSteps": self._watch.steps,
            "clockStep": round(self._watch.last, 3),
        }

    @property
    def fenced(self) -> bool:
        """Whether the kernel keeps in the running server's answers, as proven at its start."""
        return self._fence.proven.kernel

    def check(self, deadline: float | None) -> None:
        """Refuse a deadline that is over.

        Raises:
            ProtocolError: Code lapsed.
        """
        if not Permit(deadline).holds(now := self._clocks.boot()):
            raise ProtocolError(Code.LAPSED, f"the deadline {deadline} is over, it is {now:.3f}")

    def prepare(self, device: str, uid: int, spec: FenceSpec) -> None:
        """Close and prove the fence before a start.

        Raises:
            ProtocolError: Code unproven: it has to be proven, and is not.
        """
        self._links.begin(device)
        self._spec = spec
        before = self._fence.proven
        proven = self._fence.prepare(device, uid, spec)
        if proven != before:
            self._log("INFO" if proven.kernel else "WARNING", "kernel fence", proven._asdict())
        if spec.proven and not proven.kernel:
            raise ProtocolError(
                Code.UNPROVEN, f"the kernel's fence is relied on, and not proven: {proven.message}"[:2000]
            )

    def begin(self, deadline: float | None, steps: int, *, keeps: bool = False) -> None:
        """Give the server that has just been started its permit.

        Args:
            deadline: Until when it may answer.
            steps: As in ``extend``.
            keeps: It was prepared to keep what others hold: by a clock that steps forward it would do so too briefly.
        """
        self._keeps = keeps
        self._permit, self._running, self._killed = Permit(deadline), True, False
        now = self._look_at_clocks()
        if steps != self._watch.steps:
            self._permit = rules.stepped(self._permit, now)
        self._loop.watch(self._links.fileno(), READ, self._tick)
        if self._alarm.fileno() >= 0:
            self._loop.watch(self._alarm.fileno(), READ, self._clock_set)
        self._loop.after(_CLOCK_SECONDS, "clock", self._compare_clocks)
        self._tick()

    def ended(self) -> None:
        """Take in that the server has ended: nothing of it is let out any more."""
        self._permit, self._running = rules.NONE, False
        self._loop.cancel("permit")
        self._loop.cancel("clock")
        self._loop.unwatch(self._links.fileno())
        if self._alarm.fileno() >= 0:
            self._loop.unwatch(self._alarm.fileno())
        self._flush()

    def extend(self, deadline: float | None, steps: int) -> None:
        """Give the running server another deadline.

        Args:
            deadline: Until when it may answer.
            steps: How many steps of the wall clock whoever reckoned it knew of. Before the last one the machine may
                have stood still without any clock having counted that.

        Raises:
            ProtocolError: Code lapsed; a server that runs has been killed.
        """
        if not self._running:
            raise ProtocolError(Code.LAPSED, "no server runs")
        now = self._look_at_clocks()
        rule = rules.extended if steps == self._watch.steps else rules.reckoned_before
        self._permit = rule(self._permit, deadline, now)
        if self._permit.lapsed:
            self._end(self._permit.reason, "a permit came too late, or for a server that has none any more")
            raise ProtocolError(Code.LAPSED, "the permit has lapsed: the server was killed")
        self._tick()

    def keep(self) -> None:
        """Take in that the running server, too, is to keep what others hold, as one that was prepared for it.

        What it keeps is reckoned after this: a step that came before was taken into account.

        Raises:
            ProtocolError: Code lapsed: none runs.
        """
        if not self._running:
            raise ProtocolError(Code.LAPSED, "no server runs")
        self._look_at_clocks()
        self._keeps = True

    def close(self) -> None:
        """End the permit now; where the kernel does not fence, with it the server."""
        if not self._running:
            return
        self._permit = rules.closed(self._permit)
        if not self.fenced:
            self._end(Reason.PERMIT_ENDED, "closed, and only its end keeps this server silent")
        self._tick()

    def silence(self) -> None:
        """End the permit now; the server is about to be stopped anyway."""
        self._permit = rules.closed(self._permit)
        self._flush()

    def release(self) -> None:
        """Take the fence down, at a clean end."""
        self._fence.remove()
        self._links.close()
        self._alarm.close()

    def _clock_set(self) -> None:
        """Somebody has set the wall clock, by however much."""
        self._alarm.heard()
        self._look_at_clocks()

    def _compare_clocks(self) -> None:
        self._look_at_clocks()
        self._loop.after(_CLOCK_SECONDS, "clock", self._compare_clocks)

    def _look_at_clocks(self) -> float:
        """Return the time; act on a step of the wall clock."""
        now = self._clocks.boot()
        if self._watch.stepped(self._clocks.wall(), now):
            talks = self._running and self._spec is not None and self._contact(self._spec)
            frees = self._running and self._keeps and self._watch.last > 0
            if talks or frees:
                self._permit = rules.misled(self._permit)
                self._end(self._permit.reason, f"its wall clock stepped by {self._watch.last:+.3f} s")
            else:
                self._permit = rules.stepped(self._permit, now)
            told = {"seconds": round(self._watch.last, 3), "contact": talks, "left": self._permit.left(now)}
            self._log("WARNING", "the wall clock stepped", told)
        return now

    def _tick(self) -> None:
        """Look at everything once, renew or kill, and come again."""
        if not self._running:
            return
        now = self._look_at_clocks()
        if self._permit.left(now) <= 0:
            self._permit = rules.closed(self._permit)
            self._end(self._permit.reason, "the permit has ended")
        elif replaced := self._links.replaced():
            self._permit = rules.closed(self._permit)
            self._end(Reason.LINK_REPLACED, replaced)
        elif self.fenced:
            self._renew()
        left = self._permit.left(self._clocks.boot())
        self._loop.after(min(_TICK_SECONDS, max(left, 0.001)) if left > 0 else _TICK_SECONDS, "permit", self._tick)

    def _renew(self) -> None:
        """Renew the permit in the kernel, or see that a closed one has no hole."""
        try:
            self._fence.check()
            if self._permit.lapsed:
                self._fence.flush()
            elif not self._fence.grant(lambda: self._permit.left(self._clocks.boot())):
                self._log("WARNING", "the permit was not renewed: too late", {})
        except FenceLostError as error:
            self._permit = rules.closed(self._permit)
            self._end(Reason.FENCE_LOST, str(error))

    def _end(self, reason: str, why: str) -> None:
        if self._killed:  # what dies is not always gone at once
            return
        self._killed = True
        self._flush()
        self._log("WARNING", "server killed", {"reason": reason, "why": why})
        self._kill(reason)

    def _flush(self) -> None:
        try:
            self._fence.flush()
        except FenceLostError as error:
            self._log("WARNING", "the fence is gone", {"why": error})
