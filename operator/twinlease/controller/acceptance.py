"""The seam to validation and ledger: what of the users' objects counts."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from twinlease.api.pair import PairSpec
from twinlease.controller.snapshot import Snapshot
from twinlease.kube.protocol import POOLS, RESERVATIONS, Json
from twinlease.model.build import build
from twinlease.model.decision import Problem
from twinlease.model.service import Endpoint, Service
from twinlease.model.states import Role

ObjectKey = tuple[str, str]
"""Kind and name of one of the pair's objects."""


class Acceptance(Struct, frozen=True, kw_only=True):
    """What of the users' objects counts.

    Attributes:
        spec: The pair's last accepted spec; None: there never was one.
        problems: Of each refused object, why.
        current: Objects that count with what they say now.
        kept: Objects that count with what they said before.
        subnets: Of all accepted pools, in CIDR notation.
        service: Makes the service from both endpoints as their sidecars found them.
        ledger: Body of the ledger's ConfigMap if it must be written before anything that follows from it.
        wait: Seconds until time alone may change the verdict; None: never.
    """

    spec: PairSpec | None
    problems: Mapping[ObjectKey, tuple[Problem, ...]]
    current: frozenset[ObjectKey]
    kept: frozenset[ObjectKey]
    subnets: tuple[str, ...]
    service: Callable[[Mapping[Role, Endpoint]], Service | tuple[Problem, ...]]
    ledger: Json | None = None
    wait: float | None = None


def judge(found: Snapshot, now: float) -> Acceptance:
    """Return what of the users' objects counts.

    Args:
        found: What is known of the pair.
        now: Wall clock, seconds since the epoch.
    """
    del now
    pools = {each.meta.name: each.spec for each in found.pools if each.spec is not None}
    reservations = {each.meta.name: each.spec for each in found.reservations if each.spec is not None}
    spec = None if found.pair is None else found.pair.spec
    current = {(POOLS.kind, name) for name in pools} | {(RESERVATIONS.kind, name) for name in reservations}

    def service(endpoints: Mapping[Role, Endpoint]) -> Service:
        assert spec is not None  # noqa: S101
        return build(found.name, spec, pools, reservations, endpoints)

    return Acceptance(
        spec=spec,
        problems={},
        current=frozenset(current),
        kept=frozenset(),
        subnets=tuple(sorted(each.subnet for each in pools.values())),
        service=service,
    )
