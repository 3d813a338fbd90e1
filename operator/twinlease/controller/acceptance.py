"""From a snapshot to what counts of it: validation and ledger, wired to the objects of the cache."""

import base64
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.pair import PairSpec
from twinlease.api.storage import ReclaimPolicy
from twinlease.api.types import Model
from twinlease.controller import serverspec
from twinlease.controller.manifests.common import Owner, metadata
from twinlease.controller.network import seen
from twinlease.controller.objects import Custom, Pool, Raw
from twinlease.controller.remains import remains
from twinlease.controller.serverspec import told
from twinlease.controller.snapshot import Snapshot, wish
from twinlease.decide import acceptance, ledger, placement
from twinlease.decide.dates import Clocks
from twinlease.decide.ledger import Ledger, LedgerError, Served
from twinlease.kube.protocol import PAIRS, POOLS, RESERVATIONS, Json
from twinlease.model import conditions, placed
from twinlease.model.decision import Problem
from twinlease.model.objects import Candidate
from twinlease.model.service import Endpoint
from twinlease.model.states import Role
from twinlease.model.territory import Foreign, Surroundings

ObjectKey = tuple[str, str]
"""Kind and name of one of the pair's objects."""

_KEY = "ledger"
S = TypeVar("S", bound=Model)


class Acceptance(Struct, frozen=True, kw_only=True):
    """What of the users' objects counts.

    Attributes:
        stored: The ledger as it is stored; None: there is none yet.
        ledger: As it should be, before anything new is published.
        problems: Of each refused object, why.
        unreadable: Why the stored ledger cannot be read; nothing may be changed then.
        version: Resource version of the stored ledger.
        owners: UIDs of its owners.
        established: The pair has served together, now or ever.
    """

    stored: Ledger | None = None
    ledger: Ledger = Ledger()
    problems: Mapping[ObjectKey, tuple[Problem, ...]] = {}
    unreadable: str = ""
    version: str = ""
    owners: frozenset[str] = frozenset()
    established: bool = False

    @property
    def spec(self) -> PairSpec | None:
        """The pair's last accepted spec; None: there never was one."""
        return None if self.ledger.accepted.pair is None else self.ledger.accepted.pair.spec

    @property
    def subnets(self) -> tuple[str, ...]:
        """Of all accepted pools, in CIDR notation."""
        return tuple(sorted({each.spec.subnet for each in self.ledger.accepted.pools.values()}))

    def served(self, pair: str, endpoints: Mapping[Role, Endpoint]) -> Served | None:
        """Return what a configuration may hold now."""
        return ledger.serve(self.ledger, pair, endpoints)

    def counts(self, resource_kind: str, name: str, generation: int | None = None) -> bool:
        """Tell whether an object counts; with ``generation``, whether that very generation does."""
        state = self.ledger.accepted
        found: acceptance.Accepted[Any] | None = state.pair
        if resource_kind == POOLS.kind:
            found = state.pools.get(name)
        elif resource_kind == RESERVATIONS.kind:
            found = state.reservations.get(name)
        return found is not None and generation in (None, found.generation)

    def to_store(self, owner: Owner, wanted: Ledger) -> Json | None:
        """Return the ConfigMap to write so that a ledger is stored; None if it is."""
        owned = self._goes_with_the_pair(wanted)
        as_it_is = wanted == self.stored and self.owners == (frozenset({owner.uid}) if owned else frozenset())
        if as_it_is or self.unreadable:
            return None
        body = metadata(owner, owner.ledger, owned=owned)
        if self.version:
            body["resourceVersion"] = self.version
        return {"metadata": body, "binaryData": {_KEY: base64.b64encode(ledger.encode(wanted)).decode()}}

    def _goes_with_the_pair(self, wanted: Ledger) -> bool:
        """Tell whether a ledger is deleted with the pair: as the leases are, or if it knows of none."""
        deleted = self.spec is not None and self.spec.storage.reclaim_policy is ReclaimPolicy.DELETE
        return deleted or not wanted.exposures


def judge(found: Snapshot, clocks: Clocks) -> Acceptance:
    """Return what of the users' objects counts.

    Args:
        found: What is known of the pair.
        clocks: What time it is.
    """
    pair = found.pair
    if pair is None:
        return Acceptance()
    owner = Owner(namespace=pair.meta.namespace, name=pair.meta.name, uid=pair.meta.uid)
    held = found.ledger(owner)
    stored, unreadable = _read(held)
    observed = ledger.observe(stored or Ledger(), _running(found), clocks.earliest, clocks.latest)
    if _refused(found, observed):
        observed = ledger.withdraw(observed)
    verdict = acceptance.accept(observed.accepted, _objects(found, pair), _surroundings(found, pair.spec))
    problems = {
        (PAIRS.kind, pair.meta.name): verdict.pair,
        **{(POOLS.kind, name): each for name, each in verdict.pools.items()},
        **{(RESERVATIONS.kind, name): each for name, each in verdict.reservations.items()},
    }
    problems = {key: each for key, each in problems.items() if each}
    if not unreadable and _is_lost(found, stored):
        observed = ledger.recover(observed, remains(found, verdict.state))
    elif not problems:
        observed = replace(observed, lost=False)
    identity = _candidate(pair).identity
    established = serverspec.established(found) or observed.established == identity
    return Acceptance(
        stored=stored,
        ledger=replace(observed, accepted=verdict.state, established=identity if established else ""),
        problems=problems,
        unreadable=unreadable,
        version="" if held is None else held.meta.resource_version,
        owners=frozenset() if held is None else held.meta.owners,
        established=established,
    )


def _read(held: Raw | None) -> tuple[Ledger | None, str]:
    """Return the stored ledger, if there is one, and why it cannot be read."""
    if held is None:
        return None, ""
    try:
        return ledger.decode(base64.b64decode(held.body.get("binaryData", {}).get(_KEY, ""))), ""
    except (LedgerError, ValueError) as error:
        return None, str(error)


def _is_lost(found: Snapshot, stored: Ledger | None) -> bool:
    """Tell whether the ledger that the servers' configurations follow from is not the one that is stored."""
    servers = found.own_servers().values()
    if stored is None:
        return any(told(server) or server.status.config.revision for server in servers)
    return any(serverspec.published(server) > stored.count for server in servers)


def _running(found: Snapshot) -> dict[Role, str]:
    """Return what each server runs, of those that have reported for what they are told now, and run just that.

    A server that is told another revision than it runs may start that at any time: it confirms nothing.
    """
    return {
        role: server.status.config.revision
        for role, server in found.servers.items()
        if server.status.observed_generation == server.meta.generation and server.status.config.revision == told(server)
    }


def _refused(found: Snapshot, published: Ledger) -> bool:
    """Tell whether a server refused what was published last and the other was never told to run it."""
    refused = False
    for role, server in found.servers.items():
        revision = published.revisions.get(role, "")
        is_told = bool(revision) and told(server) == revision
        if server.status.config.revision == revision or (is_told and server.status.config.rejected != revision):
            return False
        refused |= is_told
    return refused


def _objects(found: Snapshot, pair: Custom[PairSpec, Any]) -> acceptance.Objects:
    against: list[Problem] = []
    if pair.spec is not None:
        wishes = {role: wish(pair, pair.spec, role, found.servers.get(role)) for role in Role}
        places = [placement.place(wishes[role], wishes[role.other], found.claims) for role in Role]
        against += [place.problem for place in places if place.problem is not None]
        fresh = {role: each for role, each in found.servers.items() if found.fresh(role)}
        against += placed.problems(pair.spec, seen(fresh))
    return acceptance.Objects(
        pair=_candidate(pair),
        pair_problems=tuple(against),
        pools=tuple(map(_candidate, found.pools)),
        reservations=tuple(map(_candidate, found.reservations)),
    )


def _candidate(held: Custom[S, Any]) -> Candidate[S]:
    found = held.meta
    return Candidate(
        name=found.name,
        uid=found.uid,
        generation=found.generation,
        created=found.created,
        spec=held.spec,
        unreadable=held.problems,
    )


def _surroundings(found: Snapshot, spec: PairSpec | None) -> Surroundings:
    if spec is None:
        return Surroundings()
    ours = [each for each in found.pools if _accepted(each)]
    foreign = tuple(
        Foreign(pair=each.pair, pool=each.meta.name, subnet=each.spec.subnet)
        for each in found.foreign
        if each.spec is not None and _accepted(each) and not any(_older(mine, each) for mine in ours)
    )
    return Surroundings(servers=placed.serving_addresses(spec, seen(found.servers)), foreign=foreign)


def _accepted(pool: Pool) -> bool:
    return conditions.holds(pool.status.conditions, "Valid")


def _older(mine: Pool, theirs: Pool) -> bool:
    """Tell whether two pools of two pairs claim the same subnet and ours was there first."""
    if mine.spec is None or theirs.spec is None:
        return False
    if not IPv4Network(mine.spec.subnet).overlaps(IPv4Network(theirs.spec.subnet)):
        return False
    return (mine.meta.created, mine.pair, mine.meta.name) < (theirs.meta.created, theirs.pair, theirs.meta.name)
