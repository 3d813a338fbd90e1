"""Which specifications count: the new one where everything fits together, else the last good one.

The rules in three lines:

* **An object that did not change never gives way to one that did.**
* **Of two changed ones that collide the older object wins**, and whoever loses falls back to what it said before.
* **The result always fits together**, and nothing that was refused would fit in.

Everything changed is tried at once, so that objects that swap or rotate what they hold are accepted together. Whoever
then collides falls back; as each object falls back at most twice (to its last good specification, then out), it ends.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address
from typing import Generic, TypeVar

from msgspec import Struct

from twinlease.api.pair import PairSpec
from twinlease.api.pool import PoolSpec
from twinlease.api.reservation import ReservationSpec
from twinlease.model.decision import Problem
from twinlease.model.objects import Candidate, PairCandidate, PoolCandidate, ReservationCandidate
from twinlease.model.territory import Conflict, Pools, Reservations, Surroundings
from twinlease.model.validate import pair_problems, pool_problems, reservation_problems

S = TypeVar("S", bound=Struct)
_ROUNDS = 8
"""Far more than it takes: two where objects give way in a ring, one otherwise."""

_MISSING = (Problem(path="spec", value="", allowed="be readable"),)


class Accepted(Struct, Generic[S], frozen=True, kw_only=True):
    """The last specification of an object that counted; ``uid`` (its first part) tells it from others of its name."""

    uid: str = ""
    generation: int = 0
    spec: S


class State(Struct, frozen=True, kw_only=True):
    """All that counts of one pair; ``pair`` is None before the first specification that was right."""

    pair: Accepted[PairSpec] | None = None
    pools: Mapping[str, Accepted[PoolSpec]] = {}
    reservations: Mapping[str, Accepted[ReservationSpec]] = {}


class Objects(Struct, frozen=True, kw_only=True):
    """What the users' objects of one pair say now.

    Attributes:
        pair_problems: What else speaks against the pair's new specification: its nodes, other pairs.
    """

    pair: PairCandidate
    pair_problems: tuple[Problem, ...] = ()
    pools: tuple[PoolCandidate, ...] = ()
    reservations: tuple[ReservationCandidate, ...] = ()


class Verdict(Struct, frozen=True, kw_only=True):
    """What counts now, and of each refused object why; a refused one may still count with what it said before."""

    state: State
    pair: tuple[Problem, ...] = ()
    pools: Mapping[str, tuple[Problem, ...]] = {}
    reservations: Mapping[str, tuple[Problem, ...]] = {}


def accept(before: State, objects: Objects, surroundings: Surroundings) -> Verdict:
    """Decide what counts. Objects that are gone, or were replaced by others of their name, leave.

    Calling it again with its own result and the same objects changes nothing.
    """
    verdict = _once(before, objects, surroundings)
    # Somebody may have been refused for the sake of one who in the end went elsewhere: then it fits the next time.
    for _ in range(_ROUNDS):
        again = verdict if not _refusals(verdict) else _once(verdict.state, objects, surroundings)
        if again == verdict:
            break
        verdict = again
    return verdict


def _refusals(verdict: Verdict) -> bool:
    return bool(verdict.pair or verdict.pools or verdict.reservations)


def _once(before: State, objects: Objects, surroundings: Surroundings) -> Verdict:
    pair, pair_refused = _pair(before.pair, objects)
    kept = _unmoved(before, objects.reservations)
    pools, reservations = _boards(before, objects, surroundings, kept)
    while lost := _lost_to_routers(before, pools, reservations):
        kept |= lost  # grows each time, so it ends
        pools, reservations = _boards(before, objects, surroundings, kept)
    return Verdict(
        state=State(pair=pair, pools=pools.result(), reservations=reservations.result()),
        pair=pair_refused,
        pools=pools.refused,
        reservations=reservations.refused,
    )


def _boards(
    before: State, objects: Objects, surroundings: Surroundings, kept: Mapping[int, str]
) -> tuple["_Board[PoolSpec]", "_Board[ReservationSpec]"]:
    """Settle pools, then reservations inside them; ``kept`` addresses are no router's."""
    pools = Pools(surroundings)
    pool_board = _Board(
        objects.pools,
        before.pools,
        own=pool_problems,
        conflicts=lambda spec: pools.conflicts(spec, kept),
        add=pools.add,
        remove=lambda name, _spec: pools.remove(name),
    )
    pool_board.settle()
    reservations = Reservations(pools, surroundings)
    reservation_board = _Board(
        objects.reservations,
        before.reservations,
        own=reservation_problems,
        conflicts=reservations.conflicts,
        add=reservations.add,
        remove=lambda _name, spec: reservations.remove(spec),
    )
    reservation_board.settle()
    return pool_board, reservation_board


def _pair(before: Accepted[PairSpec] | None, objects: Objects) -> tuple[Accepted[PairSpec] | None, tuple[Problem, ...]]:
    candidate = objects.pair
    last = before if before is not None and before.uid == candidate.identity else None
    if candidate.spec is None:
        return last, candidate.unreadable or _MISSING
    problems = (*pair_problems(candidate.name, candidate.spec), *objects.pair_problems)
    unchanged = last is not None and last.spec == candidate.spec
    # What runs goes on even when its node has changed under it: the problems are told all the same.
    if problems and not unchanged:
        return last, problems
    return Accepted(uid=candidate.identity, generation=candidate.generation, spec=candidate.spec), problems


def _unmoved(before: State, candidates: Iterable[ReservationCandidate]) -> dict[int, str]:
    """Return the addresses of reservations that stay as they are: no changed pool may take one for a router."""
    routers = _routers(each.spec for each in before.pools.values())
    found = {}
    for each in candidates:
        last = before.reservations.get(each.name)
        if last is not None and last.uid == each.identity and last.spec == each.spec:
            found[int(IPv4Address(last.spec.address))] = each.name
    return {address: name for address, name in found.items() if address not in routers}


def _lost_to_routers(
    before: State, pools: "_Board[PoolSpec]", reservations: "_Board[ReservationSpec]"
) -> dict[int, str]:
    """Return the addresses of refused reservations whose last good one a changed pool has taken for a router."""
    old = _routers(each.spec for each in before.pools.values())
    new = _routers(each.spec for each in pools.result().values()) - old
    return {
        address: name
        for name, spec in reservations.fallen().items()
        if (address := int(IPv4Address(spec.address))) in new
    }


def _routers(specs: Iterable[PoolSpec]) -> set[int]:
    return {int(IPv4Address(router)) for spec in specs for router in spec.options.routers}


class _Board(Generic[S]):
    """The objects of one kind, each at its new specification, at its last good one, or out."""

    def __init__(
        self,
        candidates: Iterable[Candidate[S]],
        before: Mapping[str, Accepted[S]],
        *,
        own: Callable[[S], list[Problem]],
        conflicts: Callable[[S], list[Conflict]],
        add: Callable[[str, S], None],
        remove: Callable[[str, S], None],
    ) -> None:
        self._candidates = {each.name: each for each in sorted(candidates, key=lambda each: each.order)}
        self._last = {
            name: before[name]
            for name, each in self._candidates.items()
            if name in before and before[name].uid == each.identity
        }
        self._own, self._conflicts, self._add, self._remove = own, conflicts, add, remove
        self._standing: dict[str, S] = {}
        self.refused: dict[str, tuple[Problem, ...]] = {}

    def settle(self) -> None:
        """Find what fits together."""
        changed = [name for name in self._candidates if not self._unchanged(name)]
        queue = deque([*(name for name in self._candidates if self._unchanged(name)), *changed])
        while queue:
            self._place(queue.popleft(), queue)
        self._promote()

    def fallen(self) -> dict[str, S]:
        """Return the last good specifications of those that are out altogether."""
        return {name: each.spec for name, each in self._last.items() if name not in self._standing}

    def result(self) -> dict[str, Accepted[S]]:
        """Return what counts."""
        found = {}
        for name, spec in self._standing.items():
            candidate = self._candidates[name]
            if name in self.refused:
                found[name] = self._last[name]
            else:
                found[name] = Accepted(uid=candidate.identity, generation=candidate.generation, spec=spec)
        return found

    def _unchanged(self, name: str) -> bool:
        return name in self._last and self._last[name].spec == self._candidates[name].spec

    def _place(self, name: str, queue: deque[str]) -> None:
        """Put an object in at its new specification, or at its last good one if the new one was refused."""
        if name not in self.refused:
            problems = self._against(name)
            if not problems:
                self._stand(name, self._new(name))
                return
            if not self._unchanged(name):
                self.refused[name] = problems
        self._fall_back(name, queue)

    def _fall_back(self, name: str, queue: deque[str]) -> None:
        last = self._last.get(name)
        if last is None:
            return
        if problems := self._own(last.spec):
            self.refused.setdefault(name, tuple(problems))
            return
        found = self._conflicts(last.spec)
        usurpers = {each.blocker for each in found if each.blocker is not None and self._is_new(each.blocker)}
        if len(usurpers) < len({each.blocker for each in found}):
            # The world around has changed: even the last good one does not fit any more.
            self.refused.setdefault(name, tuple(each.problem for each in found))
            return
        for usurper in sorted(usurpers):
            self._remove(usurper, self._standing.pop(usurper))
            queue.appendleft(usurper)
        self._stand(name, last.spec)
        for usurper in usurpers:
            self.refused[usurper] = self._against(usurper)

    def _is_new(self, name: str) -> bool:
        """Tell whether an object stands at a changed specification."""
        return name in self._standing and name not in self.refused and not self._unchanged(name)

    def _new(self, name: str) -> S:
        spec = self._candidates[name].spec
        if spec is None:
            raise LookupError(f"{name} has no readable specification")
        return spec

    def _against(self, name: str) -> tuple[Problem, ...]:
        """Return what speaks against an object's new specification."""
        candidate = self._candidates[name]
        if candidate.spec is None:
            return candidate.unreadable or _MISSING
        if problems := self._own(candidate.spec):
            return tuple(problems)
        return tuple(each.problem for each in self._conflicts(candidate.spec))

    def _stand(self, name: str, spec: S) -> None:
        self._add(name, spec)
        self._standing[name] = spec

    def _promote(self) -> None:
        """Let those in that were refused for the sake of somebody who then fell back himself."""
        moved = True
        while moved:
            moved = False
            for name in [each for each in self._candidates if each in self.refused]:
                moved |= self._try_again(name)

    def _try_again(self, name: str) -> bool:
        standing = self._standing.pop(name, None)
        if standing is not None:
            self._remove(name, standing)
        problems = self._against(name)
        if not problems:
            self._stand(name, self._new(name))
            del self.refused[name]
            return True
        self.refused[name] = problems
        if standing is not None:
            self._stand(name, standing)
        return False
