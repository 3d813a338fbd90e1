"""One pair's case: what a plan is made from, and what comes of it."""

import os
from collections.abc import Callable, Mapping

from msgspec import Struct

from twinlease.api.pair import PairSpec
from twinlease.controller import serverspec
from twinlease.controller.acceptance import Acceptance
from twinlease.controller.manifests.common import Owner
from twinlease.controller.network import is_lone, only
from twinlease.controller.serving import Senses, Serving
from twinlease.controller.snapshot import Snapshot
from twinlease.controller.steps import Step
from twinlease.decide.ledger import Served
from twinlease.decide.placement import Placement
from twinlease.model import durations
from twinlease.model.decision import Decision
from twinlease.model.service import Service
from twinlease.model.states import Role

Render = Callable[[Service, Role], str]


class Environment(Struct, frozen=True, kw_only=True):
    """What plans depend on besides the snapshot.

    Attributes:
        image: The operator's own.
        render: Returns a server's configuration.
        now: Wall clock, seconds since the epoch.
        senses: What was seen and heard besides the objects.
        random_bytes: Source of keys.
    """

    image: str
    render: Render
    now: float
    senses: Senses = Senses()
    random_bytes: Callable[[int], bytes] = os.urandom


class Facts(Struct, frozen=True, kw_only=True):
    """What was found out on the way, for the status.

    Attributes:
        decision: What goes on, and why.
        targets: Revision that each server should run; empty until both have reported their addresses.
        served: What the targets were rendered from.
        serving: Who may serve, and why.
        only: The server that alone of the two has shown up; None: neither or both have.
    """

    decision: Decision
    serving: Serving
    targets: Mapping[Role, str] = {}
    served: Served | None = None
    only: Role | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """Steps to carry out in order; ``again`` is when to look again even if nothing happens (seconds)."""

    steps: tuple[Step, ...]
    facts: Facts
    again: float | None = None


class Case(Struct, frozen=True, kw_only=True):
    """All that the parts of a plan need."""

    snapshot: Snapshot
    owner: Owner
    spec: PairSpec
    accepted: Acceptance
    environment: Environment
    placements: Mapping[Role, Placement]


def lone(case: Case) -> Role | None:
    """Return who has waited for its partner to show up for long enough to be served alone."""
    there = only(case.snapshot.servers)
    lease = None if case.snapshot.lease is None else case.snapshot.lease.spec
    if there is None or case.accepted.established or lease is None or lease.established:
        return None
    if lease.survivor == there:
        return there
    told = any(is_lone(serverspec.link_of(server)) for server in case.snapshot.servers.values())
    return there if told or _left(case, there) <= 0 else None


def _left(case: Case, role: Role) -> float:
    senses = case.environment.senses
    waited = senses.memory.waiting(role, senses.monotonic)
    return durations.seconds(case.spec.partner_down.after) - waited


def lone_wait(case: Case) -> float | None:
    """Return in how many seconds the only server that has shown up may be served alone."""
    there = only(case.snapshot.servers)
    if there is None or case.accepted.established:
        return None
    left = _left(case, there)
    return left if left > 0 else None
