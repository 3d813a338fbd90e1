"""Stories of pairs that are not served as they should be: bad from minute 10 on, mended at minute 60."""

from tests.rules.happenings import BEGIN, condition, during, judged, no_power, not_redundant, taken_over
from tests.rules.promtool import story
from tests.rules.world import LENGTH_MINUTES, PAIR, PRIMARY, SECONDARY, SERVERS, World, healthy
from twinlease.metrics import table

_PRIMARY = {**PAIR, "server": "lan-primary"}
_SECONDARY = {**PAIR, "server": "lan-secondary"}
_MORE = float(LENGTH_MINUTES)


def _nobody() -> World:
    world = not_redundant(healthy()).put(table.PAIR_SERVING, PAIR, *during(2, 0))
    for each in SERVERS.values():
        world.put(table.SERVING, each, *during(1, 0)).put(table.RUNNING, each, *during(1, 0))
        world.states(table.STATE, each, *during("Normal", "Unknown"))
    return world


def _stuck(state: str) -> World:
    return (
        not_redundant(healthy())
        .states(table.STATE, PRIMARY, *during("Normal", state))
        .put(table.PAIR_SERVING, PAIR, *during(2, 1))
    )


def _recovering() -> World:
    world = not_redundant(healthy()).states(table.STATE, SECONDARY, *during("Normal", "RecoverWait"))
    left = ((600 - 30.0 * place, 0.5) for place in range(100))
    executed, normal = {"status": "True", "reason": "Returning"}, {"status": "False", "reason": "Normal"}
    condition(world, "PartnerDown", executed, normal).states(table.PHASE, PAIR, *during("Both", "Returning"))
    return world.put(table.RECOVER_REMAINING, SECONDARY, (None, BEGIN), *left, (None, _MORE))


def _coming_up() -> World:
    coming = {"status": "False", "reason": "ComingUp"}
    world = condition(healthy(), "Available", coming, {"status": "True", "reason": "Serving"})
    condition(world, "Redundant", coming).put(table.PAIR_SERVING, PAIR, *during(2, 0))
    for each in SERVERS.values():
        world.put(table.SERVING, each, *during(1, 0)).put(table.RUNNING, each, *during(1, 0))
        world.states(table.STATE, each, *during("Normal", "Unknown"))
    return world.states(table.PAIR_SERVER_STATE, SECONDARY, *during("Normal", "Unknown"))


def _flapping() -> World:
    return healthy().put(table.INTERRUPTIONS, PRIMARY, (3, BEGIN), *((4.0 + n, 1) for n in range(8)), (11, _MORE))


STORIES = (
    story(
        "TwinleaseNoServerServing",
        _nobody(),
        PAIR,
        (
            "Pair net/lan: no server answers clients",
            (
                "0 of 2 servers of net/lan are known to answer. Clients keep their addresses until their leases end; "
                "new ones get none."
            ),
        ),
        since=BEGIN + 1,
        also=frozenset({"TwinleasePairDegraded"}),
    ),
    story(
        "TwinleasePairDegraded",
        no_power(),
        PAIR,
        (
            "Pair net/lan is not redundant",
            (
                "The servers of net/lan have not been normal together for 5 minutes. 1 of 2 servers answer clients. "
                "At the present rate the first pool runs out of free addresses in 2h 30m 0s."
            ),
        ),
        since=BEGIN + 5,
        also=frozenset({"TwinleaseSidecarAbsent"}),
    ),
    story(
        "TwinleasePartnerDown",
        taken_over(),
        PAIR,
        (
            "Pair net/lan: one server serves alone, in partner-down",
            (
                "One server of net/lan is stopped and revoked, the other was ordered into partner-down. If that one "
                "fails too, nobody serves. The other's free addresses may be used in 28m 0s. At the present rate the "
                "first pool runs out of free addresses in 2h 30m 0s."
            ),
        ),
        since=BEGIN + 7,
    ),
    story(
        "TwinleaseNoSafeServer",
        judged("NoSafeServer"),
        {**PAIR, "reason": "NoSafeServer"},
        (
            "Pair net/lan: no server may be started safely",
            (
                "A server of net/lan asks to start, and may not: the other may be serving, or may have the only "
                "intact lease database. 2 of 2 servers answer clients."
            ),
        ),
        since=BEGIN + 5,
    ),
    story(
        "TwinleaseTakeoverWaiting",
        judged("WaitingForEvidence", no_power()),
        {**PAIR, "reason": "WaitingForEvidence"},
        (
            "Pair net/lan: partner-down waits for a human (WaitingForEvidence)",
            (
                "A server of net/lan has been cut off for longer than spec.partnerDown.after and is not put into "
                "partner-down: WaitingForEvidence. It gives out its own half of the free addresses only. At the "
                "present rate the first pool runs out of free addresses in 2h 30m 0s."
            ),
        ),
        since=BEGIN + 10,
        also=frozenset({"TwinleasePairDegraded", "TwinleaseSidecarAbsent"}),
    ),
    story(
        "TwinleasePartnerDownByHand",
        judged("PartnerDownByHand"),
        {**PAIR, "reason": "PartnerDownByHand"},
        (
            "Pair net/lan: a server is in partner-down that nobody ordered there",
            (
                "A server of net/lan was put into partner-down past the operator. While the other serves, one address "
                "may be given to two clients. 2 of 2 servers answer clients."
            ),
        ),
        since=BEGIN + 1,
    ),
    story(
        "TwinleaseResolutionInterrupted",
        _stuck("ResolutionInterrupted"),
        _PRIMARY,
        (
            "Server net/lan-primary is silent, in resolution-interrupted",
            (
                "net/lan-primary lost its partner while the two settled a conflict. It answers no dynamic client "
                "until the partner is back, or is proven stopped. 1 of 2 servers answer clients."
            ),
        ),
        since=BEGIN + 1,
        also=frozenset({"TwinleasePairDegraded"}),
    ),
    story(
        "TwinleaseServerStuck",
        _stuck("PotentialConflict"),
        {**_PRIMARY, "state": "PotentialConflict"},
        (
            "Server net/lan-primary is stuck in PotentialConflict",
            (
                "net/lan-primary has been in PotentialConflict for 5 minutes, a state of seconds. It answers no "
                "dynamic client. 1 of 2 servers answer clients."
            ),
        ),
        since=BEGIN + 5,
        also=frozenset({"TwinleasePairDegraded"}),
    ),
    story(
        "TwinleaseServerStuck",
        _stuck("Unknown"),
        {**_PRIMARY, "state": "Unknown"},
        (
            "Server net/lan-primary is stuck in Unknown",
            (
                "net/lan-primary has been in Unknown for 5 minutes, a state of seconds. It answers no dynamic client. "
                "1 of 2 servers answer clients."
            ),
        ),
        since=BEGIN + 5,
        also=frozenset({"TwinleasePairDegraded"}),
    ),
    story(
        "TwinleaseRecoverOverdue",
        _recovering(),
        _SECONDARY,
        (
            "Server net/lan-secondary recovers for longer than computed",
            (
                "The wait of net/lan-secondary (start of its state plus MCLT) should have ended 2m 30s ago. It "
                "answers no dynamic client until it has; its partner serves alone."
            ),
        ),
        since=BEGIN + 12.5,
    ),
    story(
        "TwinleasePairNotComingUp",
        _coming_up(),
        PAIR,
        (
            "Pair net/lan has never served",
            "net/lan was applied more than 15 minutes ago and has not served yet. 1 of 2 servers report.",
        ),
        since=BEGIN + 15,
    ),
    story(
        "TwinleaseWitnessRolledBack",
        judged("WitnessRolledBack"),
        {**PAIR, "reason": "WitnessRolledBack"},
        (
            "Pair net/lan: the API holds an older serving lease than its servers remember",
            (
                "An older copy of the cluster's data was restored under net/lan: its servers remember a higher epoch. "
                "Nobody is granted anything until the longest permit has ended. The serving lease is at epoch 7."
            ),
        ),
        since=BEGIN + 1,
    ),
    *(
        story(
            "TwinleaseLinkFlapping",
            world,
            _PRIMARY,
            (
                "Server net/lan-primary loses its partner again and again",
                (
                    "net/lan-primary lost contact with its partner 6 times within an hour. Each time new leases become "
                    "as short as the MCLT, and the wait for partner-down begins anew."
                ),
            ),
            since=BEGIN + 5,
            until=until,
        )
        for world, until in ((_flapping(), BEGIN + 62), (_flapping().deleted(BEGIN + 20), BEGIN + 20))
    ),
)
