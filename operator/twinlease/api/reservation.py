"""``DHCPReservation``: a fixed address for one client."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from twinlease.api.rules import immutable, matching
from twinlease.api.types import MAC, Conditions, IPv4, Model, ObjectRef, ObservedGeneration, described


class ReservationSpec(Model, frozen=True, kw_only=True):
    """What the user wants of a reservation."""

    pair_ref: Annotated[
        ObjectRef,
        immutable("apply a second reservation for the other pair", "oldSelf.name"),
        described("The pair that honours the reservation."),
    ]
    hardware_address: Annotated[MAC, described("The client's Ethernet address.")]
    address: Annotated[
        IPv4,
        described("The client's address, inside the subnet of one of the pair's pools. It may lie inside a range."),
    ]
    hostname: (
        Annotated[
            str,
            Meta(max_length=63),
            matching("^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$", "be a host name of letters, digits and '-'"),
            described("The client's name (option 12)."),
        ]
        | UnsetType
    ) = UNSET


class ReservationStatus(Model, frozen=True, kw_only=True):
    """What is known of a reservation."""

    observed_generation: ObservedGeneration = 0
    conditions: Conditions = ()
    pool: Annotated[str, described("The pool whose subnet holds the address.")] = ""
