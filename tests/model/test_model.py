"""The model in brief: nothing unsafe nearby, and rules whose absence is found out within a few thousand states."""

import pytest

from tests.model.__main__ import explore_and_settle, readable, removal
from tests.model.catalogue import BOUNDED, QUICK, REMOVALS, Removal
from tests.model.explore import follow
from tests.model.fair import WAITS
from tests.model.world import Scenario, World

NEARBY = {
    ("D + epsilon",),
    ("recover-only return",),
    ("resume only from normal",),
    ("answer before re-grant",),
    ("operator-only grants",),
    ("release only when dead",),
    ("no revival",),
    ("proof of stop",),
    ("kernel fence",),
    ("clock that counts",),
    ("lineage check",),
    ("operator waits for promises", "order waits for promises"),
}
SHORT = BOUNDED[:8]


@pytest.mark.parametrize("scenario", SHORT, ids=lambda each: each.name)
def test_nothing_nearby_breaks_an_invariant(scenario: Scenario) -> None:
    found, ends = explore_and_settle(scenario, QUICK, 20)
    assert not found.violation, "\n".join(readable(found))
    assert found.states > 1000, "the scenario goes nowhere"
    assert ends["Normal"] > 0
    assert set(ends) <= {"Normal", *WAITS}


@pytest.mark.parametrize(
    "each", [each for each in REMOVALS if each.rules in NEARBY or each.path], ids=lambda each: ", ".join(each.rules)
)
def test_the_absence_of_a_rule_is_found_out(each: Removal) -> None:
    assert removal(each, deep=False).violation


@pytest.mark.parametrize("each", [each for each in REMOVALS if each.path], ids=lambda each: ", ".join(each.rules))
def test_the_rule_stops_it(each: Removal) -> None:
    world = World(each.scenario)
    gone = follow(world.start(), world.successors, world.broken, each.path)
    assert not gone.violation
    assert len(gone.trace) < len(each.path), "the way was not barred"
