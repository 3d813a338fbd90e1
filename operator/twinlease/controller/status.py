"""What the operator says of a pair, its pools and its reservations: from what the sidecars report, never from hope.

All types of condition are there from first sight; those that nobody can know yet are Unknown.
"""

import hashlib
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from msgspec import Struct

from twinlease.api.pair import PairServer, PairStatus
from twinlease.api.pool import PoolStatus
from twinlease.api.reservation import ReservationStatus
from twinlease.api.server import PoolUsage
from twinlease.api.types import Condition
from twinlease.controller.acceptance import Acceptance
from twinlease.controller.network import seen
from twinlease.controller.objects import Pair, Pool, Reservation
from twinlease.controller.reconcile import Facts
from twinlease.controller.snapshot import Snapshot
from twinlease.decide.rollout import Action
from twinlease.kube.protocol import PAIRS, POOLS, RESERVATIONS
from twinlease.model import placed
from twinlease.model.decision import Problem
from twinlease.model.states import FailoverState, Role

VALID = "Valid"
AVAILABLE = "Available"
REDUNDANT = "Redundant"
PROGRESSING = "Progressing"
PROGRAMMED = "Programmed"

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"

_STOPPED = frozenset({"Rejected", "LinkChanged", "Invalid", "Paused"})
_MAX_MESSAGE = 2000


class Verdict(Struct, frozen=True, kw_only=True):
    """A condition before it has met the one that is there."""

    type: str
    status: str
    reason: str
    message: str


def _verdict(kind: str, status: str, reason: str, message: str) -> Verdict:
    return Verdict(type=kind, status=status, reason=reason, message=message[:_MAX_MESSAGE])


def conditions(
    observed: Iterable[Condition], verdicts: Iterable[Verdict], generation: int, now: str
) -> tuple[Condition, ...]:
    """Return conditions whose transition time moves only when the status does.

    Args:
        observed: Those that are there.
        verdicts: What holds now.
        generation: ``metadata.generation`` of the object that was judged.
        now: RFC 3339.
    """
    known = {each.type: each for each in observed}
    built = []
    for each in verdicts:
        before = known.get(each.type)
        unchanged = before is not None and before.status == each.status
        built.append(
            Condition(
                type=each.type,
                status=each.status,
                reason=each.reason,
                message=each.message,
                observed_generation=generation,
                last_transition_time=before.last_transition_time if before is not None and unchanged else now,
            )
        )
    return tuple(built)


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
        verdicts = [self._pair_valid(pair), self._available(), self._redundant(), self._progressing()]
        states = {role: self._snapshot.state(role)[0] for role in Role}
        primary, secondary = states[Role.PRIMARY], states[Role.SECONDARY]
        targets = self._facts.targets
        digest = hashlib.sha256("".join(targets[role] for role in Role).encode()).hexdigest() if targets else ""
        usage = self._usage.values()
        return PairStatus(
            observed_generation=pair.meta.generation,
            state=str(primary) if primary == secondary else f"{primary}/{secondary}",
            conditions=conditions(pair.status.conditions, verdicts, pair.meta.generation, self._now),
            servers=tuple(self._server(role) for role in Role if role in self._snapshot.servers),
            config=digest[:12],
            pools=len(self._snapshot.pools),
            reservations=len(self._snapshot.reservations),
            addresses=sum(map(self._addresses, self._snapshot.pools)),
            free=sum(each.free + each.backup for each in usage),
            active=sum(each.active for each in usage),
        )

    def pool(self, pool: Pool) -> PoolStatus:
        """Return a pool's status."""
        key = (POOLS.kind, pool.meta.name)
        verdicts = [
            self._valid(key, pool.problems),
            self._programmed(key, pool.status.conditions, pool.meta.generation),
        ]
        usage = self._usage.get(pool.meta.name, PoolUsage(name=pool.meta.name))
        return PoolStatus(
            observed_generation=pool.meta.generation,
            conditions=conditions(pool.status.conditions, verdicts, pool.meta.generation, self._now),
            addresses=self._addresses(pool),
            active=usage.active,
            free=usage.free,
            backup=usage.backup,
            abandoned=usage.abandoned,
            other=usage.other,
        )

    def reservation(self, reservation: Reservation) -> ReservationStatus:
        """Return a reservation's status."""
        key = (RESERVATIONS.kind, reservation.meta.name)
        observed, generation = reservation.status.conditions, reservation.meta.generation
        verdicts = [self._valid(key, reservation.problems), self._programmed(key, observed, generation)]
        return ReservationStatus(
            observed_generation=generation,
            conditions=conditions(observed, verdicts, generation, self._now),
            pool=self._pool_of(reservation),
        )

    def _pair_valid(self, pair: Pair) -> Verdict:
        spec = self._accepted.spec
        found = list(self._facts.problems)
        if spec is not None:
            fresh = {role: server for role, server in self._snapshot.servers.items() if self._snapshot.fresh(role)}
            found += placed.problems(spec, seen(fresh))
        return self._valid((PAIRS.kind, pair.meta.name), pair.problems, found)

    def _valid(self, key: tuple[str, str], unreadable: tuple[Problem, ...], more: Iterable[Problem] = ()) -> Verdict:
        if self._snapshot.pair is None:
            wrong = Problem(path="spec.pairRef.name", value=self._snapshot.name, allowed="name a DHCPFailoverPair")
            return _verdict(VALID, FALSE, "UnknownPair", f"{wrong} of this namespace")
        problems = dict.fromkeys([*unreadable, *self._accepted.problems.get(key, ()), *more])
        if problems:
            kept = "" if key in self._accepted.current else self._last_good(key)
            return _verdict(VALID, FALSE, "InvalidSpec", "; ".join(map(str, problems)) + kept)
        return _verdict(VALID, TRUE, "Accepted", "")

    def _last_good(self, key: tuple[str, str]) -> str:
        return ". What was last accepted goes on" if key in self._accepted.kept else ""

    def _available(self) -> Verdict:
        fresh = [role for role in Role if self._snapshot.fresh(role)]
        if not fresh:
            reported = any(server.status.pod_uid for server in self._snapshot.servers.values())
            message = "No fresh report of any server"
            return _verdict(AVAILABLE, FALSE if reported else UNKNOWN, "NoReport", message)
        serving = [role for role in fresh if self._snapshot.servers[role].status.serving]
        if serving:
            who = " and ".join(f"{self._snapshot.servers[role].meta.name}" for role in serving)
            return _verdict(AVAILABLE, TRUE, "Serving", f"Answering clients: {who}")
        return _verdict(AVAILABLE, FALSE, "NotServing", f"No server answers: {self._states()}")

    def _redundant(self) -> Verdict:
        if not any(server.status.pod_uid for server in self._snapshot.servers.values()):
            return _verdict(REDUNDANT, UNKNOWN, "NoReport", "No server has reported yet")
        normal = (FailoverState.NORMAL, FailoverState.NORMAL)
        if all(self._snapshot.state(role) == normal for role in Role):
            return _verdict(REDUNDANT, TRUE, "Normal", "Both servers are normal and share their leases")
        return _verdict(REDUNDANT, FALSE, "NotNormal", self._states())

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

    def _programmed(self, key: tuple[str, str], observed: Iterable[Condition], generation: int) -> Verdict:
        """Both servers run a revision that holds this generation; once true it stays true for the generation."""
        for each in observed:
            if each.type == PROGRAMMED and each.status == "True" and each.observed_generation == generation:
                return _verdict(PROGRAMMED, TRUE, each.reason, each.message)
        targets, servers = self._facts.targets, self._snapshot.servers
        if key not in self._accepted.current:
            return _verdict(PROGRAMMED, FALSE, "NotAccepted", "This generation is not part of any configuration")
        if not targets:
            return _verdict(PROGRAMMED, UNKNOWN, self._facts.decision.reason, self._facts.decision.message)
        lagging = [role for role in Role if servers[role].status.config.revision != targets[role]]
        if lagging:
            return _verdict(PROGRAMMED, FALSE, "Pending", f"Not yet run by: {', '.join(lagging)}")
        return _verdict(PROGRAMMED, TRUE, "Running", "Both servers run a configuration that holds this")

    def _server(self, role: Role) -> PairServer:
        server, pod = self._snapshot.servers[role], self._snapshot.pods.get(role)
        local, partner = self._snapshot.state(role)
        return PairServer(
            name=server.meta.name,
            role=str(role),
            node=pod.node if pod is not None else "",
            address=server.status.network.address,
            state=str(local),
            partner_state=str(partner),
            serving=self._snapshot.fresh(role) and server.status.serving,
            config=server.status.config.revision[:12],
        )

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
        for each in self._facts.service.pools if self._facts.service is not None else ():
            if each.name == pool.meta.name:
                return sum(map(len, each.ranges))
        return pool.status.addresses

    def _pool_of(self, reservation: Reservation) -> str:
        if reservation.spec is None:
            return ""
        address = IPv4Address(reservation.spec.address)
        pools = self._facts.service.pools if self._facts.service is not None else ()
        return next((each.name for each in pools if address in each.subnet), reservation.status.pool)
