"""Load from many made-up clients, each living its life: new, renewing, rebooting, releasing, vanishing.

They speak and listen through one raw socket per part of the LAN, in one thread each, so that hundreds cost no more
than their packets. As their addresses are no interface's, the load answers ARP for those in use: servers ask before
they answer a renewal. It answers no ping: whoever relies on pings to find an address in use is found out.
"""

import heapq
import select
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

from tests.lab import netns, wire
from tests.lab.crowd import Exchange, Habit, Pace, Simulated, State
from tests.lab.model import CLIENTS, Client
from tests.lab.tap import RawSocket, Tap

_TICK_SECONDS = 0.2  # how long `stop` may take to be noticed
_MIX = {Habit.STAY: 4, Habit.REBOOT: 2, Habit.RELEASE: 2, Habit.VANISH: 2}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much load, on each part of the LAN.

    Attributes:
        rate: New clients per second, up to 50 on a shared core.
        alive: At most so many that have not vanished; a newcomer waits for a place.
        count: At most so many in all.
        seconds: The load ends by itself after this time.
        mix: The habits' shares, any numbers.
        pace: The clients' timers.
        seed: Everything that is drawn follows from it: hardware addresses, habits, transactions, timers.
    """

    rate: float = 5.0
    alive: int = 40
    count: int = 2000
    seconds: float = 600.0
    mix: Mapping[Habit, float] = field(default_factory=lambda: dict(_MIX))
    pace: Pace = field(default_factory=Pace)
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one client has lived through.

    Attributes:
        address: What it has or had last; empty if none.
        until: To the end of its lease, monotonic seconds.
        exchanges: Everything that it wanted, in order.
    """

    mac: str
    segment: str
    habit: Habit
    state: State
    address: str
    server: str
    until: float
    exchanges: tuple[Exchange, ...]

    @property
    def first_wait(self) -> float | None:
        """Seconds from its first question to its first address, None without one."""
        return next((each.ended - self.exchanges[0].asked for each in self.exchanges if each.outcome == "ack"), None)

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """When it wanted an address and used none: spans of time; the last may be open, with an end at infinity."""
        return [(each.asked, each.ended) for each in self.exchanges if each.purpose != "renew"]


@dataclass(frozen=True, slots=True)
class Summary:
    """All clients in figures; `waits` are the seconds that answered questions took, sorted, by purpose."""

    clients: int
    served: int
    outcomes: Counter[tuple[str, str]]
    waits: dict[str, list[float]]

    def __str__(self) -> str:
        counts = ", ".join(
            f"{purpose} {outcome or 'open'} {n}" for (purpose, outcome), n in sorted(self.outcomes.items())
        )
        slowest = ", ".join(f"{purpose} {waits[-1]:.2f} s" for purpose, waits in sorted(self.waits.items()) if waits)
        return f"{self.clients} clients, {self.served} served; {counts}; slowest answers: {slowest or 'none'}"


class Load:
    """Load from entering to leaving the block, or to `stop`.

    Args:
        taps: Where the clients are: the interface of each part's client machine. `lab_machines` are the lab's.
        plan: How much, on each of them.
    """

    def __init__(self, taps: Iterable[Tap], plan: Plan) -> None:
        self._stopping = threading.Event()
        self._groups: list[_Group] = []
        with ExitStack() as stack:
            for index, tap in enumerate(taps):
                raw = RawSocket(tap, outgoing=False, arp=True)
                stack.callback(raw.close)
                self._groups.append(_Group(index, tap.segment, raw, plan, self._stopping))
            self._close = stack.pop_all().close

    def __enter__(self) -> Self:
        """Begin."""
        for group in self._groups:
            group.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def stop(self) -> None:
        """Fall silent; what was lived through can still be asked for.

        Raises:
            RuntimeError: A group broke off, so that there was less load than planned.
        """
        self._stopping.set()
        for group in self._groups:
            group.join()
        self._close()
        for group in self._groups:
            if group.failed is not None:
                raise RuntimeError(f"the load on {group.segment} broke off") from group.failed

    def outcomes(self) -> list[Outcome]:
        """Return what every client has lived through so far."""
        return [outcome for group in self._groups for outcome in group.outcomes()]

    def holders(self) -> dict[str, list[str]]:
        """Return who uses which address at this moment, by the clients' own account: address -> hardware addresses."""
        now = time.monotonic()
        found: dict[str, list[str]] = {}
        for group in self._groups:
            for address, mac in group.holders(now):
                found.setdefault(address, []).append(mac)
        return found

    def summary(self, since: float = 0.0) -> Summary:
        """Return all clients in figures; only what they wanted after `since`, monotonic seconds."""
        lives = self.outcomes()
        wanted = [each for life in lives for each in life.exchanges if each.asked >= since]
        waits: dict[str, list[float]] = {}
        for each in wanted:
            if each.outcome == "ack":
                waits.setdefault(each.purpose, []).append(each.ended - each.asked)
        served = sum(life.first_wait is not None for life in lives)
        outcomes = Counter((each.purpose, each.outcome) for each in wanted)
        return Summary(len(lives), served, outcomes, {purpose: sorted(times) for purpose, times in waits.items()})


class _Group:
    """The clients of one part of the LAN, in one thread."""

    def __init__(self, index: int, segment: str, raw: RawSocket, plan: Plan, stopping: threading.Event) -> None:
        self.segment = segment
        self.failed: BaseException | None = None
        self._index = index
        self._raw = raw
        self._plan = plan
        self._stopping = stopping
        self._random = Random(f"{plan.seed}/{index}")  # noqa: S311 - the same load again, not secrets
        self._lock = threading.Lock()
        self._clients: dict[bytes, Simulated] = {}
        self._alarms: list[tuple[float, bytes]] = []  # one is void when its client is due at another time
        self._thread = threading.Thread(target=self._run, name=f"load-{segment}", daemon=True)
        self.start, self.join = self._thread.start, self._thread.join

    def outcomes(self) -> list[Outcome]:
        with self._lock:
            return [
                Outcome(
                    client.mac.hex(":"), self.segment, client.habit, client.state, client.address, client.server,
                    client.until, tuple(Exchange(e.purpose, e.asked, e.ended, e.outcome) for e in client.exchanges),
                )
                for client in self._clients.values()
            ]  # fmt: skip

    def holders(self, now: float) -> Iterator[tuple[str, str]]:
        with self._lock:
            yield from [
                (client.address, client.mac.hex(":"))
                for client in self._clients.values()
                if client.holds(client.address, now)
            ]

    def _run(self) -> None:
        try:
            begin = now = time.monotonic()
            arrival = now + self._random.uniform(0, 1) / self._plan.rate
            while not self._stopping.is_set() and now < begin + self._plan.seconds:
                with self._lock:
                    while now >= arrival:
                        arrival += self._random.uniform(0.5, 1.5) / self._plan.rate
                        self._welcome(now)
                    self._act(now)
                soonest = min(arrival, self._alarms[0][0] if self._alarms else arrival)
                wait = min(max(soonest - time.monotonic(), 0.0), _TICK_SECONDS)
                if select.select([self._raw], [], [], wait)[0]:
                    with self._lock:
                        self._listen()
                now = time.monotonic()
        except BaseException as error:  # noqa: BLE001 - told to whoever stops the load
            self.failed = error

    def _welcome(self, now: float) -> None:
        """Let one more client come, if there is a place for it."""
        number = len(self._clients)
        alive = sum(client.state is not State.GONE for client in self._clients.values())
        if number >= self._plan.count or alive >= self._plan.alive:
            return
        mac = b"\x0a" + (self._plan.seed & 0xFFFF).to_bytes(2, "big") + bytes([self._index]) + number.to_bytes(2, "big")
        habits = list(self._plan.mix)
        client = Simulated(
            mac=mac, habit=self._random.choices(habits, [self._plan.mix[habit] for habit in habits])[0],
            random=Random(f"{self._plan.seed}/{mac.hex()}"),  # noqa: S311 - the same load again, not secrets
            pace=self._plan.pace, identified=number % 2 == 0, broadcast=number % 4 < 2, due=now,
        )  # fmt: skip
        self._clients[mac] = client
        heapq.heappush(self._alarms, (now, mac))

    def _act(self, now: float) -> None:
        while self._alarms and self._alarms[0][0] <= now:
            due, mac = heapq.heappop(self._alarms)
            client = self._clients[mac]
            if client.due == due:
                self._send(client, client.act(now))

    def _listen(self) -> None:
        for seen, frame in self._raw.frames():
            question = wire.parse_arp(frame)
            if question is not None:
                for client in self._clients.values():
                    if client.holds(question.wanted, time.monotonic()):
                        self._raw.send(wire.arp_reply(question, client.mac))
                continue
            packet = wire.parse(frame)
            client_of = self._clients.get(packet.mac) if packet else None
            if packet is not None and client_of is not None:
                # Not as late as a busy machine lets us read it: that is no server's fault.
                self._send(client_of, client_of.hear(packet, seen))

    def _send(self, client: Simulated, packets: Iterable[wire.Packet]) -> None:
        for packet in packets:
            self._raw.send(wire.client_frame(packet))
        heapq.heappush(self._alarms, (client.due, client.mac))


def lab_machines(clients: Iterable[Client] = CLIENTS) -> list[Tap]:
    """Return where the clients are in the lab."""
    return [Tap(client.side, netns.path(client.namespace)) for client in clients]
