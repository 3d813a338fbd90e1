"""What is known of a pair, for people and metrics."""

from typing import Annotated

from msgspec import Meta

from twinlease.api.types import Conditions, Duration, Model, ObservedGeneration, Time, described


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


class Takeover(Model, frozen=True, kw_only=True):
    """What partner-down means for this pair, and what the operator thinks of it now."""

    reason: Annotated[str, Meta(max_length=64), described("The verdict in one word.")] = ""
    message: Annotated[str, Meta(max_length=2048), described("The verdict in words, with times.")] = ""
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
