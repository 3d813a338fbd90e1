"""A server counts as stopped on evidence only, and what is missing is named."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.unit.decide.views import (
    PRIMARY,
    SECONDARY,
    asking,
    cut_off,
    grant,
    lease,
    own,
    policy,
    quiet,
    report,
    sight,
    silent,
)
from twinlease.api.permit import Fence, Isolation
from twinlease.api.servinglease import Evidence, Phase, Watched
from twinlease.decide.evidence import stopped
from twinlease.decide.pairview import View

LIMIT = 240 + 2.4 + 1


def gone(seconds: float = 300.0) -> View:
    return cut_off(silent(quiet(), SECONDARY, seconds), PRIMARY)


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (quiet(), "may answer for"),
        (gone(LIMIT - 0.1), "may answer for"),
        (asking(quiet(), SECONDARY, stopped=False), "finds another daemon"),
        (own(asking(quiet(), SECONDARY), SECONDARY, node="n3"), "asks from node n3, not n2"),
        (sight(quiet(), SECONDARY, confirmed=True), "may answer for"),
        (sight(asking(quiet(), SECONDARY, stopped=False), SECONDARY, confirmed=True), "finds another daemon"),
        (sight(quiet(), SECONDARY, tainted=True), "may answer for"),
        (sight(gone(100.0), SECONDARY, tainted=True), "may answer for"),
        (own(quiet(), SECONDARY, released=1), "may answer for"),
    ],
)
def test_what_is_no_evidence(view: View, says: str) -> None:
    proof = stopped(view, SECONDARY)
    assert not proof
    assert says in proof.message


def test_silence_counts_from_the_permit_that_was_confirmed_and_its_end_is_foretold() -> None:
    assert stopped(gone(LIMIT - 10), SECONDARY).retry == pytest.approx(10.0)
    assert stopped(gone(LIMIT + 0.001), SECONDARY).evidence is Evidence.EXPIRED
    longer = own(gone(LIMIT), SECONDARY, in_force=replace(quiet().own(SECONDARY).in_force, duration="1h"))
    assert stopped(longer, SECONDARY).retry == pytest.approx(3600 + 37 - LIMIT)
    promised = grant(gone(LIMIT + 1), SECONDARY, duration="1h")
    assert stopped(promised, SECONDARY).evidence is Evidence.EXPIRED, "what the grant says meanwhile does not count"


def test_a_promise_that_may_run_outlasts_the_permit() -> None:
    view = report(gone(), PRIMARY, promising=True, promise_seconds=60)
    proof = stopped(view, SECONDARY)
    assert not proof
    assert proof.retry == pytest.approx(55.0), "counted from when it was written"


@pytest.mark.parametrize(
    "change",
    [
        lambda view: grant(asking(view, SECONDARY), SECONDARY, holder=""),
        lambda view: own(view, SECONDARY, released=2),
        lambda view: asking(view, SECONDARY),
    ],
)
def test_proof_of_stop_replaces_promises(change: Callable[[View], View]) -> None:
    assert stopped(change(report(gone(1.0), PRIMARY, promising=True, promise_seconds=600)), SECONDARY)


def test_a_server_whose_grant_was_taken_back_may_still_answer_on_a_promise() -> None:
    revoked = grant(silent(quiet(), SECONDARY), SECONDARY, holder="")
    assert stopped(revoked, SECONDARY).evidence is Evidence.NO_HOLDER
    assert not stopped(report(revoked, PRIMARY, promising=True, promise_seconds=60), SECONDARY)
    never = grant(report(revoked, PRIMARY, promising=True), SECONDARY, epoch=0)
    assert stopped(never, SECONDARY).evidence is Evidence.NO_HOLDER, "it has never been granted anything"


def test_a_server_that_was_moved_to_another_node_does_not_speak_for_its_former_self() -> None:
    """The node died with its disk, and the pair was made anew elsewhere: only a human, or the taint, knows the end."""
    moved = cut_off(own(asking(quiet(), SECONDARY), SECONDARY, node="n3"), PRIMARY)
    assert not stopped(moved, SECONDARY)
    assert stopped(sight(moved, SECONDARY, confirmed=True), SECONDARY).evidence is Evidence.CONFIRMED
    watched = grant(moved, PRIMARY, watched=Watched(interruption=1))
    assert stopped(sight(watched, SECONDARY, tainted=True), SECONDARY).evidence is Evidence.OUT_OF_SERVICE


def test_a_server_whose_grant_was_taken_back_by_mistake_may_still_answer_on_its_last_renewal() -> None:
    """A human vouched for its end, the order was refused as the two were in contact: it has heard of nothing."""
    revoked = grant(silent(quiet(), SECONDARY, 300.0), SECONDARY, holder="")
    alone = own(revoked, SECONDARY, in_force=replace(quiet().own(SECONDARY).in_force, duration="1h"))
    proof = stopped(alone, SECONDARY)
    assert not proof
    assert proof.retry == pytest.approx(3600 + 37 - 300)
    assert stopped(own(alone, SECONDARY, released=2), SECONDARY).evidence is Evidence.RELEASED


@pytest.mark.parametrize("changes", [{"isolation": Isolation.SERVE}, {"kernel_fence": False}], ids=str)
def test_whose_silence_is_no_evidence_is_not_gone_because_an_order_was_refused(changes: dict[str, object]) -> None:
    """A human vouched for its end and was wrong; at the next interruption that counts for nothing."""
    revoked = grant(silent(quiet(), SECONDARY, 4000.0), SECONDARY, holder="", node="")
    serving = own(revoked, SECONDARY, in_force=replace(quiet().own(SECONDARY).in_force, **changes))  # type: ignore[arg-type]
    proof = stopped(serving, SECONDARY)
    assert (bool(proof), proof.retry) == (False, None)
    assert stopped(sight(serving, SECONDARY, confirmed=True), SECONDARY).evidence is Evidence.CONFIRMED
    assert not stopped(sight(serving, SECONDARY, confirmed=True, age=1.0), SECONDARY), "it is heard of"
    executed = lease(serving, phase=Phase.ALONE, survivor="primary")
    assert stopped(executed, SECONDARY).evidence is Evidence.NO_HOLDER, "there it was right"
    assert stopped(asking(serving, SECONDARY), SECONDARY).evidence is Evidence.PROVEN_STOPPED
    if "kernel_fence" in changes:
        assert stopped(policy(serving, fence=Fence.PROCESS), SECONDARY).evidence is Evidence.NO_HOLDER


def test_the_answer_tells_itself_as_a_truth_value() -> None:
    assert bool(stopped(gone(), SECONDARY)) is True
    assert bool(stopped(quiet(), SECONDARY)) is False
