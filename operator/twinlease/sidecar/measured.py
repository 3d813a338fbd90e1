"""What a sidecar exports: a pure function of what it saw last, of what its threads count, and of the time.

What ticks is reckoned at the scrape. A look that is old vouches for nothing: then only its age is told.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

import twinlease
from twinlease.api.server import ServerStatus
from twinlease.decide import runway
from twinlease.decide.clocks import Verdict as Clocks
from twinlease.decide.permit import MARGIN
from twinlease.decide.runway import Track
from twinlease.engines.protocol import FailoverStatus
from twinlease.ipc.client import GuardStatus
from twinlease.metrics import table
from twinlease.metrics.sample import Sample, states
from twinlease.model.conditions import FALSE
from twinlease.model.states import CATCHING_UP, FailoverState, Role
from twinlease.sidecar.observed import Observed

OLD_SECONDS = 90.0
"""A look that is older than that, longer than any command of the agent takes, is not told of any more."""

_DIGITS = 12
_MOST_REASONS = 32
_ME = tuple[str, str, str, str]


class Seen(Struct, frozen=True, kw_only=True):
    """One look, what is reported of it, and the counts of the pools so far."""

    now: Observed
    status: ServerStatus
    runways: Mapping[str, Track] = {}


class Tally(Struct, frozen=True, kw_only=True):
    """What the sidecar's threads have counted since they began.

    Attributes:
        renewals: Writes of the own part that succeeded.
        failures: Those that did not.
        renewed: When the last that succeeded was sent, CLOCK_BOOTTIME; None: none did.
        requests: Promises asked for.
        promises: Promises got.
        transitions: Changes of the daemon's state that were seen to be recorded.
        mended: Leases that were given again.
    """

    renewals: int = 0
    failures: int = 0
    renewed: float | None = None
    requests: int = 0
    promises: int = 0
    transitions: int = 0
    mended: int = 0


def samples(namespace: str, seen: Seen | None, tally: Tally, boot: float, wall: float) -> Iterator[Sample]:
    """Yield all series of this moment.

    Args:
        namespace: Of the pair.
        seen: The last look; None: there was none yet.
        tally: What was counted.
        boot: CLOCK_BOOTTIME.
        wall: Seconds since the epoch.
    """
    yield Sample(table.BUILD_INFO, ("sidecar", twinlease.__version__), 1)
    if seen is None or seen.now.desired is None:
        return
    server = seen.now.desired.object
    me = (namespace, server.spec.pair_ref.name, server.metadata.name, server.spec.role)
    age = max(0.0, boot - seen.now.boot)
    yield Sample(table.LOOK_AGE, me, age)
    if age > OLD_SECONDS:
        return
    yield from _state(me, seen, boot, wall)
    yield from _conditions(me, seen)
    yield from _permit(me, seen, boot)
    yield from _counted(me, seen.now, tally, boot)
    yield from _clocks(me, seen.now)
    yield from _config(me, seen)
    yield from _pools(me, seen, boot)
    yield from _versions(me, seen.now)
    yield Sample(table.GUARD_UP, me, seen.now.guard is not None)
    if seen.now.guard is not None:
        yield from _guard(me, seen.now.guard)


def tracked(before: Mapping[str, Track], now: Observed) -> dict[str, Track]:
    """Return the counts of the pools after one more look at the lease database; of pools that are gone there are none.

    Args:
        before: The counts so far.
        now: Has just been counted.
    """
    role, said = now.role, now.failover
    if role is None or said is None or not now.running:
        return {}
    usable_at = said.since + said.mclt if said.since and said.mclt else float("inf")
    peers_too = now.state is FailoverState.PARTNER_DOWN and now.wall >= usable_at
    found = {}
    for pool in now.pools:
        own, peer = _free(role, pool.free, pool.backup)
        addresses = runway.usable(now.state, own=own, peer=peer, peers_too=peers_too)
        track = before.get(pool.name, Track())
        found[pool.name] = runway.counted(track, (now.state, peers_too, pool.addresses), addresses, now.boot)
    return found


def _state(me: _ME, seen: Seen, boot: float, wall: float) -> Iterator[Sample]:
    now = seen.now
    said = now.failover if now.running else None
    yield from states(table.STATE, me, now.state)
    yield from states(table.PARTNER_STATE, me, FailoverState.UNKNOWN if said is None else said.partner)
    yield Sample(table.INTERRUPTION, me, now.interruption.age(boot))
    # A sidecar that has just begun does not know how many there were. A 0 would be a counter that begins anew, and all
    # that was counted before would count for one more time.
    if now.interruption.last.started:
        yield Sample(table.INTERRUPTIONS, me, now.interruption.number)
    yield Sample(table.RUNNING, me, now.running)
    yield Sample(table.SERVING, me, seen.status.serving)
    yield Sample(table.MAINTENANCE, me, now.desired is not None and now.desired.object.spec.maintenance)
    if said is not None:
        yield from _dates(me, said, wall)


def _dates(me: _ME, said: FailoverStatus, wall: float) -> Iterator[Sample]:
    yield Sample(table.UNACKED, me, said.unacked_updates)
    if said.since:
        yield Sample(table.STATE_START, me, said.since)
    if said.mclt:
        yield Sample(table.MCLT, me, said.mclt)
    if said.since and said.mclt:
        left = said.since + said.mclt - wall
        if said.local is FailoverState.PARTNER_DOWN:
            yield Sample(table.PEER_ADDRESSES, me, max(0.0, left))
        elif said.local in CATCHING_UP:
            yield Sample(table.RECOVER_REMAINING, me, left)


def _conditions(me: _ME, seen: Seen) -> Iterator[Sample]:
    for each in seen.status.conditions:
        yield Sample(table.CONDITION, (*me, each.type, each.status, each.reason), 1)
        if each.type == "ConfigAccepted":
            yield Sample(table.CONFIG_REJECTED, me, each.status == FALSE)
    yield from states(table.DATABASE, me, seen.now.verdict)


def _permit(me: _ME, seen: Seen, boot: float) -> Iterator[Sample]:
    now = seen.now
    kind, permit = seen.status.permit.kind, now.held.permit
    left = 0.0 if kind == "None" else max(0.0, permit.deadline - boot)
    yield from states(table.PERMIT, me, kind if left else "None")
    yield Sample(table.PERMIT_REMAINING, me, left)
    by_promise = 0.0 if permit.asked is None else permit.asked + permit.promised - MARGIN - boot
    yield Sample(table.PROMISE_REMAINING, me, max(0.0, by_promise) if left else 0.0)
    yield Sample(table.PROMISED, me, max(0.0, now.promiser.until - boot))
    yield Sample(table.EPOCH, me, now.tenure.epoch)


def _counted(me: _ME, now: Observed, tally: Tally, boot: float) -> Iterator[Sample]:
    yield Sample(table.TRANSITIONS, me, tally.transitions)
    yield Sample(table.GIVEN_AGAIN, me, tally.mended)
    yield Sample(table.RENEWALS, me, tally.renewals)
    yield Sample(table.RENEWAL_FAILURES, me, tally.failures)
    if tally.renewed is not None:
        yield Sample(table.RENEWAL_AGE, me, max(0.0, boot - tally.renewed))
    yield Sample(table.PROMISE_REQUESTS, me, tally.requests)
    yield Sample(table.PROMISES_RECEIVED, me, tally.promises)
    yield Sample(table.PEER_HEARD, me, now.heard.lately)
    for reason, number in now.heard.refused[:_MOST_REASONS]:  # some of them are the partner's words
        yield Sample(table.PEER_REFUSED, (*me, reason), number)


def _clocks(me: _ME, now: Observed) -> Iterator[Sample]:
    yield from states(table.CLOCKS, me, now.clocks.verdict)
    if now.clocks.verdict is not Clocks.UNKNOWN:
        yield Sample(table.CLOCK_OFFSET, me, now.clocks.offset)


def _config(me: _ME, seen: Seen) -> Iterator[Sample]:
    wanted = seen.now.wanted_revision
    running = "" if seen.now.guard is None else seen.now.guard.revision
    for which, revision in (("wanted", wanted), ("running", running), ("rejected", seen.status.config.rejected)):
        if revision:
            yield Sample(table.CONFIG, (*me, which, revision[:_DIGITS]), 1)
    yield Sample(table.CONFIG_CURRENT, me, wanted in ("", running))


def _pools(me: _ME, seen: Seen, boot: float) -> Iterator[Sample]:
    role = seen.now.role or Role.PRIMARY
    for pool in seen.now.pools:
        counts = {name: getattr(pool, name) for name in ("active", "free", "backup", "abandoned", "other")}
        for state, number in counts.items():
            yield Sample(table.POOL_ADDRESSES, (*me, pool.name, state), number)
        for owner, number in zip(("own", "peer"), _free(role, pool.free, pool.backup), strict=True):
            yield Sample(table.POOL_FREE, (*me, pool.name, owner), number)
        track = seen.runways.get(pool.name)
        if track is not None and pool.addresses and seen.now.running:
            yield Sample(table.POOL_RUNWAY, (*me, pool.name), runway.runway(track, boot))


def _free(role: Role, free: int, backup: int) -> tuple[int, int]:
    """Return the free addresses that are a server's own to hand out, and its partner's."""
    return (free, backup) if role is Role.PRIMARY else (backup, free)


def _versions(me: _ME, now: Observed) -> Iterator[Sample]:
    guard = "" if now.guard is None else now.guard.version
    for component, version in (("sidecar", twinlease.__version__), ("guard", guard), ("engine", now.engine_version)):
        if version:
            yield Sample(table.SERVER_VERSION, (*me, component, version), 1)


def _guard(me: _ME, guard: GuardStatus) -> Iterator[Sample]:
    counts = guard.counts
    numbers: tuple[tuple[table.Metric, float], ...] = (
        (table.FENCE, guard.fence.kernel),
        (table.STARTS, guard.starts),
        (table.REPAIRS, counts.edits),
        (table.DAMAGE, counts.events.get("damage", 0)),
        (table.LOG_DROPPED, guard.dropped_log_bytes),
        (table.CLOCK_STEPS, guard.clock_steps),
    )
    for metric, value in numbers:
        yield Sample(metric, me, value)
    for reason, number in counts.exits.items():
        yield Sample(table.EXITS, (*me, reason), number)
    for name in table.MESSAGES:
        yield Sample(table.DHCP_MESSAGES, (*me, name), counts.events.get(name, 0))
