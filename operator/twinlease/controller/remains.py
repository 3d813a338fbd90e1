"""What of the leases can be told without a ledger: from the DHCPServers, and from what the reservations report."""

from functools import reduce
from ipaddress import IPv4Address, IPv4Network

from msgspec import UNSET

from twinlease.api.pool import PoolSpec
from twinlease.controller import serverspec
from twinlease.controller.objects import Server
from twinlease.controller.snapshot import Snapshot
from twinlease.decide.acceptance import State
from twinlease.decide.ledger import Remains
from twinlease.model import conditions, durations, spans
from twinlease.model.spans import Span, Spans

_LONGEST = durations.seconds("2160h")
"""What the API allows at most."""


def remains(found: Snapshot, state: State) -> Remains:
    """Return what is known of what clients hold.

    The longest lease is that of the present pools. A pool that was shortened or deleted just before the ledger was
    lost may have given longer ones, but to hold everything for the 90 days that the API allows would hurt more than
    this second fault on top of the first; only without any pool they are what there is to go by.
    """
    servers = found.own_servers()
    return Remains(
        dynamic=_dynamic(found),
        fixed=_fixed(found, state),
        subnets=_subnets(found, state),
        lease=max((_maximum(each.spec) for each in state.pools.values()), default=_LONGEST),
        count=max(map(serverspec.published, servers.values()), default=0),
    )


def _dynamic(found: Snapshot) -> Spans:
    """Return what all servers are told to lease out; one that is not told so has forgotten the leases on the rest."""
    told = [_ranges(server) for server in found.own_servers().values() if serverspec.told(server)]
    return reduce(spans.intersect, told) if told else ()


def _ranges(server: Server) -> Spans:
    pools = () if server.spec is None else server.spec.pools
    ranges = [each for pool in pools for each in pool.ranges]
    return spans.merge((int(IPv4Address(each.start)), int(IPv4Address(each.end))) for each in ranges)


def _fixed(found: Snapshot, state: State) -> dict[int, str]:
    """Return the reservations that both servers were seen to run as they are now."""
    known = {}
    for each in found.reservations:
        accepted, seen = state.reservations.get(each.meta.name), conditions.get(each.status.conditions, "Programmed")
        if accepted is None or accepted.spec != each.spec or seen is None:
            continue
        if seen.status == conditions.TRUE and seen.observed_generation == each.meta.generation:
            known[int(IPv4Address(accepted.spec.address))] = accepted.spec.hardware_address.lower()
    return known


def _subnets(found: Snapshot, state: State) -> Spans:
    texts = {each.spec.subnet for each in state.pools.values()}
    texts.update(text for server in found.own_servers().values() if server.spec for text in server.spec.subnets)
    return spans.merge(map(_span, texts))


def _span(subnet: str) -> Span:
    network = IPv4Network(subnet)
    return int(network.network_address), int(network.broadcast_address)


def _maximum(spec: PoolSpec) -> int:
    times = spec.lease_time
    return durations.seconds(times.default if times.maximum is UNSET else times.maximum)
