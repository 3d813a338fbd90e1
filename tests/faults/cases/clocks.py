"""Cases in which a server's wall clock steps. The boot clock, which permits go by, goes on."""

from collections.abc import Mapping
from typing import Any

from tests.faults.actions import cut, power_off, set_clock, takeover
from tests.faults.case import CLOCK, SURVIVOR, VICTIM, Case, Wait
from tests.faults.cases.processes import taken_over
from tests.faults.expect import NoTakeover, Serves, Silent
from tests.lab.clock import CLOCK_IMAGE

_SPEC: Mapping[str, Any] = {"image": CLOCK_IMAGE}
_NEEDS = frozenset({CLOCK})
_STEP = 61  # more than the 60 s by which the daemons' clocks may differ when they connect

CASES = (
    Case(
        "clock-forward",
        "A clock steps forward, as after a stop of the whole machine: the server renews its grant at once.",
        (set_clock(VICTIM, _STEP), Wait(10)),
        (NoTakeover(), Serves(SURVIVOR), Serves(VICTIM, since=("fault", 6.0))),
        mending=(set_clock(VICTIM, 0),),
        spec=_SPEC,
        needs=_NEEDS,
    ),
    Case(
        "clock-backwards",
        "A clock steps backwards.",
        (set_clock(VICTIM, -_STEP), Wait(10)),
        (NoTakeover(), Serves(SURVIVOR), Serves(VICTIM, since=("fault", 6.0))),
        mending=(set_clock(VICTIM, 0),),
        spec=_SPEC,
        needs=_NEEDS,
    ),
    Case(
        "clock-forward-without-api",
        "A clock steps forward while the API is out of reach: nothing proves the permit any more.",
        (cut(VICTIM, "api"), Wait(4), set_clock(VICTIM, _STEP).at("step"), Wait(6)),
        (Serves(SURVIVOR), Silent(VICTIM, ("step", 0.0))),
        mending=(set_clock(VICTIM, 0),),
        spec=_SPEC,
        needs=_NEEDS,
    ),
    Case(
        "clock-forward-alone",
        "The survivor's clock steps forward in partner-down: its partner's addresses do not become free earlier.",
        (power_off(VICTIM), takeover(SURVIVOR, 20.0), Wait(1), set_clock(SURVIVOR, _STEP).at("step"), Wait(8)),
        taken_over(),
        mending=(set_clock(SURVIVOR, 0),),
        back=75,
        spec=_SPEC,
        needs=_NEEDS,
    ),
)
