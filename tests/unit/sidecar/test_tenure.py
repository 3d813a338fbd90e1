"""What a grant is, and what the serving lease says of it."""

import itertools

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import GRANT, IN_FORCE, ME, TENURE, recorded
from twinlease.api.permit import Isolation
from twinlease.api.servinglease import DatabaseVerdict as V
from twinlease.api.servinglease import Grant, Start
from twinlease.decide.permit import FOR_EVER
from twinlease.model.states import FailoverState as S
from twinlease.sidecar.tenure import Standing, Tenure, complete_now, edits, going_by, length, resumable, standing


@pytest.mark.parametrize(
    ("tenure", "grant", "expected"),
    [
        (TENURE, None, Standing.UNKNOWN),
        (TENURE, GRANT, Standing.HELD),
        (TENURE, replace(GRANT, epoch=6), Standing.OFFERED),
        (TENURE, replace(GRANT, epoch=4), Standing.REVOKED),
        (TENURE, replace(GRANT, holder="", epoch=5), Standing.REVOKED),
        (TENURE, replace(GRANT, holder="pod-2/00", epoch=6), Standing.REVOKED),
        (replace(TENURE, given_up=True), replace(GRANT, holder=""), Standing.NONE),
        (replace(TENURE, given_up=True), GRANT, Standing.HELD),
        (Tenure(), GRANT, Standing.OFFERED),
        (Tenure(), Grant(), Standing.NONE),
    ],
)
def test_standing(tenure: Tenure, grant: Grant | None, expected: Standing) -> None:
    assert standing(tenure, grant, ME) is expected


def test_nobody_holds_anything_before_the_guard_has_told_its_token() -> None:
    assert standing(TENURE, replace(GRANT, holder=""), "") is Standing.UNKNOWN


def test_what_is_done_to_the_leases_before_the_first_start() -> None:
    spoilt = [V.SPENT, V.LOST, V.STALE, V.SHORT, V.FOREIGN, V.UNKNOWN]
    assert edits(Start.FRESH, V.VIRGIN) == edits(Start.FRESH, V.INTACT) == ()
    assert {edits(Start.FRESH, verdict) for verdict in spoilt} == {("empty",)}
    assert {edits(Start.RESUME, verdict) for verdict in V} == {("resume",)}
    assert edits(Start.RECOVER, V.INTACT) == ("recover",)
    assert {edits(Start.RECOVER, verdict) for verdict in (*spoilt, V.VIRGIN)} == {("empty",)}
    assert edits(Start.SURVIVE, V.INTACT) == ("survive",)
    assert {edits(Start.SURVIVE, verdict) for verdict in (*spoilt, V.VIRGIN)} == {("empty", "survive")}


def test_only_normal_and_intact_may_be_started_again() -> None:
    for state, verdict in itertools.product(S, V):
        assert resumable(recorded(state), verdict) == (state is S.NORMAL and verdict is V.INTACT)
    assert not resumable(None, V.INTACT)


def test_for_how_long_a_renewal_holds() -> None:
    assert length(IN_FORCE) == 240.0
    assert length(replace(IN_FORCE, isolation=Isolation.SERVE)) == FOR_EVER
    assert going_by(GRANT, kernel_fence=True) == IN_FORCE


def test_an_emptied_database_of_a_returner_is_complete_when_its_partner_has_filled_it() -> None:
    back = replace(TENURE, start=Start.RECOVER, begun=True)
    for state in S:
        assert complete_now(back, state, running=True) == (state is S.NORMAL)
        assert complete_now(replace(back, start=Start.FRESH), state, running=True)
        assert not complete_now(back, state, running=False)
        assert not complete_now(replace(back, start=Start.FRESH, begun=False), state, running=True)
