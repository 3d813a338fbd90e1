"""``python -m tests.krew.archive DIRECTORY``: the plugin as krew installs it, an archive and its manifest.

krew unpacks an archive and links one program of it; it installs no Python and no packages. So the archive holds this
package and all that it needs, as it is installed beside this interpreter from the lock file. Some of that is compiled:
an archive is for one machine architecture and one minor version of Python, and says so when it meets another.
"""

import gzip
import hashlib
import importlib.metadata
import os
import platform
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

import yaml

import twinlease

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "https://nowhere.invalid"
"""Where the archive is, as long as nobody has published it: ``krew install --archive`` does not ask."""

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
_PROGRAM = """\
#!/bin/sh
python=python{version}
command -v "$python" > /dev/null || {{
  echo "kubectl twinlease: this archive is for Python {version}, and there is no $python on PATH." >&2
  exit 1
}}
here=$(dirname "$(readlink -f "$0")")
PYTHONPATH="$here/lib" exec "$python" -c 'from twinlease.cli.plugin import run; run()' "$@"
"""


def version(of_package: str = twinlease.__version__) -> str:
    """Return the semantic version that krew wants, of one that Python's packages have."""
    return "v" + re.sub(r"\.dev(\d+)$", r"-dev.\1", of_package)


def architecture() -> str:
    """Return the machine's architecture as krew calls it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def contents() -> dict[str, Path]:
    """Return the files of the archive's ``lib``: this package, and what the lock file names and is installed.

    What it names for other systems is not.
    """
    package = Path(twinlease.__file__).parent
    found = {str(each.relative_to(package.parent)): each for each in package.rglob("*") if each.is_file()}
    for name in _LOCKED.findall((ROOT / "requirements.lock").read_text(encoding="utf-8")):
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found |= {str(each): Path(str(each.locate())) for each in files if not each.is_absolute()}
    return {
        name: path
        for name, path in sorted(found.items())
        if not name.startswith("..") and "__pycache__" not in name and path.is_file()
    }


def write(directory: Path, base: str = NOWHERE) -> tuple[Path, Path]:
    """Write archive and manifest; the same files always give the same archive.

    Args:
        directory: Where to.
        base: Where the archive is going to be published.

    Returns:
        The paths of both.
    """
    directory.mkdir(parents=True, exist_ok=True)
    archive = directory / f"kubectl-twinlease-{version()}-linux-{architecture()}-python{_PYTHON}.tar.gz"
    program = directory / "kubectl-twinlease"
    program.write_text(_PROGRAM.format(version=_PYTHON), encoding="utf-8")
    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, path in {"kubectl-twinlease": program, "LICENSE": ROOT / "LICENSE"}.items():
            tar.add(path, name, filter=_plain)
        for name, path in contents().items():
            tar.add(path, f"lib/{name}", filter=_plain)
    program.unlink()
    manifest = directory / "twinlease.yaml"
    text = yaml.safe_dump(_manifest(archive, base.rstrip("/")), sort_keys=False, width=100)
    manifest.write_text(text, encoding="utf-8")
    return archive, manifest


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o755 if member.name == "kubectl-twinlease" else 0o644
    return member


def _manifest(archive: Path, base: str) -> dict[str, Any]:
    """Return krew's manifest, by https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest."""
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "twinlease"},
        "spec": {
            "version": version(),
            "shortDescription": "Look after DHCP failover pairs",
            "description": "Shows DHCP failover pairs of twinlease, explains why partner-down is or is not declared, "
            "draws their history, computes their sizes, and checks manifests without a cluster.",
            "caveats": f"Needs python{_PYTHON} on PATH.",
            "platforms": [
                {
                    "selector": {"matchLabels": {"os": "linux", "arch": architecture()}},
                    "uri": f"{base}/{archive.name}",
                    "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
                    "bin": "kubectl-twinlease",
                }
            ],
        },
    }


if __name__ == "__main__":
    for written in write(Path(sys.argv[1]), os.environ.get("KREW_URI") or NOWHERE):
        sys.stdout.write(f"{written}\n")
