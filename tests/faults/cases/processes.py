"""Cases in which processes, pods and nodes die, hang and come back."""

from tests.faults.actions import (
    change_pool,
    delete_pod,
    freeze,
    freeze_node,
    freeze_pod,
    kill,
    kill_pod,
    maintain,
    power_off,
    power_on,
    reaches,
    takeover,
    thaw_node,
)
from tests.faults.case import SURVIVOR, VICTIM, Case, Do, Times, Until, Wait
from tests.faults.expect import (
    Expectation,
    NeedsGrant,
    NoTakeover,
    Reaches,
    Serves,
    Silent,
    TakesOver,
    Untouched,
    Verdicts,
)
from tests.faults.stage import DHCPD, GUARD, SIDECAR
from twinlease.model.states import FailoverState

K = 1.0
HELD = ("fault", Times().duration - K)
"""The deadline of a permit by the last renewal before the fault."""


def taken_over(until: str = "mend") -> tuple[Expectation, ...]:
    """Return what is expected of every takeover from a victim that is gone, or cut off, until then.

    Once it is back it may have recovered within a moment: that it answers nobody before it has a grant is expected of
    every case.
    """
    silent = Silent(VICTIM, HELD, until=(until, 0.0))
    return TakesOver(SURVIVOR), Verdicts(("Ordered", "Executed")), Serves(SURVIVOR), silent


BACK = Reaches(VICTIM, FailoverState.RECOVER, since=("mend", 0.0))
"""The victim comes back as one that takes everything from the survivor."""

_NOTHING = (NoTakeover(), Serves(SURVIVOR), Untouched(SURVIVOR))
_SOON = 20.0  # seconds for the longest way to a takeover: delay, T and what the operator needs


def _taken_over(name: str, says: str, fault: Do, *, thaw: Do | None = None, nearest: bool = False) -> Case:
    """Return a case with a fault that leads to a takeover, lasts beyond it, and may be over before the mending."""
    steps: tuple[Do | Wait | Until, ...] = (fault, takeover(SURVIVOR, _SOON), Wait(4))
    if thaw is not None:
        steps = (*steps, thaw, Wait(4))
    expects = (*taken_over(), BACK) if thaw is None else taken_over("thaw")
    return Case(name, says, steps, expects, nearest=nearest)


CASES = (
    Case(
        "dhcpd-killed",
        "The daemon is killed: the guard starts it again under the same permit, and it resumes.",
        (kill(VICTIM, DHCPD), Wait(6)),
        _NOTHING,
    ),
    Case(
        "sidecar-killed",
        "The sidecar is killed: the daemon does not notice.",
        (kill(VICTIM, SIDECAR), Wait(6)),
        (*_NOTHING, Untouched(VICTIM), Serves(VICTIM)),
    ),
    Case(
        "guard-killed",
        "The guard is killed, and its daemon dies with it: the container starts again, and the server resumes.",
        (kill(VICTIM, GUARD), Wait(6)),
        _NOTHING,
    ),
    Case(
        "pod-killed",
        "Everything in a pod is killed: the kubelet starts it again, and the server resumes.",
        (kill_pod(VICTIM), Wait(6)),
        _NOTHING,
    ),
    Case(
        "pod-deleted",
        "A pod is deleted: the server stops cleanly, gives its grant back, and its next pod resumes.",
        (delete_pod(VICTIM), Wait(8)),
        _NOTHING,
    ),
    Case(
        "quick-restart",
        "The configuration changes: one server after the other starts anew, each from normal.",
        (change_pool(), Wait(12)),
        (NoTakeover(),),
    ),
    Case(
        "planned-stop",
        "The user asks for a server to be stopped: the other takes over without waiting for T.",
        (maintain(VICTIM, wanted=True), takeover(SURVIVOR, 6.0), Wait(4)),
        (TakesOver(SURVIVOR), Serves(SURVIVOR), Silent(VICTIM, ("fault", 3.0))),
        mending=(maintain(VICTIM, wanted=False),),
    ),
    _taken_over("node-power-off", "A node loses its power.", power_off(VICTIM)),
    _taken_over(
        "node-frozen",
        "A node is frozen, and thawed after the takeover: what it had queued goes nowhere.",
        freeze_node(VICTIM),
        thaw=thaw_node(VICTIM),
        nearest=True,
    ),
    _taken_over(
        "pod-frozen",
        "A pod is frozen, and thawed after the takeover.",
        freeze_pod(VICTIM),
        thaw=thaw_node(VICTIM),
    ),
    _taken_over(
        "sidecar-frozen",
        "A sidecar is frozen: nobody renews, and the guard ends the daemon at its deadline.",
        freeze(VICTIM, SIDECAR),
        thaw=thaw_node(VICTIM),
    ),
    Case(
        "dhcpd-frozen",
        "A daemon is frozen beside a sidecar that lives, and thawed long after: no stale answer does harm.",
        (freeze(VICTIM, DHCPD), Wait(16), thaw_node(VICTIM), Wait(4)),
        (Serves(SURVIVOR),),
    ),
    Case(
        "node-frozen-shortly",
        "A node is frozen until its permit has ended, but not until the takeover: it needs a grant, and resumes.",
        (freeze_node(VICTIM), Wait(5.5), thaw_node(VICTIM), Wait(3)),
        (NoTakeover(), Serves(SURVIVOR), Silent(VICTIM, HELD, until=("thaw", 0.0)),
         NeedsGrant(VICTIM, ("thaw", 0.0))),
    ),
    Case(
        "site-power-off",
        "Both nodes lose their power out of normal, and get it back: both resume.",
        (power_off(VICTIM), power_off(SURVIVOR), Wait(3), power_on(SURVIVOR), power_on(VICTIM), Wait(5)),
        (NoTakeover(),),
        back=60,
    ),
    Case(
        "site-power-off-apart",
        "One node loses its power, and then the other: who served last starts first, in partner-down.",
        (power_off(VICTIM), reaches(SURVIVOR, FailoverState.COMMUNICATIONS_INTERRUPTED, 8.0), Wait(2),
         power_off(SURVIVOR), Wait(3), power_on(SURVIVOR), power_on(VICTIM), Wait(5)),
        (Reaches(SURVIVOR, FailoverState.PARTNER_DOWN, since=("power-on", 0.0)),
         Reaches(VICTIM, FailoverState.RECOVER, since=("power-on", 0.0))),
        back=60,
    ),
    Case(
        "survivor-restarts",
        "The survivor's node loses its power while it is alone, and gets it back: it is the survivor again.",
        (power_off(VICTIM), takeover(SURVIVOR, _SOON), power_off(SURVIVOR).at("second"), Wait(3), power_on(SURVIVOR),
         reaches(SURVIVOR, FailoverState.UNKNOWN, 20.0, "asks"),
         reaches(SURVIVOR, FailoverState.PARTNER_DOWN, 20.0, "again"), Wait(3)),
        (TakesOver(SURVIVOR), BACK),
        back=60,
    ),
    Case(
        "survivor-dies-during-return",
        "The survivor's node loses its power while the other returns: that one takes over at the stop plus MCLT.",
        (power_off(VICTIM), takeover(SURVIVOR, _SOON), Wait(2), power_on(VICTIM),
         reaches(VICTIM, FailoverState.RECOVER_WAIT, 25.0, "waits"), power_off(SURVIVOR).at("second"),
         takeover(VICTIM, 40.0).marked("second-takeover"), Wait(3)),
        # No order: it lost its partner before it was normal, stops, and is started as survivor.
        (TakesOver(SURVIVOR), Reaches(VICTIM, FailoverState.PARTNER_DOWN, since=("second", 0.0), earliest=Times().mclt),
         Serves(VICTIM, since=("second-takeover", 1.0))),
        times=Times(alone=6),
        back=60,
    ),
)  # fmt: skip
