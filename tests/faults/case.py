"""What a case of the fault matrix is: steps, and what is expected of them, said before the run. Plain data.

A case names its two servers by what becomes of them, `VICTIM` and `SURVIVOR`; which is the primary changes from run to
run. Moments are named by the steps that make them: `("fault", 5.0)` is five seconds after the step marked "fault".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tests.faults.timeline import Timeline
from twinlease.decide.permit import MARGIN, epsilon
from twinlease.model.states import Role

if TYPE_CHECKING:
    from tests.faults.expect import Expectation
    from tests.faults.stage import Stage

K = MARGIN
"""Seconds within which a server is silent after its permit's deadline."""


DISKS, CLOCK = "disks", "clock"
"""What not every lab can do: stall a disk, set the clock of one server."""


class Actor(StrEnum):
    """A server by its part in a case."""

    VICTIM = "victim"
    SURVIVOR = "survivor"

    @property
    def other(self) -> "Actor":
        """The other one."""
        return Actor.SURVIVOR if self is Actor.VICTIM else Actor.VICTIM


VICTIM, SURVIVOR = Actor.VICTIM, Actor.SURVIVOR

Cast = Mapping[Actor, Role]
"""Who is who in a run."""


def cast(victim: Role) -> Cast:
    """Return the cast with that victim."""
    return {VICTIM: victim, SURVIVOR: victim.other}


@dataclass(frozen=True, slots=True)
class Times:
    """The pair's timers, seconds; short, so that a case is over within a minute."""

    after: int = 8
    duration: int = 5
    promise: int = 5
    max_promise: int = 12
    alone: int = 20
    mclt: int = 10
    lease: int = 30
    response_delay: int = 3

    def __post_init__(self) -> None:
        """Refuse what admission would refuse."""
        for length in (self.duration, self.promise):
            if length + epsilon(length) > self.after:
                raise ValueError(f"{length} + {epsilon(length):g} s must not exceed after, {self.after} s")

    @property
    def expiry(self) -> float:
        """After how many seconds without a renewal a server counts as stopped."""
        return self.duration + epsilon(self.duration)


Moment = tuple[str, float]
"""A mark and seconds after it."""

START, MEND, END = "start", "mend", "end"
"""The marks that every case has: before the first step, after the last one, and when the pair is whole again."""


@dataclass(frozen=True, slots=True)
class Do:
    """Do something to the lab.

    Attributes:
        says: What, in the imperative.
        act: How.
        mark: Name of the moment at which it is in force.
        ends: It ends containers of servers, for the kubelet to start again.
    """

    says: str
    act: "Callable[[Stage], object]"
    mark: str = ""
    ends: bool = False

    def at(self, mark: str) -> "Do":
        """Return the same with a mark."""
        return replace(self, mark=mark)


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass: it is what the case is about."""

    seconds: float
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Until:
    """Wait for something; that it comes within so many seconds is expected.

    Attributes:
        says: What.
        happened: When it did, given what was seen, who is who and the last step's moment; None: not yet.
    """

    says: str
    happened: Callable[[Timeline, Cast, float], float | None]
    within: float
    mark: str = ""

    def marked(self, mark: str) -> "Until":
        """Return the same with another mark."""
        return Until(self.says, self.happened, self.within, mark)


Step = Do | Wait | Until


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        name: Of letters, digits and dashes.
        says: What happens, in a sentence.
        steps: What is done, in order.
        expects: What is expected, beside what is of every case: no duplicate, no answer of a revoked server, and both
            normal again after the mending.
        mending: What is to be mended beside the lab's own faults.
        back: Seconds within which both are normal again after the mending.
        times: The pair's timers.
        spec: Further fields of the pair's spec.
        nearest: It is one of those nearest to safety, which are run most often.
        needs: What the lab must be able to do, that not every lab can: `DISKS`, `CLOCK`.
    """

    name: str
    says: str
    steps: tuple[Step, ...]
    expects: "tuple[Expectation, ...]" = ()
    mending: tuple[Do, ...] = ()
    back: float = 45.0
    times: Times = Times()
    spec: Mapping[str, Any] = field(default_factory=dict)
    nearest: bool = False
    needs: frozenset[str] = frozenset()

    @property
    def ends(self) -> bool:
        """Tell whether containers end in it that the kubelet is to start again."""
        return any(isinstance(step, Do) and step.ends for step in self.steps)

    def runs(self, wanted: int, nearest: int) -> int:
        """Return how often it is run when others are run `wanted` times."""
        return nearest if self.nearest else wanted
