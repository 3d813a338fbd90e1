"""What clients saw, and whether an address was ever two clients' at once.

The judge is pure: a sequence of DHCP messages as they passed by the clients, each with the observer's own monotonic
time, goes in; violations and statistics come out. `recorder.py` makes such a history from the wire; JSON lines keep it
(`python -m tests.lab.history judge FILE` judges one again).

Who owns what
=============
An ACK of an address with a lease of L seconds makes the client its owner from the instant at which the ACK was seen
until L seconds after the client *sent* its REQUEST (RFC 2131, 4.4.1); after the ACK itself where the REQUEST was not
seen. Of several REQUESTs with one transaction id the last one before the ACK counts. That interval is chosen so that

* there is no false alarm: no client uses an address before its ACK arrives, and the server, which counts from some
  moment between REQUEST and ACK, never ends the lease earlier than that, but for its rounding: dhcpd keeps whole
  seconds, cut off. Overlaps of up to `tolerance` (1 s) are therefore listed apart, as grazes;
* no real duplicate escapes: the clients of the field (dhclient, udhcpc) count from the ACK's arrival and use an address
  for longer than assumed here, by the round trip. A server that gives an address away too early does so by seconds, not
  by a fraction of one, and whatever is less is still listed.

What changes ownership
======================
* A later ACK of the same address to the same client replaces it, even by an earlier end. One that answers the same or
  an older REQUEST (the other server's, a retransmission's) can only lengthen it: the client may have taken either.
* RELEASE and DECLINE by the client end it. So does a NAK, if it answers the last REQUEST of the client and no server
  acknowledged that one: a client that is bound already, or has asked anew, ignores it (RFC 2131, 3.2).
* Nothing else does. A client that was given another address, or that looks for a new one, still owns the old until its
  end. Real clients drop it; but no message tells the servers so, hence none of them may give it away. (One exception
  that this judge would report: dhcpd drops the lease of a client that it sees moving to another subnet.)
* An ACK that arrives when the lease is over already gives nothing, and one to an INFORM never does: it has no lease.
* An infinite lease ends never.

Who is who
==========
A client is a hardware address together with its client identifier. Two that differ in the identifier are two clients,
although they share an interface; where either has none, or it was not seen, the hardware address decides. One
identifier on two hardware addresses is two clients. An ACK without an identifier is taken for its REQUEST's.

The same message seen on two segments within 50 ms counts once.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.lab.dhcp import Kind
from tests.lab.observed import Client, HistoryError, Observation, load
from tests.lab.wire import NOWHERE

TOLERANCE = 1.0
FOR_EVER = 0xFFFFFFFF
_ECHO_SECONDS = 0.05
_ASKING = frozenset({Kind.DISCOVER.name, Kind.REQUEST.name})


@dataclass(frozen=True, slots=True)
class Holding:
    """An address in a client's hands: since when, until when, by whose word."""

    client: Client
    address: str
    server: str
    segment: str
    asked: float
    acked: float
    end: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """One address, two owners. `later` is the one whose ACK made it so; times are relative to `origin` in words."""

    earlier: Holding
    later: Holding
    origin: float

    @property
    def seconds(self) -> float:
        """For how long, as known when it began."""
        return min(self.earlier.end, self.later.end) - self.later.acked

    def __str__(self) -> str:
        return (
            f"{self.later.address} is two clients' for {self.seconds:.3f} s: {self._told(self.earlier)}; "
            f"and {self._told(self.later)}"
        )

    def _told(self, holding: Holding) -> str:
        acked, end = holding.acked - self.origin, holding.end - self.origin
        where = f" on {holding.segment}" if holding.segment else ""
        return f"{holding.client} by ACK of {holding.server or 'nobody known'}{where} at {acked:.3f}, until {end:.3f}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A server answered.

    Attributes:
        time: When.
        server: Its identifier.
        kind: OFFER, ACK or NAK.
        client: Whom.
        new: An ACK that gave an address to a client that held none.
        waited: Of an ACK: seconds since the client began to ask for what it now got.
    """

    time: float
    server: str
    kind: str
    client: Client
    new: bool = False
    waited: float | None = None


@dataclass(slots=True)
class Statistics:
    """Counts, each message once.

    Attributes:
        messages: By type.
        acks: That gave or prolonged a lease, by server.
        inform_acks: That did not, as they answered an INFORM.
        new: ACKs to clients that held no address.
        both: ACKs that repeat another server's for the same REQUEST and address.
        different: Times that a client got an address while it held another one from another server. No violation.
        stale: ACKs that arrived after the end of what they gave.
        clients: That got a lease.
        addresses: That were given.
        seconds: From first to last message.
    """

    messages: Counter[str] = field(default_factory=Counter)
    acks: Counter[str] = field(default_factory=Counter)
    inform_acks: int = 0
    new: int = 0
    both: int = 0
    different: int = 0
    stale: int = 0
    clients: int = 0
    addresses: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found.

    Attributes:
        violations: Overlaps longer than the tolerance; each pair of owners once, however often both renew.
        grazes: Those that are not.
        statistics: Counts.
        answers: Every answer of every server, in order.
        unanswered: Clients that still asked at the end -> since when.
    """

    violations: tuple[Overlap, ...]
    grazes: tuple[Overlap, ...]
    statistics: Statistics
    answers: tuple[Answer, ...]
    unanswered: dict[Client, float]

    def report(self) -> str:
        """Return it in words, a line each."""
        figures = self.statistics
        by_server = ", ".join(f"{server or '?'} {count}" for server, count in sorted(figures.acks.items()))
        lines = [f"violation: {overlap}" for overlap in self.violations]
        lines += [f"graze: {overlap}" for overlap in self.grazes]
        found = f"{len(self.violations)} violations, {len(self.grazes)} grazes"
        extent = f"of {figures.addresses} addresses to {figures.clients} clients in {figures.seconds:.1f} s"
        unlike = f"another address than the other server's {figures.different}"
        void = f"too late {figures.stale}, for INFORM {figures.inform_acks}"
        lines += [
            f"{found} in {figures.acks.total()} ACKs ({by_server}) {extent}",
            f"to new clients {figures.new}, repeated by the other server {figures.both}, {unlike}, {void}",
            "messages: " + ", ".join(f"{kind} {count}" for kind, count in sorted(figures.messages.items())),
        ]
        return "\n".join(lines)


def judge(history: Iterable[Observation], *, tolerance: float = TOLERANCE) -> Verdict:
    """Judge a history.

    Args:
        history: In any order of time: several observers' need not be merged.
        tolerance: Seconds of overlap that are no violation; see the module's text.
    """
    ordered = sorted(history, key=lambda seen: seen.time)
    court = _Court(ordered[0].time if ordered else 0.0, tolerance)
    for seen in ordered:
        court.hear(seen)
    return court.verdict(ordered[-1].time if ordered else 0.0)


class _Court:
    """The judge at work: who owns what after each message."""

    def __init__(self, origin: float, tolerance: float) -> None:
        self._origin = origin
        self._tolerance = tolerance
        self._holdings: dict[str, dict[Client, Holding]] = {}
        self._requests: dict[tuple[str, int], Observation] = {}  # what each transaction asks
        self._last_request: dict[str, Observation] = {}  # by hardware address
        self._acks: dict[tuple[str, int], list[Observation]] = {}  # by transaction
        self._addresses: dict[str, set[str]] = {}  # ever held by a hardware address
        self._identities: dict[str, set[Client]] = {}
        self._echoes: dict[tuple[str, str, int, str, str], tuple[float, str]] = {}
        self._overlapping: dict[tuple[str, frozenset[Client]], float] = {}
        self._asking: dict[Client, float] = {}
        self._violations: list[Overlap] = []
        self._grazes: list[Overlap] = []
        self._answers: list[Answer] = []
        self._statistics = Statistics()
        self._served: set[Client] = set()

    def verdict(self, end: float) -> Verdict:
        figures = self._statistics
        figures.clients, figures.addresses = len(self._served), len(self._holdings)
        figures.seconds = end - self._origin
        found = tuple(self._violations), tuple(self._grazes)
        return Verdict(*found, figures, tuple(self._answers), dict(self._asking))

    def hear(self, seen: Observation) -> None:
        if self._is_echo(seen):
            return
        self._statistics.messages[seen.kind] += 1
        match seen.kind:
            case Kind.DISCOVER.name | Kind.REQUEST.name | Kind.INFORM.name:
                self._ask(seen)
            case Kind.RELEASE.name | Kind.DECLINE.name:
                self._end(seen.subject, self._sender(seen))
                self._asking.pop(self._sender(seen), None)
            case Kind.NAK.name:
                self._refuse(seen)
            case Kind.ACK.name:
                self._acknowledge(seen)
            case Kind.OFFER.name:
                self._answers.append(Answer(seen.time, seen.server, seen.kind, self._receiver(seen)))

    def _is_echo(self, seen: Observation) -> bool:
        key = (seen.kind, seen.mac, seen.xid, seen.server, seen.yiaddr)
        time, segment = self._echoes.get(key, (-math.inf, seen.segment))
        if segment != seen.segment and seen.time - time <= _ECHO_SECONDS:
            return True
        self._echoes[key] = (seen.time, seen.segment)
        return False

    def _sender(self, seen: Observation) -> Client:
        client = Client(seen.mac, seen.client_id)
        self._identities.setdefault(seen.mac, set()).add(client)
        return client

    def _receiver(self, seen: Observation) -> Client:
        """Return whom a server's message is for: by its own identifier, its REQUEST's, or the only one there is."""
        request = self._requests.get((seen.mac, seen.xid))
        if seen.client_id or request is not None:
            return Client(seen.mac, seen.client_id or (request.client_id if request else ""))
        known = self._identities.get(seen.mac, set())
        return next(iter(known)) if len(known) == 1 else Client(seen.mac)

    def _ask(self, seen: Observation) -> None:
        client = self._sender(seen)
        if seen.kind == Kind.REQUEST.name:
            self._last_request[seen.mac] = seen
        before = self._requests.get((seen.mac, seen.xid))
        if before is None or seen.kind != Kind.DISCOVER.name:
            self._requests[seen.mac, seen.xid] = seen
        if seen.kind in _ASKING:
            self._asking.setdefault(client, seen.time)

    def _refuse(self, seen: Observation) -> None:
        client, last = self._receiver(seen), self._last_request.get(seen.mac)
        self._answers.append(Answer(seen.time, seen.server, seen.kind, client))
        if last is None or last.xid != seen.xid:
            return
        if all(ack.time < last.time for ack in self._acks.get((seen.mac, seen.xid), [])):
            self._end(last.subject, client)

    def _acknowledge(self, seen: Observation) -> None:
        client, request = self._receiver(seen), self._requests.get((seen.mac, seen.xid))
        informed = request is not None and request.kind == Kind.INFORM.name
        if informed or seen.lease is None or seen.yiaddr == NOWHERE:
            self._statistics.inform_acks += 1
            self._answers.append(Answer(seen.time, seen.server, seen.kind, client))
            return
        asked = request.time if request is not None and request.kind == Kind.REQUEST.name else seen.time
        end = math.inf if seen.lease == FOR_EVER else asked + seen.lease
        live = end > seen.time
        self._count(seen, client, live=live)
        if live:
            self._grant(Holding(client, seen.yiaddr, seen.server, seen.segment, asked, seen.time, end))

    def _count(self, seen: Observation, client: Client, *, live: bool) -> None:
        """Count an ACK of a lease, before it takes effect."""
        figures = self._statistics
        figures.acks[seen.server] += 1
        figures.stale += not live
        others = self._acks.setdefault((seen.mac, seen.xid), [])
        figures.both += any(ack.yiaddr == seen.yiaddr and ack.server != seen.server for ack in others)
        others.append(seen)
        held = [holding for holding in self._held_by(client) if holding.end > seen.time]
        if live and all(holding.address != seen.yiaddr for holding in held):
            figures.different += any(holding.server != seen.server for holding in held)
        new = live and not held
        figures.new += new
        self._served.add(client)
        since = self._asking.pop(client, None)
        waited = None if since is None else seen.time - since
        self._answers.append(Answer(seen.time, seen.server, seen.kind, client, new=new, waited=waited))

    def _held_by(self, client: Client) -> Iterator[Holding]:
        for address in self._addresses.get(client.mac, ()):
            owners = self._holdings[address]
            yield from (holding for owner, holding in owners.items() if owner.may_be(client))

    def _grant(self, given: Holding) -> None:
        owners = self._holdings.setdefault(given.address, {})
        mine = [holding for owner, holding in owners.items() if owner.may_be(given.client)]
        if any(given.asked <= before.asked and given.end <= before.end for before in mine):
            return  # it answers the same or an older REQUEST, and adds nothing
        for before in mine:
            del owners[before.client]
        owners[given.client] = given
        self._addresses.setdefault(given.client.mac, set()).add(given.address)
        for holding in owners.values():
            if holding.client != given.client:
                self._compare(holding, given)

    def _compare(self, earlier: Holding, later: Holding) -> None:
        overlap = Overlap(earlier, later, self._origin)
        if overlap.seconds <= 0:
            return
        pair = (later.address, frozenset({earlier.client, later.client}))
        if overlap.seconds <= self._tolerance:
            self._grazes.append(overlap)
            return
        if self._overlapping.get(pair, -math.inf) <= later.acked:
            self._violations.append(overlap)
        self._overlapping[pair] = later.acked + overlap.seconds

    def _end(self, address: str, client: Client) -> None:
        owners = self._holdings.get(address, {})
        for owner in [owner for owner in owners if owner.may_be(client)]:
            del owners[owner]


def last_answer(answers: Sequence[Answer], server: str, *, before: float = math.inf) -> float | None:
    """Return when a server last answered anybody anything, None if never."""
    return max((answer.time for answer in answers if answer.server == server and answer.time < before), default=None)


def first_answer(answers: Sequence[Answer], server: str, *, after: float = -math.inf) -> float | None:
    """Return when a server first answered after a moment, None if never."""
    return min((answer.time for answer in answers if answer.server == server and answer.time > after), default=None)


def longest_gap(
    answers: Sequence[Answer], begin: float, end: float, *, server: str | None = None, new: bool = True
) -> tuple[float, float]:
    """Return the longest span of [begin, end] in which no client got a lease by ACK: its beginning and end.

    Args:
        answers: Of a verdict.
        begin: Where to look.
        end: Up to where.
        server: Only what this one gave; None for any.
        new: Only what was given to clients that held none. It says something where new clients ask all the time.
    """
    times = [
        answer.time
        for answer in answers
        if answer.kind == Kind.ACK.name
        and (answer.new or not new)
        and server in {None, answer.server}
        and begin < answer.time < end
    ]
    marks = [begin, *sorted(times), end]
    return max(pairwise(marks), key=lambda span: span[1] - span[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a file; 0 when nothing is wrong, 1 for violations, 2 when it cannot be judged."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.history", description="Judge a history of DHCP messages."
    )
    judging = parser.add_subparsers(required=True).add_parser("judge", help="say whether an address had two owners")
    judging.add_argument("file", type=Path, help="JSON lines, as the recorder wrote them")
    judging.add_argument("--tolerance", type=float, default=TOLERANCE, help="seconds of overlap that are none")
    chosen = parser.parse_args(arguments)
    try:
        verdict = judge(load(chosen.file).whole().observations, tolerance=chosen.tolerance)
    except (HistoryError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{verdict.report()}\n")
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
