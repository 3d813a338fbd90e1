"""Whether what looks after the servers does: configurations, versions, sidecars, the operator."""

from twinlease.monitoring.alert import Alert, Group, Severity
from twinlease.monitoring.promql import (
    COMING_UP,
    IN_MAINTENANCE,
    NOT_EXPORTED,
    OF_SERVER,
    PAIR,
    REVOKED,
    SERVER,
    SERVING,
    earlier,
    only,
    per_pair,
    per_server,
    told,
    without,
)

_INVALID = 'twinlease_pair_condition{type="Valid", status="False"}'
_PAIR_INVALID = f'label_replace({per_pair(_INVALID)}, "kind", "DHCPFailoverPair", "", "")'
_ENDS = 'twinlease_server_exits_total{reason=~"Signalled|Exited"}'
_OPERATORS = 'twinlease_build_info{component="operator"}'

GROUP = Group(
    name="twinlease.upkeep",
    alerts=(
        Alert(
            name="TwinleaseConfigRejected",
            expr=per_server("twinlease_server_config_rejected") + " == 1",
            wait="1m",
            severity=Severity.WARNING,
            summary=f"Server {SERVER} refused its new configuration",
            description=f"{SERVER} refused the configuration that it shall run"
            + told(
                'twinlease_server_config_revision_info{SERVER,which="rejected"}',
                " (revision FOUND)",
                'label "revision"',
            )
            + ". The last good one goes on, and nothing more is rolled out.",
        ),
        Alert(
            name="TwinleaseConfigPending",
            expr=only(
                per_server("twinlease_server_config_current") + " == 0",
                per_pair('twinlease_pair_condition{type="Redundant", status="True"}'),
                ("namespace", "pair"),
            )
            + f"\nunless on ({', '.join(OF_SERVER)}) (twinlease_server_config_rejected == 1)",
            wait="15m",
            severity=Severity.WARNING,
            summary=f"Server {SERVER} does not get its new configuration",
            description=f"For 15 minutes {SERVER} has not run the configuration that it shall run"
            + told(
                'twinlease_server_config_revision_info{SERVER,which="wanted"}', " (revision FOUND)", 'label "revision"'
            )
            + ", though both servers are normal.",
        ),
        Alert(
            name="TwinleaseObjectInvalid",
            expr=per_pair('twinlease_pair_objects{valid="false"}', "kind") + f" > 0\nor\n{_PAIR_INVALID}",
            wait="15m",
            severity=Severity.INFO,
            summary=f"Pair {PAIR}: an object of kind {{{{ $labels.kind }}}} is not valid",
            description=f"Not valid for 15 minutes: {{{{ $value }}}} {{{{ $labels.kind }}}} of {PAIR}. What was last "
            "accepted goes on.",
        ),
        Alert(
            name="TwinleaseVersionSkew",
            expr="count by (namespace, pair, component) (\n"
            "  count by (namespace, pair, component, version) (twinlease_server_version_info)\n) > 1",
            wait="1h",
            severity=Severity.WARNING,
            summary=f"The servers of pair {PAIR} run different versions ({{{{ $labels.component }}}})",
            description=f"The two servers of {PAIR} have run {{{{ $value }}}} versions of the "
            f"{{{{ $labels.component }}}} for an hour.",
        ),
        Alert(
            name="TwinleaseServerCrashing",
            # Not increase(): a counter that appears with its first event has no earlier value.
            expr=f"sum by ({', '.join(OF_SERVER)}) (\n"
            f"  clamp_min({_ENDS} - ({earlier(_ENDS, '30m')} or {_ENDS} * 0), 0)\n) > 2",
            wait="0s",
            severity=Severity.WARNING,
            summary=f"dhcpd of {SERVER} ends by itself again and again",
            description=f"dhcpd of {SERVER} ended by itself {{{{ $value }}}} times within 30 minutes." + SERVING,
        ),
        Alert(
            name="TwinleaseSidecarAbsent",
            # Of one that is revoked, or stopped on request, it is known why; not so of its partner, which all hangs on.
            expr=without(
                per_server(f"twinlease_pair_server_state unless on (namespace, pair, role) (\n  {REVOKED}\n)")
                + "".join(
                    f"\nunless on ({', '.join(OF_SERVER)}) ({each})"
                    for each in ("twinlease_server_guard_up", IN_MAINTENANCE)
                ),
                COMING_UP,
                NOT_EXPORTED,
            ),
            wait="10m",
            severity=Severity.WARNING,
            summary=f"Nothing is heard of the sidecar of {SERVER}",
            description=f"Prometheus has had no series of {SERVER} for 10 minutes: its sidecar does not run, hangs, or "
            "cannot be reached." + SERVING,
        ),
        Alert(
            name="TwinleaseOperatorAbsent",
            expr=f"absent({_OPERATORS})",
            wait="5m",
            severity=Severity.WARNING,
            summary="No twinlease operator is there",
            description="Prometheus has had no series of a twinlease operator for 5 minutes."
            + told(
                "count(count by (namespace, pair) (twinlease_server_serving == 1))",
                " Pairs that serve on: FOUND.",
                "value",
            )
            + " Nobody puts a survivor into partner-down or lets a server start.",
        ),
        Alert(
            name="TwinleaseOperatorNotLeading",
            expr="max(twinlease_operator_leading) == 0",
            wait="5m",
            severity=Severity.WARNING,
            summary="No twinlease operator leads",
            description="None has led for 5 minutes."
            + told("count(twinlease_operator_leading)", " Replicas that run: FOUND.", "value")
            + " Nobody puts a survivor into partner-down or lets a server start.",
        ),
        Alert(
            name="TwinleaseReconcileFailing",
            expr=per_pair("twinlease_pair_reconcile_failures") + " > 0",
            wait="10m",
            severity=Severity.WARNING,
            summary=f"The operator cannot look after pair {PAIR}",
            description=f"The last {{{{ $value }}}} looks at {PAIR} failed.",
        ),
        Alert(
            name="TwinleaseAdmissionPolicyMissing",
            expr="min(twinlease_operator_admission_policy) == 0",
            wait="5m",
            severity=Severity.WARNING,
            summary="The admission policy of the serving leases is not in force",
            description="The ValidatingAdmissionPolicy twinlease-serving-lease or its binding is not as shipped: no "
            "server's word is trusted, and no survivor is put into partner-down."
            + told(
                "count(count by (namespace, pair) (twinlease_pair_serving_servers))",
                " Pairs that this is about: FOUND.",
                "value",
            ),
        ),
    ),
)
