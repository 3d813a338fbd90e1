"""What a page says to type or to look at exists: files, make targets, commands of ours, kinds that kubectl knows."""

import re
from collections.abc import Iterator

import click
import pytest

from tests.docs.markdown import ROOT, Page, pages
from tests.docs.vocabulary import CODE
from twinlease.api.crds import KINDS
from twinlease.cli.main import usage
from twinlease.cli.plugin import main

_FILE = re.compile(
    r"(?:[\w.-]+/)*[\w-]+\.(?:py|yaml|toml|lock)|(?:operator|tests|docs|crds|manifests|examples|charts)/[\w/]*"
)
_TARGET = re.compile(r"\bmake (?:-s )?((?:[a-z][a-z-]*(?: |$))+)", re.MULTILINE)
_PLUGIN = re.compile(r"\bkubectl twinlease ([a-z-]+)")
_OF_THE_IMAGE = re.compile(r"(?<![\w/-])(?<!kubectl )twinlease (operator|sidecar|[a-z]+)(?= --|`|$)")
_KUBECTL = re.compile(
    r"\bkubectl(?: (?:-n|--namespace) \S+)? (?:get|describe|annotate|patch|delete|explain) ([a-z][\w,.]*)"
)

OURS = {name for kind in KINDS for name in (kind.short, kind.plural, kind.name.lower())} | {"dhcp"}
KUBERNETES = {
    "clusterrole",
    "clusterrolebinding",
    "configmap",
    "crd",
    "deployment",
    "event",
    "lease",
    "namespace",
    "node",
    "persistentvolume",
    "persistentvolumeclaim",
    "pod",
    "pv",
    "pvc",
    "role",
    "rolebinding",
    "secret",
    "serviceaccount",
    "storageclass",
    "validatingadmissionpolicy",
    "validatingadmissionpolicybinding",
}
TARGETS = frozenset(re.findall(r"^([a-z][a-z-]*(?: [a-z][a-z-]*)*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMANDS = frozenset(re.findall(r"^  (\w+) ", usage(), re.MULTILINE))

WRITTEN = [page for page in pages() if page.name != "CHANGELOG.md"]
"""A changelog tells of what is gone, too."""


def shown(page: Page) -> Iterator[str]:
    """Yield everything on a page that is code: in a line, and in blocks of commands."""
    yield from (word for _, word in page.words())
    yield from (block.text for block in page.blocks() if block.is_shell)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_files_exist(page: Page) -> None:
    named = {word for _, word in page.words() if _FILE.fullmatch(word)}
    assert sorted(name for name in named if not _is_there(name)) == []


def _is_there(name: str) -> bool:
    if (ROOT / name).exists() or (CODE / name).exists():
        return True
    # The code's own pages name modules by the last part of their path, after one that has the whole.
    return "/" not in name and any(CODE.rglob(name))


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_make_targets_exist(page: Page) -> None:
    known = {name for group in TARGETS for name in group.split()}
    named = {name for text in shown(page) for group in _TARGET.findall(text) for name in group.split()}
    assert sorted(named - known) == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_commands_of_ours_exist(page: Page) -> None:
    plugin = {name for text in shown(page) for name in _PLUGIN.findall(text)}
    image = {name for text in shown(page) for name in _OF_THE_IMAGE.findall(text)}
    assert sorted(plugin - set(main.list_commands(click.Context(main)))) == []
    assert sorted(image - COMMANDS) == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_kubectl_knows_the_kinds(page: Page) -> None:
    groups = (group for text in shown(page) for group in _KUBECTL.findall(text))
    named = {each.partition(".")[0] for group in groups for each in group.split(",")}
    assert sorted(name for name in named if not {name, name.removesuffix("s")} & (OURS | KUBERNETES)) == []


def test_something_is_found() -> None:
    text = "make lab-up lab-image; kubectl twinlease size; kubectl -n x get dfq,pods"
    assert _TARGET.findall("make lab-up lab-image") == ["lab-up lab-image"]
    assert _PLUGIN.findall(text) == ["size"]
    assert _KUBECTL.findall(text) == ["dfq,pods"]
    assert {"docs-test", "demo"} <= {name for group in TARGETS for name in group.split()}
    assert {"crds", "operator"} <= COMMANDS
    assert not _is_there("api/nothing.py")
