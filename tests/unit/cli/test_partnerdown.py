"""Whose death may be confirmed: nobody's who is seen alive, and nobody's for whom it would change nothing."""

import pytest
from msgspec.structs import replace

from tests.unit.cli import situations
from tests.unit.decide import views
from tests.unit.decide.views import SECONDARY
from twinlease.cli.exits import Exit, Failure
from twinlease.cli.facts import PairFacts
from twinlease.cli.partnerdown import guard


def refusal(facts: PairFacts, server: str = "lan-secondary") -> tuple[Exit, str]:
    with pytest.raises(Failure) as refused:
        guard(facts, server)
    return refused.value.status, refused.value.format_message()


def test_a_silent_server_may_be_confirmed_dead() -> None:
    guard(situations.facts(situations.waiting()), "lan-secondary")
    guard(situations.facts(situations.not_yet()), "lan-secondary")
    guard(situations.facts(situations.no_safe_server()), "lan-secondary")


def test_nobody_is_who_renews_or_is_not_overdue() -> None:
    status, why = refusal(situations.facts(situations.normal()))
    assert (status, "seen alive" in why) == (Exit.NO, True)
    overdue_soon = views.silent(situations.normal(), SECONDARY, 60)
    assert "not overdue yet" in refusal(situations.facts(overdue_soon))[1]


def test_nobody_is_whose_pod_says_that_it_serves_on_a_ready_node() -> None:
    facts = situations.facts(situations.waiting())
    servers = tuple(replace(each, serving=True) for each in facts.status.servers)
    facts = replace(facts, status=replace(facts.status, servers=servers))
    assert "ready node" in refusal(facts)[1]


def test_nobody_is_for_whom_it_changes_nothing() -> None:
    assert "holds no grant" in refusal(situations.facts(situations.partner_down()))[1]
    assert "is the survivor" in refusal(situations.facts(situations.partner_down()), "lan-primary")[1]
    released = views.released(situations.waiting(), SECONDARY)
    assert "gave its grant back" in refusal(situations.facts(released))[1]


def test_the_server_must_be_one_of_the_pair() -> None:
    for wrong in ("secondary", "wan-secondary", "lan"):
        status, why = refusal(situations.facts(situations.waiting()), wrong)
        assert (status, "lan-primary or lan-secondary" in why) == (Exit.USAGE, True)


def test_without_a_serving_lease_there_is_nothing_to_confirm() -> None:
    assert "no serving lease" in refusal(situations.unknown())[1]
