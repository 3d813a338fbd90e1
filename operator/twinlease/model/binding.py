"""What a server's lease database says of one address, as far as it matters to whom the address may go next."""

from enum import StrEnum
from typing import NamedTuple

from twinlease.model.states import Role


class Standing(StrEnum):
    """How an address stands."""

    LEASED = "Leased"
    """A client has it, by this server's word."""
    EXPIRED = "Expired"
    """It was leased until its end, by this server's word alone: its partner has not agreed yet."""
    RELEASED = "Released"
    """Its client gave it back, or somebody took it from it, by this server's word alone likewise."""
    RESET = "Reset"
    """The same, but a primary that has the address leased takes that word for nothing."""
    FREE = "Free"
    """It is to be given to anybody by one of the servers: both know."""
    OTHER = "Other"
    """Out of use."""


ENDED = frozenset({Standing.EXPIRED, Standing.RELEASED, Standing.RESET})
"""Leases that are over by this server's word alone."""


class Binding(NamedTuple):
    """The last record of an address. Times in seconds since the epoch, by the server's wall clock; 0 for none.

    Attributes:
        address: As a number.
        standing: How it stands.
        seen: The latest of its start and its client's last transaction with this server; of an address that is out of
            use: since when it is.
        ends: When the lease ends or ended; 2147483647 for one that never does.
        ours: Its client's last transaction was with this server, as far as the record tells.
        left: If this is a primary, it has told its partner that the address is that one's to give, and heard no answer:
            the instant that it told with that.
        told: It is over, and the partner was told that, if it heard it.
        nobodys: It is leased, or was, without a client.
        unheard: Of an address that is out of use: its partner has not acknowledged that.
        before: Of such an address: which of the two could give it to anybody, by what its partner knows; None: neither.
    """

    address: int
    standing: Standing
    seen: int
    ends: int
    ours: bool = False
    left: int = 0
    told: bool = False
    nobodys: bool = False
    unheard: bool = False
    before: Role | None = None
