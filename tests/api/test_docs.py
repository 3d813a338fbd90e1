"""The commands of docs/ that need an API server and a pair, run by the real kubectl."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.operating import Operator, Start, settle
from tests.api.world import World
from tests.docs.markdown import ROOT, Block, Page, pages
from tests.lab import otherkube
from tests.lab.apiserver import ApiServer
from twinlease.kube.protocol import PAIRS, SERVERS
from twinlease.model import conditions

HERE = "run by tests/api/test_docs.py"
BLOCKS = [(page, block) for page in pages() for block in page.blocks() if block.mark == HERE]
CONFIRMATION = next(block for _, block in BLOCKS if "confirm-dead" in block.text)

PAIR = "lan"
"""As the pages call it."""


@pytest.fixture
def lan(world: World, start: Start) -> Operator:
    """Return an operator that has brought the pair of the pages to normal."""
    operator = start()
    world.pair(PAIR)
    world.pool("office", pair=PAIR)
    settle(world, operator, PAIR)
    return operator


def run(block: Block, server: ApiServer, namespace: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run a block as a user whose context is the pair's namespace."""
    document = json.loads(server.kubeconfig.read_text(encoding="utf-8"))
    for each in document["contexts"]:
        each["context"]["namespace"] = namespace
    for name in ("crds", "examples", "manifests"):
        (scratch / name).symlink_to(ROOT / name)
    kubeconfig = scratch / "kubeconfig"
    kubeconfig.write_text(json.dumps(document), encoding="utf-8")
    programs = Path(sys.executable).parent  # kubectl finds the plugin there
    path = f"{otherkube.chosen().kubectl_directory}:{programs}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=scratch,
        env={"PATH": path, "HOME": str(scratch), "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.usefixtures("lan")
@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[f"{page.name}:{block.line}" for page, block in BLOCKS])
def test_a_command_of_a_page_works(page: Page, block: Block, server: ApiServer, namespace: str, tmp_path: Path) -> None:
    found = run(block, server, namespace, tmp_path)
    assert (found.returncode, found.stderr) == (0, ""), f"{page.name}:{block.line}"
    written = "".join(each.read_text() for each in tmp_path.glob("*.yaml"))
    assert found.stdout + written


def test_the_first_look_shows_the_verdict_and_every_condition(
    lan: Operator, world: World, server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    condition = {
        "type": "NetworkReady",
        "status": "False",
        "reason": "LinkDown",
        "message": "interface eth1 has no link",
    }
    status = {"status": {"conditions": [condition]}}
    world.admin.merge_patch(SERVERS, f"{PAIR}-primary", namespace, status, subresource="status")
    first = next(block for _, block in BLOCKS if "describe" in block.text)
    said = run(first, server, namespace, tmp_path).stdout
    verdict = lan.observed.request("GET", PAIRS.path(namespace, PAIR))["status"]["takeover"]["message"]
    assert verdict in said.splitlines()
    assert "NetworkReady=False LinkDown: interface eth1 has no link" in said.splitlines()
    assert all(kind in said for kind in conditions.PAIR)
    assert "Answering clients: lan-primary and lan-secondary" in said.split("LAST SEEN")[1], "an Event tells of it"


def test_a_confirmation_is_understood_and_refused_of_a_server_that_is_alive(
    lan: Operator, world: World, server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    assert run(CONFIRMATION, server, namespace, tmp_path).returncode == 0
    lan.look(PAIR)
    said = world.conditions(PAIRS, PAIR)["PartnerDown"]["message"]
    assert "twinlease.io/confirm-dead is refused: lan-secondary is alive" in said
