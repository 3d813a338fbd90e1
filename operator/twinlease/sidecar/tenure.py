"""What a grant is to this sidecar, and what the serving lease says about it. Pure."""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.permit import Isolation
from twinlease.api.servinglease import DatabaseVerdict, Grant, InForce, Start
from twinlease.decide.permit import FOR_EVER
from twinlease.engines.protocol import Recorded
from twinlease.model import durations
from twinlease.model.states import FailoverState

RECOVER, RESUME, EMPTY, SURVIVE = "recover", "resume", "empty", "survive"
"""Named edits of the seam to the engine."""

AGAIN = (RESUME,)
"""What is done to it before any later start under the same grant."""

_BLANK = frozenset({DatabaseVerdict.VIRGIN, DatabaseVerdict.INTACT})


class Tenure(Struct, frozen=True, kw_only=True):
    """The grant that this incarnation took up; kept in the pod's memory, as long-lived as the incarnation.

    Attributes:
        incarnation: Whose it is.
        epoch: Of the grant; 0: none was ever taken up.
        start: How the first start under it is made.
        in_force: As last confirmed.
        begun: Its first start was tried: it may not be made once more.
        surviving: The daemon was, or is to be, started to enter partner-down, and has not been seen there since.
        given_up: It was given back, or is about to be: nothing is started under it any more.
    """

    incarnation: str = ""
    epoch: int = 0
    start: Start = Start.RESUME
    in_force: InForce = InForce()
    begun: bool = False
    surviving: bool = False
    given_up: bool = False


class Standing(StrEnum):
    """What the serving lease says about this incarnation."""

    UNKNOWN = "Unknown"
    """It was not read yet, or is one of an older time."""
    NONE = "None"
    """It holds nothing, and nothing was taken from it."""
    OFFERED = "Offered"
    """A grant that it has not taken up."""
    HELD = "Held"
    """The grant that it took up is its own."""
    REVOKED = "Revoked"
    """The grant that it took up is not its own any more."""


def standing(tenure: Tenure, grant: Grant | None, incarnation: str) -> Standing:
    """Return what a grant, as the API has it, means; None: the serving lease was not read yet."""
    if grant is None or not incarnation:
        return Standing.UNKNOWN
    if grant.holder != incarnation:
        return Standing.REVOKED if tenure.epoch and not tenure.given_up else Standing.NONE
    if grant.epoch == tenure.epoch:
        return Standing.HELD
    return Standing.OFFERED if grant.epoch > tenure.epoch else Standing.REVOKED


def taken_up(incarnation: str, grant: Grant, in_force: InForce) -> Tenure:
    """Return the tenure of a grant that was just confirmed."""
    return Tenure(incarnation=incarnation, epoch=grant.epoch, start=grant.start, in_force=in_force)


def going_by(grant: Grant, *, kernel_fence: bool) -> InForce:
    """Return what a sidecar confirms that takes a grant up as it stands."""
    return InForce(
        epoch=grant.epoch,
        duration=grant.duration,
        promise=grant.promise,
        max_promise=grant.max_promise,
        isolation=grant.isolation,
        kernel_fence=kernel_fence,
    )


def length(in_force: InForce) -> float:
    """Return for how long a renewal permits to answer, seconds."""
    return FOR_EVER if in_force.isolation is Isolation.SERVE else float(durations.seconds(in_force.duration))


def edits(start: Start, verdict: DatabaseVerdict) -> tuple[str, ...]:
    """Return what is done to the lease database before the first start under a grant."""
    intact = verdict is DatabaseVerdict.INTACT
    if start is Start.FRESH:
        return () if verdict in _BLANK else (EMPTY,)
    if start is Start.RECOVER:
        return (RECOVER,) if intact else (EMPTY,)
    if start is Start.SURVIVE:
        return (SURVIVE,) if intact else (EMPTY, SURVIVE)
    return AGAIN


def resumable(recorded: Recorded | None, verdict: DatabaseVerdict) -> bool:
    """Tell whether a daemon that does not run any more may be started again under the grant that it ran under."""
    normal = recorded is not None and recorded.local is FailoverState.NORMAL
    return normal and verdict is DatabaseVerdict.INTACT


def complete_now(tenure: Tenure, state: FailoverState, *, running: bool) -> bool:
    """Tell whether a lease database that was emptied before this tenure's start has become one to go by.

    A returning server's is filled by its partner; of everybody else there is nobody who knew more.
    """
    if not (running and tenure.begun):
        return False
    return tenure.start is not Start.RECOVER or state is FailoverState.NORMAL


def given_up(tenure: Tenure) -> Tenure:
    """Return the tenure from the moment on from which nothing is started under it any more."""
    return replace(tenure, given_up=True)
