"""Services for a pair on one LAN: small, quick timers.

max-response-delay is not below 3 s: dhcpd calls its partner every third of it in whole seconds, so 2 makes it call
without any pause, and both servers burn a core each.
"""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from msgspec.structs import replace

from tests.unit.engines.cases import both, endpoint, run
from twinlease.model.service import AddressRange, FailoverParameters, Pool, Reservation, Service
from twinlease.model.states import Role

PRIMARY, SECONDARY = IPv4Interface("10.77.0.2/24"), IPv4Interface("10.77.0.3/24")
SUBNET = IPv4Network("10.77.0.0/24")
NO_POOLS = Service(
    endpoints=both(endpoint(Role.PRIMARY, str(PRIMARY)), endpoint(Role.SECONDARY, str(SECONDARY))),
    failover=FailoverParameters(
        name="lan", mclt=30, max_response_delay=3, max_unacked_updates=10, load_balance_max_seconds=3, split=128
    ),
    omapi_port=7911,
    pools=(),
    reservations=(),
)


def service(*ranges: AddressRange, reservations: tuple[Reservation, ...] = ()) -> Service:
    """Return the service of one pool with these ranges."""
    pool = Pool(
        name="lan",
        subnet=SUBNET,
        ranges=ranges or (run("10.77.0.100", "10.77.0.199"),),
        default_lease=600,
        minimum_lease=60,
        maximum_lease=600,
        routers=(IPv4Address("10.77.0.1"),),
    )
    return replace(NO_POOLS, pools=(pool,), reservations=reservations)
