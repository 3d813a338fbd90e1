"""The Kubernetes components, built once from the Go module beside this file and kept in the cache."""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import paths
from tests.lab.shell import run

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
KUBE_SOURCES = paths.LAB_SOURCES / "kube"
_BUILD_SECONDS = 3600.0
_VERSION_PACKAGE = "k8s.io/component-base/version"
_REQUIRED = re.compile(
    r"^\s*(?:require\s+)?k8s\.io/kubernetes v(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the components are."""

    directory: Path

    def __getitem__(self, component: str) -> str:
        """Return the path of one component."""
        return str(self.directory / component)

    @property
    def kubectl_directory(self) -> Path:
        """A directory that holds kubectl alone, to be put on a user's PATH."""
        return self.directory / "path"


def digest(files: Iterable[Path], *extra: str) -> str:
    """Return a short hash of files and words: the cache's key for what is built from them."""
    state = hashlib.sha256()
    for file in sorted(files):
        state.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    for word in extra:
        state.update(f"{word}\n".encode())
    return state.hexdigest()[:16]


def linker_flags(go_mod: str) -> str:
    """Return the flags that tell the components their version; without them the server calls itself v0.0.0."""
    found = _REQUIRED.search(go_mod)
    if found is None:
        raise ValueError("go.mod requires no k8s.io/kubernetes")
    values = {
        "gitVersion": f"v{found['major']}.{found['minor']}.{found['patch']}",
        "gitMajor": found["major"],
        "gitMinor": found["minor"],
    }
    return " ".join(["-s", "-w", *(f"-X {_VERSION_PACKAGE}.{name}={value}" for name, value in values.items())])


def ensure() -> Binaries:
    """Return the components, building them first if the cache does not have them (some minutes)."""
    flags = linker_flags((KUBE_SOURCES / "go.mod").read_text(encoding="utf-8"))
    key = digest([KUBE_SOURCES / name for name in ("go.mod", "go.sum", "main.go")], flags)
    target = paths.cache_directory() / f"kube-{key}"
    marker = target / "complete"
    if not marker.exists():
        with paths.locked("kube", wait_seconds=_BUILD_SECONDS):
            if not marker.exists():  # another process may have built it while we waited
                sys.stderr.write("building the Kubernetes components (once; 4 to 8 minutes on two cores)\n")
                _build(target, flags)
                marker.touch()
    return Binaries(target)


def _build(target: Path, flags: str) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    go_build(KUBE_SOURCES, target / "labkube", flags)
    for component in COMPONENTS:
        (target / component).symlink_to("labkube")
    (target / "path").mkdir()
    (target / "path" / "kubectl").symlink_to("../labkube")


def go_build(sources: Path, output: Path, flags: str = "-s -w", package: str = ".", *, mod: str = "readonly") -> None:
    """Build a Go module, or a package that it requires, into a static executable.

    Args:
        sources: The module.
        output: The executable.
        flags: The linker's.
        package: Which package.
        mod: `mod` where go.sum is to be made.
    """
    run(
        ["go", "build", f"-mod={mod}", "-trimpath", "-buildvcs=false", f"-ldflags={flags}", "-o", str(output), package],
        cwd=sources,
        env={"CGO_ENABLED": "0", "GOFLAGS": os.environ.get("GOFLAGS", ""), "GOWORK": "off"},
        timeout=_BUILD_SECONDS,
    )
