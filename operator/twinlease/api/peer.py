"""One of a pair's two servers: where it runs, and on which addresses it speaks."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from twinlease.api.rules import rule, unchanged, validations
from twinlease.api.types import LABEL_VALUE, InterfaceName, IPv4, Model, Port, described


class Peer(Model, frozen=True, kw_only=True):
    """One of the two servers: where it runs and on which addresses it speaks."""

    node_name: (
        Annotated[
            str,
            Meta(min_length=1, max_length=63),
            described("The node, by name. The leases live on it, so it cannot change while the pair exists."),
        ]
        | UnsetType
    ) = UNSET
    node_selector: (
        Annotated[
            dict[Annotated[str, Meta(max_length=317)], Annotated[str, LABEL_VALUE]],
            Meta(
                min_length=1,
                max_length=16,
                description="Labels of the nodes that may run this server. The scheduler picks one; from then on the "
                "server stays on it, for its leases live there.",
            ),
        ]
        | UnsetType
    ) = UNSET
    interface: (
        Annotated[
            InterfaceName,
            described("Interface that serves DHCP. Left out: the interface that carries `address`."),
        ]
        | UnsetType
    ) = UNSET
    address: (
        Annotated[
            IPv4,
            described(
                "The node's own IPv4 address on the serving interface, and the server identifier (option 54) that "
                "clients see. Left out: the interface's only IPv4 address, or the first one in a pool's subnet."
            ),
        ]
        | UnsetType
    ) = UNSET
    failover_address: (
        Annotated[
            IPv4,
            described(
                "The node's address for the failover link, if that is not the serving one (a management network)."
            ),
        ]
        | UnsetType
    ) = UNSET
    failover_port: Annotated[Port, described("TCP port on which this server listens for its partner.")] = 647
    maintenance: Annotated[
        bool,
        described(
            "True: this server is stopped cleanly and stays so; its partner takes over at once. False brings it back, "
            "which takes the MCLT. Not for both servers at a time."
        ),
    ] = False


_MOVE = "the leases live on the node. Delete the pair and apply it again to move a server"

PEER_RULES = validations(
    rule("has(self.nodeName) || has(self.nodeSelector)", "nodeName or nodeSelector must be set: on which node?"),
    rule(
        "!(has(self.nodeName) && has(self.nodeSelector))",
        "must not be set beside nodeName: name the node or select it",
        path=".nodeSelector",
    ),
    rule("has(self.interface) || has(self.address)", "interface or address must be set: where shall it serve?"),
    unchanged("nodeName", _MOVE),
    unchanged("nodeSelector", _MOVE),
)
