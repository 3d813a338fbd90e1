"""The pages, word for word: what a user sees in the main situations, 80 columns wide."""

import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace
from rich.console import Console, RenderableType

from tests.unit.cli import situations
from tests.unit.cli.situations import REASONS, SEEN, VIEWS
from twinlease.api.pairstatus import HistoryEntry
from twinlease.api.server import PermitReport
from twinlease.cli.explain import document as judgement
from twinlease.cli.facts import PairFacts, document
from twinlease.cli.screen import text_of
from twinlease.cli.show import explain, runway, status, svg, timeline, words
from twinlease.cli.show.runway import Rate, Sample
from twinlease.cli.show.status import Moment
from twinlease.cli.status import graded
from twinlease.decide import dates
from twinlease.model.states import Role

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (60, 80, 120)


def situation(name: str) -> PairFacts:
    return situations.unknown() if name == "unknown" else situations.facts(VIEWS[name]())


def printed(page: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, emoji=False, markup=False, color_system=None)
    return text_of(page, console)


def pages(facts: PairFacts, width: int = 80) -> dict[str, str]:
    """Return all pages of a pair."""
    return {
        "status": printed(status.page([facts], Moment(now=SEEN)), width),
        "explain": printed(explain.page(facts, SEEN), width),
        "timeline": printed(timeline.page(facts, SEEN, width), width),
    }


@pytest.mark.parametrize("name", [*VIEWS, "unknown"])
def test_the_pages_are_as_they_were_last_looked_at(name: str) -> None:
    for page, text in pages(situation(name)).items():
        assert text == (GOLDEN / f"{name}.{page}.txt").read_text(encoding="utf-8"), page


@pytest.mark.parametrize("name", VIEWS)
def test_the_situations_are_what_they_are_called(name: str) -> None:
    assert situation(name).status.takeover.reason == REASONS[name]


@pytest.mark.parametrize("name", [*VIEWS, "unknown"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_console_but_what_is_to_be_copied(name: str, width: int) -> None:
    for page, text in pages(situation(name), width).items():
        wide = [
            line for line in text.splitlines() if len(line) > width and "kubectl twinlease partner-down" not in line
        ]
        assert wide == [], page


def test_countdowns_go_on_by_the_clock_of_who_looks() -> None:
    facts = situation("not-yet")
    assert "partner-down is considered in 2m48s" in printed(status.page([facts], Moment(now=SEEN)))
    assert "partner-down is considered in 2m38s" in printed(status.page([facts], Moment(now=SEEN + 10)))
    over = printed(explain.page(facts, SEEN + 4000))
    assert "the operator has yet to say so" in over


def test_a_verdict_from_before_somebody_fell_silent_says_how_old_it_is() -> None:
    facts = situation("normal")
    assert " ago" not in printed(status.page([facts], Moment(now=SEEN)))
    silent = tuple(replace(each, state="Unknown") if each.role == "primary" else each for each in facts.status.servers)
    facts = replace(facts, status=replace(facts.status, servers=silent))
    page = printed(status.page([facts], Moment(now=SEEN)))
    assert "Both servers are normal and serve" in page
    assert " ago" in page


def test_a_promise_tells_until_when_it_runs() -> None:
    facts = situation("not-yet")
    permit = PermitReport(kind="Promised", until=dates.text(SEEN + 1500))
    servers = {**facts.servers, Role.PRIMARY: replace(facts.servers[Role.PRIMARY], permit=permit)}
    told = tuple(replace(each, permit="Promised") for each in facts.status.servers)
    facts = replace(facts, servers=servers, status=replace(facts.status, servers=told))
    page = printed(status.page([facts], Moment(now=SEEN)), 120)
    assert "permit: Promised by its partner until 08:25:12Z at least" in page


def test_a_poor_console_gets_plain_marks() -> None:
    found = printed(explain.page(situation("not-yet"), SEEN, ascii_only=True))
    assert "✓" not in found
    assert "+ Grant" in found


def test_the_word_to_confirm_a_death_is_offered_for_the_silent_one_only() -> None:
    found = printed(explain.page(situation("waiting-for-evidence"), SEEN))
    assert "partner-down lan -n dhcp --confirm-dead lan-secondary" in found
    assert "--confirm-dead lan-primary" not in found
    for name in ("normal", "partner-down", "returning", "lease-database-lost"):
        assert "--confirm-dead" not in printed(explain.page(situation(name), SEEN)), name


def test_what_a_confirmation_waits_for_besides() -> None:
    (waits,) = explain.still_missing(situation("not-yet"), "lan-secondary", SEEN)
    assert waits.startswith("Interruption: The interruption must last 5m")
    assert waits.endswith("Until 08:03:00Z.")
    assert explain.still_missing(situation("waiting-for-evidence"), "lan-secondary", SEEN) == []


def test_the_absence_of_an_operator_is_said_where_it_is_known() -> None:
    assert words.deserted([], SEEN) == ""
    assert words.deserted([SEEN - 4000, SEEN - 10], SEEN) == ""
    assert words.deserted([SEEN - 4000, SEEN - 300], SEEN).startswith("No operator has led for 5m")


def test_exit_statuses_say_how_the_worst_pair_is() -> None:
    assert graded([situation("normal")]).name == "DONE"
    assert graded([situation("normal"), situation("not-yet")]).name == "DEGRADED"
    assert graded([situation("not-yet"), situation("lease-database-lost")]).name == "DOWN"
    assert graded([situation("unknown")]).name == "DOWN"


def test_a_runway_is_measured_and_never_assumed() -> None:
    early, late = Sample(at=0.0, free=97), Sample(at=600.0, free=87)
    assert runway.rate(early, late).said(50) == "at 60 an hour they last 50m (watched for 10m)"
    assert "not known yet" in runway.rate(early, Sample(at=5.0, free=96)).said(50)
    assert Rate(taken=-3, seconds=60).said(50) == "none are going (watched for 1m)"
    rates = {("dhcp", "lan"): runway.rate(early, late)}
    page = printed(status.page([situation("not-yet")], Moment(now=SEEN, rates=rates)), 120)
    assert "runway: 50 free addresses of its own; at 60 an hour" in page


@pytest.mark.parametrize("name", [*VIEWS, "unknown"])
def test_the_picture_is_well_formed_and_tells_the_states(name: str) -> None:
    facts = situation(name)
    root = ET.fromstring(svg.draw(facts, SEEN))  # noqa: S314  # our own text
    told = " ".join(root.itertext())
    for entry in facts.status.history:
        for state in (entry.primary, entry.secondary):
            assert f": {state} from " in told
    for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 <= float(rect.get("x", "0")) + float(rect.get("width", "0")) <= 960.5


def test_the_picture_and_the_strips_hide_no_short_state() -> None:
    entries = [
        HistoryEntry(time=dates.text(SEEN - 1000), primary="Normal", secondary="Normal"),
        HistoryEntry(time=dates.text(SEEN - 1), primary="Normal", secondary="Unknown"),
    ]
    found = timeline.stretches(entries, Role.SECONDARY, SEEN)
    assert [(each.state, each.end - each.start) for each in found] == [("Normal", 999), ("Unknown", 1)]
    facts = situation("normal")
    facts = replace(facts, status=replace(facts.status, history=tuple(entries)))
    assert "secondary: Unknown from" in svg.draw(facts, SEEN)
    assert "secondary Unknown" in printed(timeline.page(facts, SEEN, 80))


def test_names_are_escaped_in_the_picture() -> None:
    facts = replace(situation("normal"), name="<a&b>")
    assert "dhcp/<a&b>" in "".join(ET.fromstring(svg.draw(facts, SEEN)).itertext())  # noqa: S314  # our own text


def test_documents_are_json() -> None:
    for name in VIEWS:
        facts = situation(name)
        told = json.loads(json.dumps(document(facts)))
        assert told["status"]["takeover"]["reason"] == REASONS[name]
        assert "servingLease" in told
        assert json.loads(json.dumps(judgement(facts)))["takeover"]["reason"] == REASONS[name]


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("role", ["", "tertiary"])
def test_a_server_whose_role_is_not_told_is_shown_all_the_same(name: str, role: str) -> None:
    facts = situation(name)
    servers = tuple(replace(each, role=role) for each in facts.status.servers)
    facts = replace(facts, status=replace(facts.status, servers=servers))
    for page, text in pages(facts).items():
        assert facts.name in text, page
    told = pages(facts)["status"]
    assert all(each.name in told for each in servers)
    assert "permit:" not in told
