"""Records every DHCP message that passes by the clients of a LAN, in a thread of its own."""

import selectors
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.lab import netns, wire
from tests.lab.model import CLIENTS, LAN_NAMESPACE, Client
from tests.lab.observed import Observation, Recording, observation
from tests.lab.tap import RawSocket, Tap

_TICK_SECONDS = 0.2  # how long `stop` may take to be noticed
MOST_MESSAGES = 1_000_000


class Recorder:
    """Listens from entering to leaving the block, or to `stop`.

    Args:
        taps: Where to listen: past each of them all messages of some clients go, in both directions. In the lab the
            switch's ports of the client machines, which see what clients see: `lab_taps`.
        most: How many messages are kept; any more count as dropped.
    """

    def __init__(self, taps: Iterable[Tap], *, most: int = MOST_MESSAGES) -> None:
        self._observations: list[Observation] = []
        self._most = most
        self._beyond = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="recorder", daemon=True)
        self._failed: BaseException | None = None
        self._sockets: dict[RawSocket, str] = {}
        with ExitStack() as stack:
            for tap in taps:
                raw = RawSocket(tap, outgoing=True, arp=False)
                stack.callback(raw.close)
                self._sockets[raw] = tap.segment
            self._close = stack.pop_all().close
        self._recording: Recording | None = None
        self._wall, self._began = time.time(), time.monotonic()

    def __enter__(self) -> Self:
        """Begin to listen: the sockets did when they were opened, so nothing in between is lost."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def so_far(self) -> list[Observation]:
        """Return what was recorded up to now."""
        return list(self._observations)

    def stop(self) -> Recording:
        """Stop listening and return everything; again and again the same.

        Raises:
            RuntimeError: The thread broke off, so that what came later is missing.
        """
        if self._recording is None:
            self._stopping.set()
            self._thread.join()
            dropped = sum(raw.dropped() for raw in self._sockets) + self._beyond
            self._close()
            self._recording = Recording(tuple(self._observations), self._began, time.monotonic(), self._wall, dropped)
        if self._failed is not None:
            raise RuntimeError("the recorder broke off") from self._failed
        return self._recording

    def _listen(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                for raw, segment in self._sockets.items():
                    selector.register(raw, selectors.EVENT_READ, (raw, segment))
                while not self._stopping.is_set():
                    for key, _ in selector.select(_TICK_SECONDS):
                        self._read(*key.data)
            for raw, segment in self._sockets.items():
                self._read(raw, segment)  # what arrived up to the last instant
        except BaseException as error:  # noqa: BLE001 - told to whoever stops the recorder
            self._failed = error

    def _read(self, raw: RawSocket, segment: str) -> None:
        for seen_at, frame in raw.frames():
            packet = wire.parse(frame)
            if packet is None:
                continue
            if len(self._observations) < self._most:
                self._observations.append(observation(seen_at, segment, packet))
            else:
                self._beyond += 1


def lab_taps(clients: Iterable[Client] = CLIENTS) -> list[Tap]:
    """Return where to listen in the lab: the ports of its client machines."""
    return [Tap(client.side, netns.path(LAN_NAMESPACE), client.name) for client in clients]
