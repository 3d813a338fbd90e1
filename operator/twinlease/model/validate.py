"""What is wrong with one object by itself: all that the API server judges by CEL, and what CEL cannot afford.

Objects may be older than the rules, or come from a file, so nothing here relies on admission.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from msgspec import UNSET

from twinlease.api.crds import LONGEST_PAIR_NAME
from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.pool import LeaseTime, PoolSpec
from twinlease.api.reservation import ReservationSpec
from twinlease.api.storage import ReclaimPolicy
from twinlease.model import durations
from twinlease.model.decision import Problem
from twinlease.model.spans import Span, size
from twinlease.model.states import Role
from twinlease.model.structure import spec_problems

_MAC = re.compile(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_WHOLE_SUBNET = 30
"""Longest prefix at which a subnet has a network and a broadcast address that no host may have (RFC 3021)."""
_NO_HOSTS = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3")))
"""This host, loopback, multicast and reserved (RFC 6890): no client can have an address in them."""
_MOST_ADDRESSES = 1 << 20
_FIRST_FREE_PORT = 1024
"""Dynamic addresses of a pool: each costs some 330 bytes in both servers and, for a moment, in every check."""


def pair_problems(name: str, spec: PairSpec) -> list[Problem]:
    """Return what is wrong with a pair by itself."""
    found = spec_problems(spec)
    if len(name) > LONGEST_PAIR_NAME:
        allowed = f"have at most {LONGEST_PAIR_NAME} characters, for '-secondary' is added to it"
        found.append(Problem(path="metadata.name", value=name, allowed=allowed))
    for role in Role:
        found.extend(_peer_problems(f"spec.{role}", peer(spec, role)))
    found.extend(_shared(spec))
    failover, storage = spec.failover, spec.storage
    if failover.split is not UNSET and failover.hba is not UNSET:
        allowed = "not be set beside split, which says the same: remove one of them"
        found.append(Problem(path="spec.failover.hba", value=failover.hba, allowed=allowed))
    if storage.node_directory is not UNSET:
        if storage.persistent_volume_claim is not UNSET:
            found.append(
                Problem(
                    path="spec.storage.nodeDirectory",
                    value=storage.node_directory.path,
                    allowed="not be set beside persistentVolumeClaim: choose one of them",
                )
            )
        if storage.reclaim_policy is ReclaimPolicy.DELETE:
            allowed = "be Retain with a nodeDirectory, which belongs to the node's administrator"
            found.append(Problem(path="spec.storage.reclaimPolicy", value="Delete", allowed=allowed))
    return found + list(_serving_lease(spec))


def peer(spec: PairSpec, role: Role) -> Peer:
    """Return one server's part of a pair."""
    return spec.primary if role is Role.PRIMARY else spec.secondary


def _peer_problems(path: str, one: Peer) -> Iterator[Problem]:
    if one.node_name is UNSET and one.node_selector is UNSET:
        yield Problem(path=path, value="", allowed="name a node: nodeName or nodeSelector must be set")
    if one.node_name is not UNSET and one.node_selector is not UNSET:
        yield Problem(
            path=f"{path}.nodeSelector",
            value=",".join(f"{key}={value}" for key, value in one.node_selector.items()),
            allowed="not be set beside nodeName: name the node or select it",
        )
    if one.interface is UNSET and one.address is UNSET:
        yield Problem(path=path, value="", allowed="say where to serve: interface or address must be set")


def _shared(spec: PairSpec) -> Iterator[Problem]:
    """Yield what the two servers must not have in common."""
    first, second = spec.primary, spec.secondary
    for name, one, other, why in (
        ("nodeName", first.node_name, second.node_name, "one node's death must not take both servers"),
        ("address", first.address, second.address, "each server has an address of its own"),
        ("failoverAddress", first.failover_address, second.failover_address, "each server has an address of its own"),
    ):
        if one is not UNSET and one == other:
            allowed = f"differ from spec.primary.{name}: {why}"
            yield Problem(path=f"spec.secondary.{name}", value=one, allowed=allowed)
    if spec.omapi_port in (first.failover_port, second.failover_port):
        allowed = "differ from spec.primary.failoverPort and spec.secondary.failoverPort"
        yield Problem(path="spec.omapiPort", value=str(spec.omapi_port), allowed=allowed)
    yield from _metrics_port(spec)
    if first.maintenance and second.maintenance:
        allowed = "be false while spec.primary.maintenance is true: one of them has to serve"
        yield Problem(path="spec.secondary.maintenance", value="true", allowed=allowed)


def _metrics_port(spec: PairSpec) -> Iterator[Problem]:
    port = spec.metrics_port
    if 0 < port < _FIRST_FREE_PORT:
        allowed = f"be {_FIRST_FREE_PORT} or above, for the sidecar has no right to a lower one; or 0, for none"
        yield Problem(path="spec.metricsPort", value=str(port), allowed=allowed)
    if port in (spec.omapi_port, spec.primary.failover_port, spec.secondary.failover_port):
        allowed = "differ from spec.omapiPort, spec.primary.failoverPort and spec.secondary.failoverPort"
        yield Problem(path="spec.metricsPort", value=str(port), allowed=allowed)


def _serving_lease(spec: PairSpec) -> Iterator[Problem]:
    times, after = spec.serving_lease, _seconds(spec.partner_down.after)
    for name, value in (("duration", times.duration), ("promise", times.promise)):
        mine = _seconds(value)
        if mine is not None and after is not None and mine * 101 + 100 > after * 100:
            yield Problem(
                path=f"spec.servingLease.{name}",
                value=value,
                allowed=f"plus 1 % plus 1s not exceed spec.partnerDown.after ({spec.partner_down.after})",
            )
    for name, value, shorter_name, shorter in (
        ("maxPromise", times.max_promise, "promise", times.promise),
        ("aloneDuration", times.alone_duration, "duration", times.duration),
    ):
        if _shorter(value, shorter):
            allowed = f"not be shorter than spec.servingLease.{shorter_name} ({shorter})"
            yield Problem(path=f"spec.servingLease.{name}", value=value, allowed=allowed)


def _seconds(text: str) -> int | None:
    """Return the seconds, or None for what its own bounds refuse already."""
    try:
        return durations.seconds(text)
    except ValueError:
        return None


def _shorter(one: str, other: str) -> bool:
    mine, others = _seconds(one), _seconds(other)
    return mine is not None and others is not None and mine < others


def pool_problems(spec: PoolSpec) -> list[Problem]:
    """Return what is wrong with a pool by itself."""
    found = spec_problems(spec)
    found.extend(_lease_time_problems(spec.lease_time))
    subnet = network(spec.subnet)
    if subnet is not None and any(subnet.overlaps(each) for each in _NO_HOSTS):
        allowed = f"be a network of hosts: it must not touch {', '.join(map(str, _NO_HOSTS))}"
        found.append(Problem(path="spec.subnet", value=spec.subnet, allowed=allowed))
    spans: list[tuple[Span, int]] = []
    for place, each in enumerate(spec.ranges):
        path = f"spec.ranges[{place}]"
        ends = [
            Problem(path=f"{path}.{name}", value=value, allowed="be an IPv4 address without leading zeros")
            for name, value in (("start", each.start), ("end", each.end))
            if address(value) is None
        ]
        found.extend(ends)
        first, last = address(each.start), address(each.end)
        if first is None or last is None:
            continue
        if last < first:
            allowed = f"not be below start {each.start}"
            found.append(Problem(path=f"{path}.end", value=each.end, allowed=allowed))
            continue
        if subnet is not None:
            found.extend(_place_problems(path, subnet, (("start", first), ("end", last))))
        spans.append(((int(first), int(last)), place))
    if (total := size(span for span, _ in spans)) > _MOST_ADDRESSES:
        allowed = f"hold at most {_MOST_ADDRESSES} addresses together"
        found.append(Problem(path="spec.ranges", value=f"{total} addresses", allowed=allowed))
    return found + list(_overlaps(spec, spans))


def address(text: str) -> IPv4Address | None:
    """Return an address, or None if the text is none."""
    try:
        return IPv4Address(text)
    except ValueError:
        return None


def network(text: str) -> IPv4Network | None:
    """Return a network without host bits, or None if the text is none."""
    try:
        return IPv4Network(text) if "/" in text else None
    except ValueError:
        return None


def is_reserved_by_protocol(subnet: IPv4Network, one: IPv4Address) -> bool:
    """Tell whether an address is the subnet's own or its broadcast address, which no host may have."""
    return subnet.prefixlen <= _WHOLE_SUBNET and one in (subnet.network_address, subnet.broadcast_address)


def _place_problems(path: str, subnet: IPv4Network, ends: tuple[tuple[str, IPv4Address], ...]) -> Iterator[Problem]:
    for name, end in ends:
        if end not in subnet:
            yield Problem(path=f"{path}.{name}", value=str(end), allowed=f"lie inside spec.subnet {subnet}")
        elif is_reserved_by_protocol(subnet, end):
            allowed = f"be the address of a host: {subnet} has {subnet.network_address} and {subnet.broadcast_address}"
            yield Problem(path=f"{path}.{name}", value=str(end), allowed=f"{allowed} for itself")


def _overlaps(spec: PoolSpec, spans: list[tuple[Span, int]]) -> Iterator[Problem]:
    widest: tuple[Span, int] | None = None
    for span, place in sorted(spans):
        if widest is not None and span[0] <= widest[0][1]:
            other = spec.ranges[widest[1]]
            yield Problem(
                path=f"spec.ranges[{place}].start",
                value=spec.ranges[place].start,
                allowed=f"lie outside spec.ranges[{widest[1]}] ({other.start}-{other.end}): ranges must not overlap",
            )
        if widest is None or span[1] > widest[0][1]:
            widest = (span, place)


def _lease_time_problems(times: LeaseTime) -> Iterator[Problem]:
    if times.maximum is not UNSET and _shorter(times.maximum, times.default):
        allowed = f"not be shorter than default ({times.default})"
        yield Problem(path="spec.leaseTime.maximum", value=times.maximum, allowed=allowed)
    if times.minimum is not UNSET and _shorter(times.default, times.minimum):
        allowed = f"not be longer than default ({times.default})"
        yield Problem(path="spec.leaseTime.minimum", value=times.minimum, allowed=allowed)


def reservation_problems(spec: ReservationSpec) -> list[Problem]:
    """Return what is wrong with a reservation by itself. There may be many thousands: the usual case is quick."""
    hostname = spec.hostname
    if (
        _MAC.fullmatch(spec.hardware_address)
        and address(spec.address) is not None
        and (hostname is UNSET or _HOST_NAME.fullmatch(hostname))
    ):
        return []
    return spec_problems(spec)
