"""Objects that must be refused, and what the message must say: for the API server and for `kubectl-twinlease check`."""

import copy
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
REMOVED = object()
"""Stands for a field that is taken out of the valid object."""

PAIR: Json = {
    "apiVersion": "twinlease.io/v1alpha1",
    "kind": "DHCPFailoverPair",
    "metadata": {"name": "lan"},
    "spec": {
        "primary": {"nodeName": "n1", "interface": "lan0"},
        "secondary": {"nodeName": "n2", "interface": "lan0"},
    },
}
POOL: Json = {
    "apiVersion": "twinlease.io/v1alpha1",
    "kind": "DHCPPool",
    "metadata": {"name": "office"},
    "spec": {
        "pairRef": {"name": "lan"},
        "subnet": "10.250.0.0/24",
        "ranges": [{"start": "10.250.0.100", "end": "10.250.0.199"}],
    },
}
RESERVATION: Json = {
    "apiVersion": "twinlease.io/v1alpha1",
    "kind": "DHCPReservation",
    "metadata": {"name": "printer"},
    "spec": {"pairRef": {"name": "lan"}, "hardwareAddress": "02:00:00:00:00:01", "address": "10.250.0.20"},
}
VALID = {"pair": PAIR, "pool": POOL, "reservation": RESERVATION}
PLURALS = {"pair": "dhcpfailoverpairs", "pool": "dhcppools", "reservation": "dhcpreservations"}


def changed(base: Json, *changes: tuple[str, object]) -> Json:
    """Return the object with some fields (dotted paths, list places as numbers) set or `REMOVED`."""
    made = copy.deepcopy(base)
    for path, value in changes:
        *parents, last = path.split(".")
        place: Any = made
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
        if value is REMOVED:
            del place[last]
        else:
            place[int(last) if isinstance(place, list) else last] = value
    return made


@dataclass(frozen=True)
class Case:
    """One object that must be refused.

    `field` is where the message puts the fault, `says` are parts of it: the value and what is allowed.
    """

    name: str
    kind: str
    changes: tuple[tuple[str, object], ...]
    field: str
    says: tuple[str, ...]

    @property
    def manifest(self) -> Json:
        """The wrong object."""
        return changed(VALID[self.kind], *self.changes)


def _bounds(path: str, low: int, high: int) -> list[Case]:
    field = path.removeprefix("spec.")
    return [
        Case(f"{field} below {low}", "pair", ((path, low - 1),), path, (str(low - 1), f"{low}")),
        Case(f"{field} above {high}", "pair", ((path, high + 1),), path, (str(high + 1), f"{high}")),
    ]


def _durations(kind: str, path: str, low: str, high: str, *wrong: str) -> list[Case]:
    return [
        Case(
            f"{path.removeprefix('spec.')} of {value!r}",
            kind,
            ((path, value),),
            path,
            (value, f"must be a duration from {low} to {high}"),
        )
        for value in wrong
    ]


def _field(name: str, kind: str, path: str, value: object, *says: str, at: str | None = None) -> Case:
    return Case(name, kind, ((path, value),), at or path, says)


_ADDRESS = "must be an IPv4 address without leading zeros, like 192.0.2.1"
_TWO_RANGES = [{"start": "10.250.0.10", "end": "10.250.0.20"}, {"start": "10.250.0.99", "end": "10.250.0.98"}]

CASES: list[Case] = [
    *_bounds("spec.failover.split", 0, 256),
    *_bounds("spec.failover.maxUnackedUpdates", 1, 3),
    *_bounds("spec.failover.loadBalanceMaxSeconds", 0, 255),
    *_bounds("spec.primary.failoverPort", 1, 65535),
    *_bounds("spec.secondary.failoverPort", 1, 65535),
    *_bounds("spec.omapiPort", 1, 65535),
    *_bounds("spec.metricsPort", 0, 65535),
    *_durations("pair", "spec.failover.mclt", "5s", "24h", "4s", "25h", "soon", "1.5h", "-5m", "30m1h"),
    *_durations("pair", "spec.failover.maxResponseDelay", "3s", "10m", "2s", "601s"),
    *_durations("pair", "spec.partnerDown.after", "5s", "24h", "4s"),
    *_durations("pair", "spec.servingLease.duration", "2s", "12h", "1s", "13h"),
    *_durations("pair", "spec.servingLease.promise", "2s", "12h", "1s", "13h"),
    *_durations("pair", "spec.servingLease.maxPromise", "2s", "168h", "169h"),
    *_durations("pair", "spec.servingLease.aloneDuration", "2s", "168h", "169h"),
    *_durations("pool", "spec.leaseTime.default", "10s", "2160h", "9s", "2161h", "forever"),
    *_durations("pool", "spec.leaseTime.maximum", "10s", "2160h", "2161h"),
    *_durations("pool", "spec.leaseTime.minimum", "10s", "2160h", "9s"),
    Case("no secondary", "pair", (("spec.secondary", REMOVED),), "spec.secondary", ("equired",)),
    Case(
        "neither nodeName nor nodeSelector",
        "pair",
        (("spec.primary.nodeName", REMOVED),),
        "spec.primary",
        ("nodeName or nodeSelector must be set",),
    ),
    _field(
        "nodeName and nodeSelector",
        "pair",
        "spec.primary.nodeSelector",
        {"dhcp": "yes"},
        "must not be set beside nodeName",
    ),
    Case(
        "neither interface nor address",
        "pair",
        (("spec.secondary.interface", REMOVED),),
        "spec.secondary",
        ("interface or address must be set",),
    ),
    _field(
        "the same node twice", "pair", "spec.secondary.nodeName", "n1", "must differ from spec.primary.nodeName", "n1"
    ),
    Case(
        "the same address twice",
        "pair",
        (("spec.primary.address", "10.250.0.2"), ("spec.secondary.address", "10.250.0.2")),
        "spec.secondary.address",
        ("10.250.0.2", "must differ from spec.primary.address"),
    ),
    _field("a malformed peer address", "pair", "spec.primary.address", "10.250.0.256", "10.250.0.256", _ADDRESS),
    _field("a peer address with a name", "pair", "spec.primary.failoverAddress", "localhost", "localhost", _ADDRESS),
    _field(
        "an interface name with a space",
        "pair",
        "spec.primary.interface",
        "lan 0",
        "lan 0",
        "must be the name of a network interface",
    ),
    Case(
        "split and hba",
        "pair",
        (("spec.failover.split", 128), ("spec.failover.hba", ":".join(["ff"] * 16 + ["00"] * 16))),
        "spec.failover.hba",
        ("ff:ff", "must not be set beside split"),
    ),
    _field("a short hba", "pair", "spec.failover.hba", "ff:00", "ff:00", "must be 32 octets"),
    _field(
        "omapiPort is a failoverPort",
        "pair",
        "spec.omapiPort",
        647,
        "must differ from spec.primary.failoverPort and spec.secondary.failoverPort",
    ),
    *(
        _field(f"metricsPort {port}", "pair", "spec.metricsPort", port, says)
        for port, says in ((1, "must be 1024 or above"), (1023, "must be 1024 or above"), (7911, "must differ from"))
    ),
    _field(
        "a serving lease as long as partnerDown.after",
        "pair",
        "spec.servingLease.duration",
        "5m",
        "5m",
        "must not exceed spec.partnerDown.after",
    ),
    Case(
        "a promise longer than partnerDown.after",
        "pair",
        (("spec.servingLease.promise", "6m"),),
        "spec.servingLease.promise",
        ("6m", "must not exceed spec.partnerDown.after"),
    ),
    _field(
        "maxPromise below promise",
        "pair",
        "spec.servingLease.maxPromise",
        "3m",
        "3m with 4m",
        "must not be shorter than spec.servingLease.promise",
    ),
    _field(
        "aloneDuration below duration",
        "pair",
        "spec.servingLease.aloneDuration",
        "3m",
        "3m with 4m",
        "must not be shorter than spec.servingLease.duration",
    ),
    _field("an unknown mode", "pair", "spec.partnerDown.mode", "Always", "Always", "Automatic", "Manual", "Never"),
    _field("an unknown isolation", "pair", "spec.isolation", "Fenced", "Fenced", "Fence", "Serve"),
    _field("an unknown fence", "pair", "spec.fence", "Kernal", "Kernal", "Kernel", "Process"),
    _field("an unknown engine", "pair", "spec.engine", "Kea", "Kea", "ISC"),
    Case(
        "nodeDirectory with Delete",
        "pair",
        (("spec.storage.nodeDirectory.path", "/srv/dhcp"), ("spec.storage.reclaimPolicy", "Delete")),
        "spec.storage.reclaimPolicy",
        ("Delete", "must be Retain with a nodeDirectory"),
    ),
    Case(
        "two storages",
        "pair",
        (("spec.storage.nodeDirectory.path", "/srv/dhcp"), ("spec.storage.persistentVolumeClaim.size", "1Gi")),
        "spec.storage.nodeDirectory",
        ("must not be set beside persistentVolumeClaim",),
    ),
    _field(
        "a relative directory",
        "pair",
        "spec.storage.nodeDirectory.path",
        "srv/dhcp",
        "srv/dhcp",
        "must be an absolute path",
    ),
    _field("a size that is none", "pair", "spec.storage.persistentVolumeClaim.size", "big", "big", "[0-9]+"),
    _field("a number as text", "pair", "spec.failover.split", "128", "string", "integer"),
    _field(
        "a long pair name",
        "pair",
        "metadata.name",
        "p" * 53,
        "p" * 53,
        "must have at most 52 characters",
    ),
    _field("a malformed subnet", "pool", "spec.subnet", "10.250.0.0/33", "10.250.0.0/33", "must be an IPv4 network"),
    _field("a subnet without length", "pool", "spec.subnet", "10.250.0.0", "10.250.0.0", "must be an IPv4 network"),
    _field("a subnet of IPv6", "pool", "spec.subnet", "2001:db8::/64", "2001:db8::/64", "must be an IPv4 network"),
    _field(
        "a subnet with host bits",
        "pool",
        "spec.subnet",
        "10.250.0.1/24",
        "10.250.0.1/24",
        "must be the network's own address, without host bits",
    ),
    _field(
        "a range whose end is below its start",
        "pool",
        "spec.ranges",
        _TWO_RANGES,
        "must not be below start",
        "10.250.0.98 with start 10.250.0.99",
        at="spec.ranges[1].end",
    ),
    _field(
        "a malformed start", "pool", "spec.ranges.0.start", "10.250.0", "10.250.0", _ADDRESS, at="spec.ranges[0].start"
    ),
    _field(
        "an end with a leading zero",
        "pool",
        "spec.ranges.0.end",
        "10.250.0.099",
        "10.250.0.099",
        _ADDRESS,
        at="spec.ranges[0].end",
    ),
    _field(
        "a range outside its subnet",
        "pool",
        "spec.ranges.0.end",
        "10.250.1.4",
        "must lie inside spec.subnet 10.250.0.0/24",
        at="spec.ranges",
    ),
    Case(
        "maximum below default",
        "pool",
        (("spec.leaseTime.default", "1h"), ("spec.leaseTime.maximum", "30m")),
        "spec.leaseTime.maximum",
        ("30m with default 1h", "must not be shorter than default"),
    ),
    _field(
        "minimum above default",
        "pool",
        "spec.leaseTime.minimum",
        "1h",
        "1h with default 30m",
        "must not be longer than default",
    ),
    _field("a malformed router", "pool", "spec.options.routers", ["10.250.0.1", "router"], "router", _ADDRESS),
    _field("nine routers", "pool", "spec.options.routers", ["10.250.0.1"] * 9, "9", "8"),
    _field("a bad domain", "pool", "spec.options.domainName", "-bad-", "-bad-", "must be a domain name"),
    Case("no subnet", "pool", (("spec.subnet", REMOVED),), "spec.subnet", ("equired",)),
    _field("no pair name", "pool", "spec.pairRef.name", "Lan One", "Lan One", "must be an object's name"),
    _field(
        "a bad MAC",
        "reservation",
        "spec.hardwareAddress",
        "02-00-00-00-00-01",
        "02-00-00-00-00-01",
        "must be six octets with colons",
    ),
    _field("a bad address", "reservation", "spec.address", "10.250.0.300", "10.250.0.300", _ADDRESS),
    _field("a bad host name", "reservation", "spec.hostname", "my_host", "my_host", "must be a host name"),
]

IMMUTABLE: list[Case] = [
    _field("a server's node", "pair", "spec.primary.nodeName", "n3", "is immutable"),
    Case(
        "a server's node, by labels",
        "pair",
        (("spec.primary.nodeName", None), ("spec.primary.nodeSelector", {"dhcp": "yes"})),
        "spec.primary.nodeName",
        ("is immutable", "Delete the pair and apply it again"),
    ),
    _field("the storage", "pair", "spec.storage.persistentVolumeClaim", {"size": "2Gi"}, "is immutable"),
    _field("a pool's pair", "pool", "spec.pairRef.name", "other", "is immutable", "(it is lan)", at="spec.pairRef"),
    _field("a pool's subnet", "pool", "spec.subnet", "10.250.0.0/23", "is immutable", "(it is 10.250.0.0/24)"),
    _field(
        "a reservation's pair",
        "reservation",
        "spec.pairRef.name",
        "other",
        "is immutable",
        "(it is lan)",
        at="spec.pairRef",
    ),
]
