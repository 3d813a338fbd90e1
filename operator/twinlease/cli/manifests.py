"""Manifests from files, read as kubectl reads them."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Json: TypeAlias = dict[str, Any]

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+|0o?[0-7]+)$")
_CHANGED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int")


class ManifestError(Exception):
    """A file that cannot be read, or that holds no objects."""


class _Loader(yaml.SafeLoader):
    """YAML without numbers to the base of sixty and without dates: ``10:20:30:40:50:59`` is a MAC, as for kubectl."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _CHANGED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))


def load(sources: tuple[str, ...]) -> list[Json]:
    """Return the objects of files, of all files of directories, and of standard input (``-``), in order.

    Raises:
        ManifestError: Something cannot be read.
    """
    return [each for source in sources for name, text in _texts(source) for each in parse(name, text)]


def _texts(source: str) -> Iterator[tuple[str, str]]:
    if source == "-":
        yield "standard input", sys.stdin.read()
        return
    path = Path(source)
    try:
        files = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES) if path.is_dir() else [path]
        for file in files:
            yield str(file), file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{source}: {error}") from error


def parse(name: str, text: str) -> list[Json]:
    """Return the objects of a text; lists are unpacked.

    Raises:
        ManifestError: It is no YAML, or holds something else than objects.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))  # a SafeLoader with fewer types
    except yaml.YAMLError as error:
        raise ManifestError(f"{name}: no YAML: {error}") from error
    found: list[Json] = []
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise ManifestError(f"{name}: an object is expected, not {document!r:.60}")
        items = document.get("items")
        if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
            found.extend(item for item in items if isinstance(item, dict))
        else:
            found.append(document)
    return found
