"""``DHCPPool``: one subnet that a pair serves."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from twinlease.api.rules import between, immutable, not_longer, rule, validations
from twinlease.api.types import (
    Conditions,
    DNSName,
    Duration,
    IPv4,
    IPv4Network,
    Model,
    ObjectRef,
    ObservedGeneration,
    PlainIPv4,
    described,
    first_of,
    is_ipv4,
    is_network,
    number_of,
    size_of,
)


class Range(Model, frozen=True, kw_only=True):
    """A run of dynamic addresses, both ends included."""

    start: Annotated[PlainIPv4, described("First address.")]
    end: Annotated[PlainIPv4, described("Last address, included.")]


_ADDRESS = "be an IPv4 address without leading zeros, like 192.0.2.1"

RANGE_RULES = validations(
    rule(is_ipv4("self.start"), f"must {_ADDRESS}", path=".start", value="self.start"),
    rule(is_ipv4("self.end"), f"must {_ADDRESS}", path=".end", value="self.end"),
    rule(
        f"!({is_ipv4('self.start')} && {is_ipv4('self.end')}) || {number_of('self.start')} <= {number_of('self.end')}",
        "must not be below start",
        path=".end",
        value="self.end + ' with start ' + self.start",
    ),
)


class LeaseTime(Model, frozen=True, kw_only=True):
    """Lease lengths; there is no infinite lease, for a pair could never be sure that one has ended."""

    default: Annotated[Duration, between("10s", "2160h"), described("Given to a client that asks for no length.")] = (
        "30m"
    )
    maximum: (
        Annotated[
            Duration, between("10s", "2160h"), described("The longest that a client may get; left out: the default.")
        ]
        | UnsetType
    ) = UNSET
    minimum: (
        Annotated[
            Duration,
            between("10s", "2160h"),
            described("The shortest that a client may ask for; left out: 5 minutes, or default if that is shorter."),
        ]
        | UnsetType
    ) = UNSET


LEASE_TIME_RULES = validations(
    rule(
        not_longer("self.default", "self.maximum", "has(self.maximum) && "),
        "must not be shorter than default",
        path=".maximum",
        value="self.maximum + ' with default ' + self.default",
    ),
    rule(
        not_longer("self.minimum", "self.default", "has(self.minimum) && "),
        "must not be longer than default",
        path=".minimum",
        value="self.minimum + ' with default ' + self.default",
    ),
)


class Options(Model, frozen=True, kw_only=True):
    """DHCP options that clients get (RFC 2132)."""

    routers: Annotated[tuple[IPv4, ...], Meta(max_length=8, description="Routers, best first (option 3).")] = ()
    domain_name_servers: Annotated[
        tuple[IPv4, ...], Meta(max_length=8, description="DNS resolvers, best first (option 6).")
    ] = ()
    domain_name: Annotated[DNSName, described("Domain of the clients (option 15).")] | UnsetType = UNSET
    domain_search: Annotated[
        tuple[DNSName, ...], Meta(max_length=16, description="Domains to search, first first (option 119).")
    ] = ()
    ntp_servers: Annotated[tuple[IPv4, ...], Meta(max_length=8, description="NTP servers (option 42).")] = ()


class PoolSpec(Model, frozen=True, kw_only=True):
    """What the user wants of a pool."""

    pair_ref: Annotated[
        ObjectRef,
        immutable(
            "another pair does not know these leases. Delete the pool and apply it under another name", "oldSelf.name"
        ),
        described("The pair that serves the pool."),
    ]
    subnet: Annotated[
        IPv4Network,
        immutable("leases of one subnet mean nothing in another. Apply a second pool"),
        described("The subnet, as network address and prefix length."),
    ]
    ranges: Annotated[
        tuple[Annotated[Range, RANGE_RULES], ...],
        Meta(
            max_length=256,
            description="Dynamic addresses. Addresses of reservations, of the servers and of routers are left out of "
            "them by itself. Left out: the subnet serves reservations only.",
        ),
    ] = ()
    lease_time: Annotated[LeaseTime, LEASE_TIME_RULES, described("Lease lengths.")] = field(default_factory=LeaseTime)
    options: Annotated[Options, described("DHCP options that the clients get.")] = field(default_factory=Options)


_BOTH = f"{is_ipv4('r.start')} && {is_ipv4('r.end')}"
_BELOW = f"{number_of('r.start')} < {first_of('self.subnet')}"
_ABOVE = f"{number_of('r.end')} >= {first_of('self.subnet')} + {size_of('self.subnet')}"
_ANY_OUTSIDE = f"{_BOTH} && ({_BELOW} || {_ABOVE})"

POOL_RULES = validations(
    {
        "rule": f"!has(self.ranges) || !{is_network('self.subnet')} || !self.ranges.exists(r, {_ANY_OUTSIDE})",
        "message": "each start and end must lie inside spec.subnet",
        # Which range it is would be too dear to say: the length of what filter() returns cannot be estimated.
        "messageExpression": "'each start and end must lie inside spec.subnet ' + self.subnet",
        "fieldPath": ".ranges",
    }
)


class PoolStatus(Model, frozen=True, kw_only=True):
    """What is known of a pool."""

    observed_generation: ObservedGeneration = 0
    conditions: Conditions = ()
    addresses: Annotated[int, described("Dynamic addresses.")] = 0
    active: Annotated[int, described("Leased.")] = 0
    free: Annotated[int, described("Free, and the primary's to give.")] = 0
    backup: Annotated[int, described("Free, and the secondary's to give.")] = 0
    abandoned: Annotated[int, described("Found in use by somebody without a lease.")] = 0
    other: Annotated[int, described("Expired, released or reset, until the partner has agreed.")] = 0
