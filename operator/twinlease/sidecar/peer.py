"""A thread that talks to the partner's sidecar over UDP, and the promises that it makes there."""

import contextlib
import logging
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address

from msgspec import Struct
from msgspec.structs import replace

from twinlease.decide.clocks import SAMPLES, SETTLE_SECONDS, Sample
from twinlease.decide.permit import Promiser, reborn
from twinlease.log import kv
from twinlease.sidecar.clock import Clocks
from twinlease.sidecar.keeper import Keeper
from twinlease.sidecar.promises import MAX_BYTES, UNKNOWN_SESSION, Conversation, Granted, Pledge, Terms
from twinlease.sidecar.record import Durable, NotRememberedError

_log = logging.getLogger(__name__)

ASK_SECONDS = 1.0
"""How often the partner is asked."""
SOON_SECONDS = 0.2
"""The same until there are enough answers to tell whether the clocks agree, and for no longer than a start waits."""
_HEARD_SECONDS = 5.0
_BURST = 32


class Place(Struct, frozen=True, kw_only=True):
    """Where the two sidecars listen."""

    own: IPv4Address
    partner: IPv4Address
    port: int


class Heard(Struct, frozen=True, kw_only=True):
    """The partner's sidecar as it is heard.

    Attributes:
        lately: It answered within the last seconds.
        clocks: The last measurements of its wall clock, the oldest first.
        refused: Messages not taken and promises not given, by reason.
    """

    lately: bool = False
    clocks: tuple[Sample, ...] = ()
    refused: tuple[tuple[str, int], ...] = ()


class Promises:
    """What was promised to the partner; shared by the thread that promises and the one that obeys orders.

    Args:
        durable: Where a long one is noted before it is made.
        clocks: The node's.
    """

    def __init__(self, durable: Durable, clocks: Clocks) -> None:
        self._durable = durable
        self._clocks = clocks
        self._lock = threading.Lock()
        self._promiser: Promiser | None = None
        self._suspended = False

    @property
    def known(self) -> bool:
        """Whether it is known what was promised before."""
        return self._promiser is not None

    @property
    def promiser(self) -> Promiser:
        """What is promised, but for what is just being allowed; while it is not known, everything."""
        with self._lock:
            return self._promiser or Promiser(until=float("inf"), long=True)

    def begin(self, *, ever: bool, short: int, long: int) -> None:
        """Take up what may have been promised before this process began.

        Args:
            ever: Somebody may have promised something in this server's name.
            short: Seconds of a promise in good times, where the disk does not say.
            long: The same of a long one.
        """
        with self._lock:
            if self._promiser is not None:
                return
            now, record = self._clocks.boot(), self._durable.record
            if self._durable.found:
                on_disk = record.long_promise
                self._promiser = reborn(now, short=record.short_seconds, long=record.long_seconds, on_disk=on_disk)
            elif ever:
                self._promiser = reborn(now, short=short, long=long, on_disk=None)
            else:
                self._promiser = Promiser()

    def suspend(self) -> None:
        """Promise nothing more; when this returns, ``promiser`` is all there is."""
        with self._lock:
            self._suspended = True

    def resume(self) -> None:
        """Promise again."""
        with self._lock:
            self._suspended = False

    def make(self, seconds: int, *, long: bool, renounced: bool, allowed: Callable[[], bool]) -> bool:
        """Make a promise; tell whether it may be told.

        Args:
            seconds: For how long from now.
            long: It is one for the time without the API.
            renounced: The partner gave up all earlier ones.
            allowed: Whether it still is, asked when nobody can look at what is promised before it is: who forbids it
                and then looks, sees it or has prevented it.
        """
        with self._lock:
            if self._suspended or self._promiser is None or not allowed():
                return False
            try:
                self._note(seconds, long=long)
            except NotRememberedError:
                return False
            now = self._clocks.boot()
            if renounced:
                self._promiser = self._promiser.renounced(now, seconds)
                self._forget_long()
            else:
                self._promiser = self._promiser.promise(now, seconds, long=long)
            return True

    def _note(self, seconds: int, *, long: bool) -> None:
        record = self._durable.record
        if long and not (record.long_promise and record.long_seconds >= seconds):
            most = max(seconds, record.long_seconds)
            self._durable.change(lambda old: replace(old, long_promise=True, long_seconds=most))
        elif not long and record.short_seconds < seconds:
            self._durable.change(lambda old: replace(old, short_seconds=seconds))

    def _forget_long(self) -> None:
        with contextlib.suppress(NotRememberedError):  # too much is remembered, then
            self._durable.change(lambda old: replace(old, long_promise=False))


_LOOKED_SECONDS = 5.0
"""How old the agent's word may be that the server is worth a promise: an agent that waits for the disk cannot tell."""


class Peer(threading.Thread):
    """Asks and answers.

    Attributes:
        terms: How this server stands.
        place: Where the two listen; None: not known yet.
        requests: Promises that were asked for.
        promises: Promises that were got.

    Args:
        conversation: The messages.
        promises: What we promise.
        keeper: What is promised to us goes there.
        clocks: The node's.
        changed: Called when something is to be looked at.
    """

    def __init__(
        self,
        conversation: Conversation,
        promises: Promises,
        keeper: Keeper,
        clocks: Clocks,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(name="peer", daemon=True)
        self.terms = Terms()
        self.place: Place | None = None
        self.requests = self.promises = 0
        self._talk = conversation
        self._promises = promises
        self._keeper = keeper
        self._clocks = clocks
        self._changed = changed
        self._bound: Place | None = None
        self._socket: socket.socket | None = None
        self._problem = ""
        self._ask_at = 0.0
        # What another process of this sidecar was promised is not known: it is given up as soon as it is not needed.
        self._long = True
        self._renouncing = False
        self._clock: deque[Sample] = deque(maxlen=SAMPLES)
        self._measuring = float("-inf")

    @property
    def heard(self) -> Heard:
        """How the partner is heard."""
        last = self._talk.heard
        lately = last is not None and self._clocks.boot() - last < _HEARD_SECONDS
        return Heard(lately=lately, clocks=tuple(self._clock), refused=tuple(sorted(self._talk.refused.items())))

    def measure(self) -> None:
        """Measure the partner's clock anew: what was measured before counts no longer. For another thread to call."""
        self._clock.clear()
        self._measuring = self._clocks.boot()

    def run(self) -> None:
        """Talk until the process ends."""
        while True:
            self.turn(self._bind())

    def turn(self, sock: socket.socket | None) -> None:
        """Ask if it is time to, then wait for messages until it is again, and take some in."""
        now = self._clocks.boot()
        if now >= self._ask_at:
            hurry = len(self._clock) < SAMPLES and now - self._measuring < SETTLE_SECONDS
            self._ask_at = now + (SOON_SECONDS if hurry else ASK_SECONDS)
            if sock is not None:
                self._ask(sock, now, self.terms)
        patience = max(0.0, min(ASK_SECONDS if sock else SOON_SECONDS, self._ask_at - self._clocks.boot()))
        ready, _, _ = select.select([sock] if sock else [], [], [], patience)
        for _ in range(_BURST if ready else 0):
            if sock is None or not self._receive(sock):
                return

    def _bind(self) -> socket.socket | None:
        """Return the socket of the present place, None if there is none yet."""
        place = self.place
        if place == self._bound and self._socket is not None:
            return self._socket
        if self._socket is not None:
            self._socket.close()
        self._socket, self._bound = None, place
        if place is None:
            return None
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((str(place.own), place.port))
        except OSError as error:
            sock.close()
            self._say(f"cannot listen for the partner's sidecar on {place.own}:{place.port}: {error.strerror}")
            return None
        self._problem = ""
        self._socket = sock
        self._measuring = self._clocks.boot()
        return sock

    def _ask(self, sock: socket.socket, now: float, terms: Terms) -> None:
        held = self._keeper.held
        if not (terms.asks and now - terms.made <= _LOOKED_SECONDS) or not held.epoch or held.broken:
            if terms.incarnation:
                self._send(sock, self._talk.request(terms, now, long=False, renounce=False, nothing=True))
            return
        long = held.permit.long_wanted(now)
        if long:
            self._long, self._renouncing = True, False
        elif self._long and self._keeper.renounce():
            self._talk.forget_requests()
            self._long, self._renouncing = False, True
        self.requests += 1
        self._send(sock, self._talk.request(terms, now, long=long, renounce=self._renouncing))

    def _receive(self, sock: socket.socket) -> bool:
        try:
            data, (source, _) = sock.recvfrom(MAX_BYTES + 1)
        except OSError:  # nothing more, or the kernel passing on that nobody listened there
            return False
        terms = self.terms
        found = self._talk.take(data, source, terms, self._clocks.boot(), self._clocks.wall())
        if isinstance(found, Pledge):
            found = self._promise(found, terms)
        if isinstance(found, bytes):
            self._send(sock, found)
        elif isinstance(found, Granted):
            self._granted(found)
        return True

    def _promise(self, pledge: Pledge, terms: Terms) -> bytes:
        request = pledge.request
        made = self._promises.make(
            pledge.seconds,
            long=request.long,
            renounced=request.renounce,
            allowed=lambda: not self.terms.refuses,  # as they are by now
        )
        wall = self._clocks.wall()
        if not made:
            return self._talk.reply(request, terms, wall, refused="NotRemembered")
        return self._talk.reply(request, terms, wall, granted=pledge.seconds)

    def _granted(self, found: Granted) -> None:
        self._clock.append(found.clock)
        if found.renounced and not found.refused:
            self._renouncing = False
        if found.seconds:
            self.promises += 1
            self._keeper.answered(found.asked, found.seconds)
        elif found.refused == UNKNOWN_SESSION:
            self._ask_at = self._clocks.boot()  # known now

    def _send(self, sock: socket.socket, data: bytes) -> None:
        place = self._bound
        if place is None:
            return
        try:
            sock.sendto(data, (str(place.partner), place.port))
        except OSError as error:
            self._say(f"cannot send to the partner's sidecar: {error.strerror}")

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            _log.warning("peer", extra=kv(why=problem))
