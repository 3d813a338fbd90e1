"""Cases in which a server's wall clock steps. The boot clock, which permits go by, goes on."""

from collections.abc import Mapping
from typing import Any

from tests.faults.actions import cut, power_off, reaches, set_clock, takeover
from tests.faults.case import CLOCK, SURVIVOR, VICTIM, Case, Wait
from tests.faults.cases.processes import BACK, taken_over
from tests.faults.expect import Serves, Silent, TakesOver, Verdicts
from tests.lab.clock import CLOCK_IMAGE
from twinlease.model.states import FailoverState

_SPEC: Mapping[str, Any] = {"image": CLOCK_IMAGE}
_NEEDS = frozenset({CLOCK})
NORMAL = FailoverState.NORMAL
_SOON = 20.0
_STEP = 61  # more than the 60 s by which the daemons' clocks may differ when they connect

_KILLED = Silent(VICTIM, ("fault", 0.0))
"""The step kills it, and it does not start beside a partner whose clock is another."""


_TAKES_OVER = TakesOver(SURVIVOR, within=5.0)
"""Once the victim has told that it was stopped, and what its leases are."""


def _steps(name: str, says: str, seconds: int) -> Case:
    """Return a case in which a server's clock steps in contact, and is right again after its partner has taken over.

    That is at once: who was stopped so may not resume, and it is itself the proof that it is stopped.
    """
    return Case(
        name,
        f"{says}: the server is killed at once and waits for its clock, the other takes over.",
        (set_clock(VICTIM, seconds), takeover(SURVIVOR, _SOON), Wait(4)),
        (_TAKES_OVER, Verdicts(("Ordered", "ClockSkew")), Serves(SURVIVOR), _KILLED, BACK),
        mending=(set_clock(VICTIM, 0),),
        spec=_SPEC,
        needs=_NEEDS,
    )


CASES = (
    _steps("clock-forward", "A clock steps forward, as after a stop of the whole machine", _STEP),
    _steps("clock-backwards", "A clock steps backwards", -_STEP),
    Case(
        "clock-corrected",
        "A clock steps and is put right two seconds later: the server takes everything from its partner, and returns.",
        (set_clock(VICTIM, -_STEP), Wait(2), set_clock(VICTIM, 0).at("right"), reaches(VICTIM, NORMAL, 40.0), Wait(4)),
        (_TAKES_OVER, Serves(SURVIVOR), Silent(VICTIM, ("fault", 0.0), until=("right", 0.0))),
        spec=_SPEC,
        needs=_NEEDS,
    ),
    Case(
        "clock-forward-without-api",
        "A clock steps forward while the API is out of reach: the server is killed, and gets no grant.",
        (cut(VICTIM, "api"), Wait(4), set_clock(VICTIM, _STEP).at("step"), Wait(6)),
        (Serves(SURVIVOR), Silent(VICTIM, ("step", 0.0))),
        mending=(set_clock(VICTIM, 0),),
        spec=_SPEC,
        needs=_NEEDS,
    ),
    Case(
        "clock-forward-alone",
        "The survivor's clock steps forward in partner-down: it starts anew, and keeps what others hold for as long.",
        (power_off(VICTIM), takeover(SURVIVOR, _SOON), Wait(1), set_clock(SURVIVOR, _STEP).at("step"), Wait(8)),
        taken_over(),
        mending=(set_clock(SURVIVOR, 0),),
        back=75,
        spec=_SPEC,
        needs=_NEEDS,
    ),
)
