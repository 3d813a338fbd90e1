"""What may happen to the pair of ``world``: from minute ``BEGIN`` on, mended at minute ``END``."""

from collections.abc import Mapping

from tests.rules.world import LENGTH_MINUTES, PAIR, PRIMARY, SECONDARY, Piece, World, healthy
from twinlease.metrics import table

BEGIN, END = 10.0, 60.0

_NORMAL = {"status": "True", "reason": "Normal"}


def during(good: float | str | None, bad: float | str | None) -> tuple[Piece, Piece, Piece]:
    """Return the pieces of what is wrong in between."""
    return (good, BEGIN), (bad, END - BEGIN), (good, LENGTH_MINUTES)


def condition(world: World, type_: str, bad: Mapping[str, str], good: Mapping[str, str] = _NORMAL) -> World:
    """Let a condition of the pair be another one in between."""
    pieces = (good, BEGIN), (bad, END - BEGIN), (good, float(LENGTH_MINUTES))
    return world.info(table.PAIR_CONDITION, {**PAIR, "type": type_}, *pieces)


def judged(reason: str, world: World | None = None) -> World:
    """Let the verdict on the pair be another one in between."""
    good, bad = {"action": "Nothing", "reason": "Normal"}, {"action": "Nothing", "reason": reason}
    pieces = (good, BEGIN), (bad, END - BEGIN), (good, float(LENGTH_MINUTES))
    return (world or healthy()).info(table.VERDICT, PAIR, *pieces)


def not_redundant(world: World) -> World:
    """Let the two not be normal together in between, as the operator says it."""
    return condition(world, "Redundant", {"status": "False", "reason": "NotNormal"})


def no_power(world: World | None = None) -> World:
    """Let the secondary's node have no power in between; the primary is cut off, and serves."""
    world = not_redundant(world or healthy())
    world.put(table.PAIR_SERVING, PAIR, *during(2, 1))
    for metric in (table.STATE, table.PAIR_SERVER_STATE):
        world.states(metric, PRIMARY, *during("Normal", "CommunicationsInterrupted"))
    countdown = ((300 - 30.0 * place, 0.5) for place in range(10))
    world.put(table.THRESHOLD, PAIR, (None, BEGIN), *countdown, (0, END - BEGIN - 5), (None, float(LENGTH_MINUTES)))
    world.put(table.POOL_RUNWAY, {**PRIMARY, "pool": "office"}, *during("Inf", 9000))
    return world.states(table.PAIR_SERVER_STATE, SECONDARY, *during("Normal", "Unknown")).silent(SECONDARY, BEGIN, END)


def taken_over(world: World | None = None, after: float = 5) -> World:
    """Let the primary be put into partner-down so many minutes after that."""
    world = no_power(world)
    entered = BEGIN + after
    cut, down = "CommunicationsInterrupted", "PartnerDown"
    for metric in (table.STATE, table.PAIR_SERVER_STATE):
        world.states(
            metric, PRIMARY, ("Normal", BEGIN), (cut, after), (down, END - entered), ("Normal", float(LENGTH_MINUTES))
        )
    world.states(table.PHASE, PAIR, ("Both", entered), ("Alone", END - entered), "Both")
    world.states(table.SURVIVOR, PAIR, ("", entered), ("primary", END - entered), "")
    both, executed = {"status": "False", "reason": "Normal"}, {"status": "True", "reason": "Executed"}
    labels = {**PAIR, "type": "PartnerDown"}
    pieces = (both, entered), (executed, END - entered), (both, float(LENGTH_MINUTES))
    world.info(table.PAIR_CONDITION, labels, *pieces)
    usable = ((1800 - 30.0 * place, 0.5) for place in range(60))
    return world.put(table.PEER_ADDRESSES, PRIMARY, (None, entered), *usable, (0, END - entered - 30), (None, 1.0))
