"""What the project's image is built from."""

import os
from pathlib import Path

import pytest

from tests.lab import images

DOCKERFILE = """FROM base AS build
COPY requirements.lock \\
     pyproject.toml ./
COPY --chown=1:1 operator ./operator
ADD ["a b.txt", "/x"]
RUN echo COPY this /is/not/one
FROM base
COPY --from=build /usr/lib/x /usr/lib/x
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "operator" / "__pycache__").mkdir(parents=True)
    for name in ("requirements.lock", "pyproject.toml", "a b.txt", "operator/x.py", "unrelated"):
        (tmp_path / name).write_text(name)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return tmp_path


def test_sources_are_what_comes_from_the_context() -> None:
    assert images.copied_sources(DOCKERFILE) == ["requirements.lock", "pyproject.toml", "operator", "a b.txt"]


def test_files_are_found_below_directories_and_by_pattern(context: Path) -> None:
    found = images.context_files(context, ["operator", "*.lock"])
    assert [str(file.relative_to(context)) for file in found] == ["operator/x.py", "requirements.lock"]
    assert context / "unrelated" in images.context_files(context, ["."])


def test_the_key_follows_what_goes_in_and_nothing_else(context: Path) -> None:
    key = images.project_key(context)
    (context / "unrelated").write_text("changed")
    (context / "operator/x.pyc").write_text("compiled")
    (context / "operator/__pycache__/x").write_text("compiled")
    assert images.project_key(context) == key
    seen = {key, images.project_key(context, "another/name")}
    (context / "operator/x.py").write_text("changed")
    seen.add(images.project_key(context))
    (context / "operator/x.py").chmod(0o755)
    seen.add(images.project_key(context))
    (context / "Dockerfile").write_text(DOCKERFILE + "USER 1\n")
    seen.add(images.project_key(context))
    assert len(seen) == 5


def test_the_latest_archives_are_kept(tmp_path: Path) -> None:
    for age in range(5):
        (tmp_path / f"image-{age}.tar").touch()
        os.utime(tmp_path / f"image-{age}.tar", (1000 - age, 1000 - age))
    assert [file.name for file in images.superseded(tmp_path.iterdir())] == ["image-3.tar", "image-4.tar"]


def test_pip_in_the_build_trusts_the_hosts_authorities_and_uses_its_index() -> None:
    plain = images.pip_configuration({})
    assert plain.startswith("[global]\ncert = /run/")
    assert "index-url" not in plain
    assert "index-url = https://index.invalid/simple\n" in images.pip_configuration(
        {"PIP_INDEX_URL": "https://index.invalid/simple", "PIP_TRUSTED_HOST": ""}
    )


@pytest.mark.parametrize(
    "text",
    [
        "# deb http://old.invalid/debian x main\ndeb [signed-by=/k.gpg] http://mirror.invalid/debian bookworm main\n",
        "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: bookworm\n",
    ],
)
def test_the_mirror_is_the_hosts(text: str) -> None:
    assert images.mirror(text) == "http://mirror.invalid/debian"


def test_no_mirror_is_an_error() -> None:
    with pytest.raises(ValueError, match="no package mirror"):
        images.mirror("# nothing\n")
