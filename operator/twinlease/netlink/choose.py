"""Which interface and addresses a server uses: pure rules over what the node has."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from msgspec import Struct


class Address(Struct, frozen=True):
    """An IPv4 address with its prefix; ``secondary`` as the kernel says: it goes away with its primary."""

    address: IPv4Interface
    secondary: bool = False


class Interface(Struct, frozen=True, kw_only=True):
    """A network interface; ``up`` if it is set up and has a carrier."""

    index: int
    name: str
    up: bool
    addresses: tuple[Address, ...] = ()


class Wanted(Struct, frozen=True, kw_only=True):
    """What the pair's spec says of one server; None or empty: left out."""

    interface: str | None = None
    address: IPv4Address | None = None
    failover_address: IPv4Address | None = None
    subnets: tuple[IPv4Network, ...] = ()


class Network(Struct, frozen=True, kw_only=True):
    """Where a server serves.

    Attributes:
        index: Of the interface; another one of the same name has another index.
        serving: Address and prefix that clients see as the server identifier.
        failover_address: Where the partner reaches it.
        addresses: All of the interface's.
    """

    interface: str
    index: int
    link_up: bool
    serving: IPv4Interface
    failover_address: IPv4Address
    addresses: tuple[IPv4Interface, ...]


class NetworkProblem(Struct, frozen=True):
    """Why a server cannot serve; ``reason`` is the condition's."""

    reason: str
    message: str


INTERFACE_MISSING = "InterfaceMissing"
ADDRESS_MISSING = "AddressMissing"
ADDRESS_AMBIGUOUS = "AddressAmbiguous"


def choose(interfaces: Iterable[Interface], wanted: Wanted) -> Network | NetworkProblem:
    """Return where to serve, or why that cannot be said.

    An address that is given must be on an interface of the node, on the given one if one is given. Without one, the
    interface's only address counts, or the only one in a served subnet. Guessing is no service: where two would do,
    the problem lists what there is.
    """
    found = tuple(interfaces)
    candidates = [link for link in found if wanted.interface in (None, link.name)]
    if wanted.interface is not None and not candidates:
        return NetworkProblem(
            INTERFACE_MISSING, f"the node has no interface {wanted.interface}; it has {_names(found) or 'none'}"
        )
    chosen = _by_address(candidates, wanted) if wanted.address is not None else _by_interface(candidates, wanted)
    if isinstance(chosen, NetworkProblem):
        return chosen
    link, serving = chosen
    failover = wanted.failover_address or serving.ip
    if all(failover != had.address.ip for link_ in found for had in link_.addresses):
        return NetworkProblem(
            ADDRESS_MISSING, f"the failover address {failover} is not on this node; it has {_addresses(found)}"
        )
    return Network(
        interface=link.name,
        index=link.index,
        link_up=link.up,
        serving=serving,
        failover_address=failover,
        addresses=tuple(had.address for had in link.addresses),
    )


Chosen = tuple[Interface, IPv4Interface]


def _by_address(candidates: list[Interface], wanted: Wanted) -> Chosen | NetworkProblem:
    matches = [(link, had.address) for link in candidates for had in link.addresses if had.address.ip == wanted.address]
    where = f"interface {wanted.interface}" if wanted.interface else "any interface of the node"
    if not matches:
        return NetworkProblem(
            ADDRESS_MISSING, f"{wanted.address} is not on {where}; there are {_addresses(candidates) or 'none'}"
        )
    if len(matches) > 1:
        names = ", ".join(link.name for link, _ in matches)
        return NetworkProblem(ADDRESS_AMBIGUOUS, f"{wanted.address} is on several interfaces ({names}): name one")
    return matches[0]


def _by_interface(candidates: list[Interface], wanted: Wanted) -> Chosen | NetworkProblem:
    if wanted.interface is None:
        return NetworkProblem(INTERFACE_MISSING, "neither interface nor address is given")
    (link,) = candidates
    if not link.addresses:
        return NetworkProblem(ADDRESS_MISSING, f"interface {link.name} has no IPv4 address")
    served = [had for had in link.addresses if any(had.address.ip in subnet for subnet in wanted.subnets)]
    for group in (link.addresses, served, [had for had in served if not had.secondary]):
        if len(group) == 1:
            return link, group[0].address
    return NetworkProblem(
        ADDRESS_AMBIGUOUS,
        f"interface {link.name} has several IPv4 addresses ({_addresses([link])}), "
        f"{len(served) or 'none'} of them in a served subnet: set address",
    )


def _names(interfaces: Iterable[Interface]) -> str:
    return ", ".join(link.name for link in interfaces)


def _addresses(interfaces: Iterable[Interface]) -> str:
    return ", ".join(f"{had.address} ({link.name})" for link in interfaces for had in link.addresses)
