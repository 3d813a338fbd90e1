"""What is explored, and the removals of rules that must be found out."""

from typing import NamedTuple

from tests.model.explore import Limits
from tests.model.state import AFTER
from tests.model.world import Scenario
from twinlease.model.states import Role

P, S = Role.PRIMARY, Role.SECONDARY


def _near(name: str, **what: object) -> Scenario:
    """Return a scenario in which one sidecar and the operator are prompt: it reaches far."""
    return Scenario(name)._replace(**{"prompt": (P,), "asking": (S,), "quick": True, **what})  # type: ignore[arg-type]


CUT = ("cut",)
BOUNDED: tuple[Scenario, ...] = (
    _near(
        "secondary cut off for good, its promises, primary's sidecar dies",
        faults=2,
        world=CUT,
        offline=(S,),
        on=(("sidecar",), ()),
    ),
    _near(
        "secondary cut off for good, primary's node dies and its disk is lost",
        faults=2,
        offline=(S,),
        on=(("power", "lost"), ()),
    ),
    _near("link cut", faults=1, world=CUT),
    _near("link cut, the other way round", faults=1, world=CUT, prompt=(S,), asking=(P,)),
    _near("link cut, drift", faults=1, world=CUT, drift=True),
    _near("link cut, slow writes and messages", faults=1, slow=2, world=CUT),
    _near("link cut twice", faults=2, world=CUT),
    _near("secondary's node dies", faults=2, world=CUT, on=((), ("power",))),
    _near("survivor's node dies", faults=2, world=CUT, on=(("power",), ())),
    _near("either node dies", faults=2, on=(("power",), ("power",))),
    _near("secondary's disk is lost or rolled back", faults=2, on=((), ("power", "stale", "lost"))),
    _near("survivor's disk is lost or rolled back", faults=3, world=CUT, on=(("power", "stale", "lost"), ())),
    _near("secondary freezes", faults=2, world=CUT, on=((), ("freeze",))),
    _near("second pod beside the first", faults=2, world=CUT, on=((), ("pod",))),
    _near("daemon and sidecar die", faults=2, on=(("daemon", "sidecar"), ("daemon", "sidecar"))),
    _near("two operators, one of them stale", faults=1, world=("cut", "two operators"), quick=False),
    _near(
        "another operator leads, the watch is late",
        faults=2,
        world=("cut", "operator", "late watch"),
        prompt=(),
        quick=False,
    ),
    _near("human and taint", faults=2, world=("cut", "human"), on=((), ("power",))),
    _near("first boot", faults=1, begin="first", on=((), ("power",))),
    Scenario("link cut, nobody is prompt", faults=1, world=CUT),
    Scenario("either node dies, nobody is prompt", faults=1, on=(("power",), ("power",))),
)


_T, _RENEWS = "- tick", "primary: renews"
_OVERTAKEN = (
    *(
        "primary: sends a renewal",
        "secondary: THE NODE LOSES",
        "primary: notices",
        _RENEWS,
        "operator: Nothing: NotYet",
    ),
    *(_T, _RENEWS) * AFTER,
    *("operator: Order", "primary: reads", "primary: obeys", _RENEWS, "primary: a delayed write arrives"),
    *("secondary: the node is back", "secondary: reads", "secondary: asks", *(_T,) * 5, "secondary: asks", _T, _T),
    *("operator: Grant: Surv", "secondary: reads", "secondary: confirms"),
)
"""A survivor's write from before its permit was prolonged comes late: it seems to be over before it is."""
_ASKS, _LONG = "secondary: asks for a promise and gets it", "secondary: asks for a long"
_REPLAYED = (
    *(
        "link: THE LINK",
        "primary: notices",
        _RENEWS,
        "operator: Nothing: NotYet",
        _ASKS,
        _T,
        _RENEWS,
        _ASKS,
        _T,
        _RENEWS,
    ),
    *(_LONG, "secondary: renews", "secondary: sends a renounce", _T, _RENEWS, _ASKS, _T, _RENEWS, _LONG, _T, _RENEWS),
    *("primary: a renounce", *(_RENEWS, _T) * 5, _RENEWS, "operator: Order", "primary: reads", "primary: obeys"),
)
"""A renounce that is overtaken by a question for a long promise shortens the promise that was given for that."""


class Removal(NamedTuple):
    """A rule, or rules that cover for each other, and where their absence is found out."""

    rules: tuple[str, ...]
    scenario: Scenario
    covered: str = ""
    """Why nothing is found within the bounds; empty: a counterexample must be found."""
    path: tuple[str, ...] = ()
    """How the events of the shortest known counterexample begin, where a search does not reach as far."""


REMOVALS: tuple[Removal, ...] = (
    Removal(("D + epsilon",), _near("", world=CUT)),
    Removal(("epsilon",), _near("", world=CUT, drift=True, asking=())),
    Removal(("margin K",), _near("", world=CUT, drift=True, offline=(S,))),
    Removal(("promise + epsilon",), _near("", world=CUT, drift=True, offline=(S,))),
    Removal(("compare-and-swap",), _near("", world=("cut", "two operators"), asking=(), quick=False)),
    Removal(("conditional renewal", "no revival"), _near("", world=CUT, asking=())),
    Removal(("conditional renewal",), _near("", world=CUT, asking=()), "a lapsed process is never revived"),
    Removal(("no revival",), _near("", world=CUT, on=((), ("freeze",)), asking=())),
    Removal(("recover-only return",), _near("", world=CUT)),
    Removal(("resume only from normal",), _near("", world=CUT)),
    Removal(("answer before re-grant",), _near("", world=CUT)),
    Removal(("start in the same object",), _near("", world=CUT)),
    Removal(("operator-only grants",), _near("", world=CUT)),
    Removal(("release only when dead",), _near("", faults=0, asking=())),
    Removal(("proof of stop",), _near("", on=((), ("pod",)), asking=())),
    Removal(("kernel fence",), _near("", faults=2, world=CUT, on=((), ("freeze",)), asking=())),
    Removal(("clock that counts",), _near("", faults=2, world=CUT, on=((), ("freeze",)), asking=())),
    Removal(("operator waits for promises", "order waits for promises"), _near("", world=CUT)),
    Removal(("operator waits for promises",), _near("", world=CUT), "the order itself waits"),
    Removal(("order waits for promises",), _near("", world=CUT), "the operator waits"),
    Removal(("fsync of long promise",), _near("", faults=2, world=CUT, on=(("sidecar",), ()), offline=(S,))),
    Removal(("reborn",), _near("", faults=2, world=CUT, on=(("sidecar",), ()), offline=(S,))),
    Removal(("renounce in force first",), _near("", world=CUT)),
    Removal(("lineage check",), _near("", faults=2, on=((), ("power", "stale", "lost")), asking=())),
    Removal(
        ("lost-disk assumption",),
        _near("", faults=2, on=(("power", "lost"), ()), offline=(S,)),
        "whose disk is lost is no survivor",
    ),
    Removal(("count from sending", "epsilon"), _near("", slow=1, world=CUT, asking=())),
    Removal(("epsilon",), _near("", slow=1, world=CUT, asking=()), "no drift here; for the one above"),
    Removal(
        ("a write tests its predecessor",),
        Scenario("", slow=1, on=((), ("power",)), asking=()),
        path=_OVERTAKEN,
    ),
    Removal(("replay protection",), Scenario("", slow=1, world=CUT, asking=(S,)), path=_REPLAYED),
    Removal(
        ("promise refusal after order", "file says partner-down"),
        _near("", world=CUT),
        "a lapsed process is never revived",
    ),
    Removal(("same interruption", "order consumed once"), _near("", faults=2, world=CUT), "no grant before the answer"),
    Removal(
        ("unknown lineage",),
        _near("", faults=2, world=CUT, on=(("power", "lost"), ())),
        "a survivor without its database gives nothing to the one that returns",
    ),
)

QUICK = Limits(states=8_000, seconds=60)
NORMAL = Limits(states=150_000, seconds=120)
FAR = Limits(states=600_000, seconds=240)
"""For a removal that must be found out."""
BRIEF = Limits(states=30_000, seconds=60)
"""For a removal of which nothing is expected."""
DEEP = Limits(states=6_000_000, seconds=3600)
SAMPLE = 60
"""States of each scenario from which the pair has to come back."""
