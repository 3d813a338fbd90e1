"""What to do for one pair: a snapshot and what of it counts in, steps in the bring-up order out. Pure.

The order is the architecture's: identity and rights, DHCPServers without a configuration, volumes, pods; once both
servers have reported their addresses the configurations, the rights to read them, and only then the order to run them.
"""

from collections.abc import Mapping
from math import inf

from msgspec import UNSET, Struct
from msgspec.structs import replace

from twinlease.api.pair import PairSpec
from twinlease.api.servinglease import Phase
from twinlease.api.storage import ReclaimPolicy
from twinlease.controller import serverspec, serving
from twinlease.controller.acceptance import Acceptance
from twinlease.controller.case import Case, Environment, Facts, Plan, lone_wait
from twinlease.controller.case import lone as lone_server
from twinlease.controller.manifests import access, config, pod
from twinlease.controller.manifests.common import Owner
from twinlease.controller.network import alone, endpoints, is_lone, link, only, seen
from twinlease.controller.objects import ANNOTATION_TEMPLATE, LABEL_SERVER, Pair, Pod, Server
from twinlease.controller.serverspec import Bundle, Place
from twinlease.controller.serving import Limits, Serving
from twinlease.controller.snapshot import Snapshot, wish
from twinlease.controller.steps import Apply, Create, Delete, Once, Step, Swap
from twinlease.decide import ledger, placement, rollout
from twinlease.decide.dates import Clocks
from twinlease.decide.ledger import Ledger, Served
from twinlease.decide.pairview import entry
from twinlease.decide.rollout import ServerView
from twinlease.kube import protocol
from twinlease.model import conditions
from twinlease.model.decision import Decision
from twinlease.model.states import FailoverState, Role
from twinlease.model.validate import peer

_SECRET_RETRY_SECONDS = 20.0
_ENDED = frozenset({"Failed", "Succeeded"})

_INVALID = Decision(
    action=rollout.Action.WAIT, reason="Invalid", message="No specification of this pair has been accepted yet"
)


class _Target(Struct, frozen=True, kw_only=True):
    """What both servers should run; ``lone`` is who runs it without a partner, for that has never shown up."""

    served: Served
    revisions: Mapping[Role, config.Revision]
    link: str
    lone: Role | None = None

    @property
    def names(self) -> dict[Role, str]:
        """Return the two revisions."""
        return {role: each.revision for role, each in self.revisions.items()}


def plan(snapshot: Snapshot, accepted: Acceptance, environment: Environment) -> Plan:
    """Return what to do for a pair."""
    pair, spec = snapshot.pair, accepted.spec
    if pair is None or pair.meta.deleting:
        return _over(snapshot, environment)
    wait = _held_for(accepted, serving.clocks(snapshot, environment.senses, environment.now))
    obstacle = _INVALID if spec is None else _obstacle(snapshot, pair, spec)
    if spec is None or obstacle is not None:
        steps = _recording(_owner(pair), accepted, accepted.ledger)
        decision = (_held_back(accepted) if spec is None else obstacle) or _INVALID
        facts = Facts(decision=decision, serving=serving.idle(snapshot, decision.reason, decision.message))
        return Plan(steps=steps, facts=facts, again=wait)
    wishes = {role: wish(pair, spec, role, snapshot.servers.get(role)) for role in Role}
    case = Case(
        snapshot=snapshot,
        owner=_owner(pair),
        spec=spec,
        accepted=accepted,
        environment=environment,
        placements={role: placement.place(wishes[role], wishes[role.other], snapshot.claims) for role in Role},
    )
    return _plan(case, wait)


def _obstacle(snapshot: Snapshot, pair: Pair, spec: PairSpec) -> Decision | None:
    """Return why nothing may be done to this pair's objects now."""
    reason, message = "", ""
    if spec.paused or (pair.spec is not None and pair.spec.paused):
        reason, message = "Paused", "spec.paused is true: nothing is changed about the servers"
    for held in (*snapshot.servers.values(), *snapshot.pods.values()):
        if pair.meta.uid not in held.meta.owners:
            reason = "WaitingForDeletion"
            message = f"{held.meta.name} belongs to an earlier pair of this name and has not been removed yet"
    for server in snapshot.servers.values():
        if server.spec is None:
            reason, message = "Unreadable", f"DHCPServer {server.meta.name} cannot be read"
    return Decision(action=rollout.Action.WAIT, reason=reason, message=message) if reason else None


def _held_back(accepted: Acceptance) -> Decision | None:
    """Return why no server gets another configuration now, whatever else is done for the pair."""
    reason = message = ""
    if accepted.unreadable:
        reason = "LedgerUnreadable"
        message = f"Servers go on with what they run: {accepted.unreadable}. Restore the ledger, or delete it"
    elif accepted.ledger.lost:
        reason = "LedgerLost"
        message = (
            "The ledger is gone, or an older one is in its place: the servers go on with what they run, addresses "
            "whose owner is not known are held for the longest lease, and nothing is rolled out while an object of "
            "the pair is invalid, for what it said before is forgotten"
        )
    return Decision(action=rollout.Action.WAIT, reason=reason, message=message) if reason else None


def _held_for(accepted: Acceptance, time: Clocks) -> float | None:
    """Return in how many seconds an address becomes free by time alone."""
    end = ledger.wake(accepted.ledger)
    return None if end is None or time.earliest == -inf else max(1.0, end - time.earliest + 1)


def _plan(case: Case, wait: float | None) -> Plan:
    target = _held_back(case.accepted) or _target(case)
    views: dict[Role, ServerView] = {}
    decision, bundles = (target, {}) if isinstance(target, Decision) else (_INVALID, {})
    if not isinstance(target, Decision):
        views = {role: _view(case, role, target.revisions[role].revision) for role in Role}
        decision = _configuration(case, target, views)
        bundles = {role: _bundle(case, role, target) for role in rollout.Action(decision.action).roles}
    seat = _judged(case, target, views, bundles)
    facts = Facts(
        decision=decision,
        serving=seat,
        targets={} if isinstance(target, Decision) else target.names,
        served=None if isinstance(target, Decision) else target.served,
        only=only(case.snapshot.servers),
    )
    first = () if seat.step is None else (seat.step,)
    if seat.exclusive:
        return Plan(steps=first, facts=facts, again=wait)
    wanted = case.accepted.ledger
    # What all are told already is published too: after the loss of a ledger that is how it is known again.
    ordered = bundles or all(view.wanted == view.target for view in views.values())
    if ordered and not isinstance(target, Decision) and wanted.revisions != target.names:
        wanted = ledger.publish(wanted, target.served.service, target.names)
    pods = [_pod(case, role) for role in Role]
    if views and decision.action == rollout.Action.NOTHING and not seat.held:
        decision, replaced = _replacements(case, views, decision)
        pods.append(replaced)
    if decision.action == rollout.Action.NOTHING and any(_moved(case, role) for role in Role):
        decision = rollout.LINK_CHANGED
    steps = [
        *_recording(case.owner, case.accepted, wanted),
        *first,
        *_identities(case, bundles),
        *_chunks(case, bundles, target),
        *_servers(case, bundles, wanted.count, seat.restart),
        *_volumes(case),
        *(step for group in pods for step in group),
        *_unused(case, bundles),
    ]
    waits = [wait, seat.again, lone_wait(case), _SECRET_RETRY_SECONDS if _starting(case.snapshot) else None]
    again = min((each for each in waits if each is not None), default=None)
    return Plan(steps=tuple(steps), facts=replace(facts, decision=decision), again=again)


def _configuration(case: Case, target: _Target, views: Mapping[Role, ServerView]) -> Decision:
    """Return who is told to run the target now, as far as the serving lease lets anybody be changed."""
    lease = None if case.snapshot.lease is None else case.snapshot.lease.spec
    links = [serverspec.link_of(server) for server in case.snapshot.servers.values()]
    decision = rollout.configuration(
        views,
        established=case.accepted.established,
        link_changed=any(each not in ("", target.link) and not is_lone(each) for each in links),
    )
    one = target.lone or serving.lone_survivor(lease)
    if one is not None:
        first = rollout.alone(views, one, partner_is_there=target.lone is None)
        if first is not None:
            return first
    if lease is not None and (lease.phase is not Phase.BOTH or lease.order is not UNSET):
        return rollout.held(views, decision, str(lease.phase))
    return decision


def _judged(
    case: Case, target: _Target | Decision, views: Mapping[Role, ServerView], bundles: Mapping[Role, Bundle]
) -> Serving:
    pair = case.snapshot.pair
    assert pair is not None  # noqa: S101  # judged by the caller
    limits = None
    if not isinstance(target, Decision):
        service = target.served.service
        limits = Limits(
            max_lease=max((pool.maximum_lease for pool in service.pools), default=0),
            mclt=service.failover.mclt,
            published=bool(bundles) or any(view.wanted == view.target for view in views.values()),
            settled=all(view.fresh and view.running == view.wanted == view.target for view in views.values()),
        )
    return serving.look(
        case.snapshot,
        pair,
        case.spec,
        case.environment.senses,
        limits,
        established=case.accepted.established,
        now=case.environment.now,
    )


def _over(snapshot: Snapshot, environment: Environment) -> Plan:
    """Return what to do once the pair is gone: its serving lease, if it is to go, goes when nobody can serve."""
    message = "The pair is being deleted"
    decision = Decision(action=rollout.Action.WAIT, reason="Deleting", message=message)
    facts = Facts(decision=decision, serving=serving.idle(snapshot, "Deleting", message))
    step, again = serving.ended(snapshot, environment.senses)
    return Plan(steps=() if step is None else (step,), facts=facts, again=again)


def _recording(owner: Owner, accepted: Acceptance, wanted: Ledger) -> tuple[Step, ...]:
    body = accepted.to_store(owner, wanted)
    return () if body is None else (Swap(resource=protocol.CONFIG_MAPS, body=body),)


def _owner(pair: Pair) -> Owner:
    return Owner(namespace=pair.meta.namespace, name=pair.meta.name, uid=pair.meta.uid)


def _starting(snapshot: Snapshot) -> bool:
    pods = snapshot.pods
    return any(role not in pods or pods[role].phase == "Pending" for role in Role)


def _target(case: Case) -> _Target | Decision:
    """Return what both servers should run, or why that cannot be told yet."""
    found = endpoints(case.spec, case.snapshot.servers)
    lone = lone_server(case)
    if isinstance(found, Decision):
        if lone is None:
            return found
        found = alone(case.spec, case.owner.name, case.snapshot.servers, lone)
    served = case.accepted.served(case.owner.name, found)
    if served is None:
        return Decision(action=rollout.Action.WAIT, reason="Invalid", message="Nothing has been accepted yet")
    texts = {role: case.environment.render(served.service, role) for role in Role}
    return _Target(
        served=served,
        revisions={role: config.revision(text) for role, text in texts.items()},
        link=link(found),
        lone=lone,
    )


def _view(case: Case, role: Role, target: str) -> ServerView:
    server, found = case.snapshot.servers[role], case.snapshot.pods.get(role)
    local, partner = case.snapshot.state(role)
    template = pod.template_hash(case.owner, case.spec, role, case.environment.image)
    return ServerView(
        wanted=serverspec.told(server),
        target=target,
        running=server.status.config.revision,
        rejected=server.status.config.rejected,
        complaint=server.status.config.message,
        state=local,
        partner_state=partner,
        fresh=case.snapshot.runs(role),
        unheard=found is not None and found.phase == "Running" and not _heard(server, found),
        pod_current=found is None or found.meta.annotations.get(ANNOTATION_TEMPLATE) == template,
        pod_started=found is None or found.phase != "Pending",
    )


def _heard(server: Server, found: Pod) -> bool:
    """Tell whether a server's sidecar has told what runs in its pod."""
    running = conditions.get(server.status.conditions, "Running")
    asked = running is None or running.reason != "GuardUnreachable"
    return asked and server.status.pod_uid == found.meta.uid


def _bundle(case: Case, role: Role, target: _Target) -> Bundle:
    return serverspec.bundle(
        target.served.service,
        target.revisions[role].revision,
        target.revisions[role].names(case.owner.server(role)),
        target.link,
    )


def _identities(case: Case, bundles: Mapping[Role, Bundle]) -> list[Step]:
    """Return the steps for key, accounts and rights; a server may read what it runs, should run and will run."""
    owner = case.owner
    # The operator may create Secrets but not read them, so it cannot see whether this one is there: each leader tries
    # once, and again from time to time while a pod cannot start, which is what a missing Secret looks like.
    period = int(case.environment.now // _SECRET_RETRY_SECONDS) if _starting(case.snapshot) else "running"
    key = access.secret(owner, case.environment.random_bytes)
    steps: list[Step] = [Once(resource=protocol.SECRETS, body=key, token=f"{owner.uid}/{period}")]
    for role in Role:
        readable = set(_config_maps_of(case, role))
        server = case.snapshot.servers.get(role)
        wanted = None if server is None else serverspec.bundle_of(server)
        for each in (wanted, bundles.get(role)):
            readable |= set() if each is None else set(each.config.config_maps)
        steps += [
            Apply(resource=protocol.SERVICE_ACCOUNTS, body=access.service_account(owner, role)),
            Apply(resource=protocol.ROLES, body=access.access_role(owner, role, readable)),
            Apply(resource=protocol.ROLE_BINDINGS, body=access.role_binding(owner, role)),
        ]
    return steps


def _chunks(case: Case, bundles: Mapping[Role, Bundle], target: _Target | Decision) -> list[Step]:
    """Return the ConfigMaps of what is ordered now, and of what was: somebody may have deleted them since."""
    if isinstance(target, Decision):
        return []
    servers, names = case.snapshot.servers, target.names
    ordered = [role for role in Role if role in bundles or serverspec.told(servers[role]) == names[role]]
    bodies = [body for role in ordered for body in config.config_maps(case.owner, role, target.revisions[role])]
    return [Create(resource=protocol.CONFIG_MAPS, body=body) for body in bodies]


def _servers(case: Case, bundles: Mapping[Role, Bundle], published: int, restart: Role | None) -> list[Step]:
    # While the ledger is not to be relied upon, those that there are stay as they are.
    roles = [role for role in Role if role not in case.snapshot.servers or _held_back(case.accepted) is None]
    return [_server(case, role, bundles.get(role), published, stopped=role is restart) for role in roles]


def _server(case: Case, role: Role, new: Bundle | None, published: int, *, stopped: bool) -> Step:
    server, found = case.snapshot.servers.get(role), case.snapshot.pods.get(role)
    old = None if server is None else serverspec.bundle_of(server)
    node = case.placements[role].node or (found.node if found is not None else "")
    body = serverspec.body(
        case.owner,
        serverspec.Wanted(
            spec=case.spec,
            role=role,
            place=_place(case, role),
            node=node,
            subnets=case.accepted.subnets,
            bundle=new or old,
            established=case.accepted.established,
            published=published,
            reported=_reported(case),
            maintenance=stopped or _stopped(case, role, new),
        ),
    )
    # Over one that the cache does not know, applying would take its configuration away.
    return Apply(resource=protocol.SERVERS, body=body, new=server is None)


def _reported(case: Case) -> dict[Role, str]:
    """Return the addresses of the failover link as far as the servers have reported them."""
    found = {}
    for role, report in seen(case.snapshot.servers).items():
        if report.network is not None and report.network.address:
            found[role] = report.network.failover_address or report.network.address.partition("/")[0]
    return found


def _stopped(case: Case, role: Role, new: Bundle | None) -> bool:
    """Tell whether a server is to be stopped: the user wants it, or it has served alone and now has a partner to know.

    A server in partner-down cannot be changed while it runs. It gives its grant back, and gets it again for the new
    configuration at once.
    """
    lease = None if case.snapshot.lease is None else case.snapshot.lease.spec
    server = case.snapshot.servers.get(role)
    if peer(case.spec, role).maintenance:
        return True
    if server is None or lease is None or serving.lone_survivor(lease) is not role or new is not None:
        return False
    own, holder = entry(lease, role).own, entry(lease, role).grant.holder
    runs = bool(holder) and own.incarnation == holder and own.asks is UNSET
    told = serverspec.told(server)
    return (
        runs and own.report.state == FailoverState.PARTNER_DOWN and bool(told) and own.report.config not in ("", told)
    )


def _place(case: Case, role: Role) -> Place:
    server = case.snapshot.servers.get(role)
    return serverspec.place(peer(case.spec, role), server, established=case.accepted.established)


def _moved(case: Case, role: Role) -> bool:
    return serverspec.moved(peer(case.spec, role), _place(case, role))


def _volumes(case: Case) -> list[Step]:
    owned = case.spec.storage.reclaim_policy is ReclaimPolicy.DELETE
    claims = [pod.volume_claim(case.owner, case.spec, role, owned=owned) for role in Role]
    return [Apply(resource=protocol.CLAIMS, body=claim) for claim in claims if claim is not None]


def _pod(case: Case, role: Role) -> list[Step]:
    found, placed = case.snapshot.pods.get(role), case.placements[role]
    if found is None:
        if placed.problem is not None:
            return []
        body = pod.pod(case.owner, case.spec, role, placed, case.environment.image)
        return [Create(resource=protocol.PODS, body=body)]
    if found.phase in _ENDED and not found.meta.deleting:
        return [_delete_pod(case, role)]
    return []


def _replacements(case: Case, views: Mapping[Role, ServerView], settled: Decision) -> tuple[Decision, list[Step]]:
    decision = rollout.template(views)
    if decision.action == rollout.Action.NOTHING:
        return settled, []
    return decision, [_delete_pod(case, role) for role in rollout.Action(decision.action).roles]


def _delete_pod(case: Case, role: Role) -> Step:
    found = case.snapshot.pods[role].meta
    return Delete(resource=protocol.PODS, namespace=found.namespace, name=found.name, uid=found.uid)


def _config_maps_of(case: Case, role: Role, *, running: bool = True) -> list[str]:
    """Return the ConfigMaps of the revision that a server runs, or (``running`` false) of all others."""
    server = case.snapshot.servers.get(role)
    runs = "" if server is None else config.short(server.status.config.revision)
    mine = [
        each.meta for each in case.snapshot.config_maps if each.meta.labels.get(LABEL_SERVER) == case.owner.server(role)
    ]
    return [each.name for each in mine if (each.labels.get(config.LABEL_REVISION) == runs) is running]


def _unused(case: Case, bundles: Mapping[Role, Bundle]) -> list[Step]:
    """Return the removal of configurations that a server neither runs nor is told to run."""
    steps: list[Step] = []
    uids = {each.meta.name: each.meta for each in case.snapshot.config_maps}
    for role, server in case.snapshot.servers.items():
        wanted = bundles.get(role) or serverspec.bundle_of(server)
        if wanted is None or server.status.config.revision != wanted.config.revision:
            continue
        for name in _config_maps_of(case, role, running=False):
            found = uids[name]
            steps.append(Delete(resource=protocol.CONFIG_MAPS, namespace=found.namespace, name=name, uid=found.uid))
    return steps
