"""The plain manifests: what the chart renders with its defaults, for those who use kubectl alone.

`python -m tests.chart.plain` writes them into `manifests/`.
"""

import re
import tempfile
from pathlib import Path

from tests.lab import paths
from tests.lab.helm import Helm

CHART = paths.REPOSITORY / "charts" / "twinlease"
MANIFESTS = paths.REPOSITORY / "manifests"
NAMESPACE = "twinlease-system"

# Rendering needs a version; the oldest that the chart takes, so that nothing newer gets in unnoticed.
OLDEST_KUBERNETES = "1.30.0"

_SOURCE = re.compile(r"^# Source: twinlease/templates/(?P<template>\S+)\n", re.MULTILINE)
_HEADER = """\
# The operator for a cluster of your own, plain: apply crds/ first, then this. Rendered from charts/twinlease by
# `make manifests`: edit the chart, not this file.
# Before: put the name of your image into the two places that say localhost/twinlease:dev.
# Pairs may live in any namespace; their server pods use the host's network, so that the namespace must allow
# privileged pods (label pod-security.kubernetes.io/enforce: privileged) where Pod Security is enforced.
apiVersion: v1
kind: Namespace
metadata:
  name: twinlease-system
  labels:
    app.kubernetes.io/name: twinlease
    pod-security.kubernetes.io/enforce: restricted
"""


def documents(rendered: str) -> list[tuple[str, str]]:
    """Return each document of what `helm template` printed, after the name of its template."""
    found = []
    for text in re.split(r"^---\n", rendered, flags=re.MULTILINE):
        source = _SOURCE.search(text)
        body = _SOURCE.sub("", text).strip("\n")
        if source and body:
            found.append((source["template"], body + "\n"))
    return found


def rendered(helm: Helm) -> dict[str, str]:
    """Return the texts of the plain manifests by the name of their file."""
    options = ["--namespace", NAMESPACE, "--kube-version", OLDEST_KUBERNETES, "--set", "crds.install=false"]
    found = documents(helm("template", "twinlease", str(CHART), *options, "--skip-tests"))
    policy = [body for template, body in found if template == "admission.yaml"]
    others = [body for template, body in found if template != "admission.yaml"]
    return {"admission.yaml": "---\n".join(policy), "operator.yaml": "---\n".join([_HEADER, *others])}


def main() -> None:
    """Write the plain manifests."""
    with tempfile.TemporaryDirectory() as home:
        for name, text in rendered(Helm(Path(home))).items():
            (MANIFESTS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
