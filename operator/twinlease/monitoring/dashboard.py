"""The Grafana dashboard: all pairs, and one pair at a time."""

from twinlease.metrics.table import PERMITS
from twinlease.model.states import FailoverState
from twinlease.monitoring.panel import Json, Kind, Meaning, Panel, Query, Row, laid_out
from twinlease.monitoring.promql import earlier

UID = "twinlease"

_SERVER = '{namespace="$namespace",pair="$pair"}'
_RATE = "[$__rate_interval]"
_COLOURS = {
    FailoverState.NORMAL: "green",
    FailoverState.COMMUNICATIONS_INTERRUPTED: "yellow",
    FailoverState.PARTNER_DOWN: "orange",
    FailoverState.UNKNOWN: "text",
    FailoverState.STARTUP: "light-blue",
    FailoverState.RECOVER: "blue",
    FailoverState.RECOVER_WAIT: "semi-dark-blue",
    FailoverState.RECOVER_DONE: "dark-blue",
}
"""All other states mean that nobody is served and something is wrong."""
STATES = tuple(
    Meaning(number, str(state), _COLOURS.get(state, "red")) for number, state in enumerate(FailoverState, start=1)
)
KINDS = tuple(
    Meaning(number, kind, colour)
    for number, (kind, colour) in enumerate(zip(PERMITS, ("red", "green", "yellow", "blue"), strict=True), start=1)
)


def _coded(metric: str, label: str, meanings: tuple[Meaning, ...]) -> str:
    """Return the number of the present state of each server, out of one series for each state."""
    chosen = (
        f'max by (server) ({metric}{{namespace="$namespace",pair="$pair",{label}="{each.text}"}} == 1) * {each.number}'
        for each in meanings
    )
    return "\nor ".join(chosen)


def _stat(title: str, description: str, expr: str, *limits: tuple[float, str]) -> Panel:
    query = Query(expr=expr, instant=True)
    return Panel(
        title=title, description=description, queries=[query], kind=Kind.STAT, limits=limits, width=4, height=4
    )


_FLEET = Row(
    title="All pairs",
    panels=[
        _stat(
            "Pairs",
            "Pairs that the leading operator looks after.",
            "count(count by (namespace, pair) (twinlease_pair_serving_servers)) or vector(0)",
        ),
        _stat(
            "Redundant",
            "Pairs of which either server may die.",
            'count(count by (namespace, pair) (twinlease_pair_condition{type="Redundant",status="True"})) or vector(0)',
        ),
        _stat(
            "Alone",
            "Pairs in partner-down, the other server stopped.",
            'count(max by (namespace, pair) (twinlease_pair_phase{phase="Alone"}) == 1) or vector(0)',
            (1, "orange"),
        ),
        _stat(
            "Not serving",
            "Pairs without a server that is known to answer.",
            "count(max by (namespace, pair) (twinlease_pair_serving_servers) == 0) or vector(0)",
            (1, "red"),
        ),
        _stat(
            "Operators",
            "Replicas that run; one of them leads.",
            'count(twinlease_build_info{component="operator"}) or vector(0)',
        ),
        _stat(
            "Alerts",
            "Alerts of twinlease that fire, info not counted.",
            'count(ALERTS{alertname=~"Twinlease.+",alertstate="firing",severity!="info"}) or vector(0)',
            (1, "red"),
        ),
        Panel(
            title="Pairs",
            description="The verdict on each pair, how many servers answer, what is free, and how long it lasts where "
            "it lasts least, by the servers' own halves.",
            kind=Kind.TABLE,
            queries=[
                Query(expr="max by (namespace, pair, reason) (twinlease_pair_verdict)"),
                Query(expr="max by (namespace, pair) (twinlease_pair_serving_servers)"),
                Query(
                    expr="max by (namespace, pair) (sum by (namespace, pair, server) (twinlease_pool_free_addresses))"
                ),
                Query(expr="min by (namespace, pair) (twinlease_pool_runway_seconds)"),
            ],
            width=14,
            height=8,
            hidden=["Value #A"],
            renamed={
                "namespace": "Namespace",
                "pair": "Pair",
                "reason": "Verdict",
                "Value #B": "Answering",
                "Value #C": "Free",
                "Value #D": "Runway (s)",
            },
        ),
        Panel(
            title="The operator's work",
            description="99 of 100 looks at a pair and requests to the API take no longer than this.",
            queries=[
                Query(
                    expr="histogram_quantile(0.99, sum by (le) "
                    f"(rate(twinlease_operator_reconcile_duration_seconds_bucket{_RATE})))",
                    legend="look at a pair",
                ),
                Query(
                    expr="histogram_quantile(0.99, sum by (le, method) "
                    f"(rate(twinlease_api_request_duration_seconds_bucket{_RATE})))",
                    legend="API {{method}}",
                ),
            ],
            unit="s",
            width=10,
            height=8,
        ),
    ],
)

_STATE = Row(
    title="$namespace/$pair: state",
    panels=[
        Panel(
            title="Failover state",
            description="Of both servers as the operator knows it; Unknown: no fresh report.",
            kind=Kind.STATES,
            queries=[Query(expr=_coded("twinlease_pair_server_state", "state", STATES), legend="{{server}}")],
            meanings=STATES,
            width=24,
            height=5,
        ),
        Panel(
            title="Permit",
            description="Why each server may answer: Held (its renewals), Promised (by its partner), Endless; None.",
            kind=Kind.STATES,
            queries=[Query(expr=_coded("twinlease_server_permit", "kind", KINDS), legend="{{server}}")],
            meanings=KINDS,
            width=24,
            height=4,
        ),
        Panel(
            title="Permit remaining",
            description="How long each server may answer if nothing renews its permit.",
            queries=[
                Query(
                    expr=f"max by (server) (twinlease_server_permit_remaining_seconds{_SERVER}) < +Inf",
                    legend="{{server}}",
                ),
                Query(
                    expr=f"max by (server) (twinlease_server_promise_remaining_seconds{_SERVER})",
                    legend="{{server}}, by promise",
                ),
            ],
            unit="s",
            width=8,
        ),
        Panel(
            title="Countdowns",
            description="Until partner-down is considered, until the partner's addresses may be used, and until a "
            "returning server is through; below 0 it is overdue.",
            queries=[
                Query(expr=f"max(twinlease_pair_takeover_in_seconds{_SERVER})", legend="partner-down considered"),
                Query(
                    expr=f"max by (server) (twinlease_server_peer_addresses_usable_in_seconds{_SERVER})",
                    legend="partner's addresses, {{server}}",
                ),
                Query(
                    expr=f"max by (server) (twinlease_server_recover_remaining_seconds{_SERVER})",
                    legend="recovered, {{server}}",
                ),
            ],
            unit="s",
            signed=True,
            width=8,
        ),
        Panel(
            title="The verdict now",
            description="What the operator would do, and why; kubectl twinlease explain says it in sentences.",
            kind=Kind.TABLE,
            queries=[Query(expr=f"max by (action, reason) (twinlease_pair_verdict{_SERVER})")],
            hidden=["Value"],
            renamed={"action": "Action", "reason": "Why"},
            width=8,
        ),
    ],
)

_ADDRESSES = Row(
    title="$namespace/$pair: addresses",
    panels=[
        Panel(
            title="Addresses by state",
            description="All pools together, by the lease database of one server.",
            queries=[
                Query(
                    expr=f"max by (state) (sum by (server, state) (twinlease_pool_addresses{_SERVER}))",
                    legend="{{state}}",
                )
            ],
            stacked=True,
            width=8,
        ),
        Panel(
            title="Free, each server's own",
            description="What each server may give out by itself, by pool.",
            queries=[
                Query(
                    expr='max by (server, pool) (twinlease_pool_free_addresses{namespace="$namespace",pair="$pair",'
                    'owner="own"})',
                    legend="{{pool}}, {{server}}",
                )
            ],
            width=8,
        ),
        Panel(
            title="Runway",
            description="How long that lasts at the rate of the last 15 minutes; nothing is drawn where it lasts for "
            "ever.",
            queries=[
                Query(
                    expr=f"min by (server, pool) (twinlease_pool_runway_seconds{_SERVER}) < +Inf",
                    legend="{{pool}}, {{server}}",
                )
            ],
            unit="s",
            limits=[(0, "red"), (3600, "green")],
            width=8,
        ),
        Panel(
            title="DHCP messages",
            description="A second, of both servers, by dhcpd's log: at least so many.",
            queries=[
                Query(
                    expr=f"sum by (type) (rate(twinlease_server_dhcp_messages_total{_SERVER}{_RATE}))",
                    legend="{{type}}",
                )
            ],
            unit="reqps",
            width=12,
        ),
        Panel(
            title="Unacknowledged updates",
            description="Bindings that the partner has not acknowledged yet. It should fall to 0 at rest.",
            queries=[Query(expr=f"max by (server) (twinlease_server_unacked_updates{_SERVER})", legend="{{server}}")],
            width=12,
        ),
    ],
)

_MACHINERY = Row(
    title="$namespace/$pair: what keeps it up",
    panels=[
        Panel(
            title="Clocks",
            description="By how much the two wall clocks differ; from 3 s on one of two servers in contact is stopped.",
            queries=[Query(expr=f"max(abs(twinlease_server_clock_offset_seconds{_SERVER}))", legend="difference")],
            unit="s",
            limits=[(1, "orange"), (3, "red")],
            width=6,
        ),
        Panel(
            title="Renewals",
            description="Time since the last renewal of the permit that succeeded.",
            queries=[
                Query(expr=f"max by (server) (twinlease_server_renewal_age_seconds{_SERVER})", legend="{{server}}")
            ],
            unit="s",
            width=6,
        ),
        Panel(
            title="Starts and ends of dhcpd",
            description="Within the interval that is drawn, by reason.",
            queries=[
                Query(
                    expr=f"sum by (server) (increase(twinlease_server_starts_total{_SERVER}{_RATE}))",
                    legend="start, {{server}}",
                ),
                Query(
                    expr=f"sum by (server, reason) (increase(twinlease_server_exits_total{_SERVER}{_RATE}))",
                    legend="{{reason}}, {{server}}",
                ),
            ],
            width=6,
        ),
        Panel(
            title="Fence",
            description="1: it was proven that the kernel holds back the server's answers when its permit ends.",
            queries=[Query(expr=f"max by (server) (twinlease_server_kernel_fence{_SERVER})", legend="{{server}}")],
            width=6,
        ),
    ],
)

ROWS = (_FLEET, _STATE, _ADDRESSES, _MACHINERY)

_COUNTED = 'twinlease_pair_decisions_total{namespace="$namespace",pair="$pair",action!~"Nothing|Settle"}'
# A counter that appears with its first event has no earlier value from which Prometheus could see it rise.
DECISIONS = f"""sum by (action, reason) (increase({_COUNTED}{_RATE})) > 0
or sum by (action, reason) ({_COUNTED} unless {earlier(_COUNTED, "$__rate_interval")}) > 0"""
VARIABLES = {
    "namespace": "label_values(twinlease_pair_serving_servers, namespace)",
    "pair": 'label_values(twinlease_pair_serving_servers{namespace="$namespace"}, pair)',
}


def dashboard() -> Json:
    """Return the dashboard as Grafana imports it."""
    return {
        "uid": UID,
        "title": "twinlease",
        "description": "DHCP failover pairs: generated from operator/twinlease/monitoring, do not edit.",
        "tags": ["dhcp", "twinlease"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "templating": {"list": [_source(), *(_variable(name, query) for name, query in VARIABLES.items())]},
        "annotations": {"list": [_decisions()]},
        "links": [],
        "panels": laid_out(ROWS),
    }


def _source() -> Json:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _variable(name: str, query: str) -> Json:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
    }


def _decisions() -> Json:
    return {
        "name": "Decisions",
        "enable": True,
        "iconColor": "purple",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "expr": DECISIONS,
        "step": "30s",
        "titleFormat": "{{action}}",
        "textFormat": "{{reason}}",
    }
