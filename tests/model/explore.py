"""Breadth-first search over states that are small tuples of numbers."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

State = tuple[int, ...]
Successors = Callable[[State], Iterator[tuple[str, State]]]
Broken = Callable[[str, State], str | None]


class Limits(NamedTuple):
    """When to give up. States are what makes a search the same on each machine; ``seconds`` of the processor end it."""

    states: int
    seconds: float
    depth: int = 10_000


class Result(NamedTuple):
    """What a search found."""

    states: int
    depth: int
    """All that so many events lead to was explored."""
    seconds: float
    exhausted: bool
    violation: str = ""
    trace: tuple[str, ...] = ()
    seen: dict[State, State | None] | None = None
    """Each state with the one before it."""


def search(start: State, successors: Successors, broken: Broken, limits: Limits) -> Result:
    """Explore everything that may happen from a start, nearest first, until an invariant breaks or a limit is met."""
    began = time.process_time()
    seen: dict[State, State | None] = {start: None}
    level, depth = [start], 0

    def result(*, exhausted: bool, violation: str = "", trace: tuple[str, ...] = ()) -> Result:
        return Result(len(seen), depth, time.process_time() - began, exhausted, violation, trace, seen)

    while level:
        following: list[State] = []
        for at in level:
            for label, to in successors(at):
                if to in seen:
                    continue
                seen[to] = at
                if (violation := broken(label, to)) is not None:
                    return result(exhausted=False, violation=violation, trace=(*way(seen, at, successors), label))
                following.append(to)
            if len(seen) >= limits.states or time.process_time() - began > limits.seconds:
                return result(exhausted=False)
        level = following
        if depth == limits.depth:
            return result(exhausted=not level)
        depth += 1
    return result(exhausted=True)


def way(seen: dict[State, State | None], to: State, successors: Successors) -> tuple[str, ...]:
    """Return what happened on the way to a state."""
    labels: list[str] = []
    while (before := seen[to]) is not None:
        labels.append(next(label for label, after in successors(before) if after == to))
        to = before
    return tuple(reversed(labels))


def follow(start: State, successors: Successors, broken: Broken, path: tuple[str, ...]) -> Result:
    """Go one way: each step is the first that may happen and begins as told. It ends where no such step is left."""
    began, at, labels = time.process_time(), start, []
    violation = ""
    for wanted in path:
        move = next(((label, to) for label, to in successors(at) if label.startswith(wanted)), None)
        if move is None:
            break
        labels.append(move[0])
        at = move[1]
        if violation := broken(*move) or "":
            break
    took = time.process_time() - began
    count = len(labels)
    return Result(count, count, took, exhausted=False, violation=violation, trace=tuple(labels))
