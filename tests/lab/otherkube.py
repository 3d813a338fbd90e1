"""API servers of other versions of Kubernetes, for the tests that need no nodes: `TWINLEASE_KUBE=1.30.14`.

Built from the Go modules of that version, by what its own go.mod asks for, and kept in the cache. The lab itself, with
its kubelets, has one version only.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tests.lab import binaries, paths
from tests.lab.binaries import Binaries
from tests.lab.shell import run

COMPONENTS = ("etcd", "kube-apiserver", "kubectl")
SOURCES = paths.LAB_SOURCES / "kubeother"
VARIABLE = "TWINLEASE_KUBE"

_VERSION = re.compile(r"1\.\d+\.\d+")
_STAGED = re.compile(r"^(?P<before>\s*(?:replace\s+)?)(?P<module>k8s\.io/\S+) => \./staging/src/\S+$", re.MULTILINE)
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
    key = binaries.digest([SOURCES / "main.go"], version)
    target = paths.cache_directory() / f"kube-{version}-{key}"
    marker = target / "complete"
    if not marker.exists():
        with paths.locked("otherkube", wait_seconds=_BUILD_SECONDS):
            if not marker.exists():  # another process may have built it while we waited
                sys.stderr.write(f"building etcd, kube-apiserver and kubectl of Kubernetes {version} (once)\n")
                _build(target, version)
                marker.touch()
    return Binaries(target)


def staged(upstream: str) -> tuple[str, ...]:
    """Return the modules that Kubernetes has in its own tree, by its go.mod."""
    return tuple(found["module"] for found in _STAGED.finditer(upstream))


def go_mod(upstream: str, version: str, absent: Collection[str]) -> str:
    """Return a go.mod that asks for what Kubernetes itself asks for.

    What it has in its own tree is published as `v0.` of the same version.

    Args:
        upstream: Its go.mod.
        version: Its version, without a `v`.
        absent: Modules for which an empty one stands in, in a folder of the module's name.
    """

    def published(found: re.Match[str]) -> str:
        module = found["module"]
        place = f"./{module}" if module in absent else f"{module} {_staged_version(version)}"
        return f"{found['before']}{module} => {place}"

    text = re.sub(r"^module .*$", "module otherkube", upstream, flags=re.MULTILINE)
    return _STAGED.sub(published, text) + f"\nrequire k8s.io/kubernetes v{version}\n"


def _staged_version(version: str) -> str:
    return f"v0.{version.removeprefix('1.')}"


def _absent(modules: Iterable[str], version: str, directory: Path) -> set[str]:
    """Return which modules the proxy does not have; if one of them is needed, the build says so."""
    argv = ["go", "list", "-m", "-e", "-f", "{{if .Error}}{{.Path}}{{end}}"]
    return set(
        run(
            [*argv, *(f"{each}@{_staged_version(version)}" for each in modules)],
            cwd=directory,
            timeout=_DOWNLOAD_SECONDS,
        ).split()
    )


def _build(target: Path, version: str) -> None:
    shutil.rmtree(target, ignore_errors=True)
    sources = target / "sources"
    sources.mkdir(parents=True)
    argv = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{version}"]
    found = json.loads(run(argv, cwd=sources, timeout=_DOWNLOAD_SECONDS))
    upstream = Path(found["GoMod"]).read_text(encoding="utf-8")
    absent = _absent(staged(upstream), version, sources)
    text = go_mod(upstream, version, absent)
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
