"""What is planned, or mends itself: nobody is to be called for it."""

from tests.rules.happenings import BEGIN, END, condition, during, judged, no_power, not_redundant, taken_over
from tests.rules.promtool import Story
from tests.rules.world import LENGTH_MINUTES, PAIR, PRIMARY, SECONDARY, SERVERS, World, healthy, rising
from twinlease.metrics import table

_MORE = float(LENGTH_MINUTES)


def _rollout() -> World:
    """Both pods are replaced for a new version, one after the other, three minutes each, and so are the operators."""
    world = healthy()
    bad, good = {"status": "False", "reason": "NotNormal"}, {"status": "True", "reason": "Normal"}
    labels = {**PAIR, "type": "Redundant"}
    world.info(table.PAIR_CONDITION, labels, (good, 10.0), (bad, 3.0), (good, 2.0), (bad, 3.0), (good, _MORE))
    world.put(table.PAIR_SERVING, PAIR, (2, 10), (1, 3), (2, 2), (1, 3), (2, _MORE))
    world.put(table.CONFIG_CURRENT, SECONDARY, (1, 10), (0, 3), 1).put(
        table.CONFIG_CURRENT, PRIMARY, (1, 10), (0, 8), 1
    )
    for component in ("sidecar", "guard"):
        for each, at in ((SECONDARY, 13), (PRIMARY, 18)):
            known = {**each, "component": component}
            world.put(table.SERVER_VERSION, {**known, "version": "1.0.0"}, (1, at), (None, _MORE))
            world.put(table.SERVER_VERSION, {**known, "version": "1.1.0"}, (None, at), (1, _MORE))
    world.put(table.BUILD_INFO, {"component": "operator", "version": "1.0.0"}, (1, 5), (None, _MORE))
    world.put(table.BUILD_INFO, {"component": "operator", "version": "1.1.0"}, (None, 6), (1, _MORE))
    world.put(table.LEADING, {}, (1, 5), (None, 1), 1)
    return world.silent(SECONDARY, 10, 13).silent(PRIMARY, 15, 18)


def _maintenance() -> World:
    """One server is stopped on request, its partner takes over at once, and the node is switched off for a while.

    Meanwhile a change waits for it, and the survivor has nobody to promise it anything.
    """
    world = taken_over(after=0.5)
    world.put(table.MAINTENANCE, SECONDARY, *during(0, 1))
    world.states(table.STATE, SECONDARY, *during("Normal", "Unknown")).put(table.RUNNING, SECONDARY, *during(1, 0))
    world.put(table.RENEWAL_AGE, SECONDARY, *during(20, 900)).put(table.FENCE, SECONDARY, *during(1, 0))
    world.put(table.CONFIG_CURRENT, PRIMARY, *during(1, 0))
    promises = *rising(0, 0.5, by=30, until=BEGIN)[:-1], (600.0, END - BEGIN), *rising(630, 0.5, by=30)
    return world.put(table.PROMISES_RECEIVED, PRIMARY, *promises).silent(SECONDARY, BEGIN + 15, END - 5)


def _left_alone() -> World:
    """One server of a paused pair is stopped on request: nobody takes over, and the node is off for a while."""
    world = judged("WaitingForEvidence", no_power()).put(table.MAINTENANCE, SECONDARY, *during(0, 1))
    return world.silent(SECONDARY, BEGIN + 5, END - 5)


def _missed() -> World:
    """Prometheus misses nine minutes; what happened before them is nothing new after it. Watched from minute 40 on."""
    world = healthy()
    for reason in ("ClockStepped", "Exited"):
        world.put(table.EXITS, {**PRIMARY, "reason": reason}, 7)
    return world.silent(PRIMARY, 41, 50)


def _return() -> World:
    """A server takes over its partner's leases for half an hour, as long as was computed."""
    world = not_redundant(healthy()).put(table.PAIR_SERVING, PAIR, *during(2, 1))
    returning, normal = {"status": "True", "reason": "Returning"}, {"status": "False", "reason": "Normal"}
    condition(world, "PartnerDown", returning, normal).states(table.PHASE, PAIR, *during("Both", "Returning"))
    world.states(table.STATE, SECONDARY, *during("Normal", "RecoverWait")).put(table.SERVING, SECONDARY, *during(1, 0))
    world.states(table.STATE, PRIMARY, *during("Normal", "PartnerDown"))
    world.put(table.POOL_FREE, {**SECONDARY, "pool": "office", "owner": "own"}, *during(40, 0))
    world.put(table.POOL_RUNWAY, {**SECONDARY, "pool": "office"}, *during("Inf", 600))
    left = ((3000 - 30.0 * place, 0.5) for place in range(100))
    return world.put(table.RECOVER_REMAINING, SECONDARY, (None, BEGIN), *left, (None, _MORE))


def _unfenced_by_wish() -> World:
    """The servers of a pair serve without end, as the user wants it: no kernel fences them."""
    world = healthy()
    for each in SERVERS.values():
        world.put(table.FENCE, each, 0).put(table.PERMIT_REMAINING, each, "Inf")
        world.states(table.PERMIT, each, "Endless")
    return world


def _guarded_by_wish() -> World:
    """The guard's kill is enough for the user, also while no operator says so."""
    world = healthy().put(table.FENCE_WANTED, PAIR, *during(0, None))
    for each in SERVERS.values():
        world.put(table.FENCE, each, 0)
    return world


def _not_exported() -> World:
    """The sidecars of a pair tell Prometheus nothing, as the user wants it."""
    world = healthy().put(table.METRICS_PORT, PAIR, 0)
    return world.silent(PRIMARY, 0).silent(SECONDARY, 0)


def _bring_up() -> World:
    """A new pair takes twelve minutes to come up: its image is pulled over a slow line."""
    coming = {"status": "False", "reason": "ComingUp"}
    world, labels = healthy(), {**PAIR, "type": "Available"}
    world.info(table.PAIR_CONDITION, labels, (coming, 12.0), ({"status": "True", "reason": "Serving"}, _MORE))
    redundant = {**PAIR, "type": "Redundant"}
    world.info(table.PAIR_CONDITION, redundant, (coming, 12.0), ({"status": "True", "reason": "Normal"}, _MORE))
    world.put(table.PAIR_SERVING, PAIR, (0, 12), 2)
    for each in SERVERS.values():
        world.put(table.SERVING, each, (0, 12), 1).put(table.RUNNING, each, (0, 12), 1)
        world.states(table.STATE, each, ("Unknown", 12.0), "Normal").silent(each, 0, 11)
    return world


def _blink() -> World:
    """A node loses its power and is back after four minutes, before anybody takes over."""
    world, bad, good = healthy(), {"status": "False", "reason": "NotNormal"}, {"status": "True", "reason": "Normal"}
    world.info(table.PAIR_CONDITION, {**PAIR, "type": "Redundant"}, (good, 10.0), (bad, 4.0), (good, _MORE))
    world.states(table.STATE, PRIMARY, ("Normal", 10.0), ("CommunicationsInterrupted", 4.0), "Normal")
    return world.put(table.PAIR_SERVING, PAIR, (2, 10), (1, 4), 2).silent(SECONDARY, 10, 14)


def _without_api() -> World:
    """The API is away for two minutes: no operator leads, the servers serve on by each other's promises."""
    world = healthy()
    world.put(table.PAIR_SERVING, PAIR, (2, 10), (None, 2), 2).put(table.PAIR_EPOCH, PAIR, (7, 10), (None, 2), 7)
    world.put(table.FAILURES, PAIR, (0, 10), (None, 2), 0).put(table.LEADING, {}, (1, 10), (0, 2), 1)
    age = [(20 + 30.0 * place, 0.5) for place in range(5)]
    for each in SERVERS.values():
        world.put(table.RENEWAL_AGE, each, (20, 10), *age, 20)
        world.states(table.PERMIT, each, ("Held", 10.0), ("Promised", 2.5), "Held")
    return world


def _unheard() -> World:
    """Both nodes lose the API for four minutes, and not the operator: it hears nobody, and both serve on."""
    world, good = healthy(), {"status": "True", "reason": "Serving"}
    bad = {"status": "False", "reason": "NoReport"}
    world.info(table.PAIR_CONDITION, {**PAIR, "type": "Available"}, (good, 10.0), (bad, 4.0), (good, _MORE))
    return world.put(table.PAIR_SERVING, PAIR, (2, 10), (0, 4), 2)


def _scraped_in_part() -> World:
    """Prometheus reaches one server, which recovers; that the other serves it hears from the operator."""
    world = _return()
    return world.silent(PRIMARY, BEGIN, BEGIN + 9)


def _reservations_only() -> World:
    """A pool has no dynamic addresses at all."""
    world = healthy()
    for each in SERVERS.values():
        for state in ("active", "free", "backup", "abandoned", "other"):
            world.put(table.POOL_ADDRESSES, {**each, "pool": "fixed", "state": state}, 0)
        for owner in ("own", "peer"):
            world.put(table.POOL_FREE, {**each, "pool": "fixed", "owner": owner}, 0)
    return world


CALM = {
    build.__name__.removeprefix("_").replace("_", "-"): Story(
        alert="", world=build(), since=40 if build is _missed else 0
    )
    for build in (
        healthy,
        _rollout,
        _maintenance,
        _left_alone,
        _missed,
        _return,
        _unfenced_by_wish,
        _guarded_by_wish,
        _not_exported,
        _bring_up,
        _blink,
        _without_api,
        _unheard,
        _scraped_in_part,
        _reservations_only,
    )
}
