"""Which alerts the cases of the fault matrix are to cause, and which no case may.

The pair's timers are some forty times shorter than by default, and so is what alerts wait for here; but the time that
machines take is not. So some alerts are right whether they fire or not: it depends on which of the two is quicker.
"""

from typing import NamedTuple

SPED_UP = 40
"""`TwinleasePairDegraded` waits 7.5 s, `TwinleasePartnerDown` 3 s, `TwinleaseSidecarAbsent` 15 s."""

LATE = frozenset({"TwinleaseFenceTripped", "TwinleaseLinkFlapping"})
"""They tell of the last quarter of an hour, and of the last hour: once a case is over they go on, and the second is
right from some case on, as a dozen faults within an hour are what it is about."""

_STARTING = "TwinleaseGuardUnreachable"  # a pod's sidecar starts before its guard, and 3 s are not much for both
_DEGRADED, _ALONE = "TwinleasePairDegraded", "TwinleasePartnerDown"
_TRIPPED = "TwinleaseFenceTripped"


class Alarm(NamedTuple):
    """The alerts of a case: those that must fire, and those that are right as well."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()


def _alarm(*must: str, may: tuple[str, ...] = ()) -> Alarm:
    return Alarm(frozenset(must), frozenset(may))


ALARMS = {
    # The dozen cases that tell most.
    "dhcpd-killed": _alarm(),
    "pod-deleted": _alarm(may=(_DEGRADED, _STARTING)),
    "node-power-off": _alarm(_ALONE, may=(_DEGRADED, _STARTING)),
    "node-frozen": _alarm(_TRIPPED, may=(_DEGRADED, _ALONE)),
    "isolated": _alarm(_ALONE, _TRIPPED, may=(_DEGRADED,)),
    "lan-split-victim-without-api": _alarm(_ALONE, _TRIPPED, may=(_DEGRADED,)),
    "peer-cut": _alarm(_DEGRADED),
    "api-cut-one": _alarm(_DEGRADED),
    "promise": _alarm(
        "TwinleaseNoServerServing", _TRIPPED, may=(_DEGRADED, _ALONE, _STARTING, "TwinleaseSidecarAbsent")
    ),
    "disk-rolled-back": _alarm(may=(_DEGRADED, _ALONE, _STARTING, "TwinleaseLeaseDatabaseSpoilt")),
    # An election takes 15 s, for its Lease is not sped up; until then nobody tells Prometheus of the takeover.
    "leader-killed-ordered": _alarm("TwinleaseOperatorNotLeading", may=(_DEGRADED, _ALONE, _STARTING)),
    "tables-deleted": _alarm(may=(_TRIPPED,)),
}
