"""Whether the servers may answer, whether that ends when it must, and whether their clocks agree."""

from twinlease.monitoring.alert import Alert, Group, Severity
from twinlease.monitoring.promql import (
    NORMAL,
    OF_SERVER,
    PAIR,
    PERMIT,
    PROCESS_FENCE,
    SERVER,
    SERVING,
    lately,
    only,
    per_pair,
    per_server,
    without,
)

_RUNS = "twinlease_server_running == 1"
GROUP = Group(
    name="twinlease.permit",
    alerts=(
        Alert(
            name="TwinleaseRenewalsFailing",
            # Renewals come once in D/6, and at least once a minute: two were missed.
            expr=only(per_server("twinlease_server_renewal_age_seconds") + " > 150", _RUNS),
            wait="1m",
            severity=Severity.WARNING,
            summary=f"Server {SERVER} cannot renew its permit",
            description=f"The last renewal of {SERVER} that succeeded was {{{{ $value | humanizeDuration }}}} "
            f"ago.{PERMIT}",
        ),
        Alert(
            name="TwinleasePromisesFailing",
            expr=only(
                only(
                    per_server("rate(twinlease_server_promise_requests_total[5m])") + " > 0",
                    f"{per_server('rate(twinlease_server_promises_received_total[5m])')} == 0",
                ),
                NORMAL,
                ("namespace", "pair"),
            ),
            wait="5m",
            severity=Severity.WARNING,
            summary=f"Server {SERVER} gets no promises from its partner",
            description=f'{SERVER} asks its partner\'s sidecar {{{{ $value | printf "%.1f" }}}} times a second and '
            f"gets no promise, though both are normal. Without the API it falls silent.{PERMIT}",
        ),
        Alert(
            name="TwinleaseFenceDegraded",
            expr=without(
                only(per_server("twinlease_server_kernel_fence == 0"), _RUNS)
                + f'\nunless on ({", ".join(OF_SERVER)}) (twinlease_server_permit{{kind="Endless"}} == 1)',
                PROCESS_FENCE,
            ),
            wait="5m",
            severity=Severity.WARNING,
            summary=f"The kernel does not fence {SERVER}",
            description=f"That the kernel holds back the answers of {SERVER} when its permit ends was not proven at "
            f"its start. If it falls silent, its partner does not take over by itself.{SERVING}",
        ),
        Alert(
            name="TwinleaseFenceTripped",
            expr=lately(
                'twinlease_server_exits_total{reason=~"PermitEnded|FenceLost|LinkReplaced|ClockStepped"}',
                "15m",
                "reason",
            ),
            wait="0s",
            severity=Severity.WARNING,
            summary=f"dhcpd of {SERVER} was killed: {{{{ $labels.reason }}}}",
            description=f"The guard of {SERVER} killed dhcpd within the last 15 minutes, so that it answers nobody "
            f"whom it may not: {{{{ $labels.reason }}}}. It starts anew under a new grant.{SERVING}",
        ),
        Alert(
            name="TwinleaseClockSkew",
            expr=per_pair("abs(twinlease_server_clock_offset_seconds)") + " > 1",
            wait="2m",
            severity=Severity.WARNING,
            summary=f"The clocks of pair {PAIR} differ",
            description=f'The wall clocks of the two nodes of {PAIR} differ by {{{{ $value | printf "%.1f" }}}} s. '
            "Beyond 3 s one of the two servers is stopped.",
        ),
        Alert(
            name="TwinleaseGuardUnreachable",
            expr=per_server("twinlease_server_guard_up") + " == 0",
            wait="2m",
            severity=Severity.WARNING,
            summary=f"The guard of {SERVER} does not answer",
            description=f"The sidecar of {SERVER} has not reached its guard for 2 minutes: nothing can be told to "
            f"dhcpd, and the guard kills it when its permit ends.{PERMIT}",
        ),
    ),
)
