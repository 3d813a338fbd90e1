"""Every manifest of ours on a page passes `kubectl twinlease check`."""

import pytest
import yaml
from click.testing import CliRunner

from tests.docs.markdown import Block, Page, pages
from twinlease.cli.plugin import main

BLOCKS = [(page, block) for page in pages() for block in page.blocks() if block.language == "yaml"]
OURS = [(page, block) for page, block in BLOCKS if "kind: DHCP" in block.text]


@pytest.mark.parametrize(("page", "block"), OURS, ids=[f"{page.name}:{block.line}" for page, block in OURS])
def test_a_manifest_passes_the_check(page: Page, block: Block) -> None:
    found = CliRunner().invoke(main, ["check", "-f", "-"], input=block.text)
    assert found.exit_code == 0, f"{page.name}:{block.line}: {found.output}"


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[f"{page.name}:{block.line}" for page, block in BLOCKS])
def test_yaml_is_yaml(page: Page, block: Block) -> None:
    assert [*yaml.safe_load_all(block.text)], f"{page.name}:{block.line}"


def test_there_are_some() -> None:
    assert OURS
