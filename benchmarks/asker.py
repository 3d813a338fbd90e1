"""Clients that ask for the addresses they have, one after the other and all the time, and note who answers.

Every request is the first of a client that has just booted (INIT-REBOOT, RFC 2131 3.2): both servers of a pair answer
it in every state in which they serve dynamic clients, whichever of them the client is hashed to. So a server that
leaves one unanswered does not serve.
"""

import itertools
import select
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.lab import wire
from tests.lab.dhcp import Kind, Option, address_bytes
from tests.lab.tap import RawSocket, Tap
from tests.lab.wire import Packet

CLIENTS = 32
PERIOD_SECONDS = 0.01
"""From one request to the next."""

_FORGET_SECONDS = 5.0  # without an ACK: whoever has not got one for so long asks for any address
_LONGEST_WAIT_SECONDS = 0.2


class Client:
    """One client. Pure."""

    def __init__(self, number: int) -> None:
        self.mac = b"\x0a\xbe\x00\x00" + number.to_bytes(2, "big")
        self._transactions = itertools.count(number << 16)
        self._address = ""
        self._confirmed = 0.0

    @property
    def settled(self) -> bool:
        """Whether it has an address."""
        return bool(self._address)

    def ask(self, now: float) -> Packet:
        """Return what it says when its turn comes."""
        if self._address and now - self._confirmed > _FORGET_SECONDS:
            self._address = ""
        if not self._address:
            return self._message(Kind.DISCOVER, {})
        return self._message(Kind.REQUEST, {Option.REQUESTED_ADDRESS: address_bytes(self._address)})

    def hear(self, packet: Packet, now: float) -> Packet | None:
        """Take a server's message; return what it says to that."""
        if packet.kind is Kind.ACK:
            self._address, self._confirmed = packet.yiaddr, now
        elif packet.kind is Kind.NAK:
            self._address = ""
        elif packet.kind is Kind.OFFER and not self._address:
            wanted = {Option.REQUESTED_ADDRESS: packet.yiaddr, Option.SERVER: packet.server}
            return self._message(Kind.REQUEST, {code: address_bytes(value) for code, value in wanted.items()})
        return None

    def _message(self, kind: Kind, options: Mapping[Option, bytes]) -> Packet:
        told = {int(code): value for code, value in options.items()}
        return Packet(
            kind, next(self._transactions) & 0xFFFFFFFF, self.mac, broadcast=True, options=told, source_mac=self.mac
        )


class Asker:
    """The clients of one LAN, from entering to leaving the block, in a thread of their own."""

    def __init__(self, tap: Tap) -> None:
        self._clients = {client.mac: client for client in map(Client, range(CLIENTS))}
        self._raw = RawSocket(tap, outgoing=False, arp=False)
        self._asked: list[float] = []
        self._answered: dict[str, list[float]] = {}
        self._stopping = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"asker-{tap.segment}", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop.

        Raises:
            RuntimeError: The thread broke off.
        """
        self._stopping.set()
        self._thread.join()
        self._raw.close()
        if self._failed is not None and error is None:
            raise RuntimeError("the asking broke off") from self._failed

    def settled(self) -> bool:
        """Tell whether every client has an address."""
        return all(client.settled for client in self._clients.values())

    def silence(self, server: str, begin: float, end: float) -> float:
        """Return for how long, at most, a server left every request of a span of time unanswered."""
        return longest_silence(list(self._asked), list(self._answered.get(server, ())), begin, end)

    def _run(self) -> None:
        try:
            turns = itertools.cycle(self._clients.values())
            due = time.monotonic()
            while not self._stopping.is_set():
                now = time.monotonic()
                if now >= due:
                    due = max(due + PERIOD_SECONDS, now)  # who comes late does not make up for it
                    self._ask(next(turns), now)
                if select.select([self._raw], [], [], min(max(due - now, 0.0), _LONGEST_WAIT_SECONDS))[0]:
                    self._listen()
        except BaseException as error:  # noqa: BLE001 - told to whoever leaves the block
            self._failed = error

    def _ask(self, client: Client, now: float) -> None:
        packet = client.ask(now)
        # A client without an address is one that only some server need answer, and not at once.
        if packet.kind is Kind.REQUEST:
            self._asked.append(now)
        self._raw.send(wire.client_frame(packet))

    def _listen(self) -> None:
        for at, frame in self._raw.frames():
            packet = wire.parse(frame)
            client = self._clients.get(packet.mac) if packet else None
            if packet is None or client is None:
                continue
            if packet.kind is Kind.ACK:
                self._answered.setdefault(packet.server, []).append(at)
            said = client.hear(packet, at)
            if said is not None:
                self._raw.send(wire.client_frame(said))


def longest_silence(asked: Sequence[float], answered: Sequence[float], begin: float, end: float) -> float:
    """Return for how long, at most, nobody was answered who asked. Pure.

    A silence begins with the first request after an answer, and ends with the next answer or the span. So it is what
    clients wait for, at least one round trip, and does not count the time in which nobody asks. (Requests are few
    enough that they are answered one by one; of two on their way at once only the later one would count.)

    Args:
        asked: When requests were sent, in order.
        answered: When answers came, in order.
        begin: From when on silences may begin.
        end: Until when they are counted.
    """
    longest, at = 0.0, begin
    while True:
        first = bisect_left(asked, at)
        if first == len(asked) or asked[first] >= end:
            return longest
        answer = bisect_right(answered, asked[first])
        at = min(answered[answer], end) if answer < len(answered) else end
        longest = max(longest, at - asked[first])
        if at >= end:
            return longest
