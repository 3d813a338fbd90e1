"""A thread that writes the own part: at once on a change, and often enough for the permit to hold.

It never keeps the agent waiting, and goes on renewing while the agent waits for something else: what it lacks of the
moment of sending is filled in by ``Draft.at``. An agent that has not been heard of for long is not vouched for.
"""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import Struct

from twinlease.api.permit import Isolation
from twinlease.api.servinglease import InForce, Own
from twinlease.decide.pairview import entry
from twinlease.decide.permit import ASKING_PERIOD, period
from twinlease.kube.client import CONFLICT, NOT_FOUND, Client
from twinlease.kube.protocol import SERVING_LEASES, ApiError, Json
from twinlease.log import kv
from twinlease.model import durations
from twinlease.sidecar import database
from twinlease.sidecar.clock import Clocks
from twinlease.sidecar.keeper import Keeper
from twinlease.sidecar.observed import LeaseObject
from twinlease.sidecar.ownpart import Draft, operations
from twinlease.sidecar.record import Durable, NotRememberedError
from twinlease.sidecar.tenure import length

_log = logging.getLogger(__name__)

_UNPROCESSABLE = 422
_ASKING_SECONDS = 240.0
_AGENT_SECONDS = 90.0
"""How old a draft may be: longer than any command of the agent takes."""
_LEAST_PAUSE = 0.1
_MOST_PAUSE = 2.0
_MOST_TIMEOUT = 3.0
_TIMEOUT_SHARE = 0.25


class Leases(Protocol):
    """Where the serving lease is known."""

    @property
    def latest(self) -> LeaseObject | None:
        """It, as last read."""

    def read(self) -> LeaseObject | None:
        """Read it now."""

    def take(self, found: Json, *, anew: bool = False) -> None:
        """Take in what somebody read."""


class Written(Struct, frozen=True):
    """A write that succeeded: when it was sent (CLOCK_BOOTTIME), and what it said."""

    sent: float
    own: Own


class Renewal(threading.Thread):
    """Owns the own part.

    Attributes:
        written: The last write that succeeded; None: none has.
        problem: Why the last attempt failed, or empty.
        succeeded: How many writes did.
        failed: How many attempts did.

    Args:
        client: Returns a client of the API whose calls take so many seconds at most.
        namespace: Of the serving lease.
        leases: Where it is known.
        durable: The record: what is confirmed is on the disk first.
        keeper: Gets what a renewal earns.
        clocks: The node's.
        changed: Called after each attempt.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what, where, and what of it
        self,
        client: Callable[[float], Client],
        namespace: str,
        leases: Leases,
        durable: Durable,
        keeper: Keeper,
        clocks: Clocks,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(name="renewal", daemon=True)
        self.written: Written | None = None
        self.problem = ""
        self.succeeded = self.failed = 0
        self._client = client
        self._namespace = namespace
        self._leases = leases
        self._durable = durable
        self._keeper = keeper
        self._clocks = clocks
        self._changed = changed
        self._news = threading.Condition()
        self._draft: Draft | None = None
        self._asked = False
        self._sent: tuple[str, int, Own] | None = None
        self._sent_at = self._tried_at = float("-inf")
        self._pause = 0.0
        self._claimed = True  # what an earlier process wrote, or has on its way, is not known

    @property
    def claims(self) -> bool:
        """Whether the API says, or may come to say by what is on its way, that the kernel fences the server.

        Then the end of the permit is evidence, and no server may run that the kernel does not fence. It ends when a
        write that says otherwise has succeeded: none that was sent before can succeed after it.
        """
        with self._news:
            return self._claimed or (self._draft is not None and _claims(self._draft.own.in_force))

    def submit(self, draft: Draft | None, *, now: bool = False) -> None:
        """Have an own part written instead of the last; ``now``: whether it differs or not."""
        with self._news:
            self._draft = draft
            self._asked |= now
            self._news.notify()

    def run(self) -> None:
        """Write until the process ends."""
        while True:
            with self._news:
                while (wait := self.due()) > 0:
                    self._news.wait(min(wait, 60.0))
            self.turn()

    def due(self) -> float:
        """Return in how many seconds the next write is due; 0: now."""
        draft = self._draft
        now = self._clocks.boot()
        if draft is None or now - draft.boot > _AGENT_SECONDS:
            return 60.0
        pause = self._tried_at + max(_LEAST_PAUSE, self._pause) - now
        if self._told_of_rollback(draft):
            return 60.0  # once: the operator waits until nothing that was renewed before can run any more
        if self._asked or draft.significant() != self._sent:
            return max(0.0, pause)
        return max(0.0, pause, self._sent_at + _period(draft.own.in_force) - now)

    def turn(self) -> None:
        """Try one write."""
        with self._news:
            draft, self._asked = self._draft, False
            self._claimed |= draft is not None and _claims(draft.own.in_force)
        if draft is None:
            return
        self._tried_at = self._clocks.boot()
        try:
            self._write(draft)
        except (ApiError, NotRememberedError, msgspec.ValidationError) as error:
            self._failed(error)
        else:
            self._said("")
            self._pause = 0.0
        self._changed()

    def _write(self, draft: Draft) -> None:
        lease = self._leases.latest
        if lease is None:
            raise ApiError(NOT_FOUND, "NotFound", "the serving lease is not there")
        known = entry(lease.spec, draft.role)
        if (known.grant.holder, known.grant.epoch) != (draft.holder, draft.epoch):
            return  # the agent hears of it just now
        record = self._durable.record
        if draft.confirms:
            record = self._durable.change(lambda old: database.ahead(old, known.own.lineage, draft.reach))
        if not draft.frozen and record.epoch < draft.own.epoch:
            raise NotRememberedError("an epoch is told only when it is on the disk")
        before = known.own.in_force if known.own.incarnation == draft.own.incarnation else InForce()
        if not self._keeper.before_write(draft.own.in_force, before):
            raise NotRememberedError("the guard was not told of a shorter permit")
        number = known.own.renewal + 1 if known.own.incarnation == draft.own.incarnation else 1
        sent = self._clocks.boot()
        own = draft.at(sent, self._clocks.wall(), number, record)
        patch = operations(draft.role, lease.raw, draft.holder, draft.epoch, own)
        client = self._client(_timeout(draft.own.in_force))
        answer = client.json_patch(SERVING_LEASES, lease.metadata.name, self._namespace, patch)
        self._sent, self._sent_at = draft.significant(), sent
        with self._news:
            self._claimed = _claims(own.in_force)
        if own.in_force.epoch and not self._rolled_back(draft):
            self._keeper.confirmed(sent, own.in_force)
        self.written = Written(sent, own)
        self.succeeded += 1
        self._leases.take(answer)

    def _rolled_back(self, draft: Draft) -> bool:
        lease = self._leases.latest
        return lease is not None and draft.own.epoch > lease.spec.epoch

    def _told_of_rollback(self, draft: Draft) -> bool:
        """Tell whether the API knows that it was rolled back, from this incarnation."""
        lease = self._leases.latest
        if lease is None or not self._rolled_back(draft):
            return False
        own = entry(lease.spec, draft.role).own
        return (own.incarnation, own.epoch) == (draft.own.incarnation, draft.own.epoch)

    def _failed(self, error: Exception) -> None:
        self.failed += 1
        self._pause = min(_MOST_PAUSE, max(_LEAST_PAUSE, 2 * self._pause))
        self._said(str(error))
        if isinstance(error, ApiError) and error.status in {CONFLICT, _UNPROCESSABLE, NOT_FOUND}:
            try:
                self._leases.read()
            except (ApiError, msgspec.ValidationError) as unread:
                self._said(str(unread))

    def _said(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            if problem:
                _log.warning("cannot renew", extra=kv(why=problem[:300]))
            else:
                _log.info("renewed", extra=kv(renewal=self.written.own.renewal if self.written else 0))


def _claims(in_force: InForce) -> bool:
    return in_force.kernel_fence and in_force.isolation is Isolation.FENCE


def _seconds(in_force: InForce) -> float:
    return float(durations.seconds(in_force.duration)) if in_force.epoch else _ASKING_SECONDS


def _period(in_force: InForce) -> float:
    return period(_seconds(in_force)) if in_force.epoch else ASKING_PERIOD


def _timeout(in_force: InForce) -> float:
    return min(_MOST_TIMEOUT, max(0.5, _TIMEOUT_SHARE * min(_seconds(in_force), length(in_force) or _ASKING_SECONDS)))
