"""The permit, and its way to the guard: shared by the threads that earn it, so that none waits for another."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.servinglease import InForce
from twinlease.decide.permit import FOR_EVER, MARGIN, Permit
from twinlease.ipc.client import GuardStatus, GuardUnreachable
from twinlease.ipc.protocol import Code, ProtocolError
from twinlease.log import kv
from twinlease.sidecar.clock import Clock
from twinlease.sidecar.tenure import length

_log = logging.getLogger(__name__)

_WORTH = 0.05
"""The guard hears of a gain of this share of what is left: a promise gains a second each second."""
_LEAST = 0.2
_STEPPED_SECONDS = 1.0


class Permits(Protocol):
    """As much of the guard's client as is needed here."""

    def status(self) -> GuardStatus:
        """Ask how things are."""

    def permit(self, deadline: float | None, steps: int) -> GuardStatus:
        """Set until when the running server may answer, as reckoned when so many steps of the clock were known."""


class Held(Struct, frozen=True, kw_only=True):
    """What is held at one moment.

    Attributes:
        epoch: Of the grant that it is held under; 0: none.
        permit: Why the server may answer.
        broken: It did not hold throughout: nothing may be started under this grant any more.
        adopted: Its promise is what another process of this sidecar had earned, by whatever it was.
    """

    epoch: int = 0
    permit: Permit = Permit()
    broken: bool = False
    adopted: bool = False


class Keeper:
    """Keeps the permit and tells the guard.

    Args:
        guard: Enforces it.
        clock: CLOCK_BOOTTIME.
        changed: Called when there is something to look at.
    """

    def __init__(self, guard: Permits, clock: Clock, changed: Callable[[], None]) -> None:
        self._guard = guard
        self._clock = clock
        self._changed = changed
        self._lock = threading.RLock()
        self._held = Held()
        self._process = 0.0
        self._told: float | None = 0.0
        self._starting = False
        self._stepped_at = float("-inf")
        self._steps: int | None = None

    @property
    def held(self) -> Held:
        """What is held now."""
        with self._lock:
            self._see_end(self._clock())
            return self._held

    @property
    def deadline(self) -> float | None:
        """Until when a server that is started now may answer; None: without end."""
        until = self.held.permit.deadline
        return None if until == FOR_EVER else until

    def starts(self) -> tuple[float | None, int]:
        """Return the deadline for a start, and how many steps of the wall clock are known.

        Until ``saw`` hears of it nothing is shortened, for it is under way.
        """
        with self._lock:
            self._starting = True
            return self.deadline, self._steps or 0

    def ends(self) -> None:
        """Leave the running server alone until ``saw`` hears of its end: a closed permit that is extended kills it."""
        with self._lock:
            self._starting = True

    def saw(self, status: GuardStatus) -> bool:
        """Take in what the guard says of the running server; tell whether the guard saw a step of the wall clock."""
        with self._lock:
            self._starting = False
            self._take_in(status)
            stepped = self._count(status)
            until = self._held.permit.deadline
            live = self._process and self._held.epoch and not self._held.broken
            if live and until != FOR_EVER and (self._told is None or self._told > until):
                self._send(until)  # something was given up while the guard could not hear of it
            return stepped

    def adopt(self, epoch: int, status: GuardStatus) -> None:
        """Go on from what another process of this sidecar earned: the guard knows until when."""
        with self._lock:
            now = self._clock()
            self._take_in(status)
            self._steps = status.clock_steps
            until = FOR_EVER if status.permit.deadline is None else status.permit.deadline
            # As a promise, for it is not known what it came from, and a renewal that ends earlier shall not replace it.
            permit = Permit(asked=now, promised=until - now + MARGIN)
            self._held = Held(epoch=epoch, permit=permit, broken=status.permit.lapsed or until <= now, adopted=True)

    def before_write(self, in_force: InForce, before: InForce) -> bool:
        """Have the permit in force that a renewal will confirm, as far as it is the shorter one.

        Args:
            in_force: What it will confirm.
            before: What this incarnation confirmed last.

        Returns:
            False: The guard could not be told, and the renewal must not be sent.
        """
        with self._lock:
            if in_force.epoch != self._held.epoch:
                return True
            permit = self._held.permit.sending(length(in_force))
            if self._held.adopted and length(in_force) < length(before):
                # It may have come from a renewal for the longer time, of which nobody will know any more.
                now = self._clock()
                until = min(permit.deadline, now + length(in_force) - MARGIN)
                permit = replace(permit, asked=now, promised=until - now + MARGIN)
            return permit == self._held.permit or self._lower(permit)

    def confirmed(self, sent: float, in_force: InForce) -> None:
        """Take in that a renewal succeeded."""
        with self._lock:
            self._see_end(sent)
            duration = length(in_force)
            counts = sent >= self._stepped_at
            if in_force.epoch > self._held.epoch:
                permit = Permit().renewal(sent, duration) if counts else Permit()
                self._held = Held(epoch=in_force.epoch, permit=permit)
            elif counts and in_force.epoch == self._held.epoch and not self._held.broken:
                self._held = replace(self._held, permit=self._held.permit.renewal(sent, duration))
            self._tell(self._clock())

    def answered(self, asked: float, promised: float) -> None:
        """Take in that the partner promised something for a time from ``asked`` on."""
        with self._lock:
            self._see_end(self._clock())
            if self._held.epoch and not self._held.broken and asked >= self._stepped_at:
                before = self._held.permit
                permit = before.answer(asked, promised)
                self._held = replace(self._held, permit=permit, adopted=self._held.adopted and permit == before)
                self._tell(self._clock())

    def renounce(self) -> bool:
        """Give the partner's promise up; tell whether that is in force everywhere, so that it may hear of it."""
        with self._lock:
            permit = self._held.permit.renounce()
            return permit.held > self._clock() and self._lower(permit)

    def stepped(self) -> None:
        """Take in a step of the wall clock: nothing is proven until the API has been reached once more.

        Nor by an answer that is still to come: what it answers was sent by a clock that may have stood still since.
        """
        with self._lock:
            permit = self._held.permit
            self._stepped_at = self._clock()
            if not self._held.epoch or permit.deadline == FOR_EVER:
                return
            until = min(permit.deadline, self._clock() + _STEPPED_SECONDS)
            stepped = permit.stepped()
            # What is left is time to renew, and no promise.
            self._lower(replace(stepped, asked=until, promised=MARGIN))

    def end(self) -> None:
        """Hold nothing any more: the grant is given back."""
        with self._lock:
            self._held = replace(self._held, permit=Permit(), broken=True)

    def _see_end(self, now: float) -> None:
        if self._held.epoch and not self._held.broken and now >= self._held.permit.deadline:
            self._break("neither a renewal nor a promise came in time")

    def _break(self, why: str) -> None:
        if not self._held.broken:
            _log.warning("the permit has ended", extra=kv(epoch=self._held.epoch, why=why))
            self._held = replace(self._held, broken=True)
            self._changed()

    def _lower(self, permit: Permit) -> bool:
        """Have another permit in force; an earlier end is with the guard first."""
        if self._starting:
            return False
        until = permit.deadline
        earlier = self._process and until != FOR_EVER and (self._told is None or until < self._told)
        if earlier and not self._send(until):
            return False
        self._held = replace(self._held, permit=permit)
        return True

    def _tell(self, now: float) -> None:
        """Let the guard know of a gain that is worth it."""
        until = self._held.permit.deadline
        if not self._process or self._starting or self._held.broken or self._told is None:
            return
        if until == FOR_EVER:
            self._send(None)
        elif until - self._told >= max(_LEAST, _WORTH * (until - now)):
            self._send(until)

    def _send(self, until: float | None) -> bool:
        try:
            status = self._guard.permit(until, self._steps or 0)
        except GuardUnreachable as error:
            _log.warning("cannot tell the guard of the permit", extra=kv(why=error))
            return False
        except ProtocolError as error:
            if error.code == Code.LAPSED:
                return self._nothing_answers()
            _log.warning("cannot tell the guard of the permit", extra=kv(why=error))
            return False
        self._told = until
        self._count(status)
        return True

    def _count(self, status: GuardStatus) -> bool:
        """Take in how many steps of the wall clock the guard saw; tell whether one was news.

        A guard that saw one before us does not go by what we reckoned before it, nor must we.
        """
        known, self._steps = self._steps, status.clock_steps
        news = known is not None and status.clock_steps > known
        if news:
            self.stepped()
            self._changed()
        return news

    def _take_in(self, status: GuardStatus) -> None:
        self._process = status.started_at if status.running else 0.0
        self._told = status.permit.deadline
        if self._process and status.permit.lapsed:
            self._break("the guard ended the permit")

    def _nothing_answers(self) -> bool:
        """Take in that no server runs that could be given anything: one that ended by itself has broken no permit."""
        if self._starting:
            return False  # one is about to, with the permit as it was
        try:
            self._take_in(self._guard.status())
        except (GuardUnreachable, ProtocolError):
            return False
        return True
