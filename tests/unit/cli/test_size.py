"""``size``: its fields are admitted as they are, and it asks only where somebody can answer."""

import copy
import json
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api.refused import PAIR
from twinlease.cli.plugin import main
from twinlease.cli.size import fields
from twinlease.decide.review import review
from twinlease.decide.sizing import Need, size
from twinlease.model.durations import seconds

FLAGS = ("--clients", "200", "--arrivals", "40", "--lease", "8h")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["size", *arguments])


@given(st.integers(5, 86400), st.integers(1, 7 * 86400), st.none() | st.integers(5, 86400), st.integers(3, 600))
@settings(deadline=None)
def test_what_it_prints_is_admitted(after: int, lease: int, mclt: int | None, response: int) -> None:
    found = size(Need(clients=10, arrivals=1, lease=lease, after=after, mclt=mclt, response=response))
    manifest: dict[str, Any] = copy.deepcopy(PAIR)
    manifest["spec"] |= yaml.safe_load(fields(found))
    assert review([manifest]).findings == ()


def test_each_number_says_where_it_comes_from() -> None:
    found = run(*FLAGS)
    assert found.exit_code == 0
    rows = {line.split("  ")[0]: line for line in found.stdout.splitlines() if line[:1] != " "}
    assert rows["pool"].split()[1] == "684"
    assert "D + ε = 243.4s" in rows["D"]
    assert "R + T = 5m30s" in rows["R"]
    assert "mclt: 30m" in found.stdout


def test_the_same_for_programs() -> None:
    told = json.loads(run(*FLAGS, "-o", "json").stdout)
    assert (told["need"]["lease"], told["sizes"]["pool"], told["sizes"]["duration"]) == (28800, 684, 240)
    assert yaml.safe_load(run(*FLAGS, "-o", "yaml").stdout) == told


def test_what_programs_are_told_of_the_specification_is_admitted() -> None:
    told = json.loads(run(*FLAGS, "-o", "json").stdout)
    manifest: dict[str, Any] = copy.deepcopy(PAIR)
    manifest["spec"] |= told["spec"]
    assert review([manifest]).findings == ()
    times = told["spec"]["servingLease"]
    assert {name: seconds(times[name]) for name in ("duration", "aloneDuration", "maxPromise")} == {
        name: told["sizes"][name] for name in ("duration", "aloneDuration", "maxPromise")
    }


def test_without_a_terminal_nothing_is_asked() -> None:
    found = run("--clients", "200", "--lease", "8h")
    assert (found.exit_code, "--arrivals is needed" in found.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*FLAGS, "--after", "4s"), "T must be between 5s and 24h"),
        ((*FLAGS, "--mclt", "25h"), "MCLT must be between"),
        ((*FLAGS, "--max-response-delay", "2s"), "R must be between 3s and 10m"),
        (("--clients", "1", "--arrivals", "1", "--lease", "8 hours"), "is no duration"),
        (("--clients", "-1", "--arrivals", "1", "--lease", "8h"), "--clients"),
    ],
)
def test_nonsense_is_a_wrong_command_line(arguments: tuple[str, ...], said: str) -> None:
    found = run(*arguments)
    assert found.exit_code == 2
    assert said in found.stderr
