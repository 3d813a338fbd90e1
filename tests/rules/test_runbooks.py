"""Every alert has its page, every page its alert; all have one shape, and their commands name what there is."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rules.promtool import ALERTS
from tests.rules.source import said
from twinlease.api.crds import definitions
from twinlease.monitoring.alert import RUNBOOKS
from twinlease.monitoring.index import inhibitions, plain

PAGES = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
SHAPE = [
    "What it means for clients now",
    "How long until it hurts",
    "How to look",
    "What the operator does by itself",
    "What to do",
    "What never to do",
]
VERBS = {"annotate", "debug", "delete", "describe", "exec", "get", "logs", "taint", "twinlease"}
PLUGIN = {"check", "explain", "partner-down", "render", "status", "timeline"}
OWN = {each["spec"]["names"]["shortNames"][0] for each in definitions().values()}
OTHERS = {"deployment", "events", "lease", "node", "nodes", "pod", "pods"} | {
    f"validatingadmissionpolicy{binding}" for binding in ("", "binding")
}
_CODE = re.compile(r"```\n(.*?)```|`(kubectl [^`]+)`", re.DOTALL)


def text(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words of each kubectl command, up to a pipe."""
    for block, inline in _CODE.findall(page):
        for line in block.splitlines() or [" ".join(inline.split())]:
            words = shlex.split(line.partition(" | ")[0])
            assert words[0] == "kubectl", line
            yield words[1:]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} - {"README"} == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_the_link_of_an_alert_leads_to_its_page(name: str) -> None:
    url = ALERTS[name].as_rule()["annotations"]["runbook_url"]
    assert url.startswith(f"{RUNBOOKS}/")
    assert (PAGES / url.removeprefix(f"{RUNBOOKS}/")).is_file()


@pytest.mark.parametrize("name", ALERTS)
def test_a_page_has_the_shape_of_all(name: str) -> None:
    lines, alert = text(name).splitlines(), ALERTS[name]
    after = "at once" if alert.wait == "0s" else f"after {alert.wait}"
    assert lines[0] == f"# {name}"
    assert lines[2] == f"**{alert.severity}**, {after}: {plain(alert.summary)}"
    assert [line.removeprefix("## ") for line in lines if line.startswith("#")][1:] == SHAPE
    sections = re.split(r"^## .*\n", text(name), flags=re.MULTILINE)[1:]
    assert all(len(section.strip()) > 10 for section in sections)
    assert max(map(len, lines)) <= 160


@pytest.mark.parametrize("name", ALERTS)
def test_the_commands_of_a_page_name_what_there_is(name: str) -> None:
    found = list(commands(text(name)))
    assert found
    for words in found:
        rest = words[2:] if words[0] == "-n" else words
        assert rest[0] in VERBS, words
        if rest[0] == "twinlease":
            assert rest[1] in PLUGIN, words
        elif rest[0] in {"get", "describe", "annotate", "delete", "taint"} and rest[1] != "--raw":
            assert set(rest[1].split(",")) <= OWN | OTHERS, words


@pytest.mark.parametrize("name", ALERTS)
def test_the_links_of_a_page_lead_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", text(name)):
        assert (PAGES / link).is_file(), link


def test_what_is_kept_quiet_are_alerts_about_a_pair() -> None:
    for each in inhibitions():
        source = each["source_matchers"][0].partition(" = ")[2]
        target = each["target_matchers"][0].partition(" =~ ")[2]
        assert source in ALERTS
        quiet = {name for name in ALERTS if re.fullmatch(target, name)}
        assert quiet
        assert source not in quiet
        assert all("$labels.pair" in ALERTS[name].as_rule()["annotations"]["description"] or
                   "pair" in ALERTS[name].expr for name in quiet)  # fmt: skip


def test_the_example_for_alertmanager_is_yaml() -> None:
    block = re.search(r"```yaml\n(.*?)```", text("README"), re.DOTALL)
    assert block
    assert yaml.safe_load(block[1]) == {"inhibit_rules": inhibitions()}


def fields(schema: dict[str, Any], path: list[str]) -> bool:
    """Tell whether a schema has a field, by its path."""
    if not path:
        return True
    if "additionalProperties" in schema:
        return len(path) == 1
    within = schema.get("properties", {}) or schema.get("items", {}).get("properties", {})
    return path[0] in within and fields(within[path[0]], path[1:])


@pytest.mark.parametrize("name", [*ALERTS, "README"])
def test_the_fields_that_a_page_names_are_there(name: str) -> None:
    schemas = [each["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for each in definitions().values()]
    named = re.findall(r"\b((?:spec|status|servingLease)\.[A-Za-z]+(?:\.[A-Za-z]+)*)", text(name))
    for path in named:
        whole = path.replace("PEER", "primary")
        whole = f"spec.{whole}" if whole.startswith("servingLease") else whole
        assert any(fields(schema, whole.split(".")) for schema in schemas), path


def test_a_field_that_is_not_there_is_noticed() -> None:
    schema: dict[str, Any] = {"properties": {"spec": {"properties": {"one": {"items": {"properties": {"two": {}}}}}}}}
    assert fields(schema, ["spec", "one", "two"])
    assert not fields(schema, ["spec", "two"])


@pytest.mark.parametrize("name", [*ALERTS, "README"])
def test_the_annotations_and_verdicts_that_a_page_names_are_the_codes(name: str) -> None:
    page = text(name)
    assert set(re.findall(r"twinlease\.io/[a-z-]+", page)) <= set(said("controller"))
    words = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]+)+)`", page))
    assert words <= said("api", "controller", "decide", "guard", "model", "netlink", "sidecar"), words
