"""The module of another version of Kubernetes."""

import pytest

from tests.lab.binaries import linker_flags
from tests.lab.otherkube import COMPONENTS, SOURCES, chosen, ensure, go_mod, staged

UPSTREAM = """\
module k8s.io/kubernetes

go 1.22.0

require (
	github.com/spf13/cobra v1.7.0
	k8s.io/api v0.0.0
	k8s.io/kube-openapi v0.0.0-20240228011516-70dd3763d340
	k8s.io/sample-apiserver v0.0.0
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/sample-apiserver => ./staging/src/k8s.io/sample-apiserver
	k8s.io/sample-controller => ./staging/src/k8s.io/sample-controller
)
"""


def test_what_is_published_is_asked_for_and_an_empty_module_stands_in_for_what_is_not() -> None:
    assert staged(UPSTREAM) == ("k8s.io/api", "k8s.io/sample-apiserver", "k8s.io/sample-controller")
    text = go_mod(UPSTREAM, "1.30.14", {"k8s.io/sample-controller"})
    lines = [line.strip() for line in text.splitlines() if line]
    assert lines == [
        "module otherkube",
        "go 1.22.0",
        "require (",
        "github.com/spf13/cobra v1.7.0",
        "k8s.io/api v0.0.0",
        "k8s.io/kube-openapi v0.0.0-20240228011516-70dd3763d340",
        "k8s.io/sample-apiserver v0.0.0",
        ")",
        "replace (",
        "k8s.io/api => k8s.io/api v0.30.14",
        "k8s.io/sample-apiserver => k8s.io/sample-apiserver v0.30.14",
        "k8s.io/sample-controller => ./k8s.io/sample-controller",
        ")",
        "require k8s.io/kubernetes v1.30.14",
    ]
    assert "gitVersion=v1.30.14" in linker_flags(text)


@pytest.mark.parametrize("version", ["1.30", "v1.30.14", "latest", "1.30.14-rc.0"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match=r"want a version like 1\.30\.14"):
        ensure(version)
    with pytest.raises(ValueError, match=f"Kubernetes '{version}'"):
        chosen({"TWINLEASE_KUBE": version})


def test_the_program_knows_every_component() -> None:
    source = (SOURCES / "main.go").read_text(encoding="utf-8")
    assert all(f'"{component}"' in source for component in COMPONENTS)
