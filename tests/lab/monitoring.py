"""The Prometheus Operator's own definitions of its kinds, from its Go module."""

import json
from pathlib import Path

from tests.lab import paths
from tests.lab.shell import run

SOURCES = paths.LAB_SOURCES / "monitoring"
KINDS = ("podmonitors", "prometheusrules")
_MODULE = "github.com/prometheus-operator/prometheus-operator"


def definitions() -> list[Path]:
    """Return the files of the kinds that the chart makes objects of; Go keeps them and knows their checksum."""
    told = run(["go", "mod", "download", "-json", _MODULE], cwd=SOURCES, env={"GOWORK": "off"}, timeout=300.0)
    directory = Path(json.loads(told)["Dir"]) / "example" / "prometheus-operator-crd"
    return [directory / f"monitoring.coreos.com_{kind}.yaml" for kind in KINDS]
