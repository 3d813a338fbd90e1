"""One made-up DHCP client as RFC 2131 wants it: what it says when its time comes, and what it makes of answers. Pure.

Times are seconds on one monotonic clock. Where the standard's timers would be too slow for a test they come from
`Pace`; the lease's own (T1 at half, T2 at 7/8, its end) are the standard's, counted from when the REQUEST was sent.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from tests.lab.dhcp import BROADCAST, Kind, Option, address_bytes
from tests.lab.wire import EVERYWHERE, NOWHERE, Packet

_WANTED = bytes([1, 3, 6, 15, 51, 54])  # subnet mask, routers, name servers, domain, lease time, server
_CLIENT_ID = 61
_T1, _T2 = 0.5, 0.875
_MOST_REQUESTS = 4  # of one address, before the client looks for another


class Habit(StrEnum):
    """What a client does once it has had its address for a while."""

    STAY = "stay"
    REBOOT = "reboot"
    """Goes away without a word, comes back soon and asks for the same address (INIT-REBOOT); again and again."""
    RELEASE = "release"
    """Gives it back, and comes again later as if new; again and again."""
    VANISH = "vanish"
    """Is never heard of again."""


class State(StrEnum):
    """Of a client; REBINDING is RENEWING after T2."""

    AWAY = "away"
    SELECTING = "selecting"
    REQUESTING = "requesting"
    REBOOTING = "rebooting"
    BOUND = "bound"
    RENEWING = "renewing"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly clients do what the lease does not time; seconds, spans as (least, most).

    Attributes:
        retry: First wait for an answer; each further one is twice as long, all a tenth more or less.
        longest_retry: But not longer than this.
        stay: For how long a client has its address before its habit shows.
        away: For how long one is away that comes back.
    """

    retry: float = 2.0
    longest_retry: float = 8.0
    stay: tuple[float, float] = (5.0, 20.0)
    away: tuple[float, float] = (1.0, 5.0)


@dataclass(slots=True)
class Exchange:
    """A client wants something: "new", "reboot" or "renew" an address.

    Attributes:
        outcome: "ack", "nak"; "lost" when the lease ended first; "silence" when a rebooted client gave up asking and
            went on with the lease that it remembered; "left" when it went away meanwhile; empty while it still asks.
    """

    purpose: str
    asked: float
    ended: float = math.inf
    outcome: str = ""


@dataclass(slots=True)
class Simulated:
    """One client. `act` when `due` has come, `hear` what servers say; both return what it sends."""

    mac: bytes
    habit: Habit
    random: Random
    pace: Pace
    identified: bool
    broadcast: bool
    due: float
    state: State = State.AWAY
    address: str = ""
    server: str = ""
    until: float = -math.inf
    exchanges: list[Exchange] = field(default_factory=list)
    _server_mac: bytes = BROADCAST
    _xid: int = 0
    _tries: int = 0
    _requested: float = 0.0  # when the last REQUEST was sent
    _t1: float = math.inf
    _t2: float = math.inf
    _leave: float = math.inf

    def holds(self, address: str, now: float) -> bool:
        """Tell whether it uses that address now."""
        return self.state in {State.BOUND, State.RENEWING} and self.address == address and now < self.until

    def act(self, now: float) -> list[Packet]:
        """Do what is due."""
        if self.state in {State.BOUND, State.RENEWING} and now >= self._leave:
            return self._go_away(now)
        beginning = self._beginning(now)
        if beginning is not None:
            return self._begin(beginning, now)
        if self.state in {State.REQUESTING, State.REBOOTING} and self._tries >= _MOST_REQUESTS:
            return self._give_up(now)
        return self._speak(now)

    def _beginning(self, now: float) -> State | None:
        """Return what to begin with now, None if it is time to ask again."""
        if self.state is State.AWAY:
            return State.REBOOTING if self.address and now < self.until else State.SELECTING
        if self.state is State.BOUND:
            return State.RENEWING
        if self.state is State.RENEWING and now >= self.until:
            self._close(now, "lost")
            return State.SELECTING
        return None

    def hear(self, packet: Packet, now: float) -> list[Packet]:
        """Take a server's message."""
        if packet.mac != self.mac or packet.xid != self._xid:
            return []
        asking = self.state in {State.REQUESTING, State.REBOOTING, State.RENEWING}
        if packet.kind is Kind.OFFER and self.state is State.SELECTING and packet.server:
            self.state, self.address, self.server, self._tries = State.REQUESTING, packet.yiaddr, packet.server, 0
            return self._speak(now)
        if packet.kind is Kind.NAK and asking:
            self._close(now, "nak")
            self.address = ""
            self.state, self.due = State.AWAY, now + self.random.uniform(0.1, 0.5)  # so that refusals do not go round
        elif packet.kind is Kind.ACK and asking and packet.yiaddr != NOWHERE:
            self._bind(packet, now)
        return []

    def _bind(self, packet: Packet, now: float) -> None:
        lease = packet.lease or 0
        if self._requested + lease <= now:
            return  # over before it arrived
        self._close(now, "ack")
        fresh = self.state is not State.RENEWING
        self.state, self.address, self.until = State.BOUND, packet.yiaddr, self._requested + lease
        self.server, self._server_mac = packet.server or self.server, packet.source_mac
        self._t1, self._t2 = (self._requested + lease * part for part in (_T1, _T2))
        if fresh:
            self._leave = math.inf if self.habit is Habit.STAY else now + self.random.uniform(*self.pace.stay)
        self.due = min(max(self._t1, now), self._leave)

    def _begin(self, state: State, now: float) -> list[Packet]:
        purpose = {State.SELECTING: "new", State.REBOOTING: "reboot", State.RENEWING: "renew"}[state]
        self.exchanges.append(Exchange(purpose, now))
        if state is State.SELECTING:
            self.address = ""
        self.state, self._tries, self._xid = state, 0, self.random.getrandbits(32)
        return self._speak(now)

    def _give_up(self, now: float) -> list[Packet]:
        """Leave an address that nobody confirms; but what was leased before a reboot may be used to its end."""
        if self.state is State.REBOOTING and now < self.until:
            self._close(now, "silence")
            self.state, self.due = State.BOUND, min(max(self._t1, now), self._leave)
            return []
        if self.state is State.REBOOTING:
            self._close(now, "lost")
            return self._begin(State.SELECTING, now)
        self.state, self.address, self._tries = State.SELECTING, "", 0
        self._xid = self.random.getrandbits(32)
        return self._speak(now)

    def _go_away(self, now: float) -> list[Packet]:
        if self.state is State.RENEWING:
            self._close(now, "left")
        self._leave = math.inf
        self.state, self.due = State.AWAY, now + self.random.uniform(*self.pace.away)
        if self.habit is Habit.VANISH:
            self.state, self.due = State.GONE, math.inf
        if self.habit is not Habit.RELEASE:
            return []
        self._xid = self.random.getrandbits(32)
        release = self._message(Kind.RELEASE, now, {Option.SERVER: address_bytes(self.server)}, unicast=True)
        self.address, self.until = "", -math.inf
        return [release]

    def _close(self, now: float, outcome: str) -> None:
        self.exchanges[-1].ended, self.exchanges[-1].outcome = now, outcome

    def _speak(self, now: float) -> list[Packet]:
        """Ask, for the first time or again, and set the time for the next."""
        wait = min(self.pace.retry * 2**self._tries, self.pace.longest_retry) * self.random.uniform(0.9, 1.1)
        self.due = now + wait
        self._tries += 1
        if self.state is State.SELECTING:
            return [self._message(Kind.DISCOVER, now, {})]
        self._requested = now
        if self.state is State.RENEWING:
            unicast = now < self._t2
            limit = self._t2 if unicast else self.until
            self.due = min(limit, now + max((limit - now) / 2, wait), self._leave)
            return [self._message(Kind.REQUEST, now, {}, unicast=unicast)]
        options = {Option.REQUESTED_ADDRESS: address_bytes(self.address)}
        if self.state is State.REQUESTING:
            options[Option.SERVER] = address_bytes(self.server)
        return [self._message(Kind.REQUEST, now, options)]

    def _message(self, kind: Kind, now: float, options: dict[Option, bytes], *, unicast: bool = False) -> Packet:
        told: dict[int, bytes] = {int(code): value for code, value in options.items()}
        if self.identified:
            told[_CLIENT_ID] = b"\x01" + self.mac
        if kind is not Kind.RELEASE:
            told[Option.PARAMETERS] = _WANTED
        own = self.address if self.state is State.RENEWING or kind is Kind.RELEASE else NOWHERE
        return Packet(
            kind, self._xid, self.mac, seconds=int(now - self.exchanges[-1].asked),
            broadcast=self.broadcast and own == NOWHERE, ciaddr=own, options=told, source_mac=self.mac, source=own,
            target_mac=self._server_mac if unicast else BROADCAST, target=self.server if unicast else EVERYWHERE,
        )  # fmt: skip
