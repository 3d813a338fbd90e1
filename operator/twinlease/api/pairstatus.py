"""What is known of a pair, for people and metrics."""

from typing import Annotated

from msgspec import Meta

from twinlease.api.types import Conditions, Duration, Model, ObservedGeneration, Time, described

MOST_HISTORY = 50
"""Entries of a pair's history that are kept."""


class PairServer(Model, frozen=True, kw_only=True):
    """One server of the pair as its sidecar reports it."""

    name: Annotated[str, described("Name of its DHCPServer.")]
    role: Annotated[str, described("Its fixed part in the failover protocol: primary or secondary.")] = ""
    node: Annotated[str, described("The node, once placed.")] = ""
    address: Annotated[str, described("Serving address with its prefix length.")] = ""
    state: Annotated[str, described("The server's failover state as it reports it; Unknown if no report is fresh.")] = (
        "Unknown"
    )
    partner_state: Annotated[str, described("Its partner's failover state as it knows it.")] = "Unknown"
    serving: Annotated[bool, described("It answers every client that is its to answer.")] = False
    config: Annotated[str, described("Revision of the configuration that it runs.")] = ""
    permit: Annotated[
        str, described("Why it may answer: Held (renewals), Promised (by its partner), Endless, or None.")
    ] = ""
    kernel_fence: Annotated[bool, described("The kernel enforces the end of its permit.")] = False
    silent_since: Annotated[
        Time,
        described(
            "Since when it has not renewed, as the operator saw it, once a renewal is overdue. Empty: it renews, "
            "or nobody has watched for long enough."
        ),
    ] = ""


class JudgedRule(Model, frozen=True, kw_only=True):
    """One rule of the decision about a pair's service, as it was judged last."""

    server: Annotated[str, described("Name of the DHCPServer that the rule would let take over, or start.")]
    rule: Annotated[str, Meta(max_length=64), described("The rule in one word.")]
    holds: Annotated[bool, described("It is fulfilled.")] = False
    message: Annotated[str, Meta(max_length=1024), described("The evidence.")] = ""
    remedy: Annotated[str, Meta(max_length=1024), described("What would change it; empty where it holds.")] = ""
    until: Annotated[Time, described("When time alone may change it; empty: it cannot.")] = ""


class HistoryEntry(Model, frozen=True, kw_only=True):
    """How the pair stood from a moment on."""

    time: Annotated[Time, described("When the operator first saw it so.")]
    primary: Annotated[str, described("The primary's failover state.")] = "Unknown"
    secondary: Annotated[str, described("The secondary's failover state.")] = "Unknown"
    phase: Annotated[str, described("Both, Alone or Returning, by the serving lease.")] = ""
    survivor: Annotated[str, described("Who serves alone; empty: nobody.")] = ""
    reason: Annotated[str, Meta(max_length=64), described("The verdict about partner-down in one word.")] = ""


class Takeover(Model, frozen=True, kw_only=True):
    """What partner-down means for this pair, and what the operator thinks of it now."""

    reason: Annotated[str, Meta(max_length=64), described("The verdict in one word.")] = ""
    message: Annotated[str, Meta(max_length=2048), described("The verdict in words, with times.")] = ""
    time: Annotated[Time, described("When that was said: spans of time in the words count from then.")] = ""
    rules: Annotated[
        tuple[JudgedRule, ...],
        Meta(max_length=32, description="Each rule by which a server takes over or starts; empty: nothing is judged."),
    ] = ()
    epoch: Annotated[int, described("Epoch of the serving lease; confirmations must repeat it.")] = 0
    earliest: Annotated[Time, described("When the takeover is considered at the earliest, while cut off.")] = ""
    addresses_usable: Annotated[
        Time, described("From when the survivor may hand out its partner's free addresses: start of state plus MCLT.")
    ] = ""
    parked_until: Annotated[
        Time, described("Until when the survivor keeps leases for their holders that its partner may have renewed.")
    ] = ""
    recover_ends: Annotated[Time, described("When the returning server's wait for the MCLT is over at the latest.")] = (
        ""
    )
    silence: Annotated[
        Duration,
        described("After this long without a renewal a server has stopped: servingLease.duration and a margin."),
    ] = "0s"


class PairStatus(Model, frozen=True, kw_only=True):
    """What is known of a pair, from what its sidecars report."""

    observed_generation: ObservedGeneration = 0
    state: Annotated[
        str, described("Both failover states at a glance: Normal, or PRIMARY/SECONDARY where they differ.")
    ] = ""
    conditions: Conditions = ()
    servers: Annotated[
        tuple[PairServer, ...],
        Meta(
            max_length=2,
            description="The two servers, as their sidecars report them.",
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    config: Annotated[str, described("Revision of the configuration that both shall run.")] = ""
    pools: Annotated[int, described("Pools in force.")] = 0
    reservations: Annotated[int, described("Reservations in force.")] = 0
    addresses: Annotated[int, described("Dynamic addresses of all pools.")] = 0
    free: Annotated[int, described("Addresses free on either server, by the servers' lease databases.")] = 0
    active: Annotated[int, described("Addresses leased.")] = 0
    phase: Annotated[str, described("Both, Alone or Returning, by the serving lease.")] = ""
    survivor: Annotated[str, described("Who serves alone; empty: nobody.")] = ""
    takeover: Annotated[Takeover, described("Partner-down: the verdict and its dates.")] = Takeover()
    history: Annotated[
        tuple[HistoryEntry, ...],
        Meta(max_length=MOST_HISTORY, description="How the pair stood, oldest first; older entries are dropped."),
    ] = ()
    operator: Annotated[str, described("Version of the operator that wrote this.")] = ""
