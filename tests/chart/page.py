"""The commands of docs/uninstall.md, for the tests that run them."""

import re
import shlex

from tests.lab import paths

PAGE = (paths.REPOSITORY / "docs" / "uninstall.md").read_text(encoding="utf-8")


def commands(heading: str) -> list[list[str]]:
    """Return the commands below a heading, split into words."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]
