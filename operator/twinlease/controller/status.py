"""What the operator says of a pair, its pools and its reservations: from what the sidecars report, never from hope.

All types of condition are there from first sight; those that nobody can know yet are Unknown.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from twinlease import __version__
from twinlease.api.pairstatus import HistoryEntry, PairServer, PairStatus
from twinlease.api.pool import PoolStatus
from twinlease.api.reservation import ReservationStatus
from twinlease.api.server import PoolUsage
from twinlease.api.types import Condition
from twinlease.controller import agreement, history, takeover
from twinlease.controller.acceptance import Acceptance
from twinlease.controller.case import Facts
from twinlease.controller.objects import Custom, Pair, Pool, Reservation
from twinlease.controller.snapshot import Snapshot
from twinlease.decide.ledger import Waiting
from twinlease.decide.rollout import Action
from twinlease.kube.protocol import PAIRS, POOLS, RESERVATIONS, Resource
from twinlease.model import conditions
from twinlease.model.conditions import FALSE, TRUE, UNKNOWN, Verdict
from twinlease.model.decision import Problem
from twinlease.model.service import Pool as ServedPool
from twinlease.model.states import FailoverState, Role

VALID, AVAILABLE, REDUNDANT, PROGRESSING = conditions.PAIR[:4]
_, PROGRAMMED = conditions.POOL

COMING_UP = "ComingUp"
"""Reason of what is not so yet because the pair has never been in service."""

_STOPPED = frozenset({"Rejected", "LinkChanged", "Invalid", "Paused", "LedgerUnreadable", "LedgerLost"})
_MAX_MESSAGE = 2000


class Reporter:
    """Says what is so of one pair at one moment.

    Args:
        snapshot: What is known.
        accepted: What of the users' objects counts.
        facts: What planning found out.
        failure: What the API refused just now; empty: nothing.
        now: RFC 3339.
    """

    def __init__(self, snapshot: Snapshot, accepted: Acceptance, facts: Facts, failure: str, now: str) -> None:
        self._snapshot = snapshot
        self._accepted = accepted
        self._facts = facts
        self._failure = failure
        self._now = now
        self._usage = self._pool_usage()

    def pair(self, pair: Pair) -> PairStatus:
        """Return the pair's status."""
        verdicts = [self._valid(PAIRS, pair), self._available(), self._redundant(), self._progressing()]
        service = takeover.told(self._snapshot, self._facts.serving, pair.status.takeover, self._now)
        verdicts += [service.partner_down, service.kernel_fence, service.lease_database]
        view = self._facts.serving.view
        offset = agreement.measured(self._snapshot, view)
        verdicts.append(agreement.told(self._snapshot.name, view, offset))
        states = {role: self._snapshot.state(role)[0] for role in Role}
        primary, secondary = states[Role.PRIMARY], states[Role.SECONDARY]
        targets = self._facts.targets
        digest = hashlib.sha256("".join(targets[role] for role in Role).encode()).hexdigest() if targets else ""
        usage = self._usage.values()
        stands = HistoryEntry(
            time=self._now,
            primary=str(primary),
            secondary=str(secondary),
            phase=service.phase,
            survivor=service.survivor,
            reason=service.takeover.reason,
        )
        return PairStatus(
            observed_generation=pair.meta.generation,
            state=str(primary) if primary == secondary else f"{primary}/{secondary}",
            conditions=self._merged(pair, conditions.PAIR, verdicts),
            servers=tuple(self._server(role, pair.status) for role in Role if role in self._snapshot.servers),
            config=digest[:12],
            pools=len(self._snapshot.pools),
            reservations=len(self._snapshot.reservations),
            addresses=sum(map(self._addresses, self._snapshot.pools)),
            free=sum(each.free + each.backup for each in usage),
            active=sum(each.active for each in usage),
            phase=service.phase,
            survivor=service.survivor,
            takeover=service.takeover,
            history=history.recorded(pair.status.history, stands),
            operator=__version__,
        )

    def pool(self, pool: Pool) -> PoolStatus:
        """Return a pool's status."""
        verdicts = [self._valid(POOLS, pool), self._programmed(POOLS, pool)]
        usage = self._usage.get(pool.meta.name, PoolUsage(name=pool.meta.name))
        return PoolStatus(
            observed_generation=pool.meta.generation,
            conditions=self._merged(pool, conditions.POOL, verdicts),
            addresses=self._addresses(pool),
            active=usage.active,
            free=usage.free,
            backup=usage.backup,
            abandoned=usage.abandoned,
            other=usage.other,
        )

    def reservation(self, reservation: Reservation) -> ReservationStatus:
        """Return a reservation's status."""
        verdicts = [self._valid(RESERVATIONS, reservation), self._programmed(RESERVATIONS, reservation)]
        return ReservationStatus(
            observed_generation=reservation.meta.generation,
            conditions=self._merged(reservation, conditions.RESERVATION, verdicts),
            pool=self._pool_of(reservation),
        )

    def _merged(
        self, about: Custom[Any, Any], types: tuple[str, ...], verdicts: list[Verdict]
    ) -> tuple[Condition, ...]:
        merged = conditions.merge(
            about.status.conditions, verdicts, types=types, generation=about.meta.generation, now=self._now
        )
        return tuple(each for each in merged if each.type in types)  # apply leaves those of others alone

    def _valid(self, resource: Resource, about: Custom[Any, Any]) -> Verdict:
        if self._snapshot.pair is None:
            wrong = Problem(
                path="spec.pairRef.name", value=self._snapshot.name, allowed="name a DHCPFailoverPair of this namespace"
            )
            return _verdict(VALID, FALSE, "UnknownPair", str(wrong))
        if self._accepted.unreadable:
            return _verdict(VALID, UNKNOWN, "LedgerUnreadable", self._accepted.unreadable)
        kind, name = resource.kind, about.meta.name
        problems = self._accepted.problems.get((kind, name), about.problems)
        if not problems:
            return _verdict(VALID, TRUE, "Accepted", "")
        goes_on = ". What was last accepted goes on" if self._accepted.counts(kind, name) else ""
        return _verdict(VALID, FALSE, "InvalidSpec", "; ".join(map(str, problems)) + goes_on)

    def _available(self) -> Verdict:
        serving = [server.meta.name for role, server in self._snapshot.servers.items() if self._snapshot.serves(role)]
        if serving:
            return _verdict(AVAILABLE, TRUE, "Serving", f"Answering clients: {' and '.join(serving)}")
        if not self._accepted.established:
            return _verdict(AVAILABLE, FALSE, COMING_UP, f"The pair has not served yet: {self._states()}")
        reason = "NotServing" if any(map(self._snapshot.fresh, Role)) else "NoReport"
        return _verdict(AVAILABLE, FALSE, reason, f"No server is known to answer: {self._states()}")

    def _redundant(self) -> Verdict:
        normal = (FailoverState.NORMAL, FailoverState.NORMAL)
        if all(self._snapshot.state(role) == normal for role in Role):
            return _verdict(REDUNDANT, TRUE, "Normal", "Both servers are normal and share their leases")
        reason = "NotNormal" if self._accepted.established else COMING_UP
        return _verdict(REDUNDANT, FALSE, reason, self._states())

    def _progressing(self) -> Verdict:
        if self._failure:
            return _verdict(PROGRESSING, FALSE, "Refused", f"The API refused a write: {self._failure}")
        if self._snapshot.pair is not None and self._snapshot.pair.meta.deleting:
            return _verdict(PROGRESSING, TRUE, "Deleting", self._facts.decision.message)
        waiting = [
            f"pod {pod.meta.name} waits: {pod.waiting}"
            for pod in self._snapshot.pods.values()
            if pod.phase == "Pending" and pod.waiting
        ]
        decision = self._facts.decision
        busy = decision.action != Action.NOTHING and decision.reason not in _STOPPED
        return _verdict(PROGRESSING, TRUE if busy else FALSE, decision.reason, ". ".join([decision.message, *waiting]))

    def _programmed(self, resource: Resource, about: Custom[Any, Any]) -> Verdict:
        """Both servers run a revision that holds this generation; once true it stays true for the generation."""
        name, generation = about.meta.name, about.meta.generation
        old = conditions.get(about.status.conditions, PROGRAMMED)
        if old is not None and old.status == TRUE and old.observed_generation == generation:
            return _verdict(PROGRAMMED, TRUE, old.reason, old.message)
        if not self._accepted.counts(resource.kind, name, generation):
            return _verdict(PROGRAMMED, FALSE, "NotAccepted", "This generation is not part of any configuration")
        served, decision = self._facts.served, self._facts.decision
        if served is None:
            return _verdict(PROGRAMMED, UNKNOWN, decision.reason, decision.message)
        if resource == RESERVATIONS and name in served.waiting:
            return _verdict(PROGRAMMED, FALSE, "AddressHeld", _held(served.waiting[name]))
        targets, servers = self._facts.targets, self._snapshot.servers
        lagging = [role for role in Role if servers[role].status.config.revision != targets[role]]
        if lagging:
            return _verdict(PROGRAMMED, FALSE, "Pending", f"Not yet run by: {', '.join(lagging)}")
        return _verdict(PROGRAMMED, TRUE, "Running", "Both servers run a configuration that holds this")

    def _server(self, role: Role, told: PairStatus) -> PairServer:
        server, pod = self._snapshot.servers[role], self._snapshot.pods.get(role)
        local, partner = self._snapshot.state(role)
        before = next((each for each in told.servers if each.role == role), None)
        return PairServer(
            name=server.meta.name,
            role=str(role),
            node=pod.node if pod is not None else "",
            address=server.status.network.address,
            state=str(local),
            partner_state=str(partner),
            serving=self._snapshot.serves(role),
            config=server.status.config.revision[:12],
            permit=server.status.permit.kind,
            kernel_fence=self._fenced(role),
            silent_since=takeover.silent_since(self._facts.serving.view, role, before),
        )

    def _fenced(self, role: Role) -> bool:
        view = self._facts.serving.view
        return view is not None and view.confirmed(role) and view.own(role).in_force.kernel_fence

    def _states(self) -> str:
        return ", ".join(
            f"the {role} is {self._snapshot.state(role)[0]}"
            + ("" if self._snapshot.fresh(role) else " (no fresh report)")
            for role in Role
        )

    def _pool_usage(self) -> Mapping[str, PoolUsage]:
        """Return the pools' usage by the primary's lease database, or the secondary's if only that is fresh."""
        for role in sorted(Role, key=lambda role: not self._snapshot.fresh(role)):
            if role in self._snapshot.servers:
                return {each.name: each for each in self._snapshot.servers[role].status.pools}
        return {}

    def _addresses(self, pool: Pool) -> int:
        for each in self._pools():
            if each.name == pool.meta.name:
                return sum(map(len, each.ranges))
        return pool.status.addresses

    def _pools(self) -> tuple[ServedPool, ...]:
        return () if self._facts.served is None else self._facts.served.service.pools

    def _pool_of(self, reservation: Reservation) -> str:
        if reservation.spec is None:
            return ""
        address = IPv4Address(reservation.spec.address)
        pools = self._pools()
        return next((each.name for each in pools if address in each.subnet), reservation.status.pool)


def _verdict(kind: str, status: str, reason: str, message: str) -> Verdict:
    return Verdict(type=kind, status=status, reason=reason, message=message[:_MAX_MESSAGE])


def _held(waiting: Waiting) -> str:
    if waiting.until is None:
        return "Somebody may hold the address until both servers run a configuration without its old owner"
    until = dt.datetime.fromtimestamp(waiting.until, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"Somebody may hold the address until {until}: leases given under the former configuration end then"
