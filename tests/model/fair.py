"""Whether a pair comes back: the faults end in a state that was reached, everybody acts in time, and nothing is lost.

Then both are normal within a bounded time, or the status names what it waits for: a human, or a date.
"""

from collections import Counter

from tests.model.explore import State
from tests.model.world import LEASE, ONE, OPERATOR, TICK, TWO, World

TICKS = 80
"""Several times all durations together."""
WAITS = frozenset({"LeaseDatabaseLost", "LeaseDatabaseFound", "NoSafeServer"})
"""What may be waited for when all works again: a human, or the end of every lease."""
_ORDER = (
    ": the node is back, its disk is as it was",
    ": thaws",
    ": the sidecar starts again",
    ": reads",
    ": a delayed write",
    ": the reply",
    "operator: ",
    ": answers order",
    ": obeys order",
    ": confirms",
    ": the daemon is started again",
    ": renews",
    ": asks for a grant",
    "link: is lost",
    ": notices",
    "link: the ",
    ": startup ends",
)
_NEVER = ("operator 2", "(the watch is late)", "is lost ", "ANOTHER")


def settles(world: World, at: State) -> str:
    """Return ``Normal``, the reason that the status names in the end, or what went wrong."""
    for _ in range(TICKS):
        done = {at}
        while (move := _next(world, at, done)) is not None:
            at = move[1]
            if (violation := world.broken(*move)) is not None:
                return f"UNSAFE: {violation}"
            done.add(at)
        one, two = world.servers.parts[at[ONE]], world.servers.parts[at[TWO]]
        if one.daemon == two.daemon == "normal" and _reason(world, at) == "Normal":
            return "Normal"
        at = next(to for label, to in world.successors(at) if label.startswith(TICK))
    return _reason(world, at)


def _next(world: World, at: State, done: set[State]) -> tuple[str, State] | None:
    """Return what happens next among all that may, in a fixed order; None: nothing new before time goes on."""
    best: tuple[int, str, State] | None = None
    for label, to in world.successors(at):
        if to in done or any(word in label for word in _NEVER):
            continue
        rank = next((number for number, word in enumerate(_ORDER) if word in label), None)
        if rank is not None and (best is None or rank < best[0]):
            best = rank, label, to
    return None if best is None else best[1:]


def _reason(world: World, at: State) -> str:
    return world.decide.verdict_now(world.leases.parts[at[LEASE]], world.operators.parts[at[OPERATOR]])


def endings(world: World, states: list[State]) -> Counter[str]:
    """Return how a pair ends from each of some states."""
    return Counter(settles(world, each) for each in states)
