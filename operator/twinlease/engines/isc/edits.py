"""The named edits of dhcpd's lease file that decide how a server comes back. Standard library only: the guard runs it.

* ``recover``: the server asks its partner for everything it knows before it serves anybody (measured), and is to have
  nothing to say of leases until it has that.
* ``empty``: the same, from nothing; the old file is set aside.
* ``survive``: the server goes on alone, in partner-down, and gives nobody what the partner may have promised.
* ``resume``: the server goes on beside its partner, and says of no lease that it is over, or shorter than it may be.

Why ``survive`` is more than a state: dhcpd in partner-down frees a lease at the end that *it* knows, at the earliest
``mclt`` after it began. What the partner promised unseen, up to its own end, ends later, and nothing in this file
bounds it: only "the partner's end plus the longest lease" does. So every lease of which the partner may have promised
something is extended to there. Free and backup addresses need no extension: this server gives away the partner's only
``mclt`` after partner-down began, when all that the partner may have given of them unseen, ``mclt`` at most, is over;
but what it was told is its own to give with an instant to come, it may have given for longer than that, and to whom
this server does not know. So that is leased to nobody: the client before would come back for it. Source: measured, a
duplicate without and none with the extension. Nor does anybody get what a client declined here and not there, or what
a secondary has told its primary is over: one that heard it may have given it to others.

Why ``recover`` is more than a state: what the file says of leases is old by then, but dhcpd queues at its start all
that it may not have told, and sends it with the next change after it has connected, at the latest when it is normal. A
survivor in partner-down that has extended a lease believes that it was released, and that it has expired if less than
65 s are left; a secondary that is normal believes even that it is free. So no record keeps a time that is to be told.
One is given all the same, for where it is missing dhcpd takes the lease's end. What was promised becomes expired, with
which dhcpd does nothing by itself, and an abandoned address does not become free at its end, which would be announced
too. Nothing is forgotten: should the server have to survive next, it keeps what was promised. Source: expire_all_pools,
parse_lease_declaration and the *_binding_state_transition_check of dhcpd 4.4.3; measured, leases that the survivor kept
were given to others, or freed in its records, without, and none with it.

Why ``resume`` edits anything: what the partner has not acknowledged when the server dies is announced when the two meet
again, and so is every lease that ended meanwhile by this file. The partner may have extended those leases since, and
goes by the older word all the same. So whatever would be announced says that the lease runs, for longer than the
partner can have given it by then; at worst an address is parked for that long. A secondary says nothing of leases that
were over: a primary that heard of that frees them at once, whether its acknowledgement arrives or not, and may have
given them to others since; one that did not hear lets them end. A primary says that they run: a secondary that merely
heard that they are over gives them to nobody. What it does give are the addresses that a primary has left to it: that
word, heard but not acknowledged, comes again, and a secondary that is normal takes it for a lease's end, unless the
instant that is told with it is still to come. So it is. Source: measured, leases given to others without, and none
with it.
"""

import re
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from twinlease.engines.isc import leasefile, records
from twinlease.engines.process import SURVIVE, EditError

STRIP_RESERVATIONS = "strip-reservations"
RECOVER = "recover"
EMPTY = "empty"
RESUME = "resume"

SET_ASIDE_SUFFIX = ".set-aside"
"""What ``empty`` appends to the name of the file that it puts aside; one generation is kept."""

RELATIONSHIP = "relationship"
"""Parameter: the name of the failover relationship, as the configuration has it."""
HOLD = "hold"
"""Parameter: seconds, the longest lease that the partner may have given to anybody."""
ROLE = "role"
"""Parameter: which of the two servers it is, ``primary`` or ``secondary``."""

_PRIMARY, _SECONDARY = "primary", "secondary"
_ROLES = frozenset({_PRIMARY, _SECONDARY})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", re.ASCII)

_PROMISED = frozenset({"active", "expired", "released", "reset"})
_OVER = records.OVER
_FREE = frozenset({"free", "backup"})
# A record that names no state is active or expired to dhcpd, by its end. Source: confpars.c, parse_lease_declaration.
_UNSAID = ""
# Statements of a lease that may be repeated as they are: whole lines, quotes closed, and no braces but inside of them.
_STATEMENT = re.compile(
    rb"[ \t]+(starts|tstp|tsfp|cltt|hardware|uid|client-hostname|set|option|vendor-class-identifier|bootp"
    rb"|reserved|dynamic-bootp)\b"
    rb'(?:[^"\x00-\x1f\x7f{}]|"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*")*;\n'
)


_TIMES = frozenset({b"tstp", b"tsfp", b"cltt"})
_NOTHING_TO_TELL = b"  tstp 4 1970/01/01 00:00:00;\n"
"""The potential expiry that is to be told; dhcpd tells it where it is later than the acknowledged one, or than 0."""


_MEETING_SECONDS = 30
"""By then a server that resumes is in contact; or it knows that it is cut off, and holds what it alone says anew."""

_Change = Callable[[records.Lease], bytes]


class _Parameters(NamedTuple):
    """Values of the parameters, validated; those not given are empty and 0."""

    relationship: str
    hold: int
    role: str


def mode(edits: Sequence[str]) -> tuple[str, ...]:
    """Return which of the edits decide how the server comes back, in the order in which they are applied.

    There is at most one, but for a server that survives with nothing: an emptied file is a survivor's too.

    Raises:
        EditError: An unknown edit, or several of these that do not go together.
    """
    modes = []
    for edit in edits:
        if edit not in {STRIP_RESERVATIONS, *_EDITS}:
            raise EditError(f"unknown edit {edit!r}")
        if edit in _EDITS and edit not in modes:
            modes.append(edit)
    if len(modes) > 1 and set(modes) != {EMPTY, SURVIVE}:
        raise EditError(f"a server comes back in one way only, not as {' and as '.join(modes)}")
    return tuple(sorted(modes))  # empty before survive


def edit(name: str, parameters: Mapping[str, str | int]) -> Callable[[Path], str]:
    """Return one of the edits, its parameters checked: applied to a lease file that exists, it says what it did.

    It is atomic and durable, and doing it twice does no harm.

    Raises:
        EditError: A parameter that is missing, unknown or out of its bounds. The edit itself raises it too, where the
            file cannot be read or replaced; it is unchanged then.
    """
    apply, needed = _EDITS[name]
    for known in parameters:
        if known not in {RELATIONSHIP, HOLD, ROLE}:
            raise EditError(f"unknown parameter {known!r}")
    for wanted in needed:
        if wanted not in parameters:
            raise EditError(f"the edit {name} needs the parameter {wanted!r}")
    checked = _Parameters(_relationship(parameters), _hold(parameters), _role(parameters))

    def run(lease_file: Path) -> str:
        try:
            return apply(lease_file, checked)
        except OSError as error:
            raise EditError(f"{lease_file} cannot be edited: {error.strerror or error}") from error

    return run


def _relationship(parameters: Mapping[str, str | int]) -> str:
    value = parameters.get(RELATIONSHIP, "")
    if RELATIONSHIP in parameters and not (isinstance(value, str) and _NAME.fullmatch(value)):
        raise EditError(
            f"{RELATIONSHIP} {value!r} is no name of a failover relationship: letters, digits, '.', '_', '-'"
        )
    return str(value)


def _hold(parameters: Mapping[str, str | int]) -> int:
    value = parameters.get(HOLD, 0)
    if HOLD in parameters and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise EditError(f"{HOLD} {value!r} is no length of a lease: whole seconds, at least 1")
    return int(value)


def _role(parameters: Mapping[str, str | int]) -> str:
    value = parameters.get(ROLE, "")
    if ROLE in parameters and value not in _ROLES:
        raise EditError(f"{ROLE} {value!r} is none of a pair: {' or '.join(sorted(_ROLES))}")
    return str(value)


def _recover(lease_file: Path, parameters: _Parameters) -> str:
    stanza = _stanza(parameters.relationship, "recover", "unknown-state")
    changed = _rewritten(lease_file, _expired, stanza, _silenced)
    return f"recovers: asks the partner for all it knows before it serves, and says nothing of {changed} leases"


def _empty(lease_file: Path, _: _Parameters) -> str:
    if lease_file.stat().st_size == 0:  # also after a crash between the two steps
        return "the lease database is empty already"
    aside = lease_file.with_name(lease_file.name + SET_ASIDE_SUFFIX)
    lease_file.replace(aside)
    leasefile.create_if_missing(lease_file)
    return f"set the lease database aside as {aside.name} and made an empty one"


def _survive(lease_file: Path, parameters: _Parameters) -> str:
    end = int(time.time()) + 1 + parameters.hold + 1  # the time is cut to whole seconds, so one more
    if end >= records.LATEST:
        raise EditError(f"{HOLD} {parameters.hold} reaches beyond the last second that dhcpd knows")
    stanza = _stanza(parameters.relationship, "partner-down", "communications-interrupted")
    now, until = records.text(int(time.time())), records.text(end)
    role = parameters.role

    def kept(lease: records.Lease) -> bytes:
        return (_nobodys if role and _strangers(lease, role, now) else _extension)(lease, until)

    def others(lease: records.Lease) -> bytes:
        return _nobodys(lease, max(lease.ends, until)) if role and _declined(lease, role) else b""

    extended = _rewritten(lease_file, kept, stanza, others)
    return f"survives alone: {extended} leases that the partner may have promised are kept for {parameters.hold + 1} s"


def _resume(lease_file: Path, parameters: _Parameters) -> str:
    now = int(time.time())
    end = now + 1 + parameters.hold + _MEETING_SECONDS
    if end >= records.LATEST:
        raise EditError(f"{HOLD} {parameters.hold} reaches beyond the last second that dhcpd knows")
    soon = records.text(now + _MEETING_SECONDS)
    secondary = parameters.role == _SECONDARY
    promised: dict[bytes, records.Lease] = {}
    others: dict[bytes, records.Lease] = {}
    with lease_file.open("rb") as old:
        for block in records.content(old):
            _note(promised, others, block, records.text(now))
            others = {address: lease for address, lease in others.items() if lease.left}
        left = [] if secondary else [lease for lease in (*promised.values(), *others.values()) if lease.left]
        due = [lease for lease in promised.values() if lease.ends < soon or lease.unacknowledged]
        due = [lease for lease in due if secondary or not lease.left]
        if not due and not left:
            return ""
        unsaid = _OVER if secondary else frozenset[str]()
        more = [(_taken if lease.state in unsaid else _running)(lease, records.text(end)) for lease in due]
        more += [_left_until(lease, records.text(end)) for lease in left]
        leasefile.replace(lease_file, old, _appended(records.content(old), more))
    kept = f"{len(due)} leases of which the partner may know better are kept for {end - now} s"
    return f"resumes: {kept}, {len(left)} addresses were left to it"


def _rewritten(lease_file: Path, change: _Change, stanza: bytes, change_others: _Change) -> int:
    """Append a record for each lease of which something may be promised, and a stanza; return how many leases.

    Those of which nothing is promised get one too, if it is said which; empty: none.
    """
    changed = 0

    def lines(old: BinaryIO) -> Iterator[bytes]:
        nonlocal changed
        promised: dict[bytes, records.Lease] = {}
        others: dict[bytes, records.Lease] = {}
        now = records.text(int(time.time()))

        def noting() -> Iterator[bytes]:
            for block in records.content(old):
                _note(promised, others, block, now)
                yield block

        yield from _appended(noting(), ())
        for record in chain(map(change, promised.values()), map(change_others, others.values())):
            changed += bool(record)
            yield record
        yield stanza

    with lease_file.open("rb") as old:
        leasefile.replace(lease_file, old, lines(old))
    return changed


def _note(promised: dict[bytes, records.Lease], others: dict[bytes, records.Lease], block: bytes, now: bytes) -> None:
    """Remember the last record of each address: whether or not the partner may have promised something of it.

    A record that is damaged, which dhcpd may take for this or that, frees nothing. An address that is free before the
    end that stands beside it was freed by a clock that ran ahead, and its client goes by the end. Source: measured.
    What was left to the partner with an instant to come, that one may promise until then as if this server knew.
    """
    for lease in records.leases(block):
        if lease.whole and not (lease.state in _PROMISED or lease.state == _UNSAID or _early(lease, now)):
            promised.pop(lease.address, None)
            others[lease.address] = lease
            continue
        others.pop(lease.address, None)
        if lease.whole:
            promised[lease.address] = lease
        else:
            promised.setdefault(lease.address, lease)


def _early(lease: records.Lease, now: bytes) -> bool:
    if lease.left and lease.told > now:
        return True
    return lease.state in _FREE and b"hardware ethernet" in lease.body and lease.ends > now


def _strangers(lease: records.Lease, role: str, now: bytes) -> bool:
    """Tell whether what a server is to keep is promised to somebody whom it does not know, if to anybody.

    A primary that has heard that a lease is over frees it at once, and gives it to others. What a primary has that ends
    later than it was released was not given back: it is the partner's, which was being told anew.
    """
    if role == _SECONDARY:
        return lease.spoken
    return lease.left or (lease.state == "released" and lease.ends > now)


def _declined(lease: records.Lease, role: str) -> bool:
    """Tell whether a client declined an address, unheard by the partner, which may have leased it to it since.

    With nothing else left a server in partner-down gives it to somebody else. What was its own to give the partner gave
    to nobody.
    """
    own = "free" if role == _PRIMARY else "backup"
    return lease.state == "abandoned" and lease.unacknowledged and lease.rewind != own


def _nobodys(lease: records.Lease, end: bytes) -> bytes:
    """Return a record that leases an address until an instant to a client that there is not.

    Without any the partner would not take it.
    """
    body = b"  hardware ethernet 00:00:00:00:00:00;\n"
    return _record(lease._replace(body=body), end, frozenset(), b"active", b"expired")


def _extension(lease: records.Lease, end: bytes) -> bytes:
    """Return a record that keeps a lease with its client until an instant, or longer if it is longer already."""
    return _record(lease, max(lease.ends, end), _TIMES, b"active", b"expired")


def _running(lease: records.Lease, end: bytes) -> bytes:
    """Return such a record; what was over its client gets back for as long only as what the partner never heard of."""
    kept = _TIMES - {b"tsfp"} if lease.state in _OVER else _TIMES
    return _record(lease, max(lease.ends, end), kept, b"active", b"expired")


def _expired(lease: records.Lease) -> bytes:
    """Return a record of a lease that may be promised, of which the server says and does nothing."""
    return _record(lease, lease.ends, frozenset({b"cltt"}), b"expired", b"free", _NOTHING_TO_TELL)


def _taken(lease: records.Lease, end: bytes) -> bytes:
    """Return such a record that ends at an instant, or later; its client does not come by it again here."""
    return _record(lease, max(lease.ends, end), frozenset({b"cltt"}), b"reset", b"free", _NOTHING_TO_TELL)


def _left_until(lease: records.Lease, end: bytes) -> bytes:
    """Return the record of an address of which it is told anew that it is the partner's, with an instant.

    For that the server waits, too, before it gives the address itself in partner-down.
    """
    told = b"".join(b"  %b %b;\n" % (name, records.statement(end)) for name in (b"tstp", b"tsfp"))
    return _record(lease, lease.ends, frozenset({b"cltt"}), lease.state.encode("ascii"), b"", told)


def _silenced(lease: records.Lease) -> bytes:
    """Return a record of an address of which nothing is promised, and the server says and does nothing."""
    return _record(lease, lease.ends, _TIMES - {b"tstp"}, lease.state.encode("ascii"), b"", _NOTHING_TO_TELL)


def _record(
    lease: records.Lease, end: bytes, kept: Container[bytes], state: bytes, following: bytes, told: bytes = b""
) -> bytes:
    """Return a record of a lease with an end (empty: without), these of its other times, its client, and states."""
    # dhcpd writes starts, ends, the other times, the states, and then the client.
    starts: list[bytes] = []
    times: list[bytes] = [told] if told else []
    client: list[bytes] = []
    for line in lease.body.splitlines(keepends=True):
        if found := _STATEMENT.fullmatch(line):
            kind = found[1]
            if line == _NOTHING_TO_TELL or (kind in _TIMES and kind not in kept):
                continue
            (starts if kind == b"starts" else times if kind in _TIMES else client).append(line)
    ends = b"  ends " + records.statement(end) + b";\n" if end else b""
    states = b"  binding state " + state + b";\n"
    if following:
        states += b"  next binding state " + following + b";\n"
    return b"".join([b"lease ", lease.address, b" {\n", *starts, ends, *times, states, *client, b"}\n"])


def _stanza(relationship: str, mine: str, partner: str) -> bytes:
    """Return a record of the failover states without dates: they begin with the server's start. Source: measured."""
    text = f'failover peer "{relationship}" state {{\n  my state {mine};\n  partner state {partner};\n}}\n'
    return text.encode("ascii")


def _appended(content: Iterator[bytes], more: Sequence[bytes]) -> Iterator[bytes]:
    """Yield a lease file's content, a newline where its last one is missing, and what is to follow."""
    last = b"\n"
    for block in content:
        last = block
        yield block
    if not last.endswith(b"\n"):
        yield b"\n"
    yield from more


_EDITS: Mapping[str, tuple[Callable[[Path, _Parameters], str], tuple[str, ...]]] = {
    RECOVER: (_recover, (RELATIONSHIP,)),
    EMPTY: (_empty, ()),
    RESUME: (_resume, (HOLD, ROLE)),
    SURVIVE: (_survive, (RELATIONSHIP, HOLD)),
}
