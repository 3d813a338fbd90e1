"""The verdict on a contest, and the command line."""

import json
from dataclasses import asdict

import pytest

from benchmarks import cli, throughput
from benchmarks.contest import Pair, Spell, saturated
from benchmarks.perfdhcp import Burst
from benchmarks.report import Figure, Target, Verdict
from benchmarks.stage import CannotRunError
from benchmarks.statistics import Round


def pair(name: str, rate: float, begun: int = 6000) -> Pair:
    """Return a pair with two bursts behind it."""
    burst = Burst(rate, begun=begun, offered=5000, completed=4000, delays=(1.0, 2.0))
    return Pair(name, "nowhere", {"dhcpd": []}, [Spell(burst, {"dhcpd": 2.0}, 0.0)] * 2)


def figures(ratios: list[float]) -> dict[str, Verdict]:
    """Return the verdicts on rounds of these ratios."""
    rounds = [Round((100 * ratio, 100 * ratio), (100, 100)) for ratio in ratios]
    found = throughput.figures(rounds, (pair("managed", 700), pair("bare", 710)), "how")
    return {each.name: each.verdict for each in found}


def test_equal_pairs_meet_both_targets() -> None:
    verdicts = figures([1.0] * 10)
    assert verdicts["managed / bare, median"] is Verdict.MET
    assert verdicts["managed / bare, interval's lower end"] is Verdict.MET


def test_a_wide_interval_misses_the_floor_whatever_the_median() -> None:
    verdicts = figures([0.9, 0.91, *[1.0] * 8])
    assert verdicts["managed / bare, median"] is Verdict.MET
    assert verdicts["managed / bare, interval's lower end"] is Verdict.MISSED


def test_too_few_rounds_give_no_verdict() -> None:
    with pytest.raises(CannotRunError, match="no verdict"):
        figures([1.0] * 5)


@pytest.mark.parametrize("idle", ["managed", "bare"])
def test_a_pair_with_time_to_spare_gives_no_verdict(idle: str) -> None:
    pairs = tuple(pair(name, 700, 4050 if name == idle else 6000) for name in ("managed", "bare"))
    with pytest.raises(CannotRunError, match=f"the {idle} pair completed 8000 of 8100 exchanges: not saturated"):
        throughput.figures([Round((1, 1), (1, 1))] * 10, (pairs[0], pairs[1]), "how")


def test_a_rate_saturates_only_if_neither_pair_keeps_up() -> None:
    slow, quick = (Burst(1, begun=1000, offered=1, completed=completed, delays=(1, 1)) for completed in (900, 990))
    assert saturated([slow, slow])
    assert not saturated([slow, quick])
    assert not saturated([quick, slow])


def test_processor_time_is_charged_per_exchange() -> None:
    rounds = [Round((1, 1), (1, 1))] * 6
    found = throughput.figures(rounds, (pair("managed", 700), pair("bare", 710)), "how")
    assert [each.value for each in found if each.name == "managed: CPU of dhcpd"] == [0.5]


def test_the_command_line_knows_its_parts() -> None:
    chosen = cli.make_parser().parse_args(["throughput", "--rounds", "12"])
    assert (chosen.part, chosen.rounds) == ("throughput", 12)
    assert cli.make_parser().parse_args([]).part is None


@pytest.mark.parametrize("words", [["fast"], ["throughput", "--rounds", "5"], ["--rounds", "many"]])
def test_what_gives_no_verdict_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.make_parser().parse_args(words)
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "failed", "status"),
    [([39.0], {}, 0), ([39.0, 41.0], {}, 1), ([39.0], {"throughput": "why"}, 2), ([41.0], {"rest": "why"}, 2)],
)
def test_the_exit_status_tells_a_miss_from_what_did_not_run(
    values: list[float], failed: dict[str, str], status: int
) -> None:
    figures = [Figure("rest", "sidecar: RSS", value, "MB", Target(40)) for value in values]
    assert cli.Results(figures, {}, failed).status == status


def test_everything_measured_is_in_the_document() -> None:
    figure = Figure("rest", "sidecar: RSS", 41.0, "MB", Target(40))
    results = cli.Results([figure], {"throughput": {"managed": pair("managed", 700).spells}}, {"start": "why"})
    read = json.loads(json.dumps(cli.document("python -m benchmarks", results), default=asdict))
    assert read["figures"][0]["verdict"] == "MISSED"
    assert read["failed"] == {"start": "why"}
    assert read["parts"]["throughput"]["managed"][0]["burst"]["completed"] == 4000
