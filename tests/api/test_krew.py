"""The archive for krew: unpacked as krew does it, the real kubectl runs it, by a Python that has no packages."""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.krew.archive import NOWHERE, ROOT, version, write
from tests.lab import otherkube
from twinlease import __version__

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def krew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return krew's root after it has installed the plugin: it unpacks, and links the manifest's program."""
    root = tmp_path_factory.mktemp("krew")
    archive, manifest = write(root / "dist", "https://files.example.com/krew/")
    said = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    (platform,) = said["spec"]["platforms"]
    assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert platform["uri"] == f"https://files.example.com/krew/{archive.name}"
    store = root / "store" / said["metadata"]["name"] / said["spec"]["version"]
    with tarfile.open(archive) as tar:
        tar.extractall(store, filter="data")
    (root / "bin").mkdir()
    (root / "bin" / f"kubectl-{said['metadata']['name']}").symlink_to(store / platform["bin"])
    return root


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a directory with this Python's interpreter, which looks for no packages but those that it is given."""
    program = tmp_path / "python" / PYTHON
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{Path(sys.base_prefix) / "bin" / PYTHON}" -S "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program.parent


def run(*path: Path, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    env = {"PATH": ":".join(map(str, (*path, "/usr/bin", "/bin"))), "HOME": "/nonexistent"}
    argv = [otherkube.chosen()["kubectl"], "twinlease", *arguments]
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("version", "--client"), f"{__version__}\n"),
        (("check", "--filename", "examples/pair.yaml"), "3 objects checked: no problem\n"),
    ],
)
def test_kubectl_runs_what_krew_installed(krew: Path, bare: Path, arguments: tuple[str, ...], said: str) -> None:
    found = run(krew / "bin", bare, arguments=arguments)
    assert (found.stdout, found.stderr, found.returncode) == (said, "", 0)


def test_what_needs_the_cluster_gets_as_far_as_asking_it(krew: Path, bare: Path) -> None:
    found = run(krew / "bin", bare, arguments=("status",))
    assert found.returncode == 3
    assert "no usable kubeconfig" in found.stderr


def test_another_python_is_named(krew: Path, tmp_path: Path) -> None:
    for program in ("dirname", "readlink"):
        (tmp_path / program).symlink_to(Path("/usr/bin") / program)
    found = subprocess.run(
        [krew / "bin" / "kubectl-twinlease"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    said = f"kubectl twinlease: this archive is for Python {PYTHON[6:]}, and there is no {PYTHON} on PATH.\n"
    assert found.stderr == said


def test_the_same_files_give_the_same_archive(krew: Path, tmp_path: Path) -> None:
    (before,) = (krew / "dist").glob("*.tar.gz")
    after, manifest = write(tmp_path)
    assert after.name == before.name
    assert after.read_bytes() == before.read_bytes()
    assert NOWHERE in manifest.read_text(encoding="utf-8")
    assert set(tmp_path.iterdir()) == {after, manifest}


def test_its_version_is_a_semantic_one() -> None:
    assert version("0.1.0.dev0") == "v0.1.0-dev.0"
    assert version("1.2.3") == "v1.2.3"
    chart = yaml.safe_load((ROOT / "charts/twinlease/Chart.yaml").read_text(encoding="utf-8"))
    assert version() == f"v{chart['version']}"
