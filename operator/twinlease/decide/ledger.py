"""What the operator must not forget of a pair: what counts, and which addresses somebody may still hold.

The rule in one line: **an address gets another owner only after both servers run a configuration without the old one,
and the longest lease that the old one may have got has passed since.**

An *owner* is the dynamic pool as a whole (``DYNAMIC``) or one client's hardware address. An ``Exposure`` says that a
configuration which was given to a server has, or had, addresses of an owner in it:

* *live*: the configuration published last has it;
* *leaving*: that one has it no more, but a server may still run an older one;
* *held until*: both servers have been seen without it; leases given under it may last until then, and after that it
  is forgotten.

Dynamic addresses that left a configuration do not come back at once either: a server forgets leases of addresses that
are in none of its ranges. A client's own fixed address may come back at any time: nobody else can have got it.

Order of a change, each step repeatable, each ledger written by compare-and-swap before what follows from it:

1. ``observe``: note what both servers run, forget what has passed.
2. ``acceptance.accept``: what counts now.
3. ``serve``: the service that the two allow.
4. Before a configuration rendered from it goes to a server: ``publish``. What was never published was never handed
   out, so that nothing is held for it.
"""

import gzip
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from twinlease.decide.acceptance import State
from twinlease.decide.dates import SLACK
from twinlease.model import build, spans
from twinlease.model.service import Endpoint, Pool, Reservation, Service
from twinlease.model.spans import Span, Spans
from twinlease.model.states import Role

_Key: TypeAlias = tuple[str, int, bool, int | None]
"""Owner, lease, live, until."""

VERSION = 1
DYNAMIC = ""
"""Owner of what the servers lease out as they like."""

MARGIN = 10
"""Seconds by which a clock may be wrong without anybody heeding it."""


class LedgerError(ValueError):
    """Something is stored that is no ledger, or one of a later version."""


class Exposure(Struct, frozen=True, array_like=True, order=True):
    """Addresses that clients may have got.

    Attributes:
        first: As a number.
        last: Included.
        owner: ``DYNAMIC`` or a hardware address, lower case.
        lease: The longest lease under it, seconds.
        live: The configuration published last has it.
        until: Seconds since the epoch; None while live or leaving.
    """

    first: int
    last: int
    owner: str
    lease: int
    live: bool
    until: int | None = None


class Fallback(Struct, frozen=True, kw_only=True):
    """What was so before the configurations published last, until both servers have been seen to run those."""

    exposures: tuple[Exposure, ...]
    revisions: Mapping[Role, str]


class Ledger(Struct, frozen=True, kw_only=True):
    """What is stored.

    Attributes:
        accepted: What counts.
        exposures: Sorted.
        revisions: Of the two configurations published last; empty: none ever were.
        fallback: For the case that the engine refuses those.
        established: Identity of the pair that has served together; another pair of its name has not.
        count: Of publications. DHCPServers carry it too, which shows that a ledger is missing or an older one.
        lost: It was so, and not all objects have been accepted since.
    """

    version: int = VERSION
    accepted: State = State()
    exposures: tuple[Exposure, ...] = ()
    revisions: Mapping[Role, str] = {}
    fallback: Fallback | None = None
    established: str = ""
    count: int = 0
    lost: bool = False


class Remains(Struct, frozen=True, kw_only=True):
    """What is known of what clients hold without a ledger.

    Attributes:
        dynamic: What all servers are told to lease out.
        fixed: Hardware addresses by address, of reservations that both servers were seen to run.
        subnets: All addresses that there may be leases on.
        lease: The longest that there may be, seconds.
        count: That no DHCPServer carries a larger one of.
    """

    dynamic: Spans
    fixed: Mapping[int, str]
    subnets: Spans
    lease: int
    count: int


class Waiting(Struct, frozen=True, kw_only=True):
    """A reservation that counts but is not served yet, since somebody may still hold its address.

    Attributes:
        until: Seconds since the epoch; None while a server may still run a configuration with the old owner.
    """

    until: int | None


class Served(Struct, frozen=True, kw_only=True):
    """What a configuration may hold now.

    Attributes:
        waiting: Reservations that are left out for now, by name.
        held: Dynamic addresses that are left out for now.
    """

    service: Service
    waiting: Mapping[str, Waiting]
    held: int


def encode(ledger: Ledger) -> bytes:
    """Return a ledger as it is stored; the same ledger always gives the same bytes."""
    return gzip.compress(msgspec.json.encode(ledger, order="deterministic"), mtime=0)


def decode(stored: bytes) -> Ledger:
    """Read a stored ledger.

    Raises:
        LedgerError: It is damaged, or was written by a later version than ours.
    """
    try:
        ledger = msgspec.json.decode(gzip.decompress(stored), type=Ledger)
    except (OSError, EOFError, ValueError) as error:
        raise LedgerError(f"the stored ledger cannot be read: {error}") from error
    if ledger.version != VERSION:
        raise LedgerError(f"the stored ledger has version {ledger.version}, we know {VERSION}")
    return ledger


def observe(ledger: Ledger, running: Mapping[Role, str], now: float, latest: float | None = None) -> Ledger:
    """Note what both servers run, and forget what has passed.

    Args:
        ledger: As stored.
        running: Revision of the configuration that each server runs. A server belongs in it only if it reported for
            the present generation of its DHCPServer: else it may be about to start an older revision.
        now: Seconds since the epoch, by the earliest clock.
        latest: The same by the latest clock; None: there is only one.
    """
    latest = now if latest is None else latest
    told = ledger.revisions
    confirmed = all(role in told and running.get(role) == told[role] for role in Role)
    left = []
    for each in ledger.exposures:
        if each.live or (each.until is None and not confirmed):
            left.append(each)
        elif each.until is None or each.until > latest + each.lease + MARGIN + SLACK:
            left.append(replace(each, until=int(latest) + each.lease + MARGIN))
        elif each.until > now:
            left.append(each)
    return replace(ledger, exposures=tuple(left), fallback=None if confirmed else ledger.fallback)


def wake(ledger: Ledger) -> int | None:
    """Return when the next held address becomes free, seconds since the epoch; None: time alone changes nothing."""
    return min((each.until for each in ledger.exposures if each.until is not None), default=None)


def serve(ledger: Ledger, name: str, endpoints: Mapping[Role, Endpoint]) -> Served | None:
    """Return what a configuration may hold now; None before a pair's specification was ever right.

    Args:
        ledger: What counts, and what is held.
        name: The pair's.
        endpoints: Both servers, as their sidecars found them.
    """
    state = ledger.accepted
    if state.pair is None:
        return None
    pools = {key: each.spec for key, each in state.pools.items()}
    reservations = {key: each.spec for key, each in state.reservations.items()}
    wanted = build.build(name, state.pair.spec, pools, reservations, endpoints)
    held = _Held(ledger.exposures)
    waiting = {each.name: until for each in wanted.reservations if (until := held.against(each)) is not None}
    allowed = tuple(replace(pool, ranges=build.ranges(held.allowed(pool))) for pool in wanted.pools)
    return Served(
        service=replace(
            wanted,
            pools=allowed,
            reservations=tuple(each for each in wanted.reservations if each.name not in waiting),
        ),
        waiting=waiting,
        held=_size(wanted.pools) - _size(allowed),
    )


def publish(ledger: Ledger, service: Service, revisions: Mapping[Role, str]) -> Ledger:
    """Return the ledger to be stored before a configuration goes to any server.

    Args:
        ledger: The one that the service was made from.
        service: What the two configurations hold.
        revisions: Theirs.
    """
    wanted = _exposed(service)
    made: dict[_Key, Spans] = {(owner, lease, True, None): found for (owner, lease), found in wanted.items()}
    for (owner, lease, _, until), found in _grouped(ledger.exposures).items():
        gone = spans.subtract(found, wanted.get((owner, lease), ()))
        key = (owner, lease, False, until)
        made[key] = spans.merge((*made.get(key, ()), *gone))
    fallback = ledger.fallback
    if ledger.revisions and ledger.revisions != revisions:
        fallback = Fallback(exposures=ledger.exposures, revisions=ledger.revisions)
    count = ledger.count + (ledger.revisions != revisions)
    return replace(ledger, exposures=_exposures(made), revisions=dict(revisions), fallback=fallback, count=count)


def recover(stored: Ledger, left: Remains) -> Ledger:
    """Return a ledger in place of one that is missing, or that was replaced by an older one.

    Whoever holds what he is seen to hold may keep it. Any other address may be held by somebody who is not known any
    more, or go on getting it: nobody else does before both servers have been seen to run what is published next, and
    the longest lease is over.
    """
    made: dict[_Key, Spans] = {(DYNAMIC, left.lease, True, None): left.dynamic}
    for address, owner in left.fixed.items():
        key = (owner, left.lease, True, None)
        made[key] = spans.merge((*made.get(key, ()), (address, address)))
    known = spans.merge(span for found in made.values() for span in found)
    made[DYNAMIC, left.lease, False, None] = spans.subtract(left.subnets, known)
    return Ledger(
        accepted=stored.accepted,
        exposures=_exposures(made),
        count=max(left.count, stored.count) + 1,
        lost=True,
    )


def withdraw(ledger: Ledger) -> Ledger:
    """Return the ledger after the engine refused what was published last, and no server ever ran it.

    Without this, addresses that the refused configuration left out could not come back: they would be held until both
    servers ran it. What it would have handed out in addition stays held, for a server may yet try it again.
    """
    before = ledger.fallback
    if before is None:
        return ledger
    made: dict[_Key, Spans] = dict(_grouped(before.exposures))
    known: dict[tuple[str, int], Spans] = {}
    for (owner, lease, _, _), found in made.items():
        known[owner, lease] = spans.merge((*known.get((owner, lease), ()), *found))
    for (owner, lease, _, until), found in _grouped(ledger.exposures).items():
        more = spans.subtract(found, known.get((owner, lease), ()))
        key = (owner, lease, False, until)
        made[key] = spans.merge((*made.get(key, ()), *more))
    return replace(ledger, exposures=_exposures(made), revisions=before.revisions, fallback=None)


def _exposures(made: Mapping[_Key, Spans]) -> tuple[Exposure, ...]:
    found = (Exposure(first, last, *key) for key, each in made.items() for first, last in each)
    return tuple(sorted(found, key=_order))


def _order(each: Exposure) -> tuple[int, int, str, int, bool, int]:
    return (each.first, each.last, each.owner, each.lease, each.live, each.until or 0)


def _grouped(exposures: Iterable[Exposure]) -> dict[_Key, Spans]:
    """Return the addresses by all that tells exposures apart."""
    found: dict[_Key, list[Span]] = defaultdict(list)
    for each in exposures:
        found[each.owner, each.lease, each.live, each.until].append((each.first, each.last))
    return {key: spans.merge(each) for key, each in found.items()}


def _exposed(service: Service) -> dict[tuple[str, int], Spans]:
    """Return the addresses in a configuration by owner and longest lease."""
    found: dict[tuple[str, int], list[Span]] = defaultdict(list)
    for pool in service.pools:
        found[DYNAMIC, pool.maximum_lease].extend((int(each.first), int(each.last)) for each in pool.ranges)
    pools = sorted(service.pools, key=lambda pool: pool.subnet)
    starts = [int(pool.subnet.network_address) for pool in pools]
    for each in service.reservations:
        address = int(each.address)
        pool = pools[bisect_right(starts, address) - 1]
        found[each.hardware_address, pool.maximum_lease].append((address, address))
    return {key: spans.merge(each) for key, each in found.items()}


def _size(pools: Iterable[Pool]) -> int:
    return sum(len(each) for pool in pools for each in pool.ranges)


class _Held:
    """Who may not have what for now."""

    def __init__(self, exposures: Iterable[Exposure]) -> None:
        self._clients: dict[int, list[Exposure]] = defaultdict(list)
        dynamic = []
        for each in exposures:
            if each.owner == DYNAMIC:
                dynamic.append(each)
            else:
                for address in range(each.first, each.last + 1):
                    self._clients[address].append(each)
        self._dynamic = _grouped(dynamic)
        live = spans.merge((each.first, each.last) for each in dynamic if each.live)
        gone = spans.merge((each.first, each.last) for each in dynamic if not each.live)
        fixed = ((address, address) for address in self._clients)
        self._barred = spans.merge((*spans.subtract(gone, live), *fixed))

    def allowed(self, pool: Pool) -> Spans:
        """Return the addresses that a pool may lease out."""
        return spans.subtract(tuple((int(each.first), int(each.last)) for each in pool.ranges), self._barred)

    def against(self, reservation: Reservation) -> Waiting | None:
        """Return what a reservation waits for; None: it may be served."""
        address = int(reservation.address)
        ends = [each.until for each in self._clients.get(address, ()) if each.owner != reservation.hardware_address]
        ends.extend(until for (_, _, _, until), found in self._dynamic.items() if spans.covers(found, address))
        if not ends:
            return None
        known = [each for each in ends if each is not None]
        return Waiting(until=max(known) if len(known) == len(ends) else None)
