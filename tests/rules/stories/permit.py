"""Stories of permits, fences and clocks: bad from minute 10 on, mended at minute 60."""

from tests.rules.happenings import BEGIN, END, during
from tests.rules.promtool import story
from tests.rules.world import LENGTH_MINUTES, PAIR, PRIMARY, SECONDARY, World, healthy, rising
from twinlease.metrics import table

_PRIMARY = {**PAIR, "server": "lan-primary"}
_MORE = float(LENGTH_MINUTES)


def _exits(reason: str, *, known: bool) -> World:
    pieces = rising(0, 8, until=END) if known else [(None, BEGIN), (1.0, _MORE)]
    return healthy().put(table.EXITS, {**PRIMARY, "reason": reason}, *pieces)


STORIES = (
    story(
        "TwinleaseRenewalsFailing",
        healthy()
        .put(table.RENEWAL_AGE, PRIMARY, (20, BEGIN), *((160 + 30.0 * n, 0.5) for n in range(100)), (20, _MORE))
        .put(table.PERMIT_REMAINING, PRIMARY, *during(220, 1700)),
        _PRIMARY,
        (
            "Server net/lan-primary cannot renew its permit",
            "The last renewal of net/lan-primary that succeeded was 3m 40s ago. Its permit ends in 28m 20s.",
        ),
        since=BEGIN + 1,
    ),
    story(
        "TwinleasePromisesFailing",
        healthy().put(
            table.PROMISES_RECEIVED,
            PRIMARY,
            *rising(0, 0.5, by=30, until=BEGIN)[:-1],
            (600, END - BEGIN),
            *rising(630, 0.5, by=30),
        ),
        _PRIMARY,
        (
            "Server net/lan-primary gets no promises from its partner",
            (
                "net/lan-primary asks its partner's sidecar 1.0 times a second and gets no promise, though both are "
                "normal. Without the API it falls silent. Its permit ends in 3m 40s."
            ),
        ),
        since=BEGIN + 10,
    ),
    story(
        "TwinleaseFenceDegraded",
        healthy().put(table.FENCE, PRIMARY, *during(1, 0)),
        _PRIMARY,
        (
            "The kernel does not fence net/lan-primary",
            (
                "That the kernel holds back the answers of net/lan-primary when its permit ends was not proven at its "
                "start. If it falls silent, its partner does not take over by itself. 2 of 2 servers answer clients."
            ),
        ),
        since=BEGIN + 5,
    ),
    story(
        # In between the user wants the kernel's fence, and before and after that the guard's kill is enough.
        "TwinleaseFenceDegraded",
        healthy().put(table.FENCE, PRIMARY, 0).put(table.FENCE_WANTED, PAIR, *during(0, 1)),
        _PRIMARY,
        (
            "The kernel does not fence net/lan-primary",
            (
                "That the kernel holds back the answers of net/lan-primary when its permit ends was not proven at its "
                "start. If it falls silent, its partner does not take over by itself. 2 of 2 servers answer clients."
            ),
        ),
        since=BEGIN + 5,
    ),
    *(
        story(
            "TwinleaseFenceTripped",
            world,
            {**_PRIMARY, "reason": "PermitEnded"},
            (
                "dhcpd of net/lan-primary was killed: PermitEnded",
                (
                    "The guard of net/lan-primary killed dhcpd within the last 15 minutes, so that it answers nobody "
                    "whom it may not: PermitEnded. It starts anew under a new grant. 2 of 2 servers answer clients."
                ),
            ),
            since=8,
            until=until,
        )
        for world, until in (
            (_exits("PermitEnded", known=True), END + 11),
            (_exits("PermitEnded", known=True).deleted(30), 30),
        )
    ),
    story(
        "TwinleaseFenceTripped",
        _exits("ClockStepped", known=False),
        {**_PRIMARY, "reason": "ClockStepped"},
        (
            "dhcpd of net/lan-primary was killed: ClockStepped",
            (
                "The guard of net/lan-primary killed dhcpd within the last 15 minutes, so that it answers nobody whom "
                "it may not: ClockStepped. It starts anew under a new grant. 2 of 2 servers answer clients."
            ),
        ),
        since=BEGIN,
        until=BEGIN + 15,
    ),
    story(
        "TwinleaseClockSkew",
        healthy()
        .put(table.CLOCK_OFFSET, PRIMARY, *during(0.1, -2.4))
        .put(table.CLOCK_OFFSET, SECONDARY, *during(0, 2.4)),
        PAIR,
        (
            "The clocks of pair net/lan differ",
            (
                "The wall clocks of the two nodes of net/lan differ by 2.4 s. Beyond 3 s one of the two servers is "
                "stopped."
            ),
        ),
        since=BEGIN + 2,
    ),
    story(
        "TwinleaseGuardUnreachable",
        healthy().put(table.GUARD_UP, PRIMARY, *during(1, 0)),
        _PRIMARY,
        (
            "The guard of net/lan-primary does not answer",
            (
                "The sidecar of net/lan-primary has not reached its guard for 2 minutes: nothing can be told to "
                "dhcpd, and the guard kills it when its permit ends. Its permit ends in 3m 40s."
            ),
        ),
        since=BEGIN + 2,
    ),
)
