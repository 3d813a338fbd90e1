"""Cases about the operator and what it decides on: leaders that die or hang at every step, orders seen twice."""

from tests.faults.actions import (
    confirm_dead,
    freeze_leader,
    kill,
    kill_leader,
    ordered,
    power_off,
    power_on,
    reaches,
    taint,
    takeover,
    thaw_leader,
    untaint,
    verdict,
)
from tests.faults.case import SURVIVOR, VICTIM, Case, Do, Step, Wait
from tests.faults.expect import NoTakeover, Serves, TakesOver, Verdicts
from tests.faults.stage import SIDECAR
from twinlease.model.states import FailoverState

_SOON = 20.0
_ELECTED = 40.0  # seconds for another leader to be elected, and for the rest

_STEPS: dict[str, tuple[Step, ...]] = {
    "interrupted": (
        power_off(VICTIM),
        reaches(SURVIVOR, FailoverState.COMMUNICATIONS_INTERRUPTED, 8.0, "interrupted"),
    ),
    "ordered": (power_off(VICTIM), ordered(_SOON)),
    "taken-over": (power_off(VICTIM), takeover(SURVIVOR, _SOON)),
    "asked": (
        power_off(VICTIM),
        takeover(SURVIVOR, _SOON),
        power_on(VICTIM),
        reaches(VICTIM, FailoverState.UNKNOWN, 20.0, "asked"),
    ),
    "recovering": (
        power_off(VICTIM),
        takeover(SURVIVOR, _SOON),
        power_on(VICTIM),
        reaches(VICTIM, FailoverState.RECOVER, 30.0, "recovering"),
    ),
}
"""Where the operator is hindered: after these steps."""


def _hindered(step: str, how: str, hinder: Do) -> Case:
    steps: tuple[Step, ...] = (*_STEPS[step], hinder)
    if step in {"interrupted", "ordered"}:
        steps = (*steps, takeover(SURVIVOR, _ELECTED))
    thawed: tuple[Step, ...] = (Wait(20), thaw_leader(), Wait(3)) if how == "frozen" else (Wait(3),)
    return Case(
        f"leader-{how}-{step}",
        f"The operator that leads is {how} at this step of a takeover: {step}. Another goes on from what is there.",
        (*steps, *thawed),
        (TakesOver(SURVIVOR, within=None), Serves(SURVIVOR)),
        back=75,
    )


CASES = (
    *(_hindered(step, "killed", kill_leader()) for step in _STEPS),
    *(_hindered(step, "frozen", freeze_leader()) for step in _STEPS),
    Case(
        "order-seen-twice",
        "The survivor's sidecar is killed as soon as the order is given: it obeys once, or answers that it did not.",
        (power_off(VICTIM), ordered(_SOON), kill(SURVIVOR, SIDECAR).at("killed"), Wait(10)),
        (Serves(SURVIVOR),),
    ),
    Case(
        "sidecar-killed-in-partner-down",
        "The survivor's sidecar is killed when the order was executed: nothing is done twice.",
        (power_off(VICTIM), takeover(SURVIVOR, _SOON), kill(SURVIVOR, SIDECAR).at("killed"), Wait(8)),
        (TakesOver(SURVIVOR), Serves(SURVIVOR), Verdicts(("Ordered", "Executed"))),
    ),
    Case(
        "out-of-service",
        "Servers that serve without end lose each other, and the dead one's node is declared out of service.",
        (power_off(VICTIM), verdict("WaitingForEvidence", 20.0), Wait(1), taint(VICTIM), takeover(SURVIVOR, 10.0),
         Wait(2)),
        (TakesOver(SURVIVOR, within=3.0), Serves(SURVIVOR)),
        mending=(untaint(VICTIM),),
        spec={"isolation": "Serve"},
    ),
    Case(
        "stale-taint",
        "A taint that was there before the interruption is no evidence.",
        (taint(VICTIM), Wait(2), power_off(VICTIM), verdict("WaitingForEvidence", 20.0), Wait(4)),
        (NoTakeover(until=("mend", 0.0)), Serves(SURVIVOR)),
        mending=(untaint(VICTIM),),
        spec={"isolation": "Serve"},
    ),
    Case(
        "confirmed-dead",
        "Servers that serve without end lose each other, and a human confirms that the dead one is dead.",
        (power_off(VICTIM), verdict("WaitingForEvidence", 20.0), Wait(1), confirm_dead(VICTIM),
         takeover(SURVIVOR, 10.0), Wait(2)),
        (TakesOver(SURVIVOR, within=3.0), Serves(SURVIVOR)),
        spec={"isolation": "Serve"},
    ),
)  # fmt: skip
