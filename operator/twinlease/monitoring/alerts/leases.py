"""Whether there are addresses to give, and whether what is known of leases is whole."""

from twinlease.monitoring.alert import Alert, Group, Severity
from twinlease.monitoring.promql import (
    EPOCH,
    NORMAL,
    OF_POOL,
    OF_SERVER,
    PAIR,
    SERVER,
    lately,
    only,
    per_pair,
    per_server,
    told,
)

_POOL = "{{ $labels.namespace }}/{{ $labels.pool }}"
_SERVES = "twinlease_server_serving == 1"
_ONE_POOL = (*OF_SERVER, "pool")
_SIZE = f"sum by ({', '.join(_ONE_POOL)}) (twinlease_pool_addresses)"
_ABANDONED = 'twinlease_pool_addresses{state="abandoned"}'
_FREE = f"sum by ({', '.join(_ONE_POOL)}) (twinlease_pool_free_addresses)"
_OWN = 'twinlease_pool_free_addresses{owner="own"}'
# In partner-down the partner's free addresses count as well, from their date on.
_PEERS_COUNT = f"""twinlease_server_state{{state="Normal"}} == 1
  or on ({", ".join(OF_SERVER)}) twinlease_server_peer_addresses_usable_in_seconds == 0"""
_NONE_LEFT = f"""(
  {_FREE} == 0
  or
  sum by ({", ".join(_ONE_POOL)}) ({_OWN}) == 0 unless on ({", ".join(OF_SERVER)}) (
  {_PEERS_COUNT}
  )
)
and on ({", ".join(OF_SERVER)}) ({_SERVES})
and on ({", ".join(_ONE_POOL)}) ({_SIZE} > 0)"""

GROUP = Group(
    name="twinlease.leases",
    alerts=(
        Alert(
            name="TwinleasePoolExhausted",
            expr=per_pair(_NONE_LEFT, "pool"),
            wait="5m",
            severity=Severity.CRITICAL,
            summary=f"Pool {_POOL} has no free address",
            description=f"A server of {PAIR} has {{{{ $value }}}} free addresses of pool {_POOL} that it may give: new "
            "clients get none from it. Clients with a lease go on renewing it.",
        ),
        Alert(
            name="TwinleaseRunwayLow",
            expr=f"min by ({', '.join(OF_POOL)}) (\n" + only("twinlease_pool_runway_seconds", _SERVES) + "\n) < 3600",
            wait="10m",
            severity=Severity.WARNING,
            summary=f"Pool {_POOL} runs out of free addresses",
            description=f"At the present rate a server of {PAIR} has no free address of pool {_POOL} left in "
            "{{ $value | humanizeDuration }}.",
        ),
        Alert(
            name="TwinleasePoolAlmostFull",
            expr=f"max by ({', '.join(OF_POOL)}) ({_FREE} / ({_SIZE} > 0)) < 0.1",
            wait="15m",
            severity=Severity.WARNING,
            summary=f"Pool {_POOL} is almost full",
            description=f"{{{{ $value | humanizePercentage }}}} of pool {_POOL} of pair {PAIR} is free, both servers' "
            "shares together.",
        ),
        Alert(
            name="TwinleasePoolImbalanced",
            expr=only(
                only(per_server(f"{_OWN} == 0", "pool"), f"{_FREE} >= 10", _ONE_POOL), NORMAL, ("namespace", "pair")
            ),
            wait="30m",
            severity=Severity.WARNING,
            summary=f"Server {SERVER} has no share of the free addresses of pool {{{{ $labels.pool }}}}",
            description=f"Both servers of {PAIR} are normal, and all free addresses of pool {_POOL} are the partner's: "
            f"{SERVER} has {{{{ $value }}}}.",
        ),
        Alert(
            name="TwinleaseAddressesAbandoned",
            expr=f"max by ({', '.join(OF_POOL)}) (\n"
            f"  sum by ({', '.join(_ONE_POOL)}) ({_ABANDONED}) / ({_SIZE} > 0)\n) > 0.05",
            wait="30m",
            severity=Severity.INFO,
            summary=f"Addresses of pool {_POOL} are used by somebody without a lease",
            description=f"{{{{ $value | humanizePercentage }}}} of pool {_POOL} of pair {PAIR} is abandoned: found in "
            "use by somebody to whom nobody gave it.",
        ),
        Alert(
            name="TwinleaseLeaseDatabaseLost",
            expr=per_pair('twinlease_pair_verdict{reason="LeaseDatabaseLost"}'),
            wait="1m",
            severity=Severity.CRITICAL,
            summary=f"Pair {PAIR}: both lease databases are lost",
            description=f"No server of {PAIR} has a lease database that can be trusted. None serves dynamic clients "
            "before every lease that may be out there has ended, or a human acknowledges the loss." + EPOCH,
        ),
        Alert(
            name="TwinleaseLeaseDatabaseFound",
            expr=per_server('twinlease_server_lease_database{verdict="Foreign"}') + " == 1",
            wait="5m",
            severity=Severity.WARNING,
            summary=f"Server {SERVER} found somebody else's lease database",
            description=f"The disk of {SERVER} holds leases of another server or of an earlier pair, and they still "
            "run. It does not start before a human adopts or discards them." + EPOCH,
        ),
        Alert(
            name="TwinleaseLeaseDatabaseSpoilt",
            expr=per_server('twinlease_server_lease_database{verdict=~"Lost|Stale|Short"}', "verdict") + " == 1",
            wait="5m",
            severity=Severity.WARNING,
            summary=f"The lease database of {SERVER} is not the one that was confirmed ({{{{ $labels.verdict }}}})",
            description=f"The lease database of {SERVER} is {{{{ $labels.verdict }}}}. It serves nobody before it has "
            "taken everything over from its partner."
            + told("max(twinlease_server_recover_remaining_seconds{PAIR}) > 0", " That takes FOUND more at most."),
        ),
        Alert(
            name="TwinleaseLeaseFileDamaged",
            expr=lately("twinlease_server_lease_database_damage_total", "1h", "role"),
            wait="0s",
            severity=Severity.WARNING,
            summary=f"The lease file of {SERVER} was damaged",
            description=f'dhcpd of {SERVER} said {{{{ $value | printf "%.0f" }}}} times within the last hour that its '
            "lease file is damaged; it may have lost leases. The file as it was is dhcpd.leases~ beside it.",
        ),
    ),
)
