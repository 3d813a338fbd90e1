"""Bounds are raised at once and lowered late; dates are never too early."""

import pytest
from msgspec.structs import replace

from tests.unit.decide.views import NOW, PRIMARY, SECONDARY, own, quiet
from twinlease.api.servinglease import Bound, Lineage
from twinlease.decide import dates

UNTIL = dates.text(NOW + 3600)


@pytest.mark.parametrize(
    ("old", "wanted", "now", "settled", "expected"),
    [
        (Bound(), 60, NOW, False, Bound(duration="1m")),
        (Bound(duration="1m"), 120, NOW, False, Bound(duration="2m")),
        (Bound(duration="1h"), 3600, NOW, True, Bound(duration="1h")),
        (Bound(duration="1h", until=UNTIL), 3600, NOW, True, Bound(duration="1h")),
        (Bound(duration="1h"), 60, NOW, False, Bound(duration="1h")),
        (Bound(duration="1h"), 60, NOW, True, Bound(duration="1h", until=UNTIL)),
        (Bound(duration="1h", until=UNTIL), 60, NOW + 3599, True, Bound(duration="1h", until=UNTIL)),
        (Bound(duration="1h", until=UNTIL), 60, NOW + 3600, True, Bound(duration="1m")),
        (Bound(duration="1h", until=UNTIL), 60, NOW + 3600, False, Bound(duration="1h")),
    ],
)
def test_a_bound(old: Bound, wanted: int, now: float, *, settled: bool, expected: Bound) -> None:
    assert dates.bound(old, wanted, now, settled=settled) == expected


def test_a_date_is_rounded_up_and_read_back() -> None:
    assert dates.text(NOW + 0.1) == dates.text(NOW + 1) == "2027-01-15T08:00:01Z"
    assert dates.seconds(dates.text(NOW)) == NOW
    assert dates.seconds("") == 0


def test_the_last_lease_ends_a_permit_and_a_lease_after_the_last_confirmed_write() -> None:
    assert dates.last_lease_ends(quiet()) == dates.seconds("2027-01-15T07:59:00Z") + 1800 + 3600


def test_what_a_server_confirmed_counts_until_it_confirms_something_shorter() -> None:
    longer = replace(quiet().own(SECONDARY).in_force, duration="2h")
    assert dates.last_lease_ends(own(quiet(), SECONDARY, in_force=longer)) == dates.last_lease_ends(quiet()) + 5400


def test_without_any_record_no_date_is_late_enough() -> None:
    view = own(own(quiet(), PRIMARY, lineage=Lineage()), SECONDARY, lineage=Lineage())
    assert dates.last_lease_ends(view) > view.now
