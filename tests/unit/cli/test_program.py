"""The program itself, without a cluster: what it prints where something of the machine fails."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
import yaml

from twinlease import __version__

PROGRAM = Path(sys.executable).with_name("kubectl-twinlease")
SIZE = ("size", "--clients", "200", "--arrivals", "40", "--lease", "8h")


def run(home: Path, *arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run it as a user with this home, and no kubeconfig but what is there."""
    unwanted = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST")
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    return subprocess.run(
        [PROGRAM, *arguments],
        env={**environment, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("version", "--client"), SIZE, (*SIZE, "-o", "json"), ("--help",)])
def test_output_that_cannot_be_written_is_a_sentence(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = run(tmp_path, *arguments, stdout=full)
    said = "kubectl twinlease: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_a_reader_that_has_gone_is_no_error_to_speak_of(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        done = run(tmp_path, *SIZE, stdout=pipe)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("text", f"client     {__version__}\n"),
        ("json", json.dumps({"client": __version__}, indent=2) + "\n"),
        ("yaml", yaml.safe_dump({"client": __version__})),
    ],
)
def test_its_own_version_is_told_also_without_a_cluster(form: str, told: str, tmp_path: Path) -> None:
    done = run(tmp_path, "version", "-o", form)
    assert (done.returncode, done.stdout) == (3, told)
    assert done.stderr == (
        "kubectl twinlease: no usable kubeconfig: there is no ~/.kube/config, $KUBECONFIG is not set, and this is no "
        "pod\n"
    )


def test_an_exec_plugin_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "twinlease-no-such-program"}
    document = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
        "contexts": [{"name": "k", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": plugin}}],
        "current-context": "k",
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(document), encoding="utf-8")
    done = run(tmp_path, "status", "--kubeconfig", str(path))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"kubectl twinlease: no usable kubeconfig: {path}: its exec plugin gives no credentials: "
        "twinlease-no-such-program: No such file or directory\n"
    )
