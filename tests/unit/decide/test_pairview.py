"""How long what a server wrote is believed."""

import pytest

from tests.unit.decide.views import SECONDARY, asking, own, policy, quiet, sight
from twinlease.api.servinglease import InForce
from twinlease.decide.permit import ASKING_PERIOD


@pytest.mark.parametrize("duration", [5.0, 240.0, 3600.0])
def test_who_asks_is_believed_from_one_write_to_the_next_whatever_the_permits_are(duration: float) -> None:
    view = policy(asking(quiet(), SECONDARY), duration=duration)
    assert sight(view, SECONDARY, age=ASKING_PERIOD + 1.0).asks(SECONDARY)
    assert not sight(view, SECONDARY, age=3 * ASKING_PERIOD).asks(SECONDARY)


def test_who_serves_is_believed_for_two_renewals_of_what_is_in_force() -> None:
    view = own(quiet(), SECONDARY, in_force=InForce(epoch=2, duration="30s"))
    assert sight(view, SECONDARY, age=10.5).fresh(SECONDARY)
    assert not sight(view, SECONDARY, age=11.5).fresh(SECONDARY)
