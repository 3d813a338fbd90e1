"""Conditions as the Kubernetes API conventions want them: merged, never replaced; times move only with the status."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from twinlease.api.types import Condition

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"

PAIR = (
    "Valid",
    "Available",
    "Redundant",
    "Progressing",
    "PartnerDown",
    "KernelFence",
    "LeaseDatabaseIntact",
    "ClocksAgree",
)
"""Of a pair: specification in force; at least one server answers its clients; both do and are in contact, so that
either may die; something is being rolled out, brought up or waited for; one serves in partner-down, or why not yet; the
kernel enforces the end of both permits; both lease databases are the ones that were confirmed; the wall clocks of both
were measured to be the same."""

POOL = ("Valid", "Programmed")
"""Of a pool: specification in force; both servers run a configuration that holds it."""

RESERVATION = ("Valid", "Programmed")
"""Of a reservation: the same; an address that somebody may still hold is valid and not yet programmed."""

SERVER = ("NetworkReady", "ConfigAccepted", "Running", "Serving", "Permitted", "KernelFence", "LeaseDatabaseIntact")
"""Of a server, by its sidecar."""

_LONGEST_MESSAGE = 32768


class Verdict(Struct, frozen=True, kw_only=True):
    """What is to be said of one condition."""

    type: str
    status: str
    reason: str
    message: str = ""


def of(type_: str, *, holds: bool | None, reason: str, message: str = "") -> Verdict:
    """Return a verdict; None for ``holds`` means that it is not known."""
    status = UNKNOWN if holds is None else TRUE if holds else FALSE
    return Verdict(type=type_, status=status, reason=reason, message=message)


def merge(
    existing: Sequence[Condition],
    verdicts: Iterable[Verdict],
    *,
    types: Sequence[str],
    generation: int,
    now: str,
) -> tuple[Condition, ...]:
    """Return the whole list: ours in the order of ``types``, then those of others as they are.

    Args:
        existing: What the object holds.
        verdicts: What we know now. Of a type of ours that is missing the old condition stays; if there is none, it is
            Unknown.
        types: All types that are ours.
        generation: ``metadata.generation`` that the verdicts are about.
        now: RFC 3339.

    Raises:
        ValueError: A verdict of a type that is not ours.
    """
    old = {each.type: each for each in existing}
    new = {each.type: each for each in verdicts}
    if foreign := [type_ for type_ in new if type_ not in types]:
        raise ValueError(f"no conditions of ours: {', '.join(foreign)}")
    ours = [_merged(type_, old.get(type_), new.get(type_), generation, now) for type_ in types]
    return (*ours, *(each for each in existing if each.type not in types))


def _merged(type_: str, old: Condition | None, new: Verdict | None, generation: int, now: str) -> Condition:
    if new is None:
        if old is not None:
            return old
        new = Verdict(type=type_, status=UNKNOWN, reason="NotJudgedYet", message="Nothing is known yet")
    return Condition(
        type=type_,
        status=new.status,
        reason=new.reason,
        message=new.message[:_LONGEST_MESSAGE],
        observed_generation=generation,
        last_transition_time=now if old is None or old.status != new.status else old.last_transition_time,
    )


def get(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """Return one condition, if it is there."""
    return next((each for each in conditions if each.type == type_), None)


def holds(conditions: Iterable[Condition], type_: str) -> bool:
    """Tell whether a condition is there and True."""
    found = get(conditions, type_)
    return found is not None and found.status == TRUE
