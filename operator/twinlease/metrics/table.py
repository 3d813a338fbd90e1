"""Every series that twinlease exports: name, type, help, labels. ``docs/metrics.md`` is generated from here.

Base units, bounded labels, no series per lease or client. A server's series come from its own sidecar, so that they are
there while the API is not; what takes both servers to tell comes from the operator that leads.
"""

from enum import StrEnum

from msgspec import Struct

from twinlease.api.servinglease import DatabaseVerdict, Phase
from twinlease.decide.clocks import Verdict as ClockVerdict
from twinlease.model.states import FailoverState, Role


class Kind(StrEnum):
    """What a series is."""

    GAUGE = "gauge"
    COUNTER = "counter"
    """Counts since the process that counts began; its name ends in ``_total``."""
    HISTOGRAM = "histogram"
    STATES = "states"
    """One gauge for each value of the last label: 1 for the present one, 0 for all others."""
    INFO = "info"
    """A gauge that is always 1: its labels say something. What is not so any more has no series."""


class Exporter(StrEnum):
    """Who exports a series."""

    SIDECAR = "sidecar"
    OPERATOR = "operator"
    """Every replica."""
    LEADER = "leader"
    """The replica that leads, and no other."""


class Metric(Struct, frozen=True, kw_only=True):
    """One family of series.

    Attributes:
        name: As Prometheus stores it; of a histogram without ``_bucket``, ``_sum`` and ``_count``.
        help: One or two sentences.
        labels: In order; of ``STATES`` the last one holds the value.
        unit: Base unit, by which the name ends; empty: a plain number.
        by: Who exports it.
        values: All values of the last label of ``STATES``.
        buckets: Upper bounds of a histogram, without the infinite one.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    by: tuple[Exporter, ...] = (Exporter.SIDECAR,)
    values: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


SERVER = ("namespace", "pair", "server", "role")
"""Labels of what a sidecar says: the pair, the DHCPServer's name, and primary or secondary."""
PAIR = ("namespace", "pair")

_EVERYBODY = (Exporter.SIDECAR, Exporter.OPERATOR)
_OPERATOR = (Exporter.OPERATOR,)
_LEADER = (Exporter.LEADER,)
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LOOK_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
_STATES = tuple(map(str, FailoverState))
_DATABASE = tuple(map(str, DatabaseVerdict))
_CLOCKS = tuple(map(str, ClockVerdict))
PERMITS = ("None", "Held", "Promised", "Endless")
MESSAGES = ("discover", "offer", "request", "ack", "nak", "decline", "release", "inform")


def _gauge(name: str, text: str, *more: str, unit: str = "", by: tuple[Exporter, ...] | None = None) -> Metric:
    """Return a gauge; one of the leader has the labels of a pair, any other those of a server, and ``more``."""
    labels = (PAIR if by == _LEADER else () if by else SERVER) + more
    return Metric(name=name, kind=Kind.GAUGE, help=text, labels=labels, unit=unit, by=by or (Exporter.SIDECAR,))


def _counter(name: str, text: str, *more: str, unit: str = "", by: tuple[Exporter, ...] | None = None) -> Metric:
    labels = (PAIR if by == _LEADER else () if by else SERVER) + more
    return Metric(name=name, kind=Kind.COUNTER, help=text, labels=labels, unit=unit, by=by or (Exporter.SIDECAR,))


def _info(name: str, text: str, *more: str, by: tuple[Exporter, ...] | None = None) -> Metric:
    labels = (PAIR if by == _LEADER else () if by else SERVER) + more
    return Metric(name=name, kind=Kind.INFO, help=text, labels=labels, by=by or (Exporter.SIDECAR,))


def _states(
    name: str, text: str, values: tuple[str, ...], *more: str, by: tuple[Exporter, ...] = (Exporter.SIDECAR,)
) -> Metric:
    labels = (PAIR if by == _LEADER else SERVER) + more
    return Metric(name=name, kind=Kind.STATES, help=text, labels=labels, by=by, values=values)


BUILD_INFO = Metric(
    name="twinlease_build_info",
    kind=Kind.INFO,
    help="Version of twinlease in this process.",
    labels=("component", "version"),
    by=_EVERYBODY,
)
API_REQUEST_SECONDS = Metric(
    name="twinlease_api_request_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="Time that requests to the Kubernetes API took, watches not counted; result: ok, conflict, refused (any other "
    "status of 400 and above) or unreachable (no answer).",
    labels=("method", "result"),
    unit="seconds",
    by=_EVERYBODY,
    buckets=_REQUEST_BUCKETS,
)

# --- a server, by its sidecar -----------------------------------------------------------------------------------------
SERVER_VERSION = _info(
    "twinlease_server_version_info",
    "Versions of what makes up a server; component: sidecar, guard or engine (dhcpd).",
    "component",
    "version",
)
STATE = _states(
    "twinlease_server_state",
    "Failover state as dhcpd tells it; Unknown while dhcpd does not run or does not answer.",
    _STATES,
    "state",
)
PARTNER_STATE = _states(
    "twinlease_server_partner_state", "The partner's failover state as this dhcpd knows it.", _STATES, "state"
)
STATE_START = _gauge(
    "twinlease_server_state_start_time_seconds",
    "When the present failover state began, by dhcpd (Unix time); no series while it is not known.",
    unit="seconds",
)
TRANSITIONS = _counter(
    "twinlease_server_state_transitions_total",
    "Changes of its own failover state that dhcpd recorded, since the sidecar began; repeats of a state included.",
)
INTERRUPTION = _gauge(
    "twinlease_server_interruption_seconds",
    "How long the present unbroken interruption of the failover link has lasted; 0: there is none.",
    unit="seconds",
)
INTERRUPTIONS = _counter(
    "twinlease_server_interruptions_total",
    "Unbroken times without normal that its sidecar saw, since the lease database was made; kept on the disk.",
)
GUARD_UP = _gauge("twinlease_server_guard_up", "1: the guard answers its sidecar.")
RUNNING = _gauge("twinlease_server_running", "1: dhcpd's process exists.")
SERVING = _gauge("twinlease_server_serving", "1: the server answers every client that is its to answer.")
CONDITION = _info(
    "twinlease_server_condition",
    "The DHCPServer's conditions, also while the API is away: one series for each type, with its present status (True, "
    "False, Unknown) and reason. Why a server does not serve stands in Serving, Running and Permitted.",
    "type",
    "status",
    "reason",
)
PERMIT = _states(
    "twinlease_server_permit",
    "Why the server may answer: Held (its renewals), Promised (by its partner), Endless (spec.isolation: Serve), None.",
    PERMITS,
    "kind",
)
PERMIT_REMAINING = _gauge(
    "twinlease_server_permit_remaining_seconds",
    "How long the server may answer if nothing renews its permit; 0: it may not, +Inf: without end.",
    unit="seconds",
)
EPOCH = _gauge("twinlease_server_grant_epoch", "Epoch of the grant that the server took up last; 0: none.")
RENEWALS = _counter(
    "twinlease_server_renewals_total", "Writes of the server's part of the serving lease that succeeded."
)
RENEWAL_FAILURES = _counter("twinlease_server_renewal_failures_total", "Those that failed.")
RENEWAL_AGE = _gauge(
    "twinlease_server_renewal_age_seconds",
    "Time since the sending of the last renewal that succeeded; no series before the first.",
    unit="seconds",
)
PROMISE_REQUESTS = _counter(
    "twinlease_server_promise_requests_total", "Promises that were asked of the partner's sidecar."
)
PROMISES_RECEIVED = _counter("twinlease_server_promises_received_total", "Promises that it gave.")
PROMISE_REMAINING = _gauge(
    "twinlease_server_promise_remaining_seconds",
    "How long the server may answer by its partner's promise alone; 0: there is none.",
    unit="seconds",
)
PROMISED = _gauge(
    "twinlease_server_promised_seconds",
    "How long this server has promised its partner not to enter partner-down; 0: nothing runs.",
    unit="seconds",
)
PEER_HEARD = _gauge("twinlease_server_peer_heard", "1: the partner's sidecar answered within the last 5 s.")
PEER_REFUSED = _counter(
    "twinlease_server_peer_messages_refused_total",
    "Messages of the partner's sidecar that were not taken, and promises that were not given, by reason; reasons that "
    "begin with By are the partner's.",
    "reason",
)
FENCE = _gauge(
    "twinlease_server_kernel_fence",
    "1: that the kernel holds back the server's answers when its permit ends was proven at its last start. The "
    "condition KernelFence says why not.",
)
STARTS = _counter("twinlease_server_starts_total", "Starts of dhcpd since the guard began.")
EXITS = _counter(
    "twinlease_server_exits_total",
    "Ends of dhcpd since the guard began; reason: Stopped or Killed (asked for), PermitEnded, FenceLost, LinkReplaced, "
    "ClockStepped (killed by the guard), Signalled or Exited (by itself).",
    "reason",
)
REPAIRS = _counter(
    "twinlease_server_lease_database_edits_total",
    "Starts before which the guard edited the lease database (made, restored, emptied, extended, cleaned of old "
    "reservations), since it began.",
)
DAMAGE = _counter(
    "twinlease_server_lease_database_damage_total",
    "Times that dhcpd itself said at a start that its lease file is damaged and records may be lost, since the guard "
    "began.",
)
GIVEN_AGAIN = _counter(
    "twinlease_server_leases_given_again_total",
    "Leases that a late word of the partner's had ended, and that the sidecar had leased again, since it began. The "
    "failover link stalls at times, for less than maxResponseDelay.",
)
DATABASE = _states(
    "twinlease_server_lease_database",
    "What the lease database is, compared with what was confirmed of it. Lost, Stale, Short (leases are missing) and "
    "Foreign need a look.",
    _DATABASE,
    "verdict",
)
MCLT = _gauge(
    "twinlease_server_mclt_seconds",
    "MCLT in force, as dhcpd tells it; no series while it does not know it.",
    unit="seconds",
)
PEER_ADDRESSES = _gauge(
    "twinlease_server_peer_addresses_usable_in_seconds",
    "In partner-down: how long until the partner's free addresses may be handed out (start of state plus MCLT); 0: "
    "they may. No series in other states.",
    unit="seconds",
)
RECOVER_REMAINING = _gauge(
    "twinlease_server_recover_remaining_seconds",
    "In recover and recover-wait: how long until the wait is over at the latest (start of state plus MCLT); negative: "
    "it is overdue. No series in other states.",
    unit="seconds",
)
UNACKED = _gauge(
    "twinlease_server_unacked_updates",
    "Binding updates that the partner had not acknowledged at the last answer of dhcpd.",
)
POOL_ADDRESSES = _gauge(
    "twinlease_pool_addresses",
    "Dynamic addresses of a pool by binding state in this server's lease database: active, free (the primary's), "
    "backup (the secondary's), abandoned, other. Counted every 10 s, less often where that takes long.",
    "pool",
    "state",
)
POOL_FREE = _gauge(
    "twinlease_pool_free_addresses",
    "Free addresses of a pool by whose they are to hand out; owner: own or peer.",
    "pool",
    "owner",
)
POOL_RUNWAY = _gauge(
    "twinlease_pool_runway_seconds",
    "How long the free addresses last that the server may hand out now, at the rate at which they became fewer over "
    "the last 15 minutes of this failover state; +Inf: they did not, or it is not known yet.",
    "pool",
    unit="seconds",
)
DHCP_MESSAGES = _counter(
    "twinlease_server_dhcp_messages_total",
    "DHCP messages in dhcpd's log since the guard began; type: discover, offer, request, ack, nak, decline, release, "
    "inform. At least so many: dhcpd drops lines that its log does not take at once.",
    "type",
)
LOG_DROPPED = _counter(
    "twinlease_server_log_dropped_bytes_total",
    "Bytes of dhcpd's log that the container's output did not take, since the guard began.",
    unit="bytes",
)
CLOCK_OFFSET = _gauge(
    "twinlease_server_clock_offset_seconds",
    "The partner's wall clock minus this server's; no series while it cannot be measured.",
    unit="seconds",
)
CLOCKS = _states(
    "twinlease_server_clocks",
    "Whether the two wall clocks agree: Differ means more than 3 s, Drift more than 1 s, Unknown that it cannot be "
    "measured.",
    _CLOCKS,
    "verdict",
)
CLOCK_STEPS = _counter(
    "twinlease_server_clock_steps_total", "Steps of the node's wall clock of more than 2 s since the guard began."
)
CONFIG = _info(
    "twinlease_server_config_revision_info",
    "Revisions of the configuration, 12 digits; which: wanted, running or rejected.",
    "which",
    "revision",
)
CONFIG_CURRENT = _gauge(
    "twinlease_server_config_current", "1: dhcpd runs the configuration that the operator wants, or none is wanted yet."
)
CONFIG_REJECTED = _gauge("twinlease_server_config_rejected", "1: the wanted configuration was refused on this node.")
MAINTENANCE = _gauge("twinlease_server_maintenance", "1: the user asks for the server to be stopped.")
LOOK_AGE = _gauge(
    "twinlease_server_look_age_seconds",
    "Time since the sidecar last looked at everything: as old are the other series of this server. After 90 s there "
    "are none of them any more.",
    unit="seconds",
)

# --- a pair, by the operator that leads -------------------------------------------------------------------------------
PHASE = _states(
    "twinlease_pair_phase",
    "How the two servers stand to each other by the serving lease: Both may serve, one Alone, or the other Returning.",
    tuple(map(str, Phase)),
    "phase",
    by=_LEADER,
)
SURVIVOR = _states(
    "twinlease_pair_survivor",
    "Who was ordered into partner-down; all 0: nobody.",
    tuple(map(str, Role)),
    "role",
    by=_LEADER,
)
PAIR_EPOCH = _gauge("twinlease_pair_epoch", "Epoch of the serving lease: rises with every grant and order.", by=_LEADER)
PAIR_SERVER_STATE = _states(
    "twinlease_pair_server_state",
    "Failover state of each server as the operator knows it; Unknown where no report is fresh. There also when the "
    "sidecar cannot be scraped.",
    _STATES,
    "server",
    "role",
    "state",
    by=_LEADER,
)
PAIR_SERVING = _gauge(
    "twinlease_pair_serving_servers", "Servers that answer their clients, by fresh reports: 0, 1 or 2.", by=_LEADER
)
REPORT_AGE = _gauge(
    "twinlease_pair_server_report_age_seconds",
    "Time since this operator saw a write of the server's part of the serving lease arrive; no series before that.",
    "server",
    "role",
    unit="seconds",
    by=_LEADER,
)
PAIR_CONDITION = _info(
    "twinlease_pair_condition",
    "The pair's conditions: one series for each type, with its present status (True, False, Unknown) and reason.",
    "type",
    "status",
    "reason",
    by=_LEADER,
)
VERDICT = _info(
    "twinlease_pair_verdict",
    "The present verdict on who serves and whether partner-down is entered: what would be done (action) and why.",
    "action",
    "reason",
    by=_LEADER,
)
DECISIONS = _counter(
    "twinlease_pair_decisions_total",
    "Looks at a pair's service, by what was decided (action: Nothing, Order, Withdraw, Grant, Settle) and why. A look "
    "that wrote nothing counts too.",
    "action",
    "reason",
    by=_LEADER,
)
THRESHOLD = _gauge(
    "twinlease_pair_takeover_in_seconds",
    "While cut off: how long until the interruption has lasted spec.partnerDown.after; 0: it has. No series otherwise.",
    unit="seconds",
    by=_LEADER,
)
OBJECTS = _gauge(
    "twinlease_pair_objects",
    "DHCPPools and DHCPReservations of a pair; kind: DHCPPool or DHCPReservation; valid: true or false, by their "
    "condition Valid.",
    "kind",
    "valid",
    by=_LEADER,
)
METRICS_PORT = _gauge(
    "twinlease_pair_metrics_port",
    "spec.metricsPort, where each sidecar tells its series; 0: nowhere, as the user wants it.",
    by=_LEADER,
)
FENCE_WANTED = _gauge(
    "twinlease_pair_kernel_fence_wanted",
    "1: spec.fence is Kernel; 0: it is Process, the guard's kill is enough for the user.",
    by=_LEADER,
)
FAILURES = _gauge(
    "twinlease_pair_reconcile_failures",
    "Looks at a pair that failed one after the other; 0: the last one did not.",
    by=_LEADER,
)

# --- an operator ------------------------------------------------------------------------------------------------------
LEADING = _gauge("twinlease_operator_leading", "1: this replica leads.", by=_OPERATOR)
RECONCILE_SECONDS = Metric(
    name="twinlease_operator_reconcile_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="Time that looks at a pair took, their writes included; result: ok, refused (by the API) or failed (a fault "
    "of the operator).",
    labels=("result",),
    unit="seconds",
    by=_LEADER,
    buckets=_LOOK_BUCKETS,
)
QUEUE = Metric(
    name="twinlease_operator_queue_pairs",
    kind=Kind.GAUGE,
    help="Pairs that wait to be looked at, those with a time for it included.",
    unit="pairs",
    by=_LEADER,
)
GUARDED = Metric(
    name="twinlease_operator_admission_policy",
    kind=Kind.GAUGE,
    help="1: the ValidatingAdmissionPolicy is there as shipped, without which nobody is put into partner-down by "
    "itself. No series before the first look.",
    by=_LEADER,
)

TABLE: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of them, in this order."""
