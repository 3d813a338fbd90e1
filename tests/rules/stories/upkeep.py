"""Stories of what looks after the servers: bad from minute 10 on, mended at minute 60."""

from tests.rules.happenings import BEGIN, END, condition, during, taken_over
from tests.rules.promtool import story
from tests.rules.world import LENGTH_MINUTES, PAIR, PRIMARY, SECONDARY, healthy
from twinlease.metrics import table

_PRIMARY = {**PAIR, "server": "lan-primary"}
_SECONDARY = {**PAIR, "server": "lan-secondary"}
_MORE = float(LENGTH_MINUTES)


STORIES = (
    story(
        "TwinleaseConfigRejected",
        healthy()
        .put(table.CONFIG_REJECTED, SECONDARY, *during(0, 1))
        .put(table.CONFIG_CURRENT, SECONDARY, *during(1, 0))
        .put(table.CONFIG, {**SECONDARY, "which": "rejected", "revision": "3f2a5c0b9d1e"}, *during(None, 1)),
        _SECONDARY,
        (
            "Server net/lan-secondary refused its new configuration",
            (
                "net/lan-secondary refused the configuration that it shall run (revision 3f2a5c0b9d1e). The last good "
                "one goes on, and nothing more is rolled out."
            ),
        ),
        since=BEGIN + 1,
    ),
    story(
        "TwinleaseConfigPending",
        healthy()
        .put(table.CONFIG_CURRENT, SECONDARY, *during(1, 0))
        .put(table.CONFIG, {**SECONDARY, "which": "wanted", "revision": "3f2a5c0b9d1e"}, 1),
        _SECONDARY,
        (
            "Server net/lan-secondary does not get its new configuration",
            (
                "For 15 minutes net/lan-secondary has not run the configuration that it shall run (revision "
                "3f2a5c0b9d1e), though both servers are normal."
            ),
        ),
        since=BEGIN + 15,
    ),
    story(
        "TwinleaseObjectInvalid",
        healthy().put(table.OBJECTS, {**PAIR, "kind": "DHCPPool", "valid": "false"}, *during(0, 2)),
        {**PAIR, "kind": "DHCPPool"},
        (
            "Pair net/lan: an object of kind DHCPPool is not valid",
            "Not valid for 15 minutes: 2 DHCPPool of net/lan. What was last accepted goes on.",
        ),
        since=BEGIN + 15,
    ),
    story(
        "TwinleaseObjectInvalid",
        condition(
            healthy(), "Valid", {"status": "False", "reason": "InvalidSpec"}, {"status": "True", "reason": "Accepted"}
        ),
        {**PAIR, "kind": "DHCPFailoverPair"},
        (
            "Pair net/lan: an object of kind DHCPFailoverPair is not valid",
            "Not valid for 15 minutes: 1 DHCPFailoverPair of net/lan. What was last accepted goes on.",
        ),
        since=BEGIN + 15,
    ),
    story(
        "TwinleaseVersionSkew",
        healthy().put(
            table.SERVER_VERSION,
            {**SECONDARY, "component": "engine", "version": "4.4.3-P1"},
            (None, BEGIN),
            (1, 80),
            (None, _MORE),
        ),
        {**PAIR, "component": "engine"},
        (
            "The servers of pair net/lan run different versions (engine)",
            "The two servers of net/lan have run 2 versions of the engine for an hour.",
        ),
        since=BEGIN + 60,
        until=BEGIN + 80,
    ),
    story(
        "TwinleaseServerCrashing",
        healthy().put(
            table.EXITS, {**PRIMARY, "reason": "Exited"}, (0, BEGIN), *((1.0 + n, 2) for n in range(5)), (5, _MORE)
        ),
        _PRIMARY,
        (
            "dhcpd of net/lan-primary ends by itself again and again",
            "dhcpd of net/lan-primary ended by itself 3 times within 30 minutes. 2 of 2 servers answer clients.",
        ),
        since=BEGIN + 4,
        until=BEGIN + 34,
    ),
    story(
        "TwinleaseServerCrashing",
        healthy().put(table.EXITS, {**PRIMARY, "reason": "Signalled"}, (None, BEGIN), (1, 2), (2, 2), (3, _MORE)),
        _PRIMARY,
        (
            "dhcpd of net/lan-primary ends by itself again and again",
            "dhcpd of net/lan-primary ended by itself 3 times within 30 minutes. 2 of 2 servers answer clients.",
        ),
        since=BEGIN + 4,
        until=BEGIN + 30,
    ),
    story(
        "TwinleaseSidecarAbsent",
        healthy().silent(SECONDARY, BEGIN, END),
        _SECONDARY,
        (
            "Nothing is heard of the sidecar of net/lan-secondary",
            (
                "Prometheus has had no series of net/lan-secondary for 10 minutes: its sidecar does not run, hangs, "
                "or cannot be reached. 2 of 2 servers answer clients."
            ),
        ),
        since=BEGIN + 10,
    ),
    *(
        # All hangs on the one that serves alone; of the other it is known why nothing is heard.
        story(
            "TwinleaseSidecarAbsent",
            world.silent(PRIMARY, BEGIN + 10, END),
            _PRIMARY,
            (
                "Nothing is heard of the sidecar of net/lan-primary",
                (
                    "Prometheus has had no series of net/lan-primary for 10 minutes: its sidecar does not run, hangs, "
                    "or cannot be reached. 1 of 2 servers answer clients."
                ),
            ),
            since=BEGIN + 20,
            also=also,
        )
        for world, also in (
            (taken_over(), frozenset({"TwinleasePartnerDown"})),
            (taken_over(after=0.5).put(table.MAINTENANCE, SECONDARY, *during(0, 1)), frozenset[str]()),
        )
    ),
    story(
        "TwinleaseOperatorAbsent",
        healthy().put(table.BUILD_INFO, {"component": "operator", "version": "1.0.0"}, *during(1, None)),
        {"component": "operator"},
        (
            "No twinlease operator is there",
            (
                "Prometheus has had no series of a twinlease operator for 5 minutes. Pairs that serve on: 1. Nobody "
                "puts a survivor into partner-down or lets a server start."
            ),
        ),
        since=BEGIN + 5,
    ),
    story(
        "TwinleaseOperatorNotLeading",
        healthy().put(table.LEADING, {}, *during(1, 0)),
        {},
        (
            "No twinlease operator leads",
            (
                "None has led for 5 minutes. Replicas that run: 1. Nobody puts a survivor into partner-down or lets a "
                "server start."
            ),
        ),
        since=BEGIN + 5,
    ),
    story(
        "TwinleaseReconcileFailing",
        healthy().put(table.FAILURES, PAIR, *during(0, 9)),
        PAIR,
        (
            "The operator cannot look after pair net/lan",
            "The last 9 looks at net/lan failed.",
        ),
        since=BEGIN + 10,
    ),
    story(
        "TwinleaseAdmissionPolicyMissing",
        healthy().put(table.GUARDED, {}, *during(1, 0)),
        {},
        (
            "The admission policy of the serving leases is not in force",
            (
                "The ValidatingAdmissionPolicy twinlease-serving-lease or its binding is not as shipped: no server's "
                "word is trusted, and no survivor is put into partner-down. Pairs that this is about: 1."
            ),
        ),
        since=BEGIN + 5,
    ),
)
