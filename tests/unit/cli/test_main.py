"""``twinlease``: it finds its commands and loads nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from twinlease import __version__
from twinlease.api.crds import definitions
from twinlease.cli.main import dispatch, usage

HEAVY = (
    "click",
    "rich",
    "kopf",
    "kubernetes",
    "yaml",
    "msgspec",
    "pyroute2",
    "prometheus_client",
    "urllib3",
    "argparse",
)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in ("operator", "sidecar", "verify", "crds", "version"))


@pytest.mark.parametrize("argv", [[], ["serve"]])
def test_no_such_command(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(argv) == 2
    err = capsys.readouterr().err
    assert err.endswith(usage())
    assert ("no command 'serve'" in err) == bool(argv)


def test_crds_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["crds"]) == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == list(definitions().values())


def test_crds_go_to_a_directory(tmp_path: Path) -> None:
    assert dispatch(["crds", "--output", str(tmp_path / "new")]) == 0
    assert {each.name for each in (tmp_path / "new").iterdir()} == set(definitions())


def test_the_entry_loads_none_of_the_heavy_libraries() -> None:
    # In a process of its own: this one has loaded everything.
    code = f"import sys, twinlease.cli.main; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "[]\n"


def test_it_runs_as_a_module() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "twinlease", "version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == f"{__version__}\n"
