"""Reading dhcpd's lease file: its records, and what they mean to dhcpd. Standard library only: the guard runs this.

The file is a log: dhcpd appends a record for every change, now and then writes it anew, and the last record of an
address counts. Each record begins in the first column, its lines are indented, and it ends with a brace in the first
column. Times are UTC in a form whose order as text is their order in time, so that few need to be converted.
"""

import calendar
import re
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

_CHUNK_BYTES = 1 << 20
_RECORD_END = b"\n}\n"

RECORD = re.compile(
    rb"(?:lease|host|group|class|subclass|failover|server-duid|authoring-byte-order|ia-na|ia-ta|ia-pd|shared-network"
    rb"|subnet|billing)\b"
)
"""The first words of a record, where a line begins."""

_LEASE = re.compile(rb"^lease (\d{1,3}(?:\.\d{1,3}){3}) \{\n((?:[ \t].*\n)*)(\}(?:\n|\Z))?", re.MULTILINE)
_FAILOVER = re.compile(rb'^failover peer "[^"\n]*" state \{\n((?:[ \t].*\n)*)\}(?:\n|\Z)', re.MULTILINE)
# "next binding state" and "rewind binding state" do not begin like the state itself, nor tstp, tsfp, atsfp like these.
_STATE = re.compile(rb"^[ \t]+binding state ([a-z]+);$", re.MULTILINE)
_CLTT = re.compile(rb"^[ \t]+cltt (.+);", re.MULTILINE)
_SEEN = re.compile(rb"^[ \t]+(?:starts|cltt) (.+);", re.MULTILINE)
_REWIND = re.compile(rb"^[ \t]+rewind binding state ([a-z]+);$", re.MULTILINE)
_ENDS = re.compile(rb"^[ \t]+ends (.+);", re.MULTILINE)
_TOLD = re.compile(rb"^[ \t]+tstp (.+);", re.MULTILINE)
_ACKNOWLEDGED = re.compile(rb"^[ \t]+atsfp (.+);", re.MULTILINE)
_MY = re.compile(rb"^[ \t]+my state ([a-z-]+)(?: at (.+?))?;", re.MULTILINE)
_PARTNER = re.compile(rb"^[ \t]+partner state ([a-z-]+)", re.MULTILINE)
_DATE = re.compile(rb"[0-6] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)")
_TIME = re.compile(rb"\d{4}/\d\d/\d\d (?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)")
_EPOCH = re.compile(rb"epoch (\d{1,12});?")

NEVER = b"never"
"""What ``Lease.ends`` is for a lease without end; greater than every time."""


OVER = frozenset({"expired", "released", "reset"})
"""Binding states of a lease that is over by this server's word."""

LATEST = (1 << 31) - 1
"""dhcpd's last second, seconds since the epoch; a lease that ends then has no end."""


class Lease(NamedTuple):
    """One record of a lease.

    Attributes:
        address: As the file writes it.
        body: Its indented lines.
        whole: Whether its end is there; without, what dhcpd takes it for is uncertain.
        start: Where it begins in the data that was given.
        end: Where it ends there.
    """

    address: bytes
    body: bytes
    whole: bool
    start: int
    end: int

    @property
    def state(self) -> str:
        """The binding state, empty if the record names none."""
        found = _STATE.search(self.body)
        return found[1].decode("ascii") if found else ""

    @property
    def rewind(self) -> str:
        """The binding state that the partner knows at the latest; the state itself if the record names none."""
        found = _REWIND.search(self.body)
        return found[1].decode("ascii") if found else self.state

    @property
    def ends(self) -> bytes:
        """When it ends, as text in the order of time; ``NEVER``, or empty if the record does not say."""
        return self._time(_ENDS)

    @property
    def seen(self) -> bytes:
        """The latest of its start and its client's last transaction, as text in the order of time; or empty."""
        return max((when for found in _SEEN.findall(self.body) if (when := _when(found)) != NEVER), default=b"")

    @property
    def ours(self) -> bool:
        """Whether its client's last transaction was with this server: no start that the partner told came later."""
        return self._time(_CLTT) == self.seen != b""

    @property
    def nobodys(self) -> bool:
        """Whether it names no client, by hardware address or identifier."""
        return b"  hardware " not in self.body and b"  uid " not in self.body

    @property
    def told(self) -> bytes:
        """The potential expiry that is to be told to the partner, as text in the order of time; or empty."""
        return self._time(_TOLD)

    @property
    def acknowledged(self) -> bytes:
        """The potential expiry that the partner has acknowledged, as text in the order of time; or empty."""
        return self._time(_ACKNOWLEDGED)

    @property
    def unacknowledged(self) -> bool:
        """Whether the server would announce it: dhcpd takes its end where the time to be told is missing."""
        return (self.told or self.ends) > max(self.acknowledged, text(0))

    @property
    def spoken(self) -> bool:
        """Whether it is over, and the partner may have been told so: dhcpd records what it says before it says it.

        What the edit ``recover`` made of a lease that may run has no time to be told.
        """
        return self.state == "reset" or (self.state in OVER and self.rewind in OVER and self.told > text(0))

    @property
    def left(self) -> bool:
        """Whether a primary has told its partner that the address is that one's to give, and heard no answer.

        dhcpd records that it cannot take that back any more before it sends it. Source: dhcp_failover_send_bind_update.
        """
        return self.state == "backup" and self.rewind != "free" and self.unacknowledged

    def _time(self, line: re.Pattern[bytes]) -> bytes:
        found = line.search(self.body)
        return _when(found[1]) if found else b""


class Change(NamedTuple):
    """One record of the failover states: their names as dhcpd writes them, empty where the record is silent."""

    my_state: str
    my_since: bytes
    partner_state: str


def leases(data: bytes) -> Iterator[Lease]:
    """Yield the lease records of some data in their order."""
    for found in _LEASE.finditer(data):
        yield Lease(found[1], found[2], found[3] is not None, found.start(), found.end())


def changes(data: bytes) -> Iterator[Change]:
    """Yield the whole failover state records of some data in their order."""
    for found in _FAILOVER.finditer(data):
        mine, partner = _MY.search(found[1]), _PARTNER.search(found[1])
        yield Change(
            mine[1].decode("ascii") if mine else "",
            _when(mine[2]) if mine and mine[2] else b"",
            partner[1].decode("ascii") if partner else "",
        )


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield what a file holds from its position on, in pieces that end with a record; not what follows the last end."""
    pending = b""
    while chunk := file.read(_CHUNK_BYTES):
        seam = max(len(pending) - len(_RECORD_END), 0)
        pending += chunk
        end = pending.rfind(_RECORD_END, seam) + len(_RECORD_END)
        if end >= len(_RECORD_END):
            yield pending[:end]
            pending = pending[end:]


def content(file: BinaryIO) -> Iterator[bytes]:
    """Yield a lease file in pieces that end with a record, the last without a record that a crash cut short.

    The file is read from its beginning. Each piece ends with a newline, or with the brace that closes the last record.
    """
    file.seek(0)
    taken = 0
    for block in blocks(file):
        taken += len(block)
        yield block
    file.seek(taken)
    rest = b"".join(without_torn_end(file.read().splitlines(keepends=True)))
    if rest:
        yield rest


def without_torn_end(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a lease file without a last record that a crash cut short.

    Nothing is lost with it: dhcpd answers a client only when the whole record is on the disk. Left in, it would swallow
    the first record of whatever is appended.
    """
    record: list[bytes] = []
    for line in lines:
        if RECORD.match(line):
            yield from record
            record = []
        record.append(line)
    # Of a line without its end only the brace that closes a record is certain: an octet of a client's may be one too.
    if record and not record[-1].endswith(b"\n") and record[-1] != b"}":
        record.pop()
    opened = bool(record) and record[0].rstrip().endswith(b"{") and RECORD.match(record[0]) is not None
    if not opened or any(line.rstrip() == b"}" or line.rstrip().endswith(b";}") for line in record):
        yield from record


def seconds(when: bytes) -> int:
    """Return a time as seconds since the epoch; 0 for none, for ``NEVER``, and for what is no time."""
    if not _TIME.fullmatch(when):
        return 0
    try:
        return _midnight(when[:10]) + int(when[11:13]) * 3600 + int(when[14:16]) * 60 + int(when[17:])
    except ValueError:
        return 0


def text(when: int) -> bytes:
    """Return a time (seconds since the epoch) as text in the order of time."""
    return time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(when)).encode("ascii")


@lru_cache(maxsize=64)  # a file has few days
def _midnight(day: bytes) -> int:
    return calendar.timegm(time.strptime(day.decode("ascii"), "%Y/%m/%d"))


@lru_cache(maxsize=64)  # one edit writes the same time over and over
def statement(when: bytes) -> bytes:
    """Return a time as a statement of the file gives it, with its day of the week."""
    return when if when == NEVER else time.strftime("%w ", time.gmtime(seconds(when))).encode("ascii") + when


def _when(written: bytes) -> bytes:
    """Return a time of the file as text in the order of time."""
    if found := _DATE.match(written):
        return found[1]
    if written == NEVER:
        return NEVER
    found = _EPOCH.match(written)  # as a server with local times writes it, with a remark behind
    return text(int(found[1])) if found and int(found[1]) < 1 << 33 else b""
