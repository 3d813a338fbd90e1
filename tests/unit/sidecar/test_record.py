"""What a record beside the leases is worth to a pair that was applied again under the name of an earlier one."""

from msgspec.structs import replace

from twinlease.api.servinglease import Answer, Answered
from twinlease.sidecar.record import Record, for_pair

USED = Record(
    id="d",
    counter=7,
    newest=100,
    pair="old",
    epoch=10,
    consumed=8,
    answered=Answered(epoch=8, result=Answer.EXECUTED),
    interruption=3,
    long_promise=True,
    short_seconds=240,
    long_seconds=1800,
)


def test_epochs_and_orders_of_an_earlier_pair_are_nothing_to_one_that_counts_anew() -> None:
    kept = replace(USED, pair="new", epoch=0, consumed=0, answered=Answered())
    assert for_pair(USED, "new", 0) == kept, "leases, their name and promises stay"


def test_where_the_serving_lease_was_kept_it_goes_on_counting() -> None:
    assert for_pair(USED, "new", 10) == replace(USED, pair="new")
    assert for_pair(USED, "new", 12) == replace(USED, pair="new")


def test_the_same_pair_remembers_so_that_a_rolled_back_api_is_noticed() -> None:
    assert for_pair(USED, "old", 3) == USED
    assert for_pair(USED, "", 3) == USED, "nobody knows of which pair it is"
    unknown = replace(USED, pair="")
    assert for_pair(unknown, "new", 3) == replace(unknown, pair="new"), "it may well be of this pair"


def test_a_serving_lease_that_knows_the_database_is_a_rolled_back_one_whatever_pair_it_is_with() -> None:
    assert for_pair(USED, "new", 3, "d") == replace(USED, pair="new"), "both came out of a backup, under another UID"
    assert for_pair(USED, "new", 3, "other").consumed == 0
    assert for_pair(replace(USED, id=""), "new", 3, "").consumed == 0
