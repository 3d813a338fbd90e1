"""What the two sidecars say to each other: messages, and who may say what. No socket and no clock of its own.

Each asks the other once a second: promise not to enter partner-down for so many seconds. Every message carries a MAC
with a key made from the pair's secret. A request counts once: it names the session of the process that it is for, which
a recording of an earlier time does not have, and carries a number that grows. A reply carries the request's nonce.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable

import msgspec
from msgspec import Struct

from twinlease.decide.clocks import Sample
from twinlease.model.states import Role

MAX_BYTES = 512
"""Longest message."""
LARGEST_SECONDS = 86_400
"""Longest promise that is ever made."""
MESSAGES_PER_SECOND = 20

UNKNOWN_SESSION = "UnknownSession"
"""The answer to whoever does not know this process yet, by which it gets to know it."""

_MAC = 32
_OUTSTANDING = 16
_SESSIONS = 64
_PURPOSE = b"twinlease peer v1"


class Terms(Struct, frozen=True, kw_only=True):
    """How this server stands, for the partner to be asked and answered.

    Attributes:
        incarnation: Its own.
        epoch: Of the grant that it holds; 0: none.
        partner: The partner's incarnation, as far as it is known.
        partner_epoch: Of the partner's grant; 0 if that is not known.
        lease_epoch: Of the serving lease as last read: nothing is known beyond it.
        address: Where the partner's messages come from.
        asks: Ask it.
        promise: Seconds to ask for in good times.
        max_promise: The same while the API is out of reach.
        made: When this was so, CLOCK_BOOTTIME: nothing is asked for a server that was not looked at lately.
        refuses: Why nothing is promised to it; CamelCase, empty: nothing speaks against it.
    """

    role: Role = Role.PRIMARY
    incarnation: str = ""
    epoch: int = 0
    partner: str = ""
    partner_epoch: int = 0
    lease_epoch: int = 0
    address: str = ""
    asks: bool = False
    promise: int = 0
    max_promise: int = 0
    made: float = 0.0
    refuses: str = "NotReady"


class Request(Struct, frozen=True, kw_only=True, array_like=True, tag="q"):
    """``session`` is the asker's, ``to_session`` that of who is asked as far as it is known.

    One that wants nothing asks for the time.
    """

    session: str
    to_session: str
    number: int
    nonce: str
    role: str
    incarnation: str
    to_incarnation: str
    epoch: int
    want: int
    long: bool
    renounce: bool


class Reply(Struct, frozen=True, kw_only=True, array_like=True, tag="r"):
    """``granted`` seconds, or why not; ``wall`` is the partner's clock, seconds since the epoch."""

    session: str
    nonce: str
    role: str
    incarnation: str
    granted: int
    refused: str
    wall: float


class Pledge(Struct, frozen=True, kw_only=True):
    """A request that may be granted, once the promise is where it must be; then ``Conversation.reply`` answers it."""

    request: Request
    seconds: int


class Granted(Struct, frozen=True, kw_only=True):
    """The partner's answer.

    Attributes:
        asked: When the request was sent.
        seconds: What it promises from then on; 0: nothing.
        refused: Why not.
        long: A long promise was asked for.
        renounced: The request gave up what was promised before.
        clock: By how much the partner's wall clock differs from ours.
    """

    asked: float
    seconds: int
    refused: str
    long: bool
    renounced: bool
    clock: Sample


class _Sent(Struct, frozen=True):
    at: float
    long: bool
    renounce: bool


def key_of(secret: str) -> bytes:
    """Return the key of the messages."""
    return hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)


class Conversation:
    """One side of it, for the life of a process.

    Attributes:
        refused: Messages that were not taken, by reason; and promises that were not given.
        heard: When the partner last gave a valid answer; None: never.

    Args:
        key: Of the pair.
        random: Makes texts that nobody can guess.
    """

    def __init__(self, key: bytes, random: Callable[[], str]) -> None:
        self.refused: Counter[str] = Counter()
        self.heard: float | None = None
        self._key = key
        self._random = random
        self._session = random()
        self._number = 0
        self._outstanding: dict[str, _Sent] = {}
        self._partner_session = ""
        self._partner_incarnation = ""
        self._asker = ""
        self._retired: set[str] = set()
        self._last = 0
        self._budget = float(MESSAGES_PER_SECOND)
        self._counted = float("-inf")
        self._decoder = msgspec.json.Decoder(Request | Reply)

    def request(self, terms: Terms, now: float, *, long: bool, renounce: bool, nothing: bool = False) -> bytes:
        """Return the next request; one for nothing asks for the partner's time only."""
        self._number += 1
        nonce = self._random()
        self._outstanding[nonce] = _Sent(now, long, renounce)
        while len(self._outstanding) > _OUTSTANDING:
            del self._outstanding[next(iter(self._outstanding))]
        return self._sealed(
            Request(
                session=self._session,
                to_session=self._partner_session,
                number=self._number,
                nonce=nonce,
                role=terms.role,
                incarnation=terms.incarnation,
                to_incarnation=self._partner_incarnation or terms.partner,
                epoch=terms.epoch,
                want=0 if nothing else terms.max_promise if long else terms.promise,
                long=long,
                renounce=renounce,
            )
        )

    def forget_requests(self) -> None:
        """Take no answer any more to what was asked so far."""
        self._outstanding.clear()

    def take(self, data: bytes, source: str, terms: Terms, now: float, wall: float) -> Pledge | Granted | bytes | None:
        """Take a message in.

        Returns:
            A request that may be granted, an answer, the datagram that refuses a request, or None: it is dropped.
        """
        if not self._affordable(now):
            self._drop("TooMany")
            return None
        if source != terms.address:
            self._drop("WrongAddress")
            return None
        message = self._opened(data)
        if message is None:
            return None
        if message.role != terms.role.other:
            self._drop("WrongRole")
            return None
        if isinstance(message, Reply):
            return self._answer(message, now, wall)
        return self._asked(message, terms, wall)

    def reply(self, request: Request, terms: Terms, wall: float, *, granted: int = 0, refused: str = "") -> bytes:
        """Return the answer to a request."""
        if refused and request.to_session:  # whoever knows nobody yet only greets
            self.refused[refused] += 1
        return self._sealed(
            Reply(
                session=self._session,
                nonce=request.nonce,
                role=terms.role,
                incarnation=terms.incarnation,
                granted=granted,
                refused=refused,
                wall=wall,
            )
        )

    def _asked(self, request: Request, terms: Terms, wall: float) -> Pledge | bytes | None:
        if request.to_session != self._session:
            # It does not know us yet, or this is of an earlier time; the answer tells our session, and nothing else.
            return self.reply(request, terms, wall, refused=UNKNOWN_SESSION)
        if not self._in_order(request):
            self._drop("Replayed")
            return None
        if not request.want:
            return self.reply(request, terms, wall)
        refused = _refusal(request, terms)
        if refused:
            return self.reply(request, terms, wall, refused=refused)
        return Pledge(request=request, seconds=request.want)

    def _in_order(self, request: Request) -> bool:
        """Tell whether a request for this session is the next of the one who asks, or the first of a new one."""
        if request.session != self._asker:
            if request.session in self._retired:
                return False
            if self._asker:
                self._retired.add(self._asker)
            self._asker, self._last = request.session, 0
            if len(self._retired) > _SESSIONS:  # whoever asks learns the new one; nothing old has it
                self._session, self._retired = self._random(), set()
        if request.number <= self._last:
            return False
        self._last = request.number
        return True

    def _answer(self, reply: Reply, now: float, wall: float) -> Granted | None:
        sent = self._outstanding.pop(reply.nonce, None)
        if sent is None:
            self._drop("UnknownAnswer")
            return None
        self._partner_session, self._partner_incarnation = reply.session, reply.incarnation
        self.heard = now
        if reply.refused and reply.refused != UNKNOWN_SESSION:
            self.refused[f"By{reply.refused}"] += 1
        seconds = 0 if reply.refused else min(max(reply.granted, 0), LARGEST_SECONDS)
        return Granted(
            asked=sent.at,
            seconds=seconds,
            refused=reply.refused,
            long=sent.long,
            renounced=sent.renounce,
            # By the boot clock, for ours may have been set since we asked.
            clock=Sample(reply.wall - (wall - (now - sent.at) / 2), now - sent.at, now),
        )

    def _affordable(self, now: float) -> bool:
        self._budget = min(MESSAGES_PER_SECOND, self._budget + (now - self._counted) * MESSAGES_PER_SECOND)
        self._counted = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    def _drop(self, reason: str) -> None:
        self.refused[reason] += 1

    def _sealed(self, message: Request | Reply) -> bytes:
        body = msgspec.json.encode(message)
        return hmac.digest(self._key, body, hashlib.sha256) + body

    def _opened(self, data: bytes) -> Request | Reply | None:
        if not _MAC < len(data) <= MAX_BYTES:
            self._drop("Malformed")
            return None
        if not hmac.compare_digest(data[:_MAC], hmac.digest(self._key, data[_MAC:], hashlib.sha256)):
            self._drop("WrongKey")
            return None
        try:
            found: Request | Reply = self._decoder.decode(data[_MAC:])
        except msgspec.MsgspecError:
            self._drop("Malformed")
            return None
        return found


def _refusal(request: Request, terms: Terms) -> str:
    """Return why nothing is promised to who asks; empty: nothing speaks against it."""
    if request.to_incarnation not in ("", terms.incarnation):
        return "WrongIncarnation"
    if request.epoch <= terms.lease_epoch and request.epoch != terms.partner_epoch:
        return "OldEpoch"
    if request.epoch == terms.partner_epoch and terms.partner not in ("", request.incarnation):
        return "NotTheHolder"
    if not 0 < request.want <= LARGEST_SECONDS:
        return "TooLong"
    return terms.refuses
