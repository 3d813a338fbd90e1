"""The lab's topology as data: every name, address and port, and nothing that does I/O.

Several labs may be on one machine, each with a name of its own (`TWINLEASE_LAB`): they share nothing but the cache.
"""

import re
from dataclasses import dataclass
from typing import Literal

from tests.lab.paths import lab_name

Side = Literal["left", "right"]

PREFIX = f"twl{lab_name()}-"  # of every network namespace the lab makes: this is how leftovers are known
CGROUP = f"twinlease-lab{lab_name()}"
CONTROL_CGROUP = f"{CGROUP}/control"
API_SERVER_CGROUP = f"{CONTROL_CGROUP}/apiserver"

MANAGEMENT_NAMESPACE = f"{PREFIX}mgmt"
MANAGEMENT_BRIDGE = "sw0"
MANAGEMENT_ADDRESS = "10.240.0.1"
API_PORT = 443  # the kubernetes Service's port: its address is on our switch, no kube-proxy rewrites it

OBSERVER_NAMESPACE = f"{PREFIX}watch"  # a machine beside the nodes: it reaches them, all pods and the API server
OBSERVER_ADDRESS = "10.240.0.2"

SERVICE_NETWORK = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"

LAN_NAMESPACE = f"{PREFIX}lan"
LAN_NETWORK = "10.250.0.0/24"
LAN_TRUNK: dict[Side, str] = {"left": "trunk-l", "right": "trunk-r"}

STORAGE_CLASS = "node-local"
VOLUMES_PER_NODE = 4
VOLUME_SIZE = "1Gi"
VOLUME_ROOT = "/mnt/disks"  # as the node sees it

PROJECT_IMAGE = "localhost/twinlease:dev"

_CLIENT_NAME = re.compile(r"[a-z][a-z0-9-]{0,10}")
_RESERVED = re.compile(r"n\d*|left|right|trunk-.*|lan|mgmt|watch")


@dataclass(frozen=True, slots=True)
class Node:
    """One node: a port on the management switch and one on the serving LAN's."""

    index: int
    side: Side

    @property
    def name(self) -> str:
        """Its Kubernetes and host name; also the name of its port on both switches."""
        return f"n{self.index}"

    @property
    def namespace(self) -> str:
        """Its network namespace."""
        return PREFIX + self.name

    @property
    def management_address(self) -> str:
        """Its address towards the API server."""
        return f"10.240.0.1{self.index}"

    @property
    def management_mac(self) -> str:
        """The hardware address of its `eth0`."""
        return f"02:6d:67:00:00:1{self.index}"

    @property
    def lan_address(self) -> str:
        """Its address on the serving LAN."""
        return f"10.250.0.1{self.index}"

    @property
    def lan_mac(self) -> str:
        """The hardware address of its `lan0`."""
        return f"02:6c:61:00:00:1{self.index}"

    @property
    def pod_network(self) -> str:
        """The network its pods get addresses from."""
        return f"10.244.{self.index}.0/24"

    @property
    def cgroup(self) -> str:
        """The control group that holds all its processes."""
        return f"{CGROUP}/{self.name}"


@dataclass(frozen=True, slots=True)
class Client:
    """A namespace on the serving LAN with one interface, `eth0`, and no address."""

    name: str
    side: Side

    def __post_init__(self) -> None:
        """Refuse names that would not fit an interface or collide with a port of the switch."""
        if not _CLIENT_NAME.fullmatch(self.name) or _RESERVED.fullmatch(self.name):
            raise ValueError(
                f"client name {self.name!r}: want 1 to 11 of a-z, 0-9 and '-', a letter first, no name of a switch port"
            )

    @property
    def namespace(self) -> str:
        """Its network namespace."""
        return PREFIX + self.name


NODES = (Node(1, "left"), Node(2, "right"), Node(3, "right"))
CLIENTS = (Client("c1", "left"), Client("c2", "right"))


def node(name: str) -> Node:
    """Return the node of that name."""
    for candidate in NODES:
        if candidate.name == name:
            return candidate
    raise ValueError(f"no node {name!r}: the lab has {', '.join(known.name for known in NODES)}")
