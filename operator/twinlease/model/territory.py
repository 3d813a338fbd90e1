"""Who has which subnet, address and client in one pair: what two objects must not both have.

Holds specs that are right by themselves (``model.validate``), and answers whether one more fits. Lookups are by
dictionary and bisection: ten thousand reservations are checked in a fraction of a second.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

from msgspec import Struct

from twinlease.api.pool import PoolSpec
from twinlease.api.reservation import ReservationSpec
from twinlease.api.server import MOST_POOLS
from twinlease.model.decision import Problem
from twinlease.model.states import Role
from twinlease.model.validate import is_reserved_by_protocol, network

_SHOWN = 8
"""Subnets that a message lists."""


class Foreign(Struct, frozen=True, kw_only=True):
    """A subnet that another pair of the namespace serves."""

    pair: str
    pool: str
    subnet: str


class Surroundings(Struct, frozen=True, kw_only=True):
    """What a pair's pools and reservations must agree with besides each other.

    Attributes:
        servers: Serving addresses of the two servers, as far as they are known.
        foreign: Subnets of other pairs.
    """

    servers: Mapping[Role, IPv4Address] = {}
    foreign: tuple[Foreign, ...] = ()


class Conflict(Struct, frozen=True):
    """Why something does not fit; ``blocker`` names the object of the same kind that is in the way, if one is."""

    problem: Problem
    blocker: str | None = None


class Pools:
    """The pools of a pair: subnets that do not overlap, in order."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._specs: dict[str, tuple[IPv4Network, PoolSpec]] = {}
        self._starts: list[tuple[int, int, str]] = []  # first, last, name: disjoint, so sorted by either
        self._foreign = sorted(
            (int(subnet.network_address), int(subnet.broadcast_address), f"{each.pool} of pair {each.pair}")
            for each in surroundings.foreign
            if (subnet := network(each.subnet)) is not None
        )
        self.routers: dict[int, str] = {}
        """Router addresses, each with the pool that names it."""

    def conflicts(self, spec: PoolSpec, reserved: Mapping[int, str]) -> list[Conflict]:
        """Return why a pool does not fit in.

        Args:
            spec: The pool's.
            reserved: Addresses of reservations that shall stay as they are, each with the reservation's name.
        """
        subnet = IPv4Network(spec.subnet)
        first, last = int(subnet.network_address), int(subnet.broadcast_address)
        found = [_overlap(spec, each, each[2]) for each in _touching(self._starts, first, last)]
        if len(self._specs) >= MOST_POOLS:
            allowed = f"be a pair with fewer than {MOST_POOLS} pools"
            found.append(Conflict(Problem(path="spec.pairRef.name", value=spec.pair_ref.name, allowed=allowed)))
        # Foreign subnets may overlap each other: all have to be looked at. They are few.
        found.extend(_overlap(spec, each, None) for each in self._foreign if each[0] <= last and each[1] >= first)
        for place, router in enumerate(spec.options.routers):
            if holder := reserved.get(int(IPv4Address(router))):
                allowed = f"not be the address that DHCPReservation {holder} reserves"
                path = f"spec.options.routers[{place}]"
                found.append(Conflict(Problem(path=path, value=router, allowed=allowed)))
        return found

    def add(self, name: str, spec: PoolSpec) -> None:
        """Put in a pool that fits."""
        subnet = IPv4Network(spec.subnet)
        self._specs[name] = (subnet, spec)
        insort(self._starts, (int(subnet.network_address), int(subnet.broadcast_address), name))
        for router in spec.options.routers:
            self.routers.setdefault(int(IPv4Address(router)), name)

    def remove(self, name: str) -> None:
        """Take a pool out."""
        subnet, _ = self._specs.pop(name)
        self._starts.remove((int(subnet.network_address), int(subnet.broadcast_address), name))
        self.routers = {}
        for other, (_, spec) in self._specs.items():
            for router in spec.options.routers:
                self.routers.setdefault(int(IPv4Address(router)), other)

    def of(self, address: IPv4Address) -> str | None:
        """Return the name of the pool whose subnet holds an address."""
        return next((name for _, _, name in _touching(self._starts, int(address), int(address))), None)

    def subnet(self, name: str) -> IPv4Network:
        """Return a pool's subnet."""
        return self._specs[name][0]

    def names(self) -> list[str]:
        """Return the pools' names, in the order of their subnets."""
        return [name for _, _, name in self._starts]


def _touching(spans: list[tuple[int, int, str]], first: int, last: int) -> list[tuple[int, int, str]]:
    """Return the spans, of disjoint ones in order, that share an address with a span."""
    place = bisect_left(spans, first, key=lambda span: span[1])
    found = []
    while place < len(spans) and spans[place][0] <= last:
        found.append(spans[place])
        place += 1
    return found


def _overlap(spec: PoolSpec, other: tuple[int, int, str], blocker: str | None) -> Conflict:
    (theirs,) = summarize_address_range(IPv4Address(other[0]), IPv4Address(other[1]))  # a whole subnet is one network
    allowed = f"not overlap {theirs}, which DHCPPool {other[2]} serves"
    return Conflict(Problem(path="spec.subnet", value=spec.subnet, allowed=allowed), blocker)


class Reservations:
    """The reservations of a pair: one for each client and each address, inside the pools' subnets."""

    def __init__(self, pools: Pools, surroundings: Surroundings) -> None:
        self._pools = pools
        self._servers = {int(address): role for role, address in surroundings.servers.items()}
        self._addresses: dict[int, str] = {}
        self._clients: dict[str, str] = {}

    def conflicts(self, spec: ReservationSpec) -> list[Conflict]:
        """Return why a reservation does not fit in."""
        found = [Conflict(problem) for problem in self._place_problems(spec)]
        address = IPv4Address(spec.address)
        if holder := self._addresses.get(int(address)):
            allowed = f"not be the address that DHCPReservation {holder} reserves"
            found.append(Conflict(Problem(path="spec.address", value=spec.address, allowed=allowed), holder))
        if holder := self._clients.get(spec.hardware_address.lower()):
            allowed = f"not be the client that DHCPReservation {holder} has an address for"
            problem = Problem(path="spec.hardwareAddress", value=spec.hardware_address, allowed=allowed)
            found.append(Conflict(problem, holder))
        return found

    def _place_problems(self, spec: ReservationSpec) -> list[Problem]:
        address = IPv4Address(spec.address)
        pool = self._pools.of(address)
        allowed = ""
        if pool is None:
            names = self._pools.names()
            shown = ", ".join(f"{self._pools.subnet(name)} ({name})" for name in names[:_SHOWN])
            shown += f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            pair = spec.pair_ref.name
            allowed = f"lie inside the subnet of a pool of pair {pair}: {shown or 'it has none'}"
        elif is_reserved_by_protocol(self._pools.subnet(pool), address):
            allowed = f"be the address of a host, not the network's or the broadcast address of DHCPPool {pool}"
        elif role := self._servers.get(int(address)):
            allowed = f"not be the address of the pair's {role} server"
        elif holder := self._pools.routers.get(int(address)):
            allowed = f"not be the address of a router of DHCPPool {holder}"
        return [Problem(path="spec.address", value=spec.address, allowed=allowed)] if allowed else []

    def add(self, name: str, spec: ReservationSpec) -> None:
        """Put in a reservation that fits."""
        self._addresses[int(IPv4Address(spec.address))] = name
        self._clients[spec.hardware_address.lower()] = name

    def remove(self, spec: ReservationSpec) -> None:
        """Take out a reservation that was put in."""
        del self._addresses[int(IPv4Address(spec.address))]
        del self._clients[spec.hardware_address.lower()]
