"""dhcpd's failover state over its control interface (OMAPI), read in one exchange.

This layer knows objects and attributes; the wire is a ``Session`` that is handed in (``twinlease.omapi`` makes them).
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from twinlease.engines.isc.states import from_number
from twinlease.engines.protocol import ControlError, FailoverStatus


class Session(Protocol):
    """An authenticated connection. After a ``ControlError`` it is dead."""

    def lookup(self, kind: str, name: str) -> Mapping[str, bytes] | None:
        """Return all attributes of an object that is found by its name, None if there is none.

        Raises:
            ControlError: No answer in time, a lost connection, or an answer that is none.
        """

    def close(self) -> None:
        """Drop the connection."""


class IscControl:
    """Reads a running dhcpd; never writes. Not thread-safe: one caller, in a thread of its own, for it blocks."""

    def __init__(self, connect: Callable[[], Session], relationship: str) -> None:
        self._connect = connect
        self._relationship = relationship
        self._session: Session | None = None

    def failover(self) -> FailoverStatus:
        """Read the failover states, connecting first if need be.

        Raises:
            ControlError: No answer within the session's deadline, a refused key, or no such relationship.
        """
        try:
            if self._session is None:
                self._session = self._connect()
            attributes = self._session.lookup("failover-state", self._relationship)
        except ControlError:
            self.close()
            raise
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

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _number(attributes: Mapping[str, bytes], name: str) -> int:
    try:
        return int.from_bytes(attributes[name], "big")
    except KeyError:
        raise ControlError(f"dhcpd's failover state has no {name}") from None
