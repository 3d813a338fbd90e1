"""What a server's lease database says of one address, as far as it matters to whom the address may go next."""

from enum import StrEnum
from typing import NamedTuple


class Standing(StrEnum):
    """How an address stands."""

    LEASED = "Leased"
    """A client has it, by this server's word."""
    ENDED = "Ended"
    """It was leased, and is over by this server's word alone: its partner has not agreed yet."""
    OTHER = "Other"
    """Free, or out of use: both servers know."""


class Binding(NamedTuple):
    """The last record of an address. Times in seconds since the epoch, by the server's wall clock; 0 for none.

    Attributes:
        address: As a number.
        standing: How it stands.
        seen: The latest of its start and its client's last transaction with this server.
        ends: When the lease ends; 2147483647 for one that never does.
    """

    address: int
    standing: Standing
    seen: int
    ends: int
