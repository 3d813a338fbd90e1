"""A server that somebody put into partner-down: what is said, and who is started anew."""

import pytest

from tests.unit.decide.views import (
    PRIMARY,
    SECONDARY,
    asking,
    cut_off,
    lease,
    own,
    policy,
    quiet,
    report,
    sight,
    silent,
)
from twinlease.api.servinglease import Bound, Database, DatabaseVerdict, Phase
from twinlease.controller import takeover
from twinlease.decide import byhand, serving
from twinlease.decide.pairview import View
from twinlease.decide.partnerdown import Action

CI = "CommunicationsInterrupted"
ALIVE = report(quiet(), PRIMARY, state="PartnerDown")
ASKED = asking(ALIVE, SECONDARY, state=CI)


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (cut_off(ALIVE, SECONDARY), "both may give one address to two clients"),
        (silent(ALIVE, SECONDARY), "If the secondary is dead"),
        (ASKED, "the secondary waits until it has been started anew"),
    ],
)
def test_it_is_told_with_what_to_do(view: View, says: str) -> None:
    judged = serving.judge(view)
    assert (judged.verdict.reason, judged.verdict.action) == (byhand.REASON, Action.NOTHING)
    assert says in judged.verdict.message
    assert takeover.executed(view)
    before, after = view.lease, judged.lease or view.lease
    assert (after.epoch, after.servers.secondary.grant.holder) == (before.epoch, before.servers.secondary.grant.holder)


@pytest.mark.parametrize(
    "view",
    [
        quiet(),
        ALIVE,  # the other is normal: a report of before they met
        lease(ALIVE, phase=Phase.ALONE, survivor="primary"),
        sight(cut_off(ALIVE, SECONDARY), PRIMARY, age=900.0, silent=900.0),
    ],
)
def test_what_was_ordered_has_ended_or_is_not_known_is_not_told(view: View) -> None:
    assert not byhand.said(view)


@pytest.mark.parametrize(
    ("view", "restart"),
    [
        (ASKED, PRIMARY),
        (asking(ALIVE, SECONDARY), PRIMARY),
        (asking(ALIVE, SECONDARY, verdict=DatabaseVerdict.LOST), PRIMARY),
        (asking(ALIVE, SECONDARY, state=CI, stopped=False), None),
        (policy(ASKED, guarded=False), None),
        (lease(ASKED, mclt=Bound(duration="30m", until="2027-01-15T09:00:00Z")), None),
        (own(ASKED, PRIMARY, database=Database(verdict=DatabaseVerdict.STALE)), None),
        (silent(ASKED, PRIMARY), None),
        (cut_off(ALIVE, SECONDARY), None),
        (quiet(), None),
    ],
)
def test_who_is_started_anew(view: View, restart: object) -> None:
    assert byhand.to_restart(view) is restart
