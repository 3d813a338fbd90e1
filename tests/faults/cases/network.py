"""Cases in which traffic is lost: with the API, between the servers, on the LAN."""

from tests.faults.actions import (
    cut,
    cut_api_for_all,
    freeze_api,
    heal,
    heal_api_for_all,
    power_off,
    reaches,
    split_lan,
    takeover,
    thaw_api,
    verdict,
)
from tests.faults.case import SURVIVOR, VICTIM, Case, Do, Step, Times, Wait
from tests.faults.cases.processes import HELD, taken_over
from tests.faults.expect import NoTakeover, Serves, Silent, TakesOver, Untouched, Verdicts
from tests.lab.switch import Direction
from twinlease.model.states import FailoverState

_K = 1.0
_PROMISED = Times().max_promise - _K
_ALONE = Times().alone - _K
_BOTH_SERVE = (NoTakeover(), Serves(VICTIM), Serves(SURVIVOR), Untouched(VICTIM), Untouched(SURVIVOR))
_SOON = 20.0


def _peer_cut(name: str, says: str, one_way: Direction | None) -> Case:
    """Return a case in which both go on apart, each with the API: nobody may take over, however long it lasts."""
    return Case(
        name,
        f"The link between the servers is cut{says}: both serve on, and nobody takes over.",
        (cut(VICTIM, "peer", one_way=one_way), verdict("WaitingForEvidence", 18.0), Wait(6)),
        (*_BOTH_SERVE, Verdicts(("NotYet", "WaitingForEvidence"), never=("Ordered",))),
    )


def _flaps(times: int) -> tuple[Step, ...]:
    """Return a link between the servers that goes and comes."""
    once: tuple[Step, ...] = (cut(VICTIM, "peer").at("flap"), Wait(1.5), heal(VICTIM, "peer"), Wait(1.5))
    long: tuple[Step, ...] = (cut(VICTIM, "peer").at("flap"), Wait(4.5), heal(VICTIM, "peer"), Wait(1.5))
    return (once + long) * times


def _split(name: str, says: str, fault: Do) -> Case:
    return Case(name, says, (fault, takeover(SURVIVOR, _SOON), Wait(6)), taken_over(), nearest=True)


CASES = (
    Case(
        "api-cut-one",
        "A server loses the API: its partner's promise carries it for as long as that lasts.",
        (cut(VICTIM, "api"), Wait(20)),
        _BOTH_SERVE,
    ),
    Case(
        "api-cut-all",
        "Every node loses the API: the promises of both carry both.",
        (cut_api_for_all(), Wait(20)),
        _BOTH_SERVE,
    ),
    Case(
        "api-frozen",
        "The API server hangs, with all connections open: the promises of both carry both.",
        (freeze_api(), Wait(18), thaw_api()),
        _BOTH_SERVE,
        back=60,
    ),
    _peer_cut("peer-cut", "", None),
    _peer_cut("peer-cut-in", " for what comes in to one", "in"),
    _peer_cut("peer-cut-out", " for what goes out from one", "out"),
    Case(
        "isolated",
        "A server loses API and partner at once: it serves the LAN until its deadline, and then the other takes over.",
        (cut(VICTIM, "api", "peer"), takeover(SURVIVOR, _SOON), Wait(6)),
        (*taken_over(), Serves(VICTIM, since=("fault", 0.0), until=("fault", 3.0), gap=2.5)),
        nearest=True,
    ),
    _split("lan-split-victim-without-api", "The LAN parts in two, and one half has no API: the other takes over.",
           split_lan(VICTIM)),
    Case(
        "lan-split",
        "The LAN parts in two, and both halves have the API: both serve on, and nobody takes over.",
        (split_lan(), verdict("WaitingForEvidence", 18.0), Wait(8)),
        (*_BOTH_SERVE, Verdicts(("NotYet", "WaitingForEvidence"), never=("Ordered",))),
    ),
    Case(
        "lan-cut",
        "A server loses the LAN, and with it its partner, but not the API: it answers nobody, and is not taken over.",
        (cut(VICTIM, "lan", "peer"), verdict("WaitingForEvidence", 18.0), Wait(4)),
        (NoTakeover(), Serves(SURVIVOR), Untouched(SURVIVOR)),
    ),
    Case(
        "promise",
        "A server loses the API, and then its partner dies: it serves on until the long promise ends.",
        (cut(VICTIM, "api"), Wait(6), power_off(SURVIVOR).at("death"), Wait(18)),
        (NoTakeover(until=("mend", 0.0)), Serves(VICTIM, until=("death", 8.0)), Silent(VICTIM, ("death", _PROMISED))),
        nearest=True,
        back=60,
    ),
    Case(
        "promise-all",
        "Every node loses the API, and then one server dies: the other serves on until the long promise ends.",
        (cut_api_for_all(), Wait(6), power_off(SURVIVOR).at("death"), Wait(18), heal_api_for_all(), Wait(2)),
        (Serves(VICTIM, until=("death", 8.0)), Silent(VICTIM, ("death", _PROMISED), until=("heal", 0.0))),
        back=60,
    ),
    Case(
        "alone-api-cut",
        "The survivor alone loses the API for less than it may serve without: it serves on.",
        (power_off(VICTIM), takeover(SURVIVOR, _SOON), Wait(2), cut_api_for_all().at("outage"), Wait(14),
         heal_api_for_all(), Wait(4)),
        (*taken_over(), Untouched(SURVIVOR, since=("outage", 0.0))),
    ),
    Case(
        "alone-api-cut-long",
        "The survivor alone loses the API for longer than it may serve without: it stops, and is the survivor again.",
        (power_off(VICTIM), takeover(SURVIVOR, _SOON), Wait(2), cut_api_for_all().at("outage"), Wait(24),
         heal_api_for_all(), reaches(SURVIVOR, FailoverState.PARTNER_DOWN, 20.0, "again"), Wait(2)),
        (TakesOver(SURVIVOR), Serves(SURVIVOR, until=("outage", 14.0)),
         Silent(SURVIVOR, ("outage", _ALONE), until=("heal", 0.0))),
        back=60,
    ),
    Case(
        "link-flaps-without-api",
        "The link between the servers goes and comes while nobody has the API: no interruption adds to another.",
        (cut_api_for_all(), Wait(2), *_flaps(2), heal_api_for_all(), Wait(4)),
        (NoTakeover(), Serves(VICTIM), Serves(SURVIVOR)),
    ),
    Case(
        "link-flaps",
        "The link between the servers goes and comes, each time for less than T: nobody takes over.",
        (*_flaps(3), Wait(2)),
        _BOTH_SERVE,
    ),
    Case(
        "isolated-and-back",
        "A server loses API and partner, and has them back before T: it resumes, or takes over from its partner.",
        (cut(VICTIM, "api", "peer"), Wait(6.5), heal(VICTIM, "api", "peer"), Wait(4)),
        (Serves(SURVIVOR), Silent(VICTIM, HELD, until=("heal", 0.0))),
    ),
    Case(
        "isolation-serve",
        "Servers that serve without end lose each other: silence is never evidence, a human's word is.",
        (power_off(VICTIM), verdict("WaitingForEvidence", 20.0), Wait(6)),
        (NoTakeover(until=("mend", 0.0)), Serves(SURVIVOR)),
        spec={"isolation": "Serve"},
    ),
)  # fmt: skip
