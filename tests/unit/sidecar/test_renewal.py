"""Writing the own part: when, with what on the disk first, and what a failure does."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import BOOT, FENCED, GRANT, IN_FORCE, NEW, NORMAL, OWN, TENURE, guard, lease, observed
from twinlease.api.permit import Isolation
from twinlease.decide.permit import ASKING_PERIOD, MARGIN
from twinlease.ipc.client import GuardStatus, GuardUnreachable
from twinlease.kube.protocol import ApiError, Json
from twinlease.sidecar.clock import Clocks
from twinlease.sidecar.keeper import Keeper
from twinlease.sidecar.observed import LeaseObject, Observed, lease_object
from twinlease.sidecar.ownpart import Draft, draft, full
from twinlease.sidecar.record import Durable
from twinlease.sidecar.renewal import Renewal

UP = observed(guard=guard(NEW, fence=FENCED), failover=NORMAL, tenure=replace(TENURE, begun=True))


class Scene:
    """A renewal with an API, a guard and a clock; it is also where the lease is known."""

    def __init__(self) -> None:
        self.now = BOOT
        self.lease = self.as_stored(lease(GRANT, OWN))
        self.steps: list[str] = []
        self.patches: list[list[Json]] = []
        self.errors: list[ApiError] = []
        self.disk_full = False
        self.durable = Durable(self)
        self.durable.read(guard(record=to_builtins(UP.found.record)))
        clocks = Clocks(boot=lambda: self.now, wall=lambda: 1_700_000_000.0)
        self.keeper = Keeper(self, clocks.boot, lambda: None)
        self.keeper.confirmed(BOOT - 1, IN_FORCE)
        client: Any = lambda _seconds: self  # noqa: E731  # a client whatever its timeout
        self.renewal = Renewal(client, "n", self, self.durable, self.keeper, clocks, lambda: None)

    @staticmethod
    def as_stored(found: LeaseObject) -> LeaseObject:
        """Return a serving lease as it was read."""
        spec = to_builtins(found.spec)
        spec["servers"]["primary"]["own"] = full(found.spec.servers.primary.own)
        return lease_object({"metadata": {"name": "lan", "uid": "l", "resourceVersion": "1"}, "spec": spec})

    @property
    def latest(self) -> LeaseObject:
        """The serving lease."""
        return self.lease

    def read(self) -> LeaseObject:
        """Read it anew."""
        self.steps.append("read")
        return self.lease

    def take(self, found: Json, *, anew: bool = False) -> None:
        """Take it in."""
        del anew
        self.lease = lease_object(found)

    def remember(self, record: Mapping[str, Any]) -> GuardStatus:
        """Be the guard's disk."""
        if self.disk_full:
            raise GuardUnreachable("no socket")
        self.steps.append(f"disk {record['counter']}")
        return guard()

    def status(self) -> GuardStatus:
        """Be the guard."""
        return guard()

    def permit(self, deadline: float | None, steps: int) -> GuardStatus:
        """Be the guard."""
        del steps
        self.steps.append(f"permit {deadline}")
        return guard()

    def json_patch(self, _resource: object, _name: str, _namespace: str, operations: list[Json]) -> Json:
        """Be the API."""
        self.steps.append("api")
        self.patches.append(operations)
        if self.errors:
            raise self.errors.pop(0)
        raw: Json = {**self.lease.raw, "spec": to_builtins(self.lease.spec)}
        raw["spec"]["servers"]["primary"]["own"] = operations[-1]["value"]
        return raw

    def submit(self, now: Observed = UP) -> Draft:
        """Hand a draft over."""
        found = draft(replace(now, boot=self.now))
        assert found is not None
        self.renewal.submit(found)
        return found


@pytest.fixture
def scene() -> Scene:
    """A sidecar that has just confirmed everything."""
    return Scene()


def test_what_is_confirmed_is_on_the_disk_first_and_counts_from_the_sending(scene: Scene) -> None:
    scene.submit()
    assert scene.renewal.due() == 0
    scene.renewal.turn()
    assert scene.steps == ["disk 8", "api"]
    assert scene.lease.spec.servers.primary.own.renewal == OWN.renewal + 1
    assert scene.keeper.held.permit.deadline == BOOT + 240 - MARGIN
    assert scene.renewal.written is not None
    assert scene.renewal.written.sent == BOOT


def test_it_is_renewed_every_sixth_of_its_length_and_at_once_on_a_change(scene: Scene) -> None:
    scene.submit()
    scene.renewal.turn()
    assert scene.renewal.due() == pytest.approx(40.0)
    scene.now += 39
    scene.submit()
    assert scene.renewal.due() == pytest.approx(1.0)
    scene.submit(replace(UP, failover=None))
    assert scene.renewal.due() == 0


def test_who_asks_for_a_grant_writes_often_enough_for_a_new_leader(scene: Scene) -> None:
    """A leader believes a server from its second sight on: 40 s between the two would be 40 s of outage."""
    asking = observed(
        guard=guard(NEW, running=None, fence=FENCED), failover=None, tenure=replace(TENURE, given_up=True)
    )
    scene.submit(asking)
    scene.renewal.turn()
    assert scene.renewal.due() == pytest.approx(ASKING_PERIOD)


def test_an_agent_that_is_not_heard_of_is_not_vouched_for(scene: Scene) -> None:
    scene.submit()
    scene.now += 91
    assert scene.renewal.due() > 0


def test_without_the_disk_nothing_is_confirmed(scene: Scene) -> None:
    scene.disk_full = True
    scene.submit()
    scene.renewal.turn()
    assert scene.patches == []
    assert scene.renewal.problem
    assert scene.keeper.held.permit.renewed == BOOT - 1


def test_a_write_that_fails_earns_nothing_and_is_tried_again_with_the_same_counter(scene: Scene) -> None:
    scene.errors = [ApiError(0, "", "timed out"), ApiError(500, "InternalError", "etcd")]
    scene.submit()
    for _ in range(3):
        scene.renewal.turn()
        scene.now += 1
    assert scene.steps == ["disk 8", "api", "api", "api"]
    assert scene.keeper.held.permit.renewed == BOOT + 2


def test_after_a_conflict_the_lease_is_read_anew(scene: Scene) -> None:
    scene.errors = [ApiError(422, "Invalid", "a test failed")]
    scene.submit()
    scene.renewal.turn()
    assert scene.steps == ["disk 8", "api", "read"]


def test_under_a_grant_that_is_not_the_drafts_nothing_is_written(scene: Scene) -> None:
    scene.submit()
    scene.lease = scene.as_stored(lease(replace(GRANT, holder="", epoch=6), OWN))
    scene.renewal.turn()
    assert scene.patches == []


UNFENCED = replace(UP, guard=guard(NEW, fence=FENCED._replace(kernel=False)))


def test_what_the_api_may_come_to_say_of_the_fence_ends_with_a_write_that_says_otherwise(scene: Scene) -> None:
    assert scene.renewal.claims, "what a process before it wrote is not known"
    scene.submit(UNFENCED)
    assert scene.renewal.claims, "it is not written yet"
    scene.errors = [ApiError(0, "", "timed out")]
    scene.renewal.turn()
    assert scene.renewal.claims
    scene.renewal.turn()
    assert not scene.renewal.claims
    scene.submit(UP)
    assert scene.renewal.claims, "it may be sent at any moment"
    scene.submit(UNFENCED)
    assert not scene.renewal.claims
    scene.submit(UP)
    scene.errors = [ApiError(0, "", "timed out")]
    scene.renewal.turn()
    scene.submit(UNFENCED)
    assert scene.renewal.claims, "it may have arrived"
    scene.renewal.turn()
    assert not scene.renewal.claims


def test_where_the_end_of_the_permit_is_no_evidence_nothing_is_claimed(scene: Scene) -> None:
    scene.submit(replace(UP, lease=lease(replace(GRANT, isolation=Isolation.SERVE), OWN)))
    scene.renewal.turn()
    assert not scene.renewal.claims


def test_to_an_api_that_was_rolled_back_it_speaks_once_and_earns_nothing(scene: Scene) -> None:
    scene.durable.set(epoch=9)
    ahead = replace(UP, found=replace(UP.found, record=scene.durable.record))
    scene.submit(ahead)
    scene.renewal.turn()
    assert len(scene.patches) == 1
    assert scene.lease.spec.servers.primary.own.epoch == 9
    assert scene.keeper.held.permit.renewed == BOOT - 1
    scene.now += 50
    scene.submit(replace(ahead, failover=None))
    assert scene.renewal.due() > 0
