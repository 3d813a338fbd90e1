"""The names that the code knows: what a page calls a condition, a reason or a field must be one of them."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.docs.markdown import ROOT
from twinlease.api.crds import KINDS
from twinlease.api.schema import structural
from twinlease.cli.fields import rows

CODE = ROOT / "operator" / "twinlease"
CAMEL = re.compile(r"[A-Z][A-Za-z]*[a-z][A-Za-z]*")


@cache
def fields() -> Mapping[str, str]:
    """Return the type of every field of every kind, by its path without the marks of lists and maps."""
    found: dict[str, str] = {}
    for kind in KINDS:
        for root, model in (("spec", kind.spec), ("status", kind.status)):
            if model is not None:
                told = {each.path: each.kind for each in rows(root, structural(model, checks=True))}
                found |= told | _elsewhere(told)
    return {re.sub(r"\[\]|\.\*", "", path): kind for path, kind in found.items()}


def _elsewhere(told: Mapping[str, str]) -> dict[str, str]:
    """Return the fields inside of objects that the reference tells elsewhere."""
    found: dict[str, str] = {}
    for path, kind in told.items():
        if match := re.fullmatch(r"object, as `(.+)`", kind):
            inside = f"{match[1]}."
            found |= {path + other[len(match[1]) :]: told[other] for other in told if other.startswith(inside)}
    return found


def is_field(path: str) -> bool:
    """Tell whether a path leads to a field, or to an entry of a map."""
    return path in fields() or fields().get(path.rpartition(".")[0], "").startswith("map of")


@cache
def literals(*folders: str) -> frozenset[str]:
    """Return every text in CamelCase that the code of some packages holds: reasons, conditions, states, kinds."""
    files = (file for folder in folders or (".",) for file in _files(CODE / folder))
    return frozenset(word for file in files for word in _literals(file))


@cache
def names() -> frozenset[str]:
    """Return what the code calls something by (``name="..."``), and gives nowhere as a reason."""
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in _files(CODE))
    keywords = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.keyword))
    given = [(node.arg, node.value.value) for node in keywords if isinstance(node.value, ast.Constant)]
    return frozenset(str(text) for arg, text in given if arg == "name") - {
        text for arg, text in given if arg == "reason"
    }


@cache
def described() -> frozenset[str]:
    """Return the fields' names as ``kubectl describe`` writes them."""
    last = (path.rpartition(".")[2] for path in fields())
    return frozenset(name[0].upper() + name[1:] for name in last)


def _files(place: Path) -> Iterable[Path]:
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def _literals(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CAMEL.fullmatch(node.value):
            yield node.value
