"""What was seen of a pair's objects while a case ran, in order, and what follows from it. Pure.

Times are the observer's monotonic seconds, at which a change arrived here: later than it was made by the API server's
few milliseconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from twinlease.api.servinglease import Evidence, Order, Own, Phase, ServingLeaseSpec
from twinlease.decide.pairview import entry
from twinlease.decide.permit import epsilon
from twinlease.model import durations
from twinlease.model.states import FailoverState, Role

_T = TypeVar("_T")

Object = dict[str, Any]
_RETURNING = (FailoverState.RECOVER, FailoverState.RECOVER_WAIT, FailoverState.RECOVER_DONE)
_EARLY = 0.5  # seconds by which an order may seem too early, for changes arrive here late
PAIR, LEASE, SERVER = "DHCPFailoverPair", "DHCPServingLease", "DHCPServer"


@dataclass(frozen=True, slots=True)
class Change:
    """An object as it was from `time` on; None: it was deleted. `lease` is what a serving lease says."""

    time: float
    kind: str
    name: str
    content: Object | None
    lease: ServingLeaseSpec | None = None


def change(time: float, kind: str, name: str, content: Object | None) -> Change:
    """Return a change, with the serving lease read."""
    spec = (content or {}).get("spec") if kind == LEASE else None
    return Change(time, kind, name, content, None if spec is None else msgspec.convert(spec, ServingLeaseSpec))


@dataclass(frozen=True, slots=True)
class Leased:
    """The serving lease as it was from `time` on."""

    time: float
    spec: ServingLeaseSpec


@dataclass(frozen=True, slots=True)
class Takeover:
    """An order as it was seen to be given.

    Attributes:
        survivor: To whom.
        ordered: When.
        threshold: From when on it could have been given: the interruption had lasted long enough, and the partner's
            stop was proven.
        evidence: By what.
    """

    survivor: Role
    ordered: float
    threshold: float
    evidence: Evidence


class Timeline:
    """Every change of the objects of one pair."""

    def __init__(self, changes: Sequence[Change], pair: str) -> None:
        self.changes = tuple(changes)
        self._pair = pair

    @cached_property
    def leases(self) -> list[Leased]:
        """Every state of the serving lease."""
        seen = self._of(LEASE, self._pair)
        return [Leased(each.time, each.lease) for each in seen if each.lease is not None]

    def verdicts(self, since: float = 0.0) -> list[tuple[float, str]]:
        """Return the reasons of the pair's condition PartnerDown, each when it came, the one in force first."""
        found = []
        for each in self._of(PAIR, self._pair):
            conditions = (each.content or {}).get("status", {}).get("conditions", [])
            reason = next((one["reason"] for one in conditions if one["type"] == "PartnerDown"), "")
            found.append((each.time, reason))
        return _changes(found, since)

    def states(self, role: Role, since: float = 0.0) -> list[tuple[float, str]]:
        """Return a server's failover states as its sidecar told them, each when it came, the one in force first."""
        if self.leases:
            found = [(each.time, entry(each.spec, role).own.report.state) for each in self.leases]
        else:
            servers = self._of(SERVER, f"{self._pair}-{role}")
            found = [
                (each.time, (each.content or {}).get("status", {}).get("failover", {}).get("state", "Unknown"))
                for each in servers
            ]
        return _changes(found, since)

    def reached(self, role: Role, state: FailoverState, since: float = 0.0) -> float | None:
        """Return when a server was first in a state after a moment; None: never.

        Recover lasts milliseconds and is seldom seen: what it leads to will do.
        """
        alike = _RETURNING if state is FailoverState.RECOVER else (state,)
        return next((max(time, since) for time, each in self.states(role, since) if each in alike), None)

    def starts(self, role: Role, since: float = 0.0) -> list[tuple[float, int]]:
        """Return how often the guard had started the daemon, each number when it came, the one in force first."""
        servers = self._of(SERVER, f"{self._pair}-{role}")
        found = [
            (each.time, (each.content or {}).get("status", {}).get("daemon", {}).get("starts", 0)) for each in servers
        ]
        return _changes(found, since)

    def own(self, role: Role, before: float = float("inf")) -> tuple[float, Own] | None:
        """Return a server's own part as last written before a moment, and when it was written."""
        found: tuple[float, Own] | None = None
        for each in self.leases:
            own = entry(each.spec, role).own
            if each.time <= before and (found is None or own != found[1]):
                found = each.time, own
        return found

    def revoked(self, role: Role) -> list[tuple[float, float]]:
        """Return the spans of time in which a server had no grant, though it had one before."""
        spans: list[tuple[float, float]] = []
        since: float | None = None
        for before, now in pairwise(self.leases):
            had, has = (bool(entry(each.spec, role).grant.holder) for each in (before, now))
            if had and not has:
                since = now.time
            elif has and since is not None:
                spans.append((since, now.time))
                since = None
        return spans if since is None else [*spans, (since, float("inf"))]

    def granted(self, role: Role, since: float) -> float:
        """Return when a server was given its next grant after a moment; infinite: never."""
        before = [entry(each.spec, role).grant.epoch for each in self.leases if each.time <= since]
        epoch = before[-1] if before else 0
        later = (each for each in self.leases if each.time > since)
        return next((each.time for each in later if entry(each.spec, role).grant.epoch > epoch), float("inf"))

    def takeovers(self, after: float) -> list[Takeover]:
        """Return every order to enter partner-down; `after` is how long an interruption must have lasted."""
        found = []
        for before, now in pairwise(self.leases):
            order = now.spec.order
            if isinstance(order, Order) and order != before.spec.order and now.spec.survivor:
                survivor = Role(now.spec.survivor)
                threshold = self._threshold(survivor, order, before, now.time, after)
                found.append(Takeover(survivor, now.time, min(threshold, now.time), order.evidence))
        return found

    def returned(self, since: float) -> float | None:
        """Return from when on both may serve again after a moment; None: never."""
        for each in self.leases:
            if each.time > since and each.spec.phase is Phase.BOTH and each.spec.established:
                return each.time
        return None

    def _threshold(self, survivor: Role, order: Order, before: Leased, ordered: float, after: float) -> float:
        told = self.own(survivor, before.time)
        if told is None:
            return before.time
        seen, own = told
        lasted = seen - own.report.interrupted_millis / 1000 + after
        proven = self._proven(survivor, order.evidence, before)
        # The wait is waived for a partner that was stopped on purpose, or cannot resume: the order comes before.
        return proven if ordered < lasted - _EARLY else max(lasted, proven)

    def _proven(self, survivor: Role, evidence: Evidence, before: Leased) -> float:
        """Return from when on the partner's stop was proven."""
        partner = survivor.other
        if evidence is not Evidence.EXPIRED:
            return next(
                (
                    each.time
                    for each in reversed(self.leases)
                    if each.time <= before.time and _shows_stop(entry(each.spec, partner).own)
                ),
                before.time,
            )
        told, promised = self.own(partner, before.time), self._promised(survivor, before.time)
        if told is None:
            return promised
        renewed, own = told
        duration = durations.seconds(own.in_force.duration)
        return max(renewed + duration + epsilon(duration), promised)

    def _promised(self, role: Role, before: float) -> float:
        """Return when the last promise ended that a server told of; the end is told in whole seconds."""
        ends = [
            each.time + entry(each.spec, role).own.report.promise_seconds
            for each in self.leases
            if each.time <= before and entry(each.spec, role).own.report.promising
        ]
        return ends[-1] if ends else 0.0

    def _of(self, kind: str, name: str) -> Iterator[Change]:
        return (each for each in self.changes if each.kind == kind and each.name == name)


def _shows_stop(own: Own) -> bool:
    return bool(own.released) or own.asks is not msgspec.UNSET


def _changes(found: Sequence[tuple[float, _T]], since: float) -> list[tuple[float, _T]]:
    """Return where a value changed, from the one in force at `since` on."""
    kept: list[tuple[float, _T]] = []
    for time, value in found:
        if kept and kept[-1][1] == value:
            continue
        if time <= since:
            kept = []
        kept.append((time, value))
    return kept
