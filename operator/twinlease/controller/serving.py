"""A pair's service as one look sees it: the serving lease, judged, and the one write that follows. Pure.

The write carries the version that was judged: who is late, or does not lead any more, changes nothing.
"""

from collections.abc import Mapping
from math import inf

from msgspec import UNSET, Struct
from msgspec.structs import replace

from twinlease.api.pair import PairSpec
from twinlease.api.permit import Fence
from twinlease.api.servinglease import Phase, ServingLeaseSpec
from twinlease.api.storage import ReclaimPolicy
from twinlease.controller import annotations
from twinlease.controller.annotations import Words
from twinlease.controller.manifests import serving as manifest
from twinlease.controller.manifests.common import Owner
from twinlease.controller.objects import Lease, Pair
from twinlease.controller.sightings import Memory
from twinlease.controller.snapshot import Snapshot
from twinlease.controller.steps import Swap
from twinlease.decide import byhand, dates, serving
from twinlease.decide.dates import Clocks
from twinlease.decide.evidence import stopped
from twinlease.decide.pairview import Policy, Sight, View, entry
from twinlease.decide.partnerdown import Action, Verdict
from twinlease.decide.permit import epsilon
from twinlease.kube.protocol import SERVING_LEASES, Json
from twinlease.model import durations
from twinlease.model.states import FailoverState, Role

_RIGHTS = frozenset({Action.ORDER, Action.WITHDRAW, Action.GRANT})
_SOON = 0.001


class Senses(Struct, frozen=True, kw_only=True):
    """What the operator knows that no object says.

    Attributes:
        memory: What it has seen of the pair, and when.
        monotonic: The time by the clock of that.
        guarded: The admission policy is in force.
    """

    memory: Memory = Memory()
    monotonic: float = 0.0
    guarded: bool = False


class Limits(Struct, frozen=True, kw_only=True):
    """What the configurations that are published mean for the promises that clients and partner hold, in seconds.

    Attributes:
        max_lease: Longest lease that the target gives.
        mclt: The target's.
        published: A server is told to run the target, now or already.
        settled: Both run it, and nothing else.
    """

    max_lease: int
    mclt: int
    published: bool
    settled: bool


class Serving(Struct, frozen=True, kw_only=True):
    """What one look found, and what follows.

    Attributes:
        verdict: What goes on, and why.
        view: What it was judged from; None: there is no serving lease that can be read.
        words: What a human says about it.
        refused: A sentence for each confirmation that does not count.
        lease: As it is once the write is through.
        step: The write; None: nothing changes.
        exclusive: The write changes who may serve: nothing else is done before it is through.
        again: Seconds until time alone may change the verdict.
        judged: For each server whether it counts as stopped.
        restart: Who is to stop and start anew, for somebody put it into partner-down; None: nobody.
    """

    verdict: Verdict
    view: View | None = None
    words: Words = Words()
    refused: tuple[str, ...] = ()
    lease: ServingLeaseSpec | None = None
    step: Swap | None = None
    exclusive: bool = False
    again: float | None = None
    judged: Mapping[Role, bool] = {}
    restart: Role | None = None

    @property
    def held(self) -> bool:
        """Whether no running server may be changed: one of the two is revoked, or ordered."""
        return self.lease is not None and (self.lease.phase is not Phase.BOTH or self.lease.order is not UNSET)


def look(  # noqa: PLR0913  # each argument is one source of what is judged
    snapshot: Snapshot,
    pair: Pair,
    spec: PairSpec,
    senses: Senses,
    limits: Limits | None,
    *,
    established: bool,
    now: float,
) -> Serving:
    """Judge a pair's service.

    Args:
        snapshot: What is known.
        pair: The pair.
        spec: Its specification in force.
        senses: What was seen.
        limits: Of the target configuration; None: there is none yet.
        established: The pair has served together by the signs that there are outside of the serving lease.
        now: Wall clock, seconds since the epoch.
    """
    owner = Owner(namespace=pair.meta.namespace, name=pair.meta.name, uid=pair.meta.uid)
    held, time = snapshot.lease, clocks(snapshot, senses, now)
    owned = spec.storage.reclaim_policy is ReclaimPolicy.DELETE
    if held is None:
        lease = _bounded(ServingLeaseSpec(established=established), limits, time)
        step = Swap(resource=SERVING_LEASES, body=manifest.serving_lease(owner, lease, None, owned=owned))
        return Serving(
            verdict=_said("Created", "The serving lease is made: nobody has asked yet"), lease=lease, step=step
        )
    if held.spec is None:
        return Serving(verdict=_said("Unreadable", f"The serving lease cannot be read: {held.problem}"))
    said = annotations.words(pair.meta, held.spec.epoch)
    view = _view(snapshot, spec, _bounded(held.spec, limits, time), said, senses, now)
    judgement = serving.judge(view)
    lease = judgement.lease or view.lease
    body = manifest.serving_lease(owner, lease, held, owned=owned)
    current = lease == held.spec and _meta_stays(body, held)
    return Serving(
        verdict=judgement.verdict,
        view=view,
        words=said,
        refused=(*said.wrong, *annotations.refused(said, view, owner.name)),
        lease=lease,
        step=None if current else Swap(resource=SERVING_LEASES, body=body),
        exclusive=judgement.lease is not None and judgement.verdict.action in _RIGHTS,
        again=_again(view, judgement.verdict, time),
        judged={role: bool(stopped(view, role)) for role in Role},
        restart=byhand.to_restart(view),
    )


def clocks(snapshot: Snapshot, senses: Senses, now: float) -> Clocks:
    """Return what time it is; ``now`` is the operator's wall clock, seconds since the epoch."""
    lease = None if snapshot.lease is None else snapshot.lease.spec
    silent = {role: senses.memory.silent(role, senses.monotonic) for role in Role}
    return dates.clocks(lease, silent, now)


def idle(snapshot: Snapshot, reason: str, message: str) -> Serving:
    """Return what is to be said of a pair whose service is not judged now."""
    lease = None if snapshot.lease is None else snapshot.lease.spec
    return Serving(verdict=_said(reason, message), lease=lease)


def over(snapshot: Snapshot, senses: Senses) -> tuple[bool, float | None]:
    """Tell whether nobody can serve under a serving lease that is being deleted after its pair.

    The pair's wishes are gone with it. So the end of a permit counts where the guard alone enforced it, too, but only
    once the pods are gone: their kubelets, or whoever forced their deletion, vouch for their end. Nobody is left then
    to say that its promises have ended: they run for as long as it said last.

    Returns:
        Whether it is so, and else in how many seconds it may be by time alone.
    """
    held = snapshot.lease
    if held is None or held.spec is None:
        return False, None
    policy = Policy(fence=Fence.KERNEL if snapshot.pods else Fence.PROCESS)
    sights = {role: _seen(role, senses) for role in Role}
    lease = held.spec if snapshot.pods else _outlived(held.spec, sights)
    view = View(lease=lease, sights=sights, policy=policy, now=0.0)
    proofs = [stopped(view, role) for role in Role]
    waits = [each.retry for each in proofs if not each and each.retry is not None]
    return all(proofs), min(waits, default=None)


def _outlived(lease: ServingLeaseSpec, sights: Mapping[Role, Sight]) -> ServingLeaseSpec:
    """Return the lease without the promises that have ended since servers that are gone told of them."""
    longest = max(durations.seconds(entry(lease, role).own.in_force.max_promise) for role in Role)
    most = longest + epsilon(longest)  # whoever does not know what it promised says more than can be
    entries = {}
    for role in Role:
        each = entry(lease, role)
        ended = sights[role].silent >= min(each.own.report.promise_seconds, most)
        report = replace(each.own.report, promising=each.own.report.promising and not ended)
        entries[str(role)] = replace(each, own=replace(each.own, report=report))
    return replace(lease, servers=replace(lease.servers, **entries))


def ended(snapshot: Snapshot, senses: Senses) -> tuple[Swap | None, float | None]:
    """Return what becomes of a serving lease whose pair is gone, and when to look again (seconds)."""
    held = snapshot.lease
    if held is None or not held.meta.deleting or manifest.FINALIZER not in held.finalizers or held.spec is None:
        return None, None
    gone, again = over(snapshot, senses)
    if not gone:
        return None, again
    return Swap(resource=SERVING_LEASES, body=manifest.let_go(held, held.spec)), None


def policy_of(spec: PairSpec, *, guarded: bool) -> Policy:
    """Return what the user wants, in seconds."""
    times = spec.serving_lease
    return Policy(
        mode=spec.partner_down.mode,
        after=durations.seconds(spec.partner_down.after),
        isolation=spec.isolation,
        fence=spec.fence,
        duration=durations.seconds(times.duration),
        alone=durations.seconds(times.alone_duration),
        promise=durations.seconds(times.promise),
        max_promise=durations.seconds(times.max_promise),
        guarded=guarded,
    )


def lone_survivor(lease: ServingLeaseSpec | None) -> Role | None:
    """Return who serves alone in a pair that has never been one."""
    if lease is None or lease.established or lease.phase is not Phase.ALONE or not lease.survivor:
        return None
    return Role(lease.survivor)


def _view(  # each argument is one source of the view
    snapshot: Snapshot, spec: PairSpec, lease: ServingLeaseSpec, said: Words, senses: Senses, now: float
) -> View:
    peers = {Role.PRIMARY: spec.primary, Role.SECONDARY: spec.secondary}
    grants = {Role.PRIMARY: lease.servers.primary.grant, Role.SECONDARY: lease.servers.secondary.grant}
    nodes = {role: snapshot.nodes.get(grants[role].node) for role in Role}
    sights = {
        role: replace(
            _seen(role, senses),
            tainted=(node := nodes[role]) is not None and node.tainted,
            confirmed=role in said.confirmed,
            maintenance=peers[role].maintenance,
            adopt=role in said.adopted,
            discard=role in said.discarded,
        )
        for role in Role
    }
    policy = policy_of(spec, guarded=senses.guarded)
    rolled = senses.memory.rolled_back(senses.monotonic)
    return View(lease=lease, sights=sights, policy=policy, now=now, rolled_back=rolled, give_up=said.give_up)


def _seen(role: Role, senses: Senses) -> Sight:
    memory, now = senses.memory, senses.monotonic
    return Sight(
        age=memory.age(role, now),
        silent=memory.silent(role, now),
        gone=memory.gone(role, now),
        waiting=memory.waiting(role, now),
    )


def _bounded(lease: ServingLeaseSpec, limits: Limits | None, time: Clocks) -> ServingLeaseSpec:
    """Return the lease with the bounds that go with the configurations: raised before one is published."""
    if limits is None or not limits.published:
        return lease
    settled = limits.settled
    return replace(
        lease,
        max_lease=dates.bound(lease.max_lease, limits.max_lease, time, settled=settled),
        mclt=dates.bound(lease.mclt, limits.mclt, time, settled=settled),
    )


def _again(view: View, verdict: Verdict, time: Clocks) -> float | None:
    """Return when to look again: when time changes the verdict, a report is too old, or a bound may be lowered."""
    waits = [] if verdict.retry is None else [verdict.retry]
    waits += [left for role in Role if (left := view.fresh_for(role)) > 0]
    bounds = (view.lease.max_lease, view.lease.mclt)
    waits += [max(1.0, dates.seconds(each.until) - time.earliest) for each in bounds if each.until]
    soonest = min(waits, default=inf)
    return None if soonest == inf else max(_SOON, soonest)


def _meta_stays(body: Json, held: Lease) -> bool:
    metadata = body["metadata"]
    owners = frozenset(each["uid"] for each in metadata.get("ownerReferences", ()))
    return (
        metadata["labels"] == held.meta.labels
        and owners == held.meta.owners
        and tuple(metadata["finalizers"]) == held.finalizers
    )


def _said(reason: str, message: str) -> Verdict:
    return Verdict(action=Action.NOTHING, reason=reason, message=message)


def at_rest(lease: Lease, before: Lease | None, senses: Senses) -> bool:
    """Tell whether a serving lease differs from before in nothing but renewals, in time, of a pair that is normal.

    Most of what is ever written to it is that, and it needs no look. ``senses`` are those before it came.
    """
    if (
        before is None
        or lease.spec is None
        or before.spec is None
        or lease.meta
        != replace(before.meta, resource_version=lease.meta.resource_version, generation=lease.meta.generation)
    ):
        return False
    quiet, old = _quiet(lease.spec), _quiet(before.spec)
    if quiet is None or quiet != old:
        return False
    sights = {role: _seen(role, senses) for role in Role}
    view = View(lease=before.spec, sights=sights, policy=Policy(), now=0.0)
    return not any(view.late(role) for role in Role)


def _quiet(lease: ServingLeaseSpec) -> ServingLeaseSpec | None:
    """Return a lease without what each renewal changes; None unless both servers are normal and it is nobody's turn."""
    if lease.phase is not Phase.BOTH or lease.order is not UNSET:
        return None
    entries = {}
    for role in Role:
        each = lease.servers.primary if role is Role.PRIMARY else lease.servers.secondary
        if each.own.asks is not UNSET or each.own.report.state != FailoverState.NORMAL:
            return None
        report = replace(each.own.report, promise_seconds=0, interrupted_millis=0)
        lineage = replace(each.own.lineage, counter=0, newest=0, address="", confirmed="")
        entries[str(role)] = replace(each, own=replace(each.own, renewal=0, report=report, lineage=lineage))
    return replace(lease, servers=replace(lease.servers, **entries))
