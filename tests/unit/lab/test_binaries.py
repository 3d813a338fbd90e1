"""The key of the Go build, and what is pinned."""

import re
from pathlib import Path

import pytest

from tests.lab import helm
from tests.lab.binaries import COMPONENTS, KUBE_SOURCES, digest, linker_flags


def test_the_key_changes_with_content_name_and_flags(tmp_path: Path) -> None:
    first, second = tmp_path / "a.go", tmp_path / "b.go"
    first.write_text("one")
    key = digest([first], "flags")
    assert key == digest([first], "flags")
    second.write_text("one")
    assert len({key, digest([second], "flags"), digest([first], "others"), digest([first, second], "flags")}) == 4
    first.write_text("two")
    assert digest([first], "flags") != key


def test_the_version_is_read_from_the_module() -> None:
    flags = linker_flags("module x\n\nrequire k8s.io/kubernetes v1.35.4\n")
    assert "gitVersion=v1.35.4" in flags
    assert "gitMajor=1 " in flags
    assert flags.endswith("gitMinor=35")


def test_a_module_without_kubernetes_is_refused() -> None:
    with pytest.raises(ValueError, match="requires no"):
        linker_flags("module x\n")


def test_all_of_kubernetes_is_of_one_version() -> None:
    text = (KUBE_SOURCES / "go.mod").read_text(encoding="utf-8")
    replaced = re.findall(r"k8s\.io/(\S+) => k8s\.io/(\S+) v0\.(\S+)", text)
    assert len(replaced) > 25
    assert all(old == new for old, new, _ in replaced)
    (version,) = {version for *_, version in replaced}
    assert f"gitVersion=v1.{version} " in linker_flags(text) + " "


def test_the_program_knows_every_component() -> None:
    source = (KUBE_SOURCES / "main.go").read_text(encoding="utf-8")
    assert all(f'"{component}"' in source for component in COMPONENTS)


def test_helm_is_told_its_version() -> None:
    flags = helm.linker_flags((helm.SOURCES / "go.mod").read_text(encoding="utf-8"))
    assert re.search(r"version\.version=v4\.\d+\.\d+$", flags)
    with pytest.raises(ValueError, match="requires no"):
        helm.linker_flags("module x\n")
