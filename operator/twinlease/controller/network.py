"""What both sidecars found on their nodes, as validation and rendering want it."""

from collections.abc import Mapping
from ipaddress import IPv4Address

from msgspec import UNSET
from msgspec.structs import replace

from twinlease.api.pair import PairSpec
from twinlease.api.server import Network
from twinlease.controller.manifests.common import server_name
from twinlease.controller.objects import Server
from twinlease.decide.rollout import Action
from twinlease.model import placed
from twinlease.model.decision import Decision
from twinlease.model.placed import Seen, interface
from twinlease.model.service import Endpoint
from twinlease.model.states import Role
from twinlease.model.validate import address, peer

NETWORK_READY = "NetworkReady"

NOBODY = IPv4Address("255.255.255.255")
"""In place of the partner's address while the partner has never shown up: nobody can answer from there.

The kernel itself refuses a TCP connection to the limited broadcast address (ENETUNREACH), whatever the routes say, and
no packet comes from it. Any other address may be somebody's: those set apart for documentation are routed like all
others, loopback is the server itself, and a reserved one may be in use by now. dhcpd takes it and serves (measured).
"""


def seen(servers: Mapping[Role, Server]) -> dict[Role, Seen]:
    """Return each server as it was placed and as its sidecar reports it."""
    return {role: _seen(server) for role, server in servers.items()}


def endpoints(spec: PairSpec, servers: Mapping[Role, Server]) -> Mapping[Role, Endpoint] | Decision:
    """Return both endpoints, or what is still missing."""
    reports = seen(servers)
    missing = [role for role in Role if role not in reports or not _complete(reports[role])]
    found = None if missing else placed.endpoints(spec, reports)
    if found is not None:
        return found
    said = [
        f"the {role} says: {reports[role].message}" for role in missing if role in reports and reports[role].message
    ]
    who = " and the ".join(missing)
    return Decision(
        action=Action.WAIT,
        reason="WaitingForAddresses",
        message="; ".join([f"No serving address has been reported yet by the {who}", *said]),
    )


def only(servers: Mapping[Role, Server]) -> Role | None:
    """Return which server alone of the two has reported its addresses; None: neither or both have."""
    reports = seen(servers)
    there = [role for role in Role if role in reports and _complete(reports[role])]
    return there[0] if len(there) == 1 else None


def alone(spec: PairSpec, pair: str, servers: Mapping[Role, Server], role: Role) -> Mapping[Role, Endpoint]:
    """Return the endpoints for a server whose partner has never reported: nobody is in the partner's place."""
    partner = peer(spec, role.other)
    wanted = NOBODY if partner.address is UNSET else address(partner.address) or NOBODY
    reports = seen(servers)
    stand_in = Seen(
        server=server_name(pair, role.other),
        node="",
        network=Network(interface="", address=f"{wanted}/32", failover_address=str(NOBODY)),
        reason="",
        message="",
    )
    found = placed.endpoints(spec, {role: reports[role], role.other: stand_in})
    assert found is not None  # noqa: S101  # both are complete
    return found


def is_lone(text: str) -> bool:
    """Tell whether a failover link leads to nobody."""
    return str(NOBODY) in text


def link(found: Mapping[Role, Endpoint]) -> str:
    """Return the failover link as text: it may not change while the pair runs."""
    return " ".join(f"{found[role].failover_address}:{found[role].failover_port}" for role in Role)


def _complete(report: Seen) -> bool:
    return bool(report.node and report.network is not None and report.network.address and report.network.interface)


def _seen(server: Server) -> Seen:
    condition = next((each for each in server.status.conditions if each.type == NETWORK_READY), None)
    bad = condition is not None and condition.status == "False"
    network = _readable(server.status.network)
    node = UNSET if server.spec is None else server.spec.node_name
    return Seen(
        server=server.meta.name,
        node="" if node is UNSET else node,
        network=network if network.interface or network.address else None,
        reason=condition.reason if condition is not None and bad else "",
        message=_unreadable(server) or (condition.message if condition is not None and bad else ""),
    )


def _readable(network: Network) -> Network:
    """Return a report without the addresses that are none."""
    link = network.failover_address
    return replace(
        network,
        address=network.address if interface(network.address) is not None else "",
        failover_address=link if interface(link) is not None and "/" not in link else "",
    )


def _unreadable(server: Server) -> str:
    told, read = server.status.network, _readable(server.status.network)
    for wrong, right in ((told.address, read.address), (told.failover_address, read.failover_address)):
        if wrong != right:
            return f"the status of DHCPServer {server.meta.name} has {wrong!r} where an address should be"
    return ""
