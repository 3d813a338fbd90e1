"""The seam: what twinlease needs of a DHCP server. One instance per engine, pure unless a method says otherwise."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from twinlease.model.binding import Binding
from twinlease.model.service import AddressRange, Service
from twinlease.model.states import FailoverState, Role

BindingCounts = Mapping[str, Mapping[str, int]]
"""Pool name -> binding state (``active``, ``free``, ``backup``, ``abandoned``, ``other``) -> addresses."""


class FailoverStatus(Struct, frozen=True, kw_only=True):
    """What a running server says of its failover relationship.

    Attributes:
        since: Start time of the local state, seconds since the epoch by the server's wall clock; 0 if not known.
        partner_since: The same of the partner's state.
        mclt: Seconds in force; 0 where the server has not learnt it yet.
        unacked_updates: Binding updates without an acknowledgement of the partner.
    """

    local: FailoverState
    partner: FailoverState
    since: int
    partner_since: int
    mclt: int
    unacked_updates: int


class Recorded(Struct, frozen=True, kw_only=True):
    """What a lease database says of a server that does not run. Times in seconds since the epoch, by its wall clock.

    Attributes:
        exists: Whether there is one; everything else is empty where there is none.
        local: The last state that the server recorded of itself; ``UNKNOWN`` if it recorded none.
        partner: The same of its partner.
        since: When ``local`` began; 0 where the database does not say, as after an edit: it begins with the start.
        newest: The latest start or last transaction of a client among the addresses' present records; 0 for none.
        newest_address: The address that ``newest`` belongs to, empty for none.
        held: Addresses whose lease runs now.
        held_until: When the last of those ends; 2147483647 for one that never does, 0 for none.
        transitions: How many records of failover states there are.
    """

    exists: bool
    local: FailoverState
    partner: FailoverState
    since: int
    newest: int
    newest_address: str
    held: int
    held_until: int
    transitions: int


class Watermark(Struct, frozen=True, kw_only=True):
    """How far a lease database reaches: ``newest`` and ``newest_address`` as in ``Recorded``."""

    newest: int = 0
    newest_address: str = ""


class ControlError(Exception):
    """The server's control interface did not answer, or answered an error; the message says which."""


class Control(Protocol):
    """A running server's control interface. Blocking I/O with a deadline; reconnects by itself after an error."""

    def failover(self) -> FailoverStatus:
        """Read the failover states.

        Raises:
            ControlError: No answer within the deadline, a refused key, or no such relationship.
        """

    def enter_partner_down(self) -> FailoverStatus:
        """Have a server in its startup, whose lease database was prepared for partner-down, enter it now.

        Written once and only in startup; a server that is in partner-down already is left alone. The status that is
        read back is returned; that its ``since`` is not before the start is for the caller to see.

        Raises:
            ControlError: The server is in any other state (nothing was written), or did not take it.
        """

    def declare_partner_down(self) -> FailoverStatus:
        """Have a server that is cut off enter partner-down while it runs, once all that its partner promised is held.

        Written once; a server that is in partner-down already is left alone. The status that is read back is returned;
        that its ``since`` is not before the call is for the caller to see.

        Raises:
            ControlError: The server is in any other state (nothing was written), or did not take it.
        """

    def resend(self) -> FailoverStatus:
        """Have a server in partner-down send its returning partner anew what that has not acknowledged.

        The time of its partner-down begins anew. The status that is read back is returned.

        Raises:
            ControlError: It is not in partner-down, or the partner does not return (nothing was written); or no answer
                within the deadline.
        """

    def hold(self, addresses: Sequence[IPv4Address], until: int, *, free: bool = False) -> Mapping[IPv4Address, str]:
        """Have leases that run, or are over by this server's word alone, run until an instant; none is shortened.

        So does what a client declined. Whatever is free by now is left alone, and so is the client. What the server
        made of it stands in its lease database afterwards.

        Args:
            addresses: A few: the server does nothing else meanwhile.
            until: Seconds since the epoch, by the server's wall clock.
            free: What is free by now is leased to its last client again.

        Returns:
            Those that the server refused, and why.

        Raises:
            ControlError: No answer within the deadline, or a refused key; some may have been held.
        """

    def leave(
        self, addresses: Sequence[IPv4Address], until: int, *, beside: Iterable[IPv4Address] = ()
    ) -> Mapping[IPv4Address, str]:
        """Have a primary that is cut off tell of addresses that it left to its partner with an instant to come.

        Such a word does not end a lease that the partner has given meanwhile. What is over by the server's word is left
        to it, too; whatever is neither is not touched.

        Args:
            addresses: A few: the server does nothing else meanwhile.
            until: Seconds since the epoch, by the server's wall clock; the word has that effect so long.
            beside: Where to look for a few addresses that are free and the primary's own, or leased, which are held:
                behind those the partner hears of the others only how they stand in the end, should the two meet then.

        Returns:
            Those that the server refused, and why.

        Raises:
            ControlError: It is not cut off (nothing was written), no answer within the deadline, or a refused key.
        """

    def take(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Have leases that are over by a secondary's word be nobody's, and that word end no lease of its partner's.

        Whatever is not over any more is not touched.

        Args:
            addresses: A few: the server does nothing else meanwhile.

        Returns:
            Those that the server refused, and why.

        Raises:
            ControlError: No answer within the deadline, or a refused key.
        """

    def expire(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Have a secondary say once more that leases are over which ``take`` took: a primary that has them free agrees.

        Whatever is not taken any more is not touched.

        Args:
            addresses: A few: the server does nothing else meanwhile.

        Returns:
            Those that the server refused, and why.

        Raises:
            ControlError: No answer within the deadline, or a refused key.
        """

    def repeat(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Have a primary tell of addresses that it left to its partner as it did: that may agree by now.

        Whatever is not left to it any more is not touched.

        Args:
            addresses: A few: the server does nothing else meanwhile.

        Returns:
            Those that the server refused, and why.

        Raises:
            ControlError: No answer within the deadline, or a refused key.
        """

    def retire(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Have leases without a client, which are over, be free again in both servers.

        Whatever has a client by now is not touched.

        Args:
            addresses: A few: the server does nothing else meanwhile.

        Returns:
            Those that the server refused, and why.

        Raises:
            ControlError: No answer within the deadline, or a refused key.
        """

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""


class BindingLog(Protocol):
    """Reads a lease database incrementally: cheap when nothing or little was appended since the last call."""

    def news(self) -> Iterator[Binding]:
        """Yield what was recorded since the last call (I/O), in its order; at first, and at times again, everything.

        It may be taken bit by bit; the next call comes when it is exhausted.

        Raises:
            OSError: The database cannot be read.
        """

    def close(self) -> None:
        """Let go of the database; the next call reads everything."""


class LeaseCounter(Protocol):
    """Counts a lease database incrementally: cheap when nothing or little was appended since the last call."""

    def count(self, pools: Mapping[str, Iterable[AddressRange]]) -> BindingCounts:
        """Read what is new in the database (I/O) and return the addresses of each pool by binding state.

        Addresses of a pool that the database does not mention count as ``free``.
        """

    @property
    def watermark(self) -> Watermark:
        """How far the database reached at the last count. It may fall when the server rewrites its database."""

    @property
    def transitions(self) -> int:
        """How often a server's own state was seen to be recorded anew; never falls, and only differences tell.

        Two counts that agree had no interruption between them, whatever the state was when somebody looked.
        """


class CheckResult(Struct, frozen=True):
    """The server's own verdict on a configuration: ``message`` is empty if it is accepted."""

    accepted: bool
    message: str


class CheckError(Exception):
    """The server's program gave no verdict: it could not be run, was killed, or did not end in time. Worth a retry."""


class Engine(Protocol):
    """One kind of DHCP server."""

    name: str
    control_key: str
    """Name of the control key, which both the configuration and a session must give."""

    def render(self, service: Service, role: Role) -> str:
        """Return one server's whole configuration: deterministic, the two sides agree by construction."""

    def check(self, config: Path) -> CheckResult:
        """Let the server's own parser judge a configuration file (runs a program without capabilities).

        Raises:
            CheckError: There is no verdict.
        """

    def write_credentials(self, directory: Path, secret: str) -> None:
        """Write the file that a rendered configuration includes for its control key (I/O, mode 0600, atomic).

        Args:
            directory: The memory-backed volume that the configuration names.
            secret: The key, base64.
        """

    def control(self, connect: Callable[[], Any], relationship: str) -> Control:
        """Return the control interface of a running server.

        Args:
            connect: Opens the engine's kind of session (``omapi.connect`` for ISC) to the server on this host's
                loopback; called lazily, and again after an error.
            relationship: Name of the failover relationship.
        """

    def lease_counter(self, lease_file: Path) -> LeaseCounter:
        """Return a counter for a lease database."""

    def binding_log(self, lease_file: Path) -> BindingLog:
        """Return a reader of a lease database; nothing is opened yet."""

    def recorded(self, lease_file: Path) -> Recorded:
        """Return what a lease database says (I/O), read with the server stopped.

        Raises:
            OSError: It cannot be read. One that does not exist is a value.
        """

    def version(self) -> str:
        """Return the installed server's version (runs a program).

        Raises:
            CheckError: The program could not be run.
        """


def engine(name: str) -> Engine:
    """Return an engine by its API name.

    Raises:
        ValueError: No such engine.
    """
    if name == "ISC":
        from twinlease.engines.isc.engine import IscEngine  # noqa: PLC0415  # an engine that is not used costs nothing

        return IscEngine()
    raise ValueError(f"no DHCP engine {name!r}: ISC is the only one")
