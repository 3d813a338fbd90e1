"""``twinlease fields``: the page says what the types say."""

import re
from pathlib import Path
from typing import Annotated

import pytest

from tests.unit.api.test_crds import properties
from twinlease.api.crds import KINDS, Kind
from twinlease.api.rules import between, rule, validations
from twinlease.api.schema import structural
from twinlease.api.types import Duration, IPv4, Model, described
from twinlease.cli.fields import page, rows
from twinlease.cli.main import dispatch

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference.md"


class Inner(Model, frozen=True, kw_only=True):
    """What is told once."""

    wait: Annotated[Duration, between("5s", "2h"), described("How long | how short.")] = "30s"
    address: Annotated[IPv4, described("Where")] = ""


class Outer(Model, frozen=True, kw_only=True):
    """Two of a kind."""

    first: Annotated[Inner, validations(rule("x", "must be there", path=".address")), described("One.")]
    second: Annotated[Inner, described("Other.")] = Inner()


def told(*whole: dict[str, str]) -> dict[str, tuple[str, str, str, str]]:
    found = rows("spec", structural(Outer, checks=True), whole)
    return {each.path: (each.kind, each.default, each.allowed, each.says) for each in found}


def test_the_page_is_what_the_types_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make reference`"


def test_a_field_has_type_default_bounds_and_words() -> None:
    assert told()["spec.first.wait"] == ("duration", "`30s`", "5s to 2h", "How long | how short.")
    assert told()["spec.first.address"][2:] == (
        "an IPv4 address without leading zeros, like 192.0.2.1",
        "Where. It must be there.",
    )
    assert told()["spec.first"][:2] == ("object", "**required**")


def test_what_was_told_is_told_again_only_where_a_rule_is_about_this_one() -> None:
    assert told()["spec.second"][0] == "object, as `spec.first`"
    assert not [path for path in told() if path.startswith("spec.second.")]
    about = told(rule("x", "must differ", path=".second.wait"))
    assert about["spec.second.wait"][3] == "How long | how short. It must differ."


def test_a_bar_does_not_end_a_cell() -> None:
    line = next(each.line() for each in rows("spec", structural(Outer, checks=True)) if each.path.endswith("wait"))
    assert line.count("|") - line.count("\\|") == 6


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_is_there_or_where_the_page_points(kind: Kind) -> None:
    own = page().split(f"\n## {kind.name}\n")[1].split("\n## ")[0]
    there = set(re.findall(r"^\| `([^`]+)`", own, re.MULTILINE))
    like = dict(re.findall(r"^\| `([^`]+)` \| object, as `([^`]+)`", own, re.MULTILINE))
    parts = {"spec": kind.spec, "status": kind.status}
    for root, model in parts.items():
        for path, _ in properties(root, {} if model is None else structural(model)):
            known = next((path.replace(alias, target, 1) for alias, target in like.items()
                          if path.startswith(f"{alias}.")), path)  # fmt: skip
            assert {path, known} & there, path


def test_it_goes_to_a_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["fields", "--output", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page()
    assert dispatch(["fields"]) == 0
    assert capsys.readouterr().out == page()
