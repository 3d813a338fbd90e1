"""What the operator that leads exports of its pairs: read from the cache at the scrape, and of what its looks found.

A pair that is gone from the cache has no series any more, nor has what was counted of it.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.pair import PairSpec
from twinlease.api.pairstatus import PairStatus
from twinlease.api.permit import Fence
from twinlease.api.servinglease import ServingLeaseSpec
from twinlease.controller.cache import Cache, PairKey
from twinlease.controller.manifests.common import server_name
from twinlease.controller.sightings import NEVER, Memory
from twinlease.decide.partnerdown import Verdict
from twinlease.kube.protocol import PAIRS, POOLS, RESERVATIONS, SERVING_LEASES
from twinlease.metrics import table
from twinlease.metrics.sample import Sample, states
from twinlease.model import conditions
from twinlease.model.states import FailoverState, Role

if TYPE_CHECKING:
    from twinlease.controller.objects import Lease, Pair, Pool, Reservation

_COUNTING_DOWN = "NotYet"
_COUNTED_DOWN = frozenset({"WaitingForEvidence", "Manual"})
_VALID = conditions.POOL[0]


class Noted(Struct, frozen=True, kw_only=True):
    """What the looks at a pair's service decided.

    Attributes:
        action: The last.
        reason: Why.
        threshold: When the interruption has lasted long enough, monotonic seconds; None: nobody is cut off.
        counts: Looks by action and reason.
    """

    action: str = ""
    reason: str = ""
    threshold: float | None = None
    counts: Mapping[tuple[str, str], int] = {}


def noted(before: Noted, verdict: Verdict, now: float) -> Noted:
    """Return what was noted after one more look."""
    what = (str(verdict.action), verdict.reason)
    threshold = None
    if verdict.reason == _COUNTING_DOWN and verdict.retry is not None:
        threshold = now + verdict.retry
    elif verdict.reason in _COUNTED_DOWN:
        threshold = now
    counts = {**before.counts, what: before.counts.get(what, 0) + 1}
    return Noted(action=what[0], reason=what[1], threshold=threshold, counts=counts)


class Looks:
    """What was noted of all pairs. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[PairKey, Noted] = {}

    def note(self, key: PairKey, verdict: Verdict, now: float) -> None:
        """Note what a look decided, at a time by the monotonic clock."""
        with self._lock:
            self._noted[key] = noted(self._noted.get(key, Noted()), verdict, now)

    def of(self, present: Iterable[PairKey]) -> dict[PairKey, Noted]:
        """Return what was noted of the pairs that there are, and forget all others."""
        with self._lock:
            self._noted = {key: self._noted[key] for key in present if key in self._noted}
            return dict(self._noted)


class Glance(Struct, frozen=True, kw_only=True):
    """One pair at the moment of a scrape.

    Attributes:
        spec: As the user wrote it; None: it cannot be read.
        status: As it was last written.
        lease: None: there is none yet, or none that can be read.
        ages: Seconds since each server's last write was seen to arrive; infinite: none was.
        objects: How many there are by kind and by whether they are valid.
        noted: None: it has not been looked at yet.
        failures: Looks that failed one after the other.
    """

    namespace: str
    name: str
    spec: PairSpec | None
    status: PairStatus
    lease: ServingLeaseSpec | None
    ages: Mapping[Role, float]
    objects: Mapping[tuple[str, bool], int]
    noted: Noted | None = None
    failures: int = 0


def glance(cache: Cache, key: PairKey, memory: Memory, now: float) -> Glance | None:
    """Return what the cache knows of a pair; None: there is no such pair.

    Args:
        cache: The cache.
        key: The pair.
        memory: What was seen of its servers.
        now: The time by the clock of that.
    """
    pair = cast("Pair | None", cache.get(PAIRS, *key))
    if pair is None:
        return None
    lease = cast("Lease | None", cache.get(SERVING_LEASES, *key))
    objects = {(resource.kind, valid): 0 for resource in (POOLS, RESERVATIONS) for valid in (True, False)}
    for resource in (POOLS, RESERVATIONS):
        for each in cache.of_pair(resource, key):
            valid = conditions.holds(cast("Pool | Reservation", each).status.conditions, _VALID)
            objects[resource.kind, valid] += 1
    return Glance(
        namespace=key[0],
        name=key[1],
        spec=pair.spec,
        status=pair.status,
        lease=None if lease is None else lease.spec,
        ages={role: memory.age(role, now) for role in Role},
        objects=objects,
    )


def of_looks(found: Glance, looked: Noted | None, failures: int) -> Glance:
    """Return a glance with what the looks found."""
    return replace(found, noted=looked, failures=failures)


def samples(glances: Iterable[Glance], now: float) -> Iterator[Sample]:
    """Yield all series of all pairs.

    Args:
        glances: The pairs.
        now: Monotonic seconds.
    """
    for each in glances:
        me = (each.namespace, each.name)
        if each.spec is not None:
            yield Sample(table.METRICS_PORT, me, each.spec.metrics_port)
            yield Sample(table.FENCE_WANTED, me, each.spec.fence is Fence.KERNEL)
        yield from _lease(me, each)
        yield from _servers(me, each)
        yield from _looks(me, each, now)
        for condition in each.status.conditions:
            if condition.type in conditions.PAIR:
                yield Sample(table.PAIR_CONDITION, (*me, condition.type, condition.status, condition.reason), 1)
        for (kind, valid), number in each.objects.items():
            yield Sample(table.OBJECTS, (*me, kind, "true" if valid else "false"), number)


def _lease(me: PairKey, found: Glance) -> Iterator[Sample]:
    lease = found.lease
    if lease is None:
        return
    yield from states(table.PHASE, me, lease.phase)
    yield from states(table.SURVIVOR, me, lease.survivor)
    yield Sample(table.PAIR_EPOCH, me, lease.epoch)


def _servers(me: PairKey, found: Glance) -> Iterator[Sample]:
    servers = {each.role: each for each in found.status.servers}
    for role in Role:
        labels = (*me, server_name(found.name, role), str(role))
        server = servers.get(role)
        yield from states(table.PAIR_SERVER_STATE, labels, FailoverState.UNKNOWN if server is None else server.state)
        if found.ages[role] != NEVER:
            yield Sample(table.REPORT_AGE, labels, found.ages[role])
    yield Sample(table.PAIR_SERVING, me, sum(each.serving for each in servers.values()))


def _looks(me: PairKey, found: Glance, now: float) -> Iterator[Sample]:
    yield Sample(table.FAILURES, me, found.failures)
    looked = found.noted
    if looked is None:
        return
    yield Sample(table.VERDICT, (*me, looked.action, looked.reason), 1)
    for what, number in looked.counts.items():
        yield Sample(table.DECISIONS, (*me, *what), number)
    if looked.threshold is not None:
        yield Sample(table.THRESHOLD, me, max(0.0, looked.threshold - now))
