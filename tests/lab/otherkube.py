"""API servers of other versions of Kubernetes, for the tests that need no nodes: `TWINLEASE_KUBE=1.30.14`.

Built from the Go modules of that version, by what its own go.mod asks for, and kept in the cache. The lab itself, with
its kubelets, has one version only.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.lab import binaries, paths
from tests.lab.binaries import Binaries
from tests.lab.shell import run

COMPONENTS = ("etcd", "kube-apiserver", "kubectl")
SOURCES = paths.LAB_SOURCES / "kubeother"
VARIABLE = "TWINLEASE_KUBE"

_VERSION = re.compile(r"1\.\d+\.\d+")
_STAGED = re.compile(r"^(?P<before>\s*(?:replace\s+)?)(?P<module>k8s\.io/\S+) => \./staging/src/\S+$", re.MULTILINE)
_SAMPLE = re.compile(r"^\s*k8s\.io/sample-\S+ v0\.0\.0.*\n", re.MULTILINE)
_DOWNLOAD_SECONDS, _BUILD_SECONDS = 600.0, 3600.0


class VersionError(ValueError):
    """What is asked for is no version."""


def chosen(environ: Mapping[str, str] = os.environ) -> Binaries:
    """Return what the tests' API server is made of: the version that is asked for, else the lab's.

    Raises:
        VersionError: What is asked for is no version.
    """
    version = environ.get(VARIABLE, "")
    return ensure(version) if version else binaries.ensure()


def ensure(version: str) -> Binaries:
    """Return etcd, API server and kubectl of a version, building them first if the cache does not have them.

    Raises:
        VersionError: It is no version.
    """
    if not _VERSION.fullmatch(version):
        raise VersionError(f"Kubernetes {version!r}: want a version like 1.30.14")
    key = binaries.digest([SOURCES / "main.go", Path(__file__)], version)
    target = paths.cache_directory() / f"kube-{version}-{key}"
    marker = target / "complete"
    if not marker.exists():
        with paths.locked("otherkube", wait_seconds=_BUILD_SECONDS):
            if not marker.exists():  # another process may have built it while we waited
                sys.stderr.write(f"building etcd, kube-apiserver and kubectl of Kubernetes {version} (once)\n")
                _build(target, version)
                marker.touch()
    return Binaries(target)


def go_mod(upstream: str, version: str) -> tuple[str, tuple[str, ...]]:
    """Return a go.mod that asks for what Kubernetes itself asks for, and the modules that must stand in.

    What Kubernetes has in its own tree is published as `v0.` of the same version. Samples may not be, and nothing needs
    them: empty modules stand in.

    Args:
        upstream: Its go.mod.
        version: Its version, without a `v`.
    """
    absent = tuple(module for _, module in _STAGED.findall(upstream) if module.startswith("k8s.io/sample-"))

    def published(found: re.Match[str]) -> str:
        module = found["module"]
        place = f"./{module}" if module in absent else f"{module} v0.{version.removeprefix('1.')}"
        return f"{found['before']}{module} => {place}"

    text = re.sub(r"^module .*$", "module otherkube", _SAMPLE.sub("", upstream), flags=re.MULTILINE)
    return _STAGED.sub(published, text) + f"\nrequire k8s.io/kubernetes v{version}\n", absent


def _build(target: Path, version: str) -> None:
    shutil.rmtree(target, ignore_errors=True)
    sources = target / "sources"
    sources.mkdir(parents=True)
    argv = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{version}"]
    upstream = Path(json.loads(run(argv, cwd=sources, timeout=_DOWNLOAD_SECONDS))["GoMod"])
    text, absent = go_mod(upstream.read_text(encoding="utf-8"), version)
    (sources / "go.mod").write_text(text, encoding="utf-8")
    for module in absent:
        (sources / module).mkdir(parents=True)
        (sources / module / "go.mod").write_text(f"module {module}\n", encoding="utf-8")
    shutil.copy(SOURCES / "main.go", sources)
    # There is no go.sum yet: the checksum database vouches for what is downloaded.
    binaries.go_build(sources, target / "otherkube", binaries.linker_flags(text), mod="mod")
    for component in COMPONENTS:
        (target / component).symlink_to("otherkube")
    (target / "path").mkdir()
    (target / "path" / "kubectl").symlink_to("../otherkube")
