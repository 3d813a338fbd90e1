"""Stories of pools and lease databases: bad from minute 10 on, mended at minute 60."""

from tests.rules.happenings import BEGIN, during, judged, no_power
from tests.rules.promtool import story
from tests.rules.world import LENGTH_MINUTES, PAIR, PRIMARY, SECONDARY, World, healthy
from twinlease.metrics import table

_PRIMARY = {**PAIR, "server": "lan-primary"}
_SECONDARY = {**PAIR, "server": "lan-secondary"}
_OFFICE = {**PAIR, "pool": "office"}
_POOL = {**PRIMARY, "pool": "office"}
_MORE = float(LENGTH_MINUTES)


def _pool(own: float, peer: float, world: World | None = None) -> World:
    world = world or healthy()
    for each, mine, theirs in ((PRIMARY, own, peer), (SECONDARY, peer, own)):
        for owner, count in (("own", mine), ("peer", theirs)):
            world.put(table.POOL_FREE, {**each, "pool": "office", "owner": owner}, *during(40, count))
    return world


def _damaged() -> World:
    return healthy().put(table.DAMAGE, PRIMARY, (0, BEGIN), (1, _MORE))


STORIES = (
    story(
        "TwinleasePoolExhausted",
        _pool(0, 0),
        _OFFICE,
        (
            "Pool net/office has no free address",
            (
                "A server of net/lan has 0 free addresses of pool net/office that it may give: new clients get none "
                "from it. Clients with a lease go on renewing it."
            ),
        ),
        since=BEGIN + 5,
        also=frozenset({"TwinleasePoolAlmostFull"}),
    ),
    story(
        "TwinleasePoolExhausted",
        _pool(0, 30, no_power()),
        _OFFICE,
        (
            "Pool net/office has no free address",
            (
                "A server of net/lan has 0 free addresses of pool net/office that it may give: new clients get none "
                "from it. Clients with a lease go on renewing it."
            ),
        ),
        since=BEGIN + 5,
        also=frozenset({"TwinleasePairDegraded", "TwinleaseSidecarAbsent"}),
    ),
    story(
        "TwinleaseRunwayLow",
        healthy().put(table.POOL_RUNWAY, _POOL, *during("Inf", 1500)),
        _OFFICE,
        (
            "Pool net/office runs out of free addresses",
            "At the present rate a server of net/lan has no free address of pool net/office left in 25m 0s.",
        ),
        since=BEGIN + 10,
    ),
    story(
        "TwinleasePoolAlmostFull",
        _pool(5, 5),
        _OFFICE,
        (
            "Pool net/office is almost full",
            "6.452% of pool net/office of pair net/lan is free, both servers' shares together.",
        ),
        since=BEGIN + 15,
    ),
    story(
        "TwinleasePoolImbalanced",
        _pool(0, 80),
        {**_PRIMARY, "pool": "office"},
        (
            "Server net/lan-primary has no share of the free addresses of pool office",
            (
                "Both servers of net/lan are normal, and all free addresses of pool net/office are the partner's: "
                "net/lan-primary has 0."
            ),
        ),
        since=BEGIN + 30,
    ),
    story(
        "TwinleaseAddressesAbandoned",
        healthy().put(table.POOL_ADDRESSES, {**_POOL, "state": "abandoned"}, *during(0, 12)),
        _OFFICE,
        (
            "Addresses of pool net/office are used by somebody without a lease",
            "7.186% of pool net/office of pair net/lan is abandoned: found in use by somebody to whom nobody gave it.",
        ),
        since=BEGIN + 30,
    ),
    story(
        "TwinleaseLeaseDatabaseLost",
        judged("LeaseDatabaseLost"),
        PAIR,
        (
            "Pair net/lan: both lease databases are lost",
            (
                "No server of net/lan has a lease database that can be trusted. None serves dynamic clients before "
                "every lease that may be out there has ended, or a human acknowledges the loss. The serving lease is "
                "at epoch 7."
            ),
        ),
        since=BEGIN + 1,
    ),
    story(
        "TwinleaseLeaseDatabaseFound",
        healthy().states(table.DATABASE, SECONDARY, *during("Intact", "Foreign")),
        _SECONDARY,
        (
            "Server net/lan-secondary found somebody else's lease database",
            (
                "The disk of net/lan-secondary holds leases of another server or of an earlier pair, and they still "
                "run. It does not start before a human adopts or discards them. The serving lease is at epoch 7."
            ),
        ),
        since=BEGIN + 5,
    ),
    story(
        "TwinleaseLeaseDatabaseSpoilt",
        healthy()
        .states(table.DATABASE, SECONDARY, *during("Intact", "Lost"))
        .put(table.RECOVER_REMAINING, SECONDARY, *during(None, 1200)),
        {**_SECONDARY, "verdict": "Lost"},
        (
            "The lease database of net/lan-secondary is not the one that was confirmed (Lost)",
            (
                "The lease database of net/lan-secondary is Lost. It serves nobody before it has taken everything "
                "over from its partner. That takes 20m 0s more at most."
            ),
        ),
        since=BEGIN + 5,
    ),
    *(
        story(
            "TwinleaseLeaseFileDamaged",
            world,
            {**_PRIMARY, "role": "primary"},
            (
                "The lease file of net/lan-primary was damaged",
                (
                    "dhcpd of net/lan-primary said 1 times within the last hour that its lease file is damaged; it may "
                    "have lost leases. The file as it was is dhcpd.leases~ beside it."
                ),
            ),
            since=BEGIN,
            until=until,
        )
        for world, until in ((_damaged(), BEGIN + 60), (_damaged().deleted(BEGIN + 20), BEGIN + 20))
    ),
)
