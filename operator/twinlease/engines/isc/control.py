"""dhcpd's failover state and its leases over its control interface (OMAPI).

This layer knows objects and attributes; the wire is a ``Session`` that is handed in (``twinlease.omapi`` makes them).
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from itertools import islice
from typing import Protocol

from twinlease.engines.isc.render import PROMPT_UNACKED_UPDATES
from twinlease.engines.isc.states import from_number, to_number
from twinlease.engines.protocol import ControlError, FailoverStatus
from twinlease.model.states import CATCHING_UP, FailoverState

_ACTIVE, _EXPIRED, _RELEASED, _ABANDONED, _RESET = 2, 3, 4, 5, 6
"""Numbers of a lease's binding states."""
_HELD = frozenset({_ACTIVE, _EXPIRED, _RELEASED, _ABANDONED, _RESET})
_FREE, _BACKUP = 1, 7
_UNUSED = frozenset({_FREE, _BACKUP})
_LOOKED_AT_TOGETHER = 8


class Session(Protocol):
    """An authenticated connection. After a ``ControlError`` it is dead."""

    def lookup(self, kind: str, name: str) -> Mapping[str, bytes] | None:
        """Return all attributes of an object that is found by its name, None if there is none.

        Raises:
            ControlError: No answer in time, a lost connection, or an answer that is none.
        """

    def update(self, kind: str, name: str, attributes: Mapping[str, bytes]) -> None:
        """Set attributes of an object that is found by its name.

        Raises:
            ControlError: There is none, it was refused, no answer in time, or a lost connection.
        """

    def change_each(
        self,
        kind: str,
        key: str,
        values: Sequence[bytes],
        change: Callable[[Mapping[str, bytes]], Sequence[Mapping[str, bytes]]],
    ) -> list[str]:
        """Set attributes of objects that are found by one of theirs, given all that each has; none: leave it.

        One message for each mapping: dhcpd does nothing else between those of one object.

        Returns:
            What went wrong with each, empty: nothing.

        Raises:
            ControlError: No answer in time, a lost connection, or an answer that is none.
        """

    def close(self) -> None:
        """Drop the connection."""


class IscControl:
    """Reads a running dhcpd; writes nothing but partner-down, and leases that it holds.

    Not thread-safe: one caller, in a thread of its own, for it blocks.
    """

    def __init__(self, connect: Callable[[], Session], relationship: str) -> None:
        self._connect = connect
        self._relationship = relationship
        self._session: Session | None = None

    def failover(self) -> FailoverStatus:
        """Read the failover states, connecting first if need be.

        Raises:
            ControlError: No answer within the session's deadline, a refused key, or no such relationship.
        """
        with self._session_dropped_after_error() as session:
            attributes = session.lookup("failover-state", self._relationship)
        if attributes is None:
            raise ControlError(f"dhcpd knows no failover peer {self._relationship!r}")
        return FailoverStatus(
            local=from_number(_number(attributes, "local-state")),
            partner=from_number(_number(attributes, "partner-state")),
            since=_number(attributes, "local-stos"),
            partner_since=_number(attributes, "partner-stos"),
            mclt=_number(attributes, "mclt"),
            unacked_updates=_number(attributes, "cur-unacked-updates"),
        )

    def enter_partner_down(self) -> FailoverStatus:
        """End the startup of a dhcpd whose lease file says partner-down without a date, by setting state 4 once.

        Nothing else is ever written: dhcpd validates nothing. It takes partner-down while the partner serves, a second
        4 starts its clock (STOS) anew, and some numbers kill it. In startup 4 is right only after the edit "survive",
        whose stanza has no date: then STOS is the start. Without it the old STOS stays, and the partner's addresses
        may be given away at once. Where this is not called, startup ends by itself after 15 s. Source: measured
        (dhcpd 4.4.3-P1).

        Returns:
            The status read back, or read at first if dhcpd is in partner-down already and nothing was written.

        Raises:
            ControlError: dhcpd is in another state than these two, or still not in partner-down after the write.
        """
        return self._enter_from(FailoverState.STARTUP)

    def declare_partner_down(self) -> FailoverStatus:
        """Set state 4 once, in communications-interrupted: dhcpd notes when (STOS), and serves on without a gap.

        By itself that gives leases away that a dead partner extended unseen: ``hold`` comes first. Source: measured
        (dhcpd 4.4.3-P1).

        Raises:
            ControlError: dhcpd is neither in communications-interrupted nor in partner-down, or still not in
                partner-down after the write.
        """
        return self._enter_from(FailoverState.COMMUNICATIONS_INTERRUPTED)

    def resend(self) -> FailoverStatus:
        """Set state 4 again while the partner returns: dhcpd sends anew what is not acknowledged.

        Nothing else makes it do so in partner-down. What was on its way when the link broke counts as on its way for
        ever; the partner is not told of those leases, and of no other ones either once there are max-unacked-updates.
        Its clock (STOS) starts anew with it, so the partner's addresses are left alone for another MCLT. Source:
        dhcp_failover_state_transition, dhcp_failover_send_updates; measured (dhcpd 4.4.3-P1).

        Raises:
            ControlError: dhcpd is not in partner-down, its partner not in recover or recover-wait, or no answer.
        """
        before = self.failover()
        if before.local is not FailoverState.PARTNER_DOWN or before.partner not in CATCHING_UP:
            raise ControlError(f"dhcpd is in {before.local} with its partner in {before.partner}: nothing is sent anew")
        self._set_partner_down()
        return self.failover()

    def _enter_from(self, origin: FailoverState) -> FailoverStatus:
        before = self.failover()
        if before.local is FailoverState.PARTNER_DOWN:
            return before
        if before.local is not origin:
            raise ControlError(f"dhcpd is in {before.local}, and partner-down is entered from {origin} only")
        self._set_partner_down()
        after = self.failover()
        if after.local is not FailoverState.PARTNER_DOWN:
            raise ControlError(f"dhcpd was told to enter partner-down, and is in {after.local}")
        return after

    def _set_partner_down(self) -> None:
        number = to_number(FailoverState.PARTNER_DOWN).to_bytes(4, "big")
        with self._session_dropped_after_error() as session:
            session.update("failover-state", self._relationship, {"local-state": number})

    def hold(self, addresses: Sequence[IPv4Address], until: int, *, free: bool = False) -> Mapping[IPv4Address, str]:
        """Have leases be active until an instant, or longer if they are: whatever they are but free and backup.

        If asked, free and backup ones too. An abandoned one is active for as long as it would have been abandoned, and
        nobody's: dhcpd forgot its client, whom it sends away.

        ``ends`` and then ``state``, in one message: the end alone makes a lease expired, and between two messages dhcpd
        could free it. State and end are looked at a moment before: should a client come in between, its lease ends
        later in the file than it was promised, never earlier. Source: measured (dhcpd 4.4.3-P1).

        Raises:
            ControlError: No answer within the session's deadline, or a refused key.
        """
        held = _HELD | _UNUSED if free else _HELD

        def change(lease: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
            state, ends = _number(lease, "state"), _number(lease, "ends")
            if state not in held or (state == _ACTIVE and ends >= until):
                return []
            return [_leased(max(ends, until))]

        return self._change_each(addresses, change)

    def leave(
        self, addresses: Sequence[IPv4Address], until: int, *, beside: Iterable[IPv4Address] = ()
    ) -> Mapping[IPv4Address, str]:
        """Have backup leases be released until an instant, and backup again as they were; and so what is over here.

        dhcpd tells of an address with the instant at which it came to be so, and takes for that the end of a lease that
        was released. That must not be told: a secondary would end whatever lease it has given. So both is in messages
        that are handled at once, and only while dhcpd says that it is cut off (measured: told, 17 s too early).

        The two may meet behind that word, before the messages are handled (measured on a busy machine). So others are
        told first, as many as dhcpd has on their way at most: what is the primary's own and free, by the word of both,
        as it is; and where that is too little, what is leased, which is held. What comes next it keeps until the first
        of those is acknowledged, and tells how that stands by then. If it had heard by then what the secondary gave,
        that lease is undone here, and would never end there: it is made good. So is what the primary itself gave of its
        own between the look at it and that: the lease would have expired.

        Its end in the database is in the past afterwards, as that of all that is free. Source: supersede_lease,
        make_binding_state_transition, dhcp_failover_send_updates, normal_binding_state_transition_check of dhcpd 4.4.3;
        measured.

        Raises:
            ControlError: dhcpd is not in communications-interrupted (nothing was written), no answer within the
                session's deadline, or a refused key.
        """

        def change(lease: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
            if IPv4Address(lease["ip-address"]) in told:
                return again(lease)
            if _number(lease, "state") not in {_BACKUP, _EXPIRED, _RELEASED}:
                return []
            said = self.failover()  # last of all
            if said.local is not FailoverState.COMMUNICATIONS_INTERRUPTED:
                raise ControlError(f"dhcpd is in {said.local}: nothing is told anew")
            released = {"ends": until.to_bytes(4, "big"), "state": _RELEASED.to_bytes(4, "big")}
            starts.append(lease["starts"])
            return [released, {"state": _BACKUP.to_bytes(4, "big"), "ends": lease["starts"]}]

        def again(lease: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
            state, ends = _number(lease, "state"), _number(lease, "ends")
            if state == _ACTIVE:
                return [_leased(max(ends, until))]
            return [{"ends": ends.to_bytes(4, "big")}] if state == _FREE else []

        def make_good(lease: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
            given_here = IPv4Address(lease["ip-address"]) in told and _number(lease, "state") == _EXPIRED
            given_there = _number(lease, "state") == _BACKUP and lease["starts"] not in starts
            return [_leased(until)] if given_here or given_there else []

        told = self._to_tell(beside, PROMPT_UNACKED_UPDATES)
        refused: dict[IPv4Address, str] = {}
        for address in addresses:
            starts: list[bytes] = []
            refused |= self._change_each([*told, address], change)
            if starts:
                refused |= self._change_each([*told, address], make_good)
        return {address: refused[address] for address in addresses if address in refused}

    def _to_tell(self, addresses: Iterable[IPv4Address], wanted: int) -> Sequence[IPv4Address]:
        """Return which of some addresses are free and the primary's to give, or else leased, as many as are wanted."""
        found: dict[int, list[IPv4Address]] = {_FREE: [], _ACTIVE: []}

        def look(lease: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
            found.get(_number(lease, "state"), []).append(IPv4Address(lease["ip-address"]))
            return []

        candidates = iter(addresses)
        while len(found[_FREE]) < wanted and (some := list(islice(candidates, _LOOKED_AT_TOGETHER))):
            self._change_each(some, look)
        return [*found[_FREE], *found[_ACTIVE]][:wanted]

    def take(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Have leases that are expired or released be reset.

        A secondary sends the client of such a lease away, and a primary that is normal does not end what it has leased
        for that word, as it does for released; whatever it knows better it tells. Source: dhcprequest,
        normal_binding_state_transition_check of dhcpd 4.4.3; measured.

        Raises:
            ControlError: No answer within the session's deadline, or a refused key.
        """
        return self._turn(addresses, {_EXPIRED, _RELEASED}, _RESET)

    def expire(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Have leases that are reset be expired: dhcpd tells its partner, and frees them when that agrees.

        A primary that is normal does not end what it has leased for that word either. Source: as of ``take``; measured:
        an address that the primary left to the secondary anew while that took it was never given again.

        Raises:
            ControlError: No answer within the session's deadline, or a refused key.
        """
        return self._turn(addresses, {_RESET}, _EXPIRED)

    def repeat(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Have backup leases be told as they are, once more.

        A secondary that has such an address leased refuses that until the instant that is told with it.

        Raises:
            ControlError: No answer within the session's deadline, or a refused key.
        """

        def change(lease: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
            return [{"ends": lease["ends"]}] if _number(lease, "state") == _BACKUP else []

        return self._change_each(addresses, change)

    def _turn(self, addresses: Sequence[IPv4Address], before: Container[int], after: int) -> Mapping[IPv4Address, str]:
        def change(lease: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
            return [{"state": after.to_bytes(4, "big")}] if _number(lease, "state") in before else []

        return self._change_each(addresses, change)

    def retire(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Have leases without a client, which are over, be abandoned: dhcpd tells its partner, and frees them at once.

        It tells of no lease that is nobody's, or was, and does not free one that the partner knows otherwise. Source:
        dhcp_failover_process_bind_update ("BNDUPD without CHADDR"); measured: such an address was never given again.

        Raises:
            ControlError: No answer within the session's deadline, or a refused key.
        """

        def change(lease: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
            if _number(lease, "state") not in {_ACTIVE, _EXPIRED} or lease.get("hardware-address"):
                return []
            return [{"state": _ABANDONED.to_bytes(4, "big")}]

        return self._change_each(addresses, change)

    def _change_each(
        self, addresses: Sequence[IPv4Address], change: Callable[[Mapping[str, bytes]], Sequence[Mapping[str, bytes]]]
    ) -> Mapping[IPv4Address, str]:
        with self._session_dropped_after_error() as session:
            problems = session.change_each("lease", "ip-address", [each.packed for each in addresses], change)
        return {address: problem for address, problem in zip(addresses, problems, strict=True) if problem}

    @contextmanager
    def _session_dropped_after_error(self) -> Iterator[Session]:
        try:
            if self._session is None:
                self._session = self._connect()
            yield self._session
        except ControlError:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _leased(until: int) -> Mapping[str, bytes]:
    return {"ends": until.to_bytes(4, "big"), "state": _ACTIVE.to_bytes(4, "big")}  # in this order


def _number(attributes: Mapping[str, bytes], name: str) -> int:
    try:
        return int.from_bytes(attributes[name], "big")
    except KeyError:
        raise ControlError(f"dhcpd's answer has no {name}") from None
