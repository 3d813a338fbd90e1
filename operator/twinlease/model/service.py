"""A pair with everything that it serves: validated, resolved, engine-neutral. What an engine renders.

Every instance is consistent by construction: ``model.validate`` makes them, engines need not check again.
Times are whole seconds.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from msgspec import Struct

from twinlease.model.states import Role


class AddressRange(Struct, frozen=True, order=True):
    """A run of addresses, both ends included, ``first <= last``."""

    first: IPv4Address
    last: IPv4Address

    def __len__(self) -> int:
        """Return how many addresses it holds."""
        return int(self.last) - int(self.first) + 1

    def __contains__(self, address: IPv4Address) -> bool:
        """Tell whether an address lies in it."""
        return self.first <= address <= self.last


class Endpoint(Struct, frozen=True, kw_only=True):
    """One server as its sidecar found it.

    Attributes:
        name: Name of the DHCPServer.
        node: Name of the node.
        interface: Serving interface.
        serving: Address on it with its prefix; also the server identifier.
        failover_address: Where the partner reaches it.
        failover_port: TCP port of the same.
    """

    name: str
    node: str
    interface: str
    serving: IPv4Interface
    failover_address: IPv4Address
    failover_port: int


class FailoverParameters(Struct, frozen=True, kw_only=True):
    """Parameters of the failover protocol. Exactly one of ``split`` (0 to 256) and ``hba`` (32 octets) is set."""

    name: str
    mclt: int
    max_response_delay: int
    max_unacked_updates: int
    load_balance_max_seconds: int
    split: int | None = None
    hba: bytes | None = None


class Pool(Struct, frozen=True, kw_only=True):
    """A subnet to serve.

    Attributes:
        name: Name of the DHCPPool.
        ranges: Dynamic addresses, sorted, disjoint, without reserved, parked, server and router addresses.
        default_lease: Seconds; ``minimum_lease`` <= ``default_lease`` <= ``maximum_lease``.
    """

    name: str
    subnet: IPv4Network
    ranges: tuple[AddressRange, ...]
    default_lease: int
    minimum_lease: int
    maximum_lease: int
    routers: tuple[IPv4Address, ...] = ()
    domain_name_servers: tuple[IPv4Address, ...] = ()
    domain_name: str | None = None
    domain_search: tuple[str, ...] = ()
    ntp_servers: tuple[IPv4Address, ...] = ()


class Reservation(Struct, frozen=True, kw_only=True):
    """A fixed address for one client; ``hardware_address`` is six lower-case octets with colons."""

    name: str
    hardware_address: str
    address: IPv4Address
    hostname: str | None = None


class Service(Struct, frozen=True, kw_only=True):
    """Everything that a pair's two configurations are rendered from.

    ``local_networks`` of each server's node need a declaration even where no pool serves them; engines take it from
    ``Endpoint.serving``.
    """

    endpoints: Mapping[Role, Endpoint]
    failover: FailoverParameters
    omapi_port: int
    pools: tuple[Pool, ...]
    reservations: tuple[Reservation, ...]
