"""The names that the code knows: what a page calls a condition, a reason or a field must be one of them."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.docs.markdown import ROOT
from twinlease.api.crds import KINDS
from twinlease.api.schema import structural
from twinlease.cli.fields import rows

CODE = ROOT / "operator" / "twinlease"
CAMEL = re.compile(r"[A-Z][A-Za-z]*[a-z][A-Za-z]*")


@cache
def fields() -> frozenset[str]:
    """Return the path of every field of every kind, without the marks of lists and maps."""
    found: set[str] = set()
    for kind in KINDS:
        for root, model in (("spec", kind.spec), ("status", kind.status)):
            if model is not None:
                schema = structural(model, checks=True)
                found |= {each.path for each in rows(root, schema)} | _aliased(root, schema)
    return frozenset(re.sub(r"\[\]|\.\*", "", path) for path in found)


def _aliased(root: str, schema: dict[str, object]) -> set[str]:
    """Return the paths inside of objects that the reference tells elsewhere."""
    found = {each.path: each.kind for each in rows(root, schema)}
    inside = set()
    for path, kind in found.items():
        if match := re.fullmatch(r"object, as `(.+)`", kind):
            there = f"{match[1]}."
            inside |= {path + other[len(match[1]) :] for other in found if other.startswith(there)}
    return inside


@cache
def literals(*folders: str) -> frozenset[str]:
    """Return every text in CamelCase that the code of some packages holds: reasons, conditions, states, kinds."""
    files = (file for folder in folders or (".",) for file in _files(CODE / folder))
    return frozenset(word for file in files for word in _literals(file))


def _files(place: Path) -> Iterable[Path]:
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def _literals(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CAMEL.fullmatch(node.value):
            yield node.value
