"""The page about the command line is what the commands say of themselves."""

from pathlib import Path

from click.testing import CliRunner

from twinlease.cli.exits import MEANINGS, Exit
from twinlease.cli.plugin import main
from twinlease.cli.reference import text

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == text().rstrip("\n") + "\n", "run `make cli-docs`"


def test_every_exit_status_and_command_is_on_it() -> None:
    assert set(MEANINGS) == set(Exit)
    for command in CliRunner().invoke(main, ["--help"]).output.partition("Commands:\n")[2].splitlines():
        assert f"\n## {command.split()[0]}\n" in text()


def test_no_mark_for_the_formatter_is_left_in_it() -> None:
    assert "\\b" not in text()
