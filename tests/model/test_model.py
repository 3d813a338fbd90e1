"""The model in brief: nothing unsafe nearby, and rules whose absence is found out within a few thousand states."""

import pytest

from tests.model.__main__ import explore, readable
from tests.model.catalogue import BOUNDED, FAR, QUICK, REMOVALS, Removal
from tests.model.world import Scenario

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
    ("compare-and-swap",),
    ("lineage check",),
    ("operator waits for promises", "order waits for promises"),
}
SHORT = BOUNDED[:8]


@pytest.mark.parametrize("scenario", SHORT, ids=lambda each: each.name)
def test_nothing_nearby_breaks_an_invariant(scenario: Scenario) -> None:
    found = explore(scenario, (), QUICK)
    assert not found.violation, "\n".join(readable(found))
    assert found.states > 1000, "the scenario goes nowhere"


@pytest.mark.parametrize(
    "removal", [each for each in REMOVALS if each.rules in NEARBY], ids=lambda each: ", ".join(each.rules)
)
def test_the_absence_of_a_rule_is_found_out(removal: Removal) -> None:
    assert explore(removal.scenario, removal.rules, FAR).violation
