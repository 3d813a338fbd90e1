"""What our own code says: the texts in it, so that what an alert or a page repeats is not made up."""

import ast
from functools import cache
from pathlib import Path

import twinlease

_ROOT = Path(twinlease.__file__).parent


@cache
def said(*packages: str) -> frozenset[str]:
    """Return every string constant of some packages."""
    files = [path for each in packages for path in (_ROOT / each).rglob("*.py")]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
