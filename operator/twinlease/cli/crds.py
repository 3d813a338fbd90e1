"""``twinlease crds``: the CustomResourceDefinitions as YAML."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from twinlease.api.crds import definitions

_HEADER = "# Generated from operator/twinlease/api by `make crds`: edit the types, not this file.\n"


def manifest(definition: Mapping[str, Any]) -> str:
    """Return one definition as the text of its file; the same definition always gives the same text."""
    return _HEADER + yaml.safe_dump(dict(definition), sort_keys=False, width=120, allow_unicode=True)


def run(argv: list[str]) -> int:
    """Write the definitions to a directory, or to standard output without one; return the exit status."""
    parser = argparse.ArgumentParser(prog="twinlease crds", description="Print the CustomResourceDefinitions.")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write one file for each kind into DIR")
    directory: Path | None = parser.parse_args(argv).output
    files = {name: manifest(definition) for name, definition in definitions().items()}
    if directory is None:
        sys.stdout.write("---\n".join(files.values()))
        return 0
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return 0
