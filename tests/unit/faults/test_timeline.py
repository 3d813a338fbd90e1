"""What follows from the changes that were seen: verdicts, revocations, and when a takeover was possible."""

import pytest

from tests.faults.timeline import LEASE, Change, Timeline, change
from tests.unit.faults.seen import asking, in_partner_down, interrupted, lease, timeline
from twinlease.api.servinglease import ServingLeaseSpec
from twinlease.model.states import FailoverState, Role

PRIMARY, SECONDARY = Role.PRIMARY, Role.SECONDARY


def test_a_serving_lease_is_read_as_the_api_has_it() -> None:
    seen = change(1.0, LEASE, "lan", {"spec": {"epoch": 3, "servers": {"primary": {"grant": {"holder": "a/b"}}}}})
    assert isinstance(seen.lease, ServingLeaseSpec)
    assert (seen.lease.epoch, seen.lease.servers.primary.grant.holder) == (3, "a/b")
    assert change(2.0, LEASE, "lan", None).lease is None


def test_verdicts_are_told_once_and_begin_with_the_one_in_force() -> None:
    seen = timeline({}, {1.0: "Normal", 2.0: "NotYet", 3.0: "NotYet", 4.0: "Ordered", 5.0: "NotYet"})
    assert [reason for _, reason in seen.verdicts()] == ["Normal", "NotYet", "Ordered", "NotYet"]
    assert seen.verdicts(3.5) == [(2.0, "NotYet"), (4.0, "Ordered"), (5.0, "NotYet")]


def test_revocations_are_spans_up_to_the_next_grant() -> None:
    seen = timeline({1.0: lease(), 10.0: lease(revoked=SECONDARY), 20.0: lease(), 30.0: lease(revoked=PRIMARY)})
    assert seen.revoked(SECONDARY) == [(10.0, 20.0)]
    assert seen.revoked(PRIMARY) == [(30.0, float("inf"))]
    assert timeline({1.0: lease(revoked=SECONDARY), 2.0: lease()}).revoked(SECONDARY) == []


@pytest.mark.parametrize(
    ("renewed", "promise", "threshold"),
    [
        (0.5, 0, 9.0),  # interrupted since 1.0, for 8 s
        (4.5, 0, 10.55),  # silent for 5 s and margin
        (0.5, 10, 12.0),  # promised at 2.0, for 10 s
    ],
)
def test_a_takeover_is_possible_once_the_last_condition_holds(renewed: float, promise: int, threshold: float) -> None:
    last = interrupted(0, renewal=7)
    seen = timeline({
        0.0: lease(),
        renewed: lease(secondary=last),
        **({2.0: lease(interrupted(1000, promise=promise), last)} if renewed < 2 else {}),
        5.0: lease(interrupted(4000, renewal=2), last),
        13.0: lease(interrupted(4000, renewal=2), last, revoked=SECONDARY),
    })  # fmt: skip
    (found,) = seen.takeovers(after=8.0)
    assert found.survivor is PRIMARY
    assert found.ordered == 13.0
    assert found.threshold == pytest.approx(threshold)


def test_a_partner_that_asks_shortens_the_wait() -> None:
    cut = interrupted(1000)
    seen = timeline({0.0: lease(), 2.0: lease(cut), 3.0: lease(cut, asking()),
                     3.2: lease(cut, asking(), revoked=SECONDARY)})  # fmt: skip
    (found,) = seen.takeovers(after=8.0)
    assert found.threshold <= 3.2


def test_states_are_those_of_the_serving_lease() -> None:
    seen = timeline({1.0: lease(), 2.0: lease(interrupted(0)), 3.0: lease(in_partner_down())})
    assert seen.reached(PRIMARY, FailoverState.PARTNER_DOWN) == 3.0
    assert seen.reached(PRIMARY, FailoverState.PARTNER_DOWN, since=9.0) == 9.0
    assert seen.reached(SECONDARY, FailoverState.PARTNER_DOWN) is None


def test_without_serving_leases_states_are_those_of_the_servers() -> None:
    status = {"status": {"failover": {"state": "Normal"}}}
    seen = Timeline([Change(1.0, "DHCPServer", "lan-primary", status)], "lan")
    assert seen.states(PRIMARY) == [(1.0, "Normal")]
