"""From accepted specifications to the engine-neutral ``Service``: resolved, sorted, disjoint, consistent."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network

from msgspec import UNSET

from twinlease.api.pair import PairSpec
from twinlease.api.pool import PoolSpec
from twinlease.api.reservation import ReservationSpec
from twinlease.model import durations, spans
from twinlease.model.service import AddressRange, Endpoint, FailoverParameters, Pool, Reservation, Service
from twinlease.model.spans import Spans
from twinlease.model.states import Role

_DEFAULT_SPLIT = 128
_SHORTEST_LEASE = 300
"""Seconds, where a pool says nothing: a client that asks for less only makes work for both servers."""


def build(
    name: str,
    spec: PairSpec,
    pools: Mapping[str, PoolSpec],
    reservations: Mapping[str, ReservationSpec],
    endpoints: Mapping[Role, Endpoint],
) -> Service:
    """Return what a pair serves.

    Args:
        name: The pair's, and the failover relationship's.
        spec: The pair's.
        pools: By name, right by themselves and beside each other (``model.validate``, ``model.territory``).
        reservations: The same.
        endpoints: Both servers, as their sidecars found them.
    """
    fixed = {IPv4Address(each.address) for each in reservations.values()}
    for endpoint in endpoints.values():
        fixed |= {endpoint.serving.ip, endpoint.failover_address}
    return Service(
        endpoints=dict(endpoints),
        failover=failover(name, spec),
        omapi_port=spec.omapi_port,
        pools=tuple(
            sorted((pool(key, each, fixed) for key, each in pools.items()), key=lambda made: (made.subnet, made.name))
        ),
        reservations=tuple(
            sorted((_reservation(key, each) for key, each in reservations.items()), key=lambda made: made.address)
        ),
    )


def failover(name: str, spec: PairSpec) -> FailoverParameters:
    """Return the failover protocol's parameters."""
    wanted = spec.failover
    hba = bytes.fromhex(wanted.hba.replace(":", "")) if wanted.hba is not UNSET else None
    split = wanted.split if wanted.split is not UNSET else _DEFAULT_SPLIT
    return FailoverParameters(
        name=name,
        mclt=durations.seconds(wanted.mclt),
        max_response_delay=durations.seconds(wanted.max_response_delay),
        max_unacked_updates=wanted.max_unacked_updates,
        load_balance_max_seconds=wanted.load_balance_max_seconds,
        split=split if hba is None else None,
        hba=hba,
    )


def pool(name: str, spec: PoolSpec, fixed: Iterable[IPv4Address]) -> Pool:
    """Return a pool, with routers and ``fixed`` addresses carved out of its ranges."""
    default = durations.seconds(spec.lease_time.default)
    maximum, minimum = spec.lease_time.maximum, spec.lease_time.minimum
    routers = tuple(IPv4Address(each) for each in spec.options.routers)
    wanted = spans.merge((int(IPv4Address(each.start)), int(IPv4Address(each.end))) for each in spec.ranges)
    holes = spans.merge((int(each), int(each)) for each in (*fixed, *routers))
    return Pool(
        name=name,
        subnet=IPv4Network(spec.subnet),
        ranges=ranges(spans.subtract(wanted, holes)),
        default_lease=default,
        minimum_lease=min(default, _SHORTEST_LEASE) if minimum is UNSET else durations.seconds(minimum),
        maximum_lease=default if maximum is UNSET else durations.seconds(maximum),
        routers=routers,
        domain_name_servers=tuple(IPv4Address(each) for each in spec.options.domain_name_servers),
        domain_name=None if spec.options.domain_name is UNSET else spec.options.domain_name,
        domain_search=spec.options.domain_search,
        ntp_servers=tuple(IPv4Address(each) for each in spec.options.ntp_servers),
    )


def ranges(found: Spans) -> tuple[AddressRange, ...]:
    """Return a set of addresses as ranges."""
    return tuple(AddressRange(IPv4Address(first), IPv4Address(last)) for first, last in found)


def _reservation(name: str, spec: ReservationSpec) -> Reservation:
    return Reservation(
        name=name,
        hardware_address=spec.hardware_address.lower(),
        address=IPv4Address(spec.address),
        hostname=None if spec.hostname is UNSET else spec.hostname,
    )
