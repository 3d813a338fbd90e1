"""What a page calls a field, a condition or a reason is one, and troubleshooting.md tells of every reason."""

import re
from collections.abc import Iterator

import pytest

from tests.docs.markdown import ROOT, Page, pages
from tests.docs.vocabulary import CAMEL, described, fields, is_field, literals, names
from twinlease.model import conditions

DOCS = [page for page in pages() if page.path.is_relative_to(ROOT / "docs")]
TROUBLESHOOTING = Page(ROOT / "docs" / "troubleshooting.md")

_FIELD = re.compile(r"(?<![\w/-])\.?((?:spec|status)(?:\.[A-Za-z]+|\[[^\]\n]*\])+)")
_CONDITION = re.compile(r"([A-Za-z]+)=(?:True|False|Unknown)")
_CONDITIONS = {*conditions.PAIR, *conditions.POOL, *conditions.RESERVATION, *conditions.SERVER}


def words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


OF_OTHERS = words_of(
    """
    ClusterRole Deployment Event Forbidden Node PersistentVolume PodDisruptionBudget PodMonitor PrometheusRule
    SecurityContextConstraints StorageClass WaitForFirstConsumer Terminating Pending CrashLoopBackOff
    """
)
"""Kinds, settings and states that belong to Kubernetes, or to what runs on it."""

WHERE_REASONS_COME_FROM = (
    "decide",
    "controller",
    "sidecar",
    "guard",
    "netlink",
    "model/conditions.py",
    "model/decision.py",
    "api/servinglease.py",
)
ACTIONS = words_of(
    """
    Action Answer Apply Both Execute Fetch Finish Grant Nothing Obey Order Place Primary Refuse Revoke Secondary Settle
    Start Stop Wait Withdraw
    """
)
"""What a decision does, which is in the log; why it does it is in the reason."""
KUBERNETES = words_of(
    """
    AlreadyExists Always Bearer BearerToken Conflict ContainerCreating Default Deny Directory Exists Fail Failed In
    Memory NoExecute NotFound NotIn OnRootMismatch Opaque Pending PodInitializing PodScheduled ReadWriteOnce Ready Role
    RuntimeDefault ServiceAccount Succeeded ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding Warning
    """
)
"""Words of the objects that we make and read; and ``Failed``, which a condition calls ``Rejected`` or ``Exited``."""
NAMES = frozenset({"By", "Pair", "Permit", "Promiser", "Spec", "Status", "View", "False", "None", "True", "Unknown"})
"""Types in annotations, pieces of text, and what a condition's status may be."""
STATES = frozenset({"Drift", "NodeTaken", "Offered", "Placed", "Scheduling"})
"""Of the code itself: a condition tells of it in other words, ``NodeTaken`` as ``InvalidSpec`` with the field."""


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_field_that_a_page_names_exists(page: Page) -> None:
    text = page.path.read_text(encoding="utf-8")
    named = {_plain(match) for match in _FIELD.findall(text)}
    assert sorted(path for path in named if not is_field(path)) == []


def _plain(path: str) -> str:
    return re.sub(r"\[[^\]]*\]", "", path).replace(".ROLE", ".primary").replace(".PEER", ".primary")


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_reason_and_condition_that_a_page_names_exists(page: Page) -> None:
    known = literals() | described() | OF_OTHERS | KUBERNETES
    unknown = [f"{page.name}:{line}: {word}" for line, word in _camel(page) if word not in known]
    assert unknown == []
    claimed = {match for _, word in page.words() for match in _CONDITION.findall(word)}
    assert sorted(claimed - _CONDITIONS) == []


def _camel(page: Page) -> Iterator[tuple[int, str]]:
    return ((line, word) for line, word in page.words() if CAMEL.fullmatch(word))


def emitted() -> frozenset[str]:
    """Return every reason that the code can give: what it holds in CamelCase and is nothing else."""
    others = ACTIONS | KUBERNETES | NAMES | STATES | _CONDITIONS | _kinds() | names()
    return literals(*WHERE_REASONS_COME_FROM) - others


def _kinds() -> frozenset[str]:
    return frozenset(word for word in literals("api", "kube") if word.startswith("DHCP"))


def told() -> frozenset[str]:
    return frozenset(word for row in TROUBLESHOOTING.rows() for word in row[0] if CAMEL.fullmatch(word))


def test_every_reason_that_the_code_can_give_is_told() -> None:
    assert sorted(emitted() - told() - _CONDITIONS) == []


def test_no_reason_is_told_that_the_code_cannot_give() -> None:
    assert sorted(told() - literals()) == []


def test_what_is_set_apart_is_still_there() -> None:
    found = literals(*WHERE_REASONS_COME_FROM)
    assert sorted((ACTIONS | KUBERNETES | STATES) - found) == []


def test_the_reasons_that_everybody_knows_are_among_them() -> None:
    # Else a fault of the search would let every page pass.
    assert {"WaitingForEvidence", "Rejected", "AddressAmbiguous", "SelfTestFailed", "Stale", "NotYet"} <= emitted()
    assert {"spec.primary.nodeName", "spec.secondary.interface", "status.takeover.epoch"} <= fields().keys()
    assert not is_field("spec.primary.nodename")
    assert is_field("spec.resources.sidecar.limits.memory")
