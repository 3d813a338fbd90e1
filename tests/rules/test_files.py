"""The generated files say what the code says, and Prometheus's own checker has nothing against them."""

import subprocess
from pathlib import Path

import pytest

from twinlease.monitoring.alert import Alert, Group, Severity, rules
from twinlease.monitoring.files import ALERTS, texts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", texts())
def test_a_file_says_what_the_code_says(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == texts()[path], "run `make monitoring`"


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", ROOT / ALERTS], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def alert(name: str = "TwinleaseThing", wait: str = "5m") -> Alert:
    return Alert(name=name, expr="up == 0", wait=wait, severity=Severity.INFO, summary="s", description="d")


@pytest.mark.parametrize("name", ["Thing", "Twinlease", "Twinleasething", "TwinleaseThing-1"])
def test_a_name_that_nobody_would_look_for_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be CamelCase and begin with Twinlease"):
        alert(name=name)


@pytest.mark.parametrize("wait", ["5", "1h30m", "05m", "-1m", ""])
def test_a_duration_is_one_number_and_its_unit(wait: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number and s, m or h"):
        alert(wait=wait)


def test_one_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="given twice: TwinleaseThing"):
        rules([Group(name="one", alerts=[alert()]), Group(name="other", alerts=[alert()])])


def test_an_alert_that_fires_at_once_has_no_for() -> None:
    assert "for" not in alert(wait="0s").as_rule()
    assert alert().as_rule()["for"] == "5m"
