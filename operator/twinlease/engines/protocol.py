"""The seam: what twinlease needs of a DHCP server. One instance per engine, pure unless a method says otherwise."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

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


class ControlError(Exception):
    """The server's control interface did not answer, or answered an error; the message says which."""


class Control(Protocol):
    """A running server's control interface. Blocking I/O with a deadline; reconnects by itself after an error."""

    def failover(self) -> FailoverStatus:
        """Read the failover states.

        Raises:
            ControlError: No answer within the deadline, a refused key, or no such relationship.
        """

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""


class LeaseCounter(Protocol):
    """Counts a lease database incrementally: cheap when nothing or little was appended since the last call."""

    def count(self, pools: Mapping[str, Iterable[AddressRange]]) -> BindingCounts:
        """Read what is new in the database (I/O) and return the addresses of each pool by binding state.

        Addresses of a pool that the database does not mention count as ``free``.
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
