"""The command line's words, and what a shell gets to evaluate."""

import subprocess

import pytest

from tests.lab.cli import make_parser
from tests.lab.cluster import exports


def test_exports_are_what_a_shell_understands() -> None:
    text = exports({"KUBECONFIG": "/a b/c'd", "PATH": "/tools", "LAB_CLIENT_NETNS": "twl-c1"})
    script = f'PATH=/usr/bin:/bin\n{text}printf \'%s|%s|%s\' "$KUBECONFIG" "$PATH" "$LAB_CLIENT_NETNS"'
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "/a b/c'd|/tools:/usr/bin:/bin|twl-c1"


def test_faults_as_documented() -> None:
    parser = make_parser()
    for line in (
        "fault power-off n1", "fault power-on n1", "fault freeze n2", "fault thaw n2", "fault wipe n3",
        "fault cut n1 api", "fault cut n1 lan --one-way in", "fault heal n1 peer --one-way out",
        "fault split-lan", "fault join-lan", "fault mend",
    ):  # fmt: skip
        assert parser.parse_args(line.split()).fault == line.split()[1]


@pytest.mark.parametrize(
    "line", ["fault cut n9 api", "fault cut n1 moon", "fault cut n1 lan --one-way up", "fault", ""]
)
def test_what_makes_no_sense_is_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(line.split())
    assert "usage" in capsys.readouterr().err


def test_a_commands_own_options_are_passed_on() -> None:
    chosen = make_parser().parse_args(["kubectl", "--", "get", "pods", "--output=wide"])
    assert chosen.arguments[-3:] == ["get", "pods", "--output=wide"]
