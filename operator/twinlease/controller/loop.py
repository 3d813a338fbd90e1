"""The loop: pairs that may need something, one look each, until nothing is left to write."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from twinlease.controller import measured, reconcile, snapshot, watch
from twinlease.controller.acceptance import Acceptance
from twinlease.controller.apply import Executor, NotLeadingError
from twinlease.controller.cache import Cache, PairKey
from twinlease.controller.case import Environment, Facts, Render
from twinlease.controller.events import Announcer
from twinlease.controller.guarded import Guarded
from twinlease.controller.objects import Held, Lease, pair_of, read
from twinlease.controller.report import report
from twinlease.controller.serving import Senses, at_rest, clocks
from twinlease.controller.sightings import Sightings
from twinlease.controller.snapshot import Snapshot
from twinlease.controller.telling import Teller
from twinlease.controller.workqueue import WorkQueue
from twinlease.decide.dates import Clocks
from twinlease.kube.client import Client
from twinlease.kube.protocol import NODES, PAIRS, SERVING_LEASES, ApiError, Json, Resource
from twinlease.log import kv
from twinlease.metrics import table
from twinlease.metrics.sample import Sample

_log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.1
"""Changes that come together are looked at together."""

_MOST_REPORTS = 50
"""Status and Events that one look writes: a thousand new reservations must not keep a pair from its next step."""

_LONGEST_BACKOFF = 60.0
_NEVER = float("inf")
_CLIENT_ERRORS = range(400, 500)
_CONFLICT = 409
_NOT_FOUND = 404


class Judge(Protocol):
    """Validation and ledger."""

    def __call__(self, found: Snapshot, clocks: Clocks) -> Acceptance:
        """Return what of the users' objects counts."""


class Settings(Struct, frozen=True, kw_only=True):
    """What the loop needs to know.

    Attributes:
        namespaces: To look after; empty: all.
        image: The operator's own.
        instance: This operator's name in Events.
        workers: Pairs looked at side by side.
        resync: Seconds between complete listings.
    """

    namespaces: Sequence[str] = ()
    image: str
    instance: str
    workers: int = 4
    resync: float = 300.0


class Controller:
    """Everything that happens while this operator leads.

    Args:
        settings: Its settings.
        client: The API.
        render: Returns a server's configuration.
        judge: Validation and ledger.
        may_write: Asked before every write.
        looked: Gets how many seconds each look took, and how it ended: ``ok``, ``refused`` or ``failed``.
        clock: Wall clock, seconds since the epoch.
        monotonic: Seconds by a clock that nobody sets.
    """

    def __init__(  # noqa: PLR0913  # clocks and leadership are seams for tests
        self,
        settings: Settings,
        client: Client,
        *,
        render: Render,
        judge: Judge,
        may_write: Callable[[], bool],
        looked: Callable[[float, str], None] = lambda _seconds, _result: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cache = Cache()
        self._settings = settings
        self._client = client
        self._render = render
        self._judge = judge
        self._clock = clock
        self._executor = Executor(client, self.cache, may_write=may_write)
        self._sightings = Sightings(monotonic)
        self._teller = Teller(monotonic)
        self._looks = measured.Looks()
        self._looked = looked
        self._guarded = Guarded(client, monotonic)
        self._queue: WorkQueue[PairKey] = WorkQueue()
        self._failures: dict[PairKey, int] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def feed(self, resource: Resource, kind: str | None, body: Json) -> None:
        """Take in a watch event."""
        namespace, name = body["metadata"].get("namespace", ""), body["metadata"]["name"]
        before = self.cache.get(resource, namespace, name)
        changed = self.cache.remove(resource, body) if kind == "DELETED" else self.cache.store(resource, body)
        if not changed:
            return
        held = self.cache.get(resource, namespace, name)
        if isinstance(held, Lease):
            memory = self._sightings.of((namespace, name))
            senses = Senses(memory=memory, monotonic=self._sightings.now())
            self._sighted(held)
            if at_rest(held, before if isinstance(before, Lease) else None, senses):
                return
        self._wake(resource, held, body)

    def resync(self) -> None:
        """List everything that is watched: what no watch has told is found here.

        Raises:
            ApiError: A listing failed; the kinds before it are up to date.
        """
        for resource in watch.WATCHED:
            found = watch.listing(self._client.list, resource, self._settings.namespaces)
            changed = self.cache.replace(resource, found.items, found.resource_version)
            for held in changed:
                if isinstance(held, Lease):
                    self._sighted(held)
                self._wake_held(resource, held)

    def start(self) -> None:
        """Start the workers; the cache must be complete."""
        for pair in self.pairs():
            self._queue.add(pair)
        targets = [self._work] * self._settings.workers + [self._resync_for_ever]
        for index, target in enumerate(targets):
            thread = threading.Thread(target=target, name=f"controller-{index}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let the workers finish what they are at, and wait for them."""
        self._stop.set()
        self._queue.close()
        for thread in self._threads:
            thread.join(timeout=15)

    def pairs(self) -> set[PairKey]:
        """Return all pairs that there are, and those that pools and reservations name."""
        found = set()
        for resource in watch.OURS:
            for held in self.cache.all(resource):
                pair = pair_of(resource, held)
                if pair is not None:
                    found.add((held.meta.namespace, pair))
        return found

    def measured(self) -> Iterator[Sample]:
        """Yield what is exported of the pairs, as they are known now; to be called from any thread."""
        now = self._sightings.now()
        known = {(held.meta.namespace, held.meta.name) for held in self.cache.all(PAIRS)}
        looks = self._looks.of(known)
        for key in sorted(known):
            found = measured.glance(self.cache, key, self._sightings.of(key), now)
            if found is not None:
                found = measured.of_looks(found, looks.get(key), self._failures.get(key, 0))
                yield from measured.samples([found], now)
        yield Sample(table.QUEUE, (), len(self._queue))
        if self._guarded.known is not None:
            yield Sample(table.GUARDED, (), self._guarded.known)

    def reconcile(self, key: PairKey) -> tuple[int, float | None]:
        """Look at a pair once; return the number of writes and when to look again (seconds), if ever.

        Raises:
            ApiError: A write failed.
            NotLeadingError: Leadership was lost.
        """
        now = self._clock()
        found = self._snapshot(key)
        senses = self._senses(key, found)
        accepted = self._judge(found, clocks(found, senses, now))
        environment = Environment(image=self._settings.image, render=self._render, now=now, senses=senses)
        wanted = reconcile.plan(found, accepted, environment)
        self._note(key, wanted.facts)
        announcer = Announcer(instance=self._settings.instance, now=now)
        writes, failure = 0, None
        try:
            writes = self._executor.run(wanted.steps)
        except ApiError as error:
            failure = error
        if failure is not None and self._overtaken(key, found, failure):
            return 1, 0.0
        told = str(failure) if failure and failure.status in _CLIENT_ERRORS and failure.status != _CONFLICT else ""
        facts = self._told(key, wanted.facts)
        writes += self._executor.run(report(found, accepted, facts, announcer, told), limit=_MOST_REPORTS)
        if failure is not None:
            raise failure
        return writes, wanted.again

    def _snapshot(self, key: PairKey) -> Snapshot:
        """Freeze what is known of a pair; what it shows of the servers has been sighted, if not by the watch, then now.

        Else a renewal that another thread is just taking in would be judged, and overwritten, as if it were silence.
        """
        found = snapshot.take(self.cache, key)
        held = self.cache.get(SERVING_LEASES, *key)
        if isinstance(held, Lease):
            self._sighted(held)
        return found

    def _senses(self, key: PairKey, found: Snapshot) -> Senses:
        guarded = found.lease is not None and self._guarded()
        return Senses(memory=self._sightings.of(key), monotonic=self._sightings.now(), guarded=guarded)

    def _sighted(self, lease: Lease) -> None:
        if lease.spec is not None:
            self._sightings.saw((lease.meta.namespace, lease.meta.name), lease.meta.uid, lease.spec)

    def _note(self, key: PairKey, facts: Facts) -> None:
        """Remember since when what was found just now has been so."""
        self._sightings.showed_up(key, facts.only)
        self._looks.note(key, facts.serving.verdict, self._sightings.now())
        view = facts.serving.view
        for role, stopped in facts.serving.judged.items():
            self._sightings.judged(key, role, None if view is None else view.grant(role).epoch, stopped=stopped)

    def _told(self, key: PairKey, facts: Facts) -> Facts:
        verdict = self._teller.tell(key, facts.serving.verdict)
        return replace(facts, serving=replace(facts.serving, verdict=verdict))

    def _overtaken(self, key: PairKey, found: Snapshot, failure: ApiError) -> bool:
        """Tell whether a write failed because the serving lease is another one by now; it is known from here on."""
        if failure.status not in (_CONFLICT, _NOT_FOUND):
            return False
        namespace, name = key
        body = self._client.find(SERVING_LEASES, name, namespace)
        if body is not None:
            self.feed(SERVING_LEASES, "MODIFIED", body)
        elif found.lease is not None:
            gone = {"namespace": namespace, "name": name, "uid": found.lease.meta.uid}
            self.feed(SERVING_LEASES, "DELETED", {"metadata": gone})
        known = self.cache.get(SERVING_LEASES, namespace, name)
        return (known and known.meta.resource_version) != (found.lease and found.lease.meta.resource_version)

    def _work(self) -> None:
        while (key := self._queue.take()) is not None:
            try:
                self._look(key)
            finally:
                self._queue.done(key)

    def _look(self, key: PairKey) -> None:
        began, result = time.monotonic(), "failed"
        try:
            writes, again = self.reconcile(key)
            result = "ok"
        except NotLeadingError:
            return
        except ApiError as error:
            result = "refused"
            self._retry(key, str(error))
            return
        except Exception:  # noqa: BLE001  # the thread's last resort
            # A fault of ours in one pair must not stop the others; the traceback is for us, never for what users type.
            _log.exception("reconciliation failed", extra=kv(namespace=key[0], pair=key[1]))
            self._retry(key, "internal error")
            return
        finally:
            self._looked(time.monotonic() - began, result)
        self._failures.pop(key, None)
        if writes or again is not None:
            settled = SETTLE_SECONDS if writes else _NEVER
            self._queue.add(key, min(settled, _NEVER if again is None else again))

    def _retry(self, key: PairKey, why: str) -> None:
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        delay = min(_LONGEST_BACKOFF, 0.5 * 2.0 ** min(failures, 10)) * (1 + 0.2 * random.random())  # noqa: S311  # jitter
        _log.warning("will retry", extra=kv(namespace=key[0], pair=key[1], seconds=round(delay, 1), error=why))
        self._queue.add(key, delay)

    def _resync_for_ever(self) -> None:
        # The watch starts after the first listing: what was deleted between the two is found by the second, soon.
        delay = min(10.0, self._settings.resync)
        while not self._stop.wait(delay):
            delay = self._settings.resync
            try:
                self.resync()
            except ApiError as error:
                _log.warning("listing failed", extra=kv(error=str(error)))
                delay = min(10.0, self._settings.resync)

    def _wake(self, resource: Resource, held: Held | None, body: Json) -> None:
        self._wake_held(resource, read(resource, body) if held is None else held)

    def _wake_held(self, resource: Resource, held: Held) -> None:
        """Queue the pairs that an object concerns; nodes, and pairs as such, concern all: they share the nodes."""
        pair = pair_of(resource, held)
        if pair is not None:
            # One write to a serving lease says all that belongs together, and who serves depends on it.
            self._queue.add((held.meta.namespace, pair), 0.0 if resource == SERVING_LEASES else SETTLE_SECONDS)
        if resource in (NODES, PAIRS):
            for key in self.pairs():
                self._queue.add(key, SETTLE_SECONDS)
