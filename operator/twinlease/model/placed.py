"""What the servers' nodes say of a pair's specification: interfaces and addresses, as the sidecars found them."""

from collections.abc import Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError

from msgspec import UNSET, Struct

from twinlease.api.pair import PairSpec
from twinlease.api.server import Network
from twinlease.model.decision import Problem
from twinlease.model.service import Endpoint
from twinlease.model.states import Role
from twinlease.model.validate import address, peer


class Seen(Struct, frozen=True, kw_only=True):
    """One server as it was placed and as its sidecar reports it.

    Attributes:
        server: Name of the DHCPServer.
        node: Its node; empty: not placed yet.
        network: What the sidecar found; None: no report yet.
        reason: Of the condition NetworkReady if that is False, else empty.
        message: Of the same.
    """

    server: str
    node: str = ""
    network: Network | None = None
    reason: str = ""
    message: str = ""


def interface(text: str) -> IPv4Interface | None:
    """Return an address with its prefix length; None if a text is none, for a status can hold anything."""
    try:
        return IPv4Interface(text)
    except (AddressValueError, NetmaskValueError):
        return None


def problems(spec: PairSpec, seen: Mapping[Role, Seen]) -> list[Problem]:
    """Return what of a specification the nodes contradict. What is not reported yet is not judged."""
    found = [problem for role in Role if role in seen for problem in _of_one(spec, role, seen[role])]
    first, second = seen.get(Role.PRIMARY), seen.get(Role.SECONDARY)
    if first is None or second is None:
        return found
    if first.node and first.node == second.node:
        field = "nodeName" if spec.secondary.node_name is not UNSET else "nodeSelector"
        allowed = "lead to another node than the primary's: one node's death must not take both servers"
        found.append(Problem(path=f"spec.secondary.{field}", value=second.node, allowed=allowed))
    if first.network and second.network and first.network.address and second.network.address:
        one, other = IPv4Interface(first.network.address).ip, IPv4Interface(second.network.address).ip
        if one == other:
            allowed = f"differ from the primary's: node {first.node} has the same address"
            found.append(Problem(path="spec.secondary.address", value=str(other), allowed=allowed))
    return found


def _of_one(spec: PairSpec, role: Role, seen: Seen) -> Iterator[Problem]:
    one, path, network = peer(spec, role), f"spec.{role}", seen.network
    wanted_interface = one.interface if one.interface is not UNSET else ""
    wanted_address = one.address if one.address is not UNSET else ""
    if seen.reason == "InterfaceMissing" and wanted_interface:
        yield Problem(path=f"{path}.interface", value=wanted_interface, allowed=f"be an interface of node {seen.node}")
        return
    if network is None:
        return
    if wanted_interface and network.interface and network.interface != wanted_interface:
        return  # the report is about what was wanted before
    where = f"interface {network.interface or wanted_interface} of node {seen.node}"
    has = f"; it has {', '.join(network.addresses)}" if network.addresses else ""
    if wanted_address and (
        seen.reason in {"AddressMissing", "InterfaceMissing"} or _lacks(network.addresses, wanted_address)
    ):
        yield Problem(path=f"{path}.address", value=wanted_address, allowed=f"be an address of {where}{has}")
    elif seen.reason == "AddressMissing":
        yield Problem(
            path=f"{path}.interface", value=wanted_interface, allowed=f"carry an IPv4 address on node {seen.node}"
        )
    elif seen.reason == "AddressAmbiguous":
        yield Problem(path=f"{path}.address", value="", allowed=f"be set, to one of the addresses of {where}{has}")
    if one.failover_address is not UNSET and network.address and network.failover_address != one.failover_address:
        allowed = f"be an address of node {seen.node}"
        yield Problem(path=f"{path}.failoverAddress", value=one.failover_address, allowed=allowed)


def _lacks(addresses: tuple[str, ...], wanted: str) -> bool:
    return bool(addresses) and all(each.partition("/")[0] != wanted for each in addresses)


def serving_addresses(spec: PairSpec, seen: Mapping[Role, Seen]) -> dict[Role, IPv4Address]:
    """Return the servers' serving addresses as far as report or specification tell them."""
    found = {}
    for role in Role:
        network = seen[role].network if role in seen else None
        one = peer(spec, role)
        if network is not None and network.address:
            found[role] = IPv4Interface(network.address).ip
        elif one.address is not UNSET and (wanted := address(one.address)) is not None:
            found[role] = wanted
    return found


def endpoints(spec: PairSpec, seen: Mapping[Role, Seen]) -> dict[Role, Endpoint] | None:
    """Return both servers as their sidecars found them; None while an address of either is not known."""
    made = {}
    for role in Role:
        one = seen.get(role)
        if one is None or one.network is None or not one.network.address:
            return None
        serving = IPv4Interface(one.network.address)
        made[role] = Endpoint(
            name=one.server,
            node=one.node,
            interface=one.network.interface,
            serving=serving,
            failover_address=IPv4Address(one.network.failover_address or serving.ip),
            failover_port=peer(spec, role).failover_port,
        )
    return made
