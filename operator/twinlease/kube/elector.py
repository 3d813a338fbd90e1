"""Who leads: an elector on a Lease of ``coordination.k8s.io``.

Every step is a compare-and-swap on the Lease's resourceVersion, so two candidates never both succeed. Clocks are never
compared between machines: a candidate takes over when it has itself seen no change of the Lease for its whole duration,
counted on its own monotonic clock from when it saw the last change. A leader counts from the moment of *sending* its
last successful renewal and gives up well before anybody can take over.
"""

import datetime as dt
import logging
import random
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from twinlease.kube.protocol import LEASES, ApiError, Json, Transport
from twinlease.log import kv

_log = logging.getLogger(__name__)

_NOT_FOUND = 404
_CONFLICT = 409


class ElectorTimes(Struct, frozen=True, kw_only=True):
    """Seconds; ``retry`` < ``request`` < ``deadline`` < ``duration``.

    Attributes:
        duration: How long others wait without seeing a renewal.
        deadline: How long a leader goes on without a renewal that succeeded.
        retry: Time between two attempts, made up to a fifth longer at random.
        request: How long one request may take.
    """

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0
    request: float = 4.0

    def __post_init__(self) -> None:
        """Refuse times under which two could lead.

        Raises:
            ValueError: They are not in that order.
        """
        if not 0 < self.retry < self.request < self.deadline < self.duration:
            raise ValueError(f"elector times must rise from retry over request and deadline to duration: {self}")


class Attempt(StrEnum):
    """How one attempt ended."""

    LEADING = "leading"
    FOLLOWING = "following"
    FAILED = "failed"


class Waiter(Protocol):
    """The part of ``threading.Event`` that the elector needs."""

    def wait(self, timeout: float | None = None) -> bool:
        """Return True as soon as it is set, False after the timeout (seconds)."""

    def is_set(self) -> bool:
        """Tell whether it is set."""


class Elector:
    """One candidate.

    Attributes:
        last_error: Why the last attempt failed; empty: it did not.
        attempted: When it was begun, by the monotonic clock; before the first: when this was made.

    Args:
        transport: The API.
        namespace: Namespace of the Lease.
        name: Name of the Lease.
        identity: Of this candidate; never used twice, also not by a restarted process.
        times: All durations.
        clock: Monotonic seconds.
        jitter: Returns a number from 0 to 1.
    """

    def __init__(  # noqa: PLR0913  # clock and jitter are seams for tests
        self,
        transport: Transport,
        namespace: str,
        name: str,
        identity: str,
        *,
        times: ElectorTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._times = times or ElectorTimes()
        self._clock = clock
        self._jitter = jitter
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._until = float("-inf")
        self.last_error = ""
        self.attempted = clock()

    def leading(self) -> bool:
        """Tell whether this candidate may act now; cheap, for a check before every write."""
        return self._clock() < self._until

    def attempt(self) -> Attempt:
        """Make one step: look, then renew, take over or stand back. Never raises for the API's sake."""
        sent = self.attempted = self._clock()
        try:
            lease = self._read()
            if lease is None:
                self._create()
            elif self._mine_to_take(lease):
                self._swap(lease, self._identity, self._times.duration)
            else:
                self.last_error = ""
                return Attempt.FOLLOWING
        except ApiError as error:
            if error.status == _CONFLICT:
                return Attempt.FOLLOWING  # somebody was faster; whether they lead shows the next look
            self._failed(str(error))
            return Attempt.FAILED
        self.last_error = ""
        self._until = sent + self._times.deadline
        return Attempt.LEADING

    def run(self, stop: Waiter, *, started: Callable[[], None], lost: Callable[[], None]) -> None:
        """Stand for election until ``stop`` is set; then give the Lease back if it is ours.

        Args:
            stop: Ends the run.
            started: Called once, in this thread, when this candidate begins to lead. It must not block.
            lost: Called at most once, from whichever thread notices first, when it may not lead any more. There is
                no way back: the process must end, for writes of other threads may be under way.
        """
        if not self._campaign(stop):
            return
        loss = _Once(lost)
        over = threading.Event()
        watchdog = threading.Thread(target=self._watch, args=(over, loss), name="elector-watchdog", daemon=True)
        watchdog.start()
        started()
        while not stop.wait(self._pause()):
            if self.attempt() is Attempt.FOLLOWING or not self.leading():
                loss()
                over.set()
                return
        over.set()
        watchdog.join()
        self.release()

    def _failed(self, why: str) -> None:
        if why != self.last_error:  # not again with every attempt
            _log.warning("election: no answer from the API", extra=kv(error=why))
        self.last_error = why

    def release(self) -> None:
        """Give the Lease back, so that the next candidate need not wait for its end. Best effort."""
        self._until = float("-inf")
        try:
            lease = self._read()
            if lease is not None and lease.get("spec", {}).get("holderIdentity") == self._identity:
                self._swap(lease, "", 1.0)
        except ApiError as error:
            self.last_error = str(error)

    def _campaign(self, stop: Waiter) -> bool:
        while not stop.is_set():
            if self.attempt() is Attempt.LEADING:
                return True
            if stop.wait(self._pause()):
                return False
        return False

    def _watch(self, over: threading.Event, loss: Callable[[], None]) -> None:
        """Notice the end of our time even while the other thread hangs in a request."""
        while self.leading():
            if over.wait(max(0.05, self._until - self._clock())):
                return
        if not over.is_set():
            loss()

    def _pause(self) -> float:
        return self._times.retry * (1 + 0.2 * self._jitter())

    def _mine_to_take(self, lease: Json) -> bool:
        """Tell whether the Lease is ours already, free, or was left alone for the whole of its duration."""
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        seen = (lease["metadata"]["uid"], lease["metadata"]["resourceVersion"])
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        if holder in ("", self._identity):
            return True
        # Its holder's own duration, should versions with different settings meet; never less than ours.
        duration = max(float(spec.get("leaseDurationSeconds") or 0), self._times.duration)
        return self._clock() - self._seen_at > duration

    def _read(self) -> Json | None:
        try:
            return self._transport.request("GET", LEASES.path(self._namespace, self._name), timeout=self._times.request)
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def _create(self) -> None:
        now = _timestamp()
        spec = _spec(self._identity, self._times.duration, acquired=now, renewed=now, transitions=0)
        self._write("POST", None, {"metadata": {"name": self._name, "namespace": self._namespace}, "spec": spec})

    def _swap(self, lease: Json, holder: str, duration: float) -> None:
        old = lease.get("spec") or {}
        now = _timestamp()
        changes = holder != (old.get("holderIdentity") or "")
        transitions = int(old.get("leaseTransitions") or 0) + (1 if changes and holder else 0)
        acquired = now if changes else old.get("acquireTime") or now
        spec = _spec(holder, duration, acquired=acquired, renewed=now, transitions=transitions)
        # With the resourceVersion that we read: the write fails if anybody wrote since.
        self._write("PUT", self._name, {"metadata": lease["metadata"], "spec": spec})

    def _write(self, method: str, name: str | None, body: Json) -> None:
        full = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, **body}
        path = LEASES.path(self._namespace, name)
        self._transport.request(method, path, body=full, timeout=self._times.request)


class _Once:
    """Calls a function the first time only, whichever thread comes first."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._done = False

    def __call__(self) -> None:
        with self._lock:
            first, self._done = not self._done, True
        if first:
            self._call()


def _spec(holder: str, duration: float, *, acquired: str, renewed: str, transitions: int) -> Json:
    return {
        "holderIdentity": holder,
        "leaseDurationSeconds": max(1, round(duration)),
        "acquireTime": acquired,
        "renewTime": renewed,
        "leaseTransitions": transitions,
    }


def _timestamp() -> str:
    """Return the wall clock's time, for humans only: nobody compares it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
