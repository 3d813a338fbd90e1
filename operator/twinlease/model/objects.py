"""The users' objects as validation and decisions see them."""

from typing import Generic, TypeVar

from msgspec import Struct

from twinlease.api.pair import PairSpec
from twinlease.api.pool import PoolSpec
from twinlease.api.reservation import ReservationSpec
from twinlease.model.decision import Problem

S = TypeVar("S", bound=Struct)


class Candidate(Struct, Generic[S], frozen=True, kw_only=True):
    """What a user's object says now.

    Attributes:
        created: Creation time, RFC 3339; the older of two that collide wins.
        spec: None if it cannot be read.
        unreadable: Why not.
    """

    name: str
    uid: str = ""
    generation: int = 0
    created: str = ""
    spec: S | None
    unreadable: tuple[Problem, ...] = ()

    @property
    def identity(self) -> str:
        """Enough of the UID to tell the object from another of its name; there may be tens of thousands to store."""
        return self.uid[:8]

    @property
    def order(self) -> tuple[str, str]:
        """Who comes first."""
        return (self.created, self.name)


PairCandidate = Candidate[PairSpec]
PoolCandidate = Candidate[PoolSpec]
ReservationCandidate = Candidate[ReservationSpec]
