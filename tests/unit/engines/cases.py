"""Services that the golden configurations are rendered from; also what the real dhcpd must accept."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from twinlease.model.service import AddressRange, Endpoint, FailoverParameters, Pool, Reservation, Service
from twinlease.model.states import Role


def run(first: str, last: str) -> AddressRange:
    """Return a range of addresses."""
    return AddressRange(IPv4Address(first), IPv4Address(last))


def endpoint(role: Role, serving: str, *, failover: str | None = None, port: int = 647) -> Endpoint:
    """Return a server."""
    return Endpoint(
        name=f"office-{role}",
        node=f"node-{role}",
        interface="eth0",
        serving=IPv4Interface(serving),
        failover_address=IPv4Address(failover or serving.partition("/")[0]),
        failover_port=port,
    )


def both(primary: Endpoint, secondary: Endpoint) -> Mapping[Role, Endpoint]:
    """Return the two servers by their role."""
    return {Role.PRIMARY: primary, Role.SECONDARY: secondary}


PARAMETERS = FailoverParameters(
    name="office",
    mclt=1800,
    max_response_delay=30,
    max_unacked_updates=10,
    load_balance_max_seconds=3,
    split=128,
)

REFERENCE = Service(
    endpoints=both(endpoint(Role.PRIMARY, "10.20.0.2/24"), endpoint(Role.SECONDARY, "10.20.0.3/24")),
    failover=PARAMETERS,
    omapi_port=7911,
    pools=(
        Pool(
            name="office",
            subnet=IPv4Network("10.20.0.0/24"),
            ranges=(run("10.20.0.100", "10.20.0.199"), run("10.20.0.201", "10.20.0.254")),
            default_lease=1800,
            minimum_lease=60,
            maximum_lease=3600,
            routers=(IPv4Address("10.20.0.1"),),
            domain_name_servers=(IPv4Address("10.20.0.1"), IPv4Address("9.9.9.9")),
            domain_name="office.example.com",
            domain_search=("office.example.com", "example.com"),
            ntp_servers=(IPv4Address("10.20.0.1"),),
        ),
    ),
    reservations=(
        Reservation(
            name="printer.second-floor",
            hardware_address="02:00:5e:00:53:01",
            address=IPv4Address("10.20.0.200"),
            hostname="printer",
        ),
        Reservation(name="10-door", hardware_address="02:00:5e:00:53:02", address=IPv4Address("10.20.0.10")),
    ),
)

RELAYED = Service(
    endpoints=both(
        endpoint(Role.PRIMARY, "192.168.7.2/24", failover="172.16.0.2", port=1647),
        endpoint(Role.SECONDARY, "192.168.8.3/24", failover="172.16.0.3", port=1648),
    ),
    failover=FailoverParameters(
        name="campus",
        mclt=3600,
        max_response_delay=60,
        max_unacked_updates=100,
        load_balance_max_seconds=1,
        hba=bytes(range(32)),
    ),
    omapi_port=17911,
    pools=(
        Pool(
            name="labs",
            subnet=IPv4Network("10.40.0.0/16"),
            ranges=(run("10.40.1.0", "10.40.255.200"),),
            default_lease=600,
            minimum_lease=600,
            maximum_lease=600,
        ),
        Pool(
            name="doors",
            subnet=IPv4Network("10.30.0.0/28"),
            ranges=(),
            default_lease=86400,
            minimum_lease=60,
            maximum_lease=86400,
        ),
    ),
    reservations=(Reservation(name="door", hardware_address="02:00:5e:00:53:0a", address=IPv4Address("10.30.0.4")),),
)

EMPTY = Service(
    endpoints=both(endpoint(Role.PRIMARY, "10.20.0.2/24"), endpoint(Role.SECONDARY, "10.20.0.3/24")),
    failover=PARAMETERS,
    omapi_port=7911,
    pools=(),
    reservations=(),
)

CASES: Mapping[str, Service] = {"reference": REFERENCE, "relayed": RELAYED, "empty": EMPTY}
