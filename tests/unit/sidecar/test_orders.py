"""Whether the partner is promised anything: what an order forbids, and what allows it again."""

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import GRANT, NEW, NORMAL, OWN, RECORD, guard, lease, observed
from twinlease.sidecar.database import Found
from twinlease.sidecar.observed import LastLease, LeaseObject, Observed
from twinlease.sidecar.orders import promises_nothing

OBEYED = Found(record=replace(RECORD, consumed=4), readable=True)
RETURNED = lease(GRANT, OWN)
UNREAD = LastLease()


def runs(held: LeaseObject | None, remembered: LastLease = UNREAD) -> Observed:
    return observed(guard=guard(NEW), failover=NORMAL, found=OBEYED, lease=held, remembered=remembered)


def test_who_obeyed_an_order_promises_again_once_its_partner_has_returned() -> None:
    assert not promises_nothing(runs(RETURNED))
    assert promises_nothing(runs(lease(GRANT, OWN, survivor="primary"))) == "OrderConsumed"
    assert promises_nothing(runs(lease(GRANT, OWN, epoch=3))) == "OrderConsumed"


def test_so_does_a_sidecar_that_begins_anew_without_the_api() -> None:
    """Else an outage of the API after which both of them began anew would silence the pair."""
    assert not promises_nothing(runs(None, runs(RETURNED).last_lease))


@pytest.mark.parametrize("last", [UNREAD, LastLease(epoch=3), LastLease(epoch=5, survivor="primary")], ids=str)
def test_but_not_if_an_order_may_be_in_force(last: LastLease) -> None:
    assert promises_nothing(runs(None, last)) == "OrderConsumed"
