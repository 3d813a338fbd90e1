"""What is said of a pair's wall clocks."""

import pytest

from tests.unit.decide.views import PRIMARY, SECONDARY, asking, quiet
from twinlease.controller import agreement
from twinlease.controller.snapshot import Snapshot
from twinlease.decide.pairview import View

NOBODY = Snapshot(namespace="ns", name="lan", pair=None)
SKEWED = asking(quiet(), SECONDARY, skew_millis=50_000, reason="ClockStepped")
DRIFTED = asking(quiet(), SECONDARY, skew_millis=-4_000, reason="ClocksDiffer")


@pytest.mark.parametrize(
    ("view", "offset", "status", "reason", "says"),
    [
        (None, None, "Unknown", "NotMeasured", "do not hear each other"),
        (quiet(), None, "Unknown", "NotMeasured", "do not hear each other"),
        (quiet(), 0.0, "True", "Agree", "within 1 s"),
        (quiet(), -1.0, "True", "Agree", "within 1 s"),
        (quiet(), -1.1, "False", "Differ", "lan-secondary is 1.1 s behind that of lan-primary. From 3 s on"),
        (quiet(), 2.9, "False", "Differ", "lan-primary is 2.9 s behind that of lan-secondary. From 3 s on"),
        (SKEWED, -50.0, "False", "ClockStepped", "lan-secondary stopped, for its wall clock stepped"),
        (SKEWED, None, "False", "ClockStepped", "is not known"),
        (DRIFTED, 4.0, "False", "Differ", "lan-secondary does not serve beside a partner"),
        (asking(quiet(), PRIMARY), 0.0, "True", "Agree", "within 1 s"),
    ],
)
def test_what_is_said(view: View | None, offset: float | None, status: str, reason: str, says: str) -> None:
    said = agreement.told("lan", view, offset)
    assert (said.type, said.status, said.reason) == ("ClocksAgree", status, reason)
    assert says in said.message
    assert ("Keep time on both nodes" in said.message) == (status == "False")


def test_an_asking_server_tells_by_how_much() -> None:
    assert agreement.measured(NOBODY, quiet()) is None
    assert agreement.measured(NOBODY, SKEWED) == -50.0
    assert agreement.measured(NOBODY, asking(quiet(), PRIMARY, skew_millis=-50_000)) == -50.0
