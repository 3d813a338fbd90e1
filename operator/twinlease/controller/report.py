"""From what is so to what is written about it: status and Events of a pair, its pools and its reservations."""

import datetime as dt
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from twinlease.api.pairstatus import PairStatus
from twinlease.api.pool import PoolStatus
from twinlease.api.reservation import ReservationStatus
from twinlease.api.types import Model
from twinlease.controller.acceptance import Acceptance
from twinlease.controller.case import Facts
from twinlease.controller.events import Announcer
from twinlease.controller.objects import Custom
from twinlease.controller.snapshot import Snapshot
from twinlease.controller.status import Reporter
from twinlease.controller.steps import Apply, Step
from twinlease.kube.protocol import PAIRS, POOLS, RESERVATIONS, Resource

Spec = TypeVar("Spec", bound=Model)
Status = TypeVar("Status", PairStatus, PoolStatus, ReservationStatus)


def report(
    snapshot: Snapshot, accepted: Acceptance, facts: Facts, announcer: Announcer, failure: str = ""
) -> Iterator[Step]:
    """Yield the steps that tell the world; Events before the status that they were made from, so that none is lost.

    Args:
        snapshot: What is known.
        accepted: What of the users' objects counts.
        facts: What planning found out.
        announcer: Makes the Events; its time is the time of the report.
        failure: What the API refused just now; empty: nothing.
    """
    now = dt.datetime.fromtimestamp(int(announcer.now), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    reporter = Reporter(snapshot, accepted, facts, failure, now)
    if snapshot.pair is not None:
        for note in facts.serving.refused:
            yield announcer.warning(PAIRS, snapshot.pair.meta, "ConfirmationRefused", note)
        yield from _told(PAIRS, snapshot.pair, reporter.pair(snapshot.pair), announcer)
    for pool in snapshot.pools:
        yield from _told(POOLS, pool, reporter.pool(pool), announcer)
    for reservation in snapshot.reservations:
        yield from _told(RESERVATIONS, reservation, reporter.reservation(reservation), announcer)


def _told(resource: Resource, about: Custom[Spec, Status], new: Status, announcer: Announcer) -> Iterator[Step]:
    yield from announcer.changes(resource, about.meta, about.status.conditions, new.conditions)
    metadata = {"name": about.meta.name, "namespace": about.meta.namespace}
    body = {"metadata": metadata, "status": msgspec.to_builtins(new)}
    yield Apply(resource=resource, body=body, subresource="status")
