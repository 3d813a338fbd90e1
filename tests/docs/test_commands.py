"""Every command is marked as run or as not run, and those that need no cluster are run here.

A comment right before a block says so, one below a page's title says so of all its unmarked blocks::

    <!-- run by tests/docs -->              here, with status 0; what follows it in the language `text` is its output
    <!-- run by PATH -->                    by another test
    <!-- not run: REASON -->
    <!-- not run unless marked: REASON -->  for the whole page; in a README.md for all pages of its folder
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, SHELL, Block, Page, pages

HERE = "run by tests/docs"
LANGUAGES = SHELL | {"", "yaml", "json", "mermaid", "text", "promql"}

# kubectl finds plugins on PATH by their name; that is all of it that is stood in for here.
KUBECTL = '#!/bin/sh\nname="kubectl-$1"\nshift\nexec "$name" "$@"\n'


def shell_blocks(page: Page) -> list[Block]:
    return [block for block in page.blocks() if block.is_shell]


RUN = [(page, block) for page in pages() for block in shell_blocks(page) if block.mark == HERE]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_command_is_marked_as_run_or_not_run(page: Page) -> None:
    assert [f"{page.name}:{block.line}" for block in shell_blocks(page) if not _is_marked(block)] == []


def _is_marked(block: Block) -> bool:
    kind, _, rest = block.mark.partition(": ")
    if kind in {"not run", "not run unless marked"}:
        return bool(rest)
    return (ROOT / block.mark.removeprefix("run by ")).exists() if block.mark else False


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_block_is_in_a_language_that_is_known(page: Page) -> None:
    # Else a misspelt `sh` would be no command to us.
    assert [f"{page.name}:{each.line}" for each in page.blocks() if each.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_commands_are_shell(page: Page) -> None:
    for block in shell_blocks(page):
        found = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
        assert not found.stderr, f"{page.name}:{block.line}: {found.stderr}"


@pytest.mark.parametrize(("page", "block"), RUN, ids=[f"{page.name}:{block.line}" for page, block in RUN])
def test_a_command_does_what_the_page_says(page: Page, block: Block, tmp_path: Path) -> None:
    found = _run(block.text, tmp_path)
    assert found.returncode == 0, f"{page.name}:{block.line}: {found.stderr}"
    if block.prints is not None:
        assert found.stdout == block.prints


def test_some_are_run() -> None:
    assert RUN


def _run(commands: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run commands as a user would in the repository, whose files cannot be overwritten from there."""
    for name in ("crds", "examples", "manifests"):
        (scratch / name).symlink_to(ROOT / name)
    (scratch / "bin").mkdir()
    kubectl = scratch / "bin" / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    path = f"{scratch / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=scratch,
        env={"PATH": path, "HOME": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
