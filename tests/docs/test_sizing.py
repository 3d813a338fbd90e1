"""The figures of sizing.md: its tables say what the rules say."""

import re
from math import ceil

import pytest
from msgspec.structs import replace

from tests.docs.markdown import ROOT, Page
from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.permit import PartnerDown, ServingLeaseTimes
from twinlease.decide import hold
from twinlease.decide.permit import epsilon, period
from twinlease.decide.sizing import Need, size
from twinlease.model import durations
from twinlease.model.validate import pair_problems

TEXT = Page(ROOT / "docs" / "sizing.md").path.read_text(encoding="utf-8")
DURATIONS = re.findall(r"^\| (\w+) \| (\w+) \| one every ([\d.]+) s \|$", TEXT, re.MULTILINE)
EXAMPLES = re.findall(r"\| (\d+) \| (\d+) an hour \| (.*?) \| \d+ \+ max\((\d+), (\d+)\) = (\d+) \|", TEXT)

PAIR = PairSpec(primary=Peer(node_name="n1", interface="lan0"), secondary=Peer(node_name="n2", interface="lan0"))
R, T, MCLT, M = 30, 300, 1800, 1800
"""The defaults, seconds."""


def refused(after: str, duration: int) -> list[str]:
    text = durations.text(duration)
    times = ServingLeaseTimes(duration=text, promise=text)
    spec = replace(PAIR, partner_down=PartnerDown(after=after), serving_lease=times)
    return [each.path for each in pair_problems("lan", spec)]


@pytest.mark.parametrize(("after", "longest", "every"), DURATIONS)
def test_the_longest_duration_is_what_admission_takes(after: str, longest: str, every: str) -> None:
    seconds = durations.seconds(longest)
    assert refused(after, seconds) == []
    assert refused(after, seconds + 1) == ["spec.servingLease.duration", "spec.servingLease.promise"]
    assert float(every) == pytest.approx(period(seconds), rel=0.02)


def settings(text: str) -> tuple[int, int, int]:
    """Return T, MCLT and M of an example; *the same* is the one before."""
    found = dict(re.findall(r"`(after|mclt): (\w+)`", text))
    lease = re.search(r"leases of (\w+)", text)
    after = durations.seconds(found["after"]) if "after" in found else T
    mclt = durations.seconds(found["mclt"]) if "mclt" in found else MCLT
    return after, mclt, durations.seconds(lease[1]) if lease else M


def test_the_examples_are_what_size_computes() -> None:
    after = mclt = 0
    for clients, hourly, text, *figures in EXAMPLES:
        after, mclt, longest = (after, mclt, 900) if text == "the same" else settings(text)
        found = size(Need(clients=int(clients), arrivals=int(hourly), lease=longest, after=after, mclt=mclt))
        whole = ceil(int(hourly) / 3600 * (R + after + 1.5 * longest + 5))
        assert [int(each) for each in figures] == [2 * found.own, whole, found.pool]
        assert found.own == ceil(int(hourly) / 3600 * (R + after + mclt))
    assert len(EXAMPLES) == 4


def test_what_is_parked_is_parked_for_one_and_a_half_of_the_longest_lease() -> None:
    assert hold.until(0, longest=M) == 1.5 * M + 5


def test_the_defaults_are_those_of_the_types() -> None:
    defaults = PAIR.failover.max_response_delay, PAIR.partner_down.after, PAIR.failover.mclt
    assert [durations.seconds(each) for each in defaults] == [R, T, MCLT]
    assert "35.5 minutes" in TEXT
    assert R + T + MCLT == 35.5 * 60
    longest = durations.seconds(PAIR.serving_lease.max_promise)
    assert "30m19s" in TEXT
    assert longest + epsilon(longest) == durations.seconds("30m19s")


def test_there_are_figures() -> None:
    assert len(DURATIONS) == 5
