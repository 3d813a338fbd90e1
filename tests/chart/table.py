"""The table of values in the chart's README, made of the words above each value in `values.yaml`.

`python -m tests.chart.table` writes it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.chart.plain import CHART

README = CHART / "README.md"
_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]+):")
_BEGIN, _END = "<!-- values -->\n", "<!-- end of values -->\n"


def described(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of each value that has words above it, with these words."""
    path: list[str] = []
    words: list[str] = []
    for line in text.splitlines():
        found = _KEY.match(line)
        if line.lstrip().startswith("# "):
            words.append(line.lstrip()[2:])
            continue
        if found:
            path = [*path[: len(found["indent"]) // 2], found["key"]]
            if words:
                yield tuple(path), " ".join(words)
        words = []


def leaves(values: dict[str, Any], depth: int = 2, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the path of everything that can be set; groups are no values themselves, what is deeper is one."""
    for key, value in values.items():
        group = isinstance(value, dict) and value and depth > 1 and all(word.isalpha() for word in value)
        yield from leaves(value, depth - 1, *path, key) if group else [(*path, key)]


def table(text: str) -> str:
    """Return the table of a `values.yaml`."""
    rows = ["| value | default | what |", "|---|---|---|"]
    for path, words in described(text):
        default = yaml.safe_load(text)
        for key in path:
            default = default[key]
        rows.append(f"| `{'.'.join(path)}` | `{json.dumps(default)}` | {words} |")
    return "\n".join(rows) + "\n"


def with_table(readme: str, text: str) -> str:
    """Return a README with the table of a `values.yaml` in its place."""
    before, rest = readme.split(_BEGIN)
    return before + _BEGIN + table(text) + _END + rest.split(_END)[1]


def main() -> None:
    """Write the table into the chart's README."""
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8"), values), encoding="utf-8")


if __name__ == "__main__":
    main()
