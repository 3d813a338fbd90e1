"""Helm, built once from its Go module and kept in the cache like the Kubernetes components."""

import re
import shutil
import sys
from pathlib import Path

from tests.lab import paths
from tests.lab.binaries import digest, go_build
from tests.lab.shell import run

SOURCES = paths.LAB_SOURCES / "helm"
_PACKAGE = "helm.sh/helm/v4/cmd/helm"
_REQUIRED = re.compile(r"^\s*(?:require\s+)?helm\.sh/helm/v4 (?P<version>v4\.\d+\.\d+)(?: // indirect)?$", re.MULTILINE)
_BUILD_SECONDS = 3600.0
_SECONDS = 120.0


def linker_flags(go_mod: str) -> str:
    """Return the flags that tell Helm its version; without them it knows the minor one only.

    Raises:
        ValueError: The module requires no Helm.
    """
    found = _REQUIRED.search(go_mod)
    if found is None:
        raise ValueError("go.mod requires no helm.sh/helm/v4")
    return f"-s -w -X helm.sh/helm/v4/internal/version.version={found['version']}"


def ensure() -> Path:
    """Return the executable, building it first if the cache does not have it (some minutes)."""
    flags = linker_flags((SOURCES / "go.mod").read_text(encoding="utf-8"))
    target = paths.cache_directory() / f"helm-{digest([SOURCES / 'go.mod', SOURCES / 'go.sum'], flags)}"
    marker = target / "complete"
    if not marker.exists():
        with paths.locked("helm", wait_seconds=_BUILD_SECONDS):
            if not marker.exists():  # another process may have built it while we waited
                sys.stderr.write("building Helm (once; 3 to 5 minutes on two cores)\n")
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(parents=True)
                go_build(SOURCES, target / "helm", flags, _PACKAGE)
                marker.touch()
    return target / "helm"


class Helm:
    """Runs Helm with a home of its own, so that no user's settings take part.

    Args:
        home: A directory for its cache and settings.
        kubeconfig: The cluster; None: only what needs none.
    """

    def __init__(self, home: Path, kubeconfig: Path | None = None) -> None:
        self._binary = ensure()
        self._environment = {
            "HELM_CACHE_HOME": str(home / "cache"),
            "HELM_CONFIG_HOME": str(home / "config"),
            "HELM_DATA_HOME": str(home / "data"),
            "KUBECONFIG": str(kubeconfig or home / "none"),
        }

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command and return what it printed.

        Raises:
            CommandError: It failed; ``output`` has its words.
        """
        return run([str(self._binary), *arguments], stdin=stdin, env=self._environment, timeout=_SECONDS)
