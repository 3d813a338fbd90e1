"""Bounds are raised at once and lowered late; dates are never too early."""

import pytest
from msgspec.structs import replace

from tests.unit.decide.views import NOW, PRIMARY, SECONDARY, grant, own, quiet
from twinlease.api.servinglease import Bound, Lineage
from twinlease.decide import dates
from twinlease.decide.dates import Clocks
from twinlease.decide.pairview import View

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
    assert dates.bound(old, wanted, Clocks(earliest=now, latest=now), settled=settled) == expected


def test_a_wait_begins_by_the_latest_clock_and_ends_by_the_earliest() -> None:
    began = dates.bound(Bound(duration="1h"), 60, Clocks(earliest=NOW - 500, latest=NOW), settled=True)
    assert began.until == UNTIL
    stepped = Clocks(earliest=NOW + 5, latest=NOW + 9000)
    assert dates.bound(began, 60, stepped, settled=True) == began


def test_a_date_that_a_clock_set_ahead_wrote_is_put_right_and_waited_for_in_full() -> None:
    ahead = Bound(duration="1h", until=dates.text(NOW + 9_000_000))
    assert dates.bound(ahead, 60, Clocks(earliest=NOW, latest=NOW), settled=True).until == UNTIL
    nearly = Bound(duration="1h", until=dates.text(NOW + 3600 + dates.SLACK))
    assert dates.bound(nearly, 60, Clocks(earliest=NOW, latest=NOW), settled=True) == nearly


CONFIRMED = dates.seconds("2027-01-15T07:59:00Z")


@pytest.mark.parametrize(
    ("view", "now", "earliest", "latest"),
    [
        (quiet(), CONFIRMED + 5, CONFIRMED + 5, CONFIRMED + 9),
        (quiet(), CONFIRMED + 86_400, CONFIRMED + 5, CONFIRMED + 86_400),
        (quiet(), 0.0, 0.0, CONFIRMED + 9),
        (grant(quiet(), PRIMARY, holder=""), CONFIRMED + 86_400, CONFIRMED + 9, CONFIRMED + 86_400),
        (own(quiet(), SECONDARY, lineage=Lineage()), CONFIRMED + 86_400, CONFIRMED + 5, CONFIRMED + 86_400),
        (grant(grant(quiet(), PRIMARY, holder=""), SECONDARY, holder=""), NOW, float("-inf"), NOW),
    ],
)
def test_one_wrong_clock_among_those_who_serve_ends_no_wait(
    view: View, now: float, earliest: float, latest: float
) -> None:
    found = dates.clocks(view.lease, {PRIMARY: 5.0, SECONDARY: 9.0}, now)
    assert found == Clocks(earliest=earliest, latest=latest)


def test_without_a_serving_lease_no_date_has_come() -> None:
    assert dates.clocks(None, {}, NOW) == Clocks(earliest=float("-inf"), latest=NOW)


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
