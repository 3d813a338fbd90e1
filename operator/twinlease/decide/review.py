"""All objects at once, judged as the operator would if they were applied in this order to an empty cluster."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET, Struct

from twinlease.api.pair import PairSpec
from twinlease.api.pool import PoolSpec
from twinlease.api.reservation import ReservationSpec
from twinlease.decide.acceptance import Objects, State, Verdict, accept
from twinlease.model import structure
from twinlease.model.decision import Problem
from twinlease.model.objects import Candidate
from twinlease.model.placed import serving_addresses
from twinlease.model.states import Role
from twinlease.model.structure import Json
from twinlease.model.territory import Foreign, Surroundings
from twinlease.model.validate import peer, pool_problems, reservation_problems

PAIR, POOL, RESERVATION = "DHCPFailoverPair", "DHCPPool", "DHCPReservation"


class Finding(Struct, frozen=True, kw_only=True, order=True):
    """One thing that is wrong with one object."""

    kind: str
    name: str
    problem: Problem

    def __str__(self) -> str:
        """Return the line that commands show."""
        return f"{self.kind}/{self.name}: {self.problem}"


class Reviewed(Struct, frozen=True, kw_only=True):
    """The verdict.

    Attributes:
        findings: In the order of the objects.
        unjudged: Pairs that objects name and that are not among them: nothing can be said of how these fit together.
        states: What would count, by namespace and name of the pair.
    """

    findings: tuple[Finding, ...]
    unjudged: tuple[str, ...]
    states: dict[tuple[str, str], State]


class _Object(Struct, frozen=True, kw_only=True):
    kind: str
    namespace: str
    place: int
    candidate: Candidate[Any]
    pair: str
    faults: tuple[Problem, ...]


def review(manifests: Sequence[Json]) -> Reviewed:
    """Judge manifests of pairs, pools and reservations; the caller leaves others out."""
    objects = [_read(place, manifest) for place, manifest in enumerate(manifests)]
    faults = {each.place: list(each.faults) for each in objects}
    _add_doubles(objects, faults)
    _add_shared_nodes([each for each in objects if each.kind == PAIR], faults)
    states: dict[tuple[str, str], State] = {}
    pairs = [each for each in objects if each.kind == PAIR]
    for pair in pairs:
        key = (pair.namespace, pair.candidate.name)
        verdict = _judge(pair, objects, states)
        states.setdefault(key, verdict.state)
        for each in objects:
            if each is pair or (each.kind != PAIR and (each.namespace, each.pair) == key):
                faults[each.place].extend(_of(each, verdict))
    unjudged = _add_homeless(objects, {(each.namespace, each.candidate.name) for each in pairs}, faults)
    findings = [
        Finding(kind=each.kind, name=each.candidate.name, problem=problem)
        for each in objects
        for problem in dict.fromkeys(faults[each.place])
    ]
    return Reviewed(findings=_without_repeats(findings), unjudged=unjudged, states=states)


def _without_repeats(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings, the first for each field and value: schema and validation may say the same in two ways."""
    found: dict[tuple[str, str, str, str], Finding] = {}
    for each in findings:
        found.setdefault((each.kind, each.name, each.problem.path, each.problem.value), each)
    return tuple(found.values())


def _read(place: int, manifest: Json) -> _Object:
    kind = structure.kind_named(str(manifest.get("kind")))
    if kind is None or kind.name not in (PAIR, POOL, RESERVATION):
        raise ValueError(f"{manifest.get('kind')!r} is not for users to write")
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    faults = structure.manifest_problems(manifest, kind)
    if not isinstance(name, str) or not name:
        faults.append(Problem(path="metadata.name", value="", allowed="be set", missing=name is None))
        name = ""
    raw = manifest.get("spec")
    spec = structure.read(kind.spec, raw)
    reference = raw.get("pairRef") if isinstance(raw, dict) else None
    return _Object(
        kind=kind.name,
        namespace=str(metadata.get("namespace") or "") if isinstance(metadata, dict) else "",
        place=place,
        candidate=Candidate(
            name=name,
            uid=str(place),
            created=f"{place:09}",
            spec=None if isinstance(spec, tuple) else spec,
            unreadable=spec if isinstance(spec, tuple) else (),
        ),
        pair=str(reference.get("name") or "") if isinstance(reference, dict) else "",
        faults=tuple(faults),
    )


def _add_doubles(objects: Iterable[_Object], faults: dict[int, list[Problem]]) -> None:
    seen = set()
    for each in objects:
        key = (each.kind, each.namespace, each.candidate.name)
        if key in seen:
            allowed = "be given once: there is another object of this kind and name"
            faults[each.place].append(Problem(path="metadata.name", value=each.candidate.name, allowed=allowed))
        seen.add(key)


def _add_shared_nodes(pairs: Iterable[_Object], faults: dict[int, list[Problem]]) -> None:
    taken: dict[str, tuple[int, str]] = {}
    for each in pairs:
        spec = each.candidate.spec
        if not isinstance(spec, PairSpec):
            continue
        for role in Role:
            node = peer(spec, role).node_name
            if node is UNSET:
                continue
            place, holder = taken.setdefault(node, (each.place, f"the {role} of pair {each.candidate.name}"))
            if place != each.place:
                allowed = f"be a node of its own: {holder} runs there, and port 67 is one"
                faults[each.place].append(Problem(path=f"spec.{role}.nodeName", value=node, allowed=allowed))


def _judge(pair: _Object, objects: Iterable[_Object], states: dict[tuple[str, str], State]) -> Verdict:
    mine = [each for each in objects if (each.namespace, each.pair) == (pair.namespace, pair.candidate.name)]
    foreign = tuple(
        Foreign(pair=name, pool=pool, subnet=accepted.spec.subnet)
        for (namespace, name), state in states.items()
        if namespace == pair.namespace
        for pool, accepted in state.pools.items()
    )
    spec = pair.candidate.spec
    servers = {}
    if isinstance(spec, PairSpec) and not pair.faults:
        servers = serving_addresses(spec, {})
    return accept(
        State(),
        Objects(
            pair=pair.candidate,
            pools=tuple(each.candidate for each in mine if each.kind == POOL),
            reservations=tuple(each.candidate for each in mine if each.kind == RESERVATION),
        ),
        Surroundings(servers=servers, foreign=foreign),
    )


def _of(each: _Object, verdict: Verdict) -> Iterable[Problem]:
    if each.kind == PAIR:
        return verdict.pair
    found = verdict.pools if each.kind == POOL else verdict.reservations
    return found.get(each.candidate.name, ())


def _add_homeless(
    objects: Iterable[_Object], pairs: set[tuple[str, str]], faults: dict[int, list[Problem]]
) -> tuple[str, ...]:
    """Judge by itself what names a pair that is not there; that is a fault only if pairs are to be judged at all."""
    unjudged: dict[str, None] = {}
    for each in objects:
        if each.kind == PAIR or not each.pair or (each.namespace, each.pair) in pairs:
            continue
        spec = each.candidate.spec
        if isinstance(spec, PoolSpec):
            faults[each.place].extend(pool_problems(spec))
        elif isinstance(spec, ReservationSpec):
            faults[each.place].extend(reservation_problems(spec))
        if pairs:
            known = ", ".join(sorted(name for namespace, name in pairs if namespace == each.namespace))
            allowed = f"be the name of a DHCPFailoverPair of the same namespace: {known or 'there is none'}"
            faults[each.place].append(Problem(path="spec.pairRef.name", value=each.pair, allowed=allowed))
        else:
            unjudged[each.pair] = None
    return tuple(unjudged)
