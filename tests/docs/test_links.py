"""Every link leads somewhere."""

from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.markdown import ROOT, Page, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_of_a_page_resolve(page: Page) -> None:
    broken = [f"{page.name}:{line}: {target}" for line, target in page.links() if not _resolves(page, target)]
    assert broken == []


def _resolves(page: Page, target: str) -> bool:
    parts = urlsplit(target)
    if parts.scheme:
        return parts.scheme in {"https", "mailto"}  # whether it answers depends on the day
    file = page.path if not parts.path else (page.path.parent / unquote(parts.path)).resolve()
    if not file.exists() or not file.is_relative_to(ROOT):
        return False
    return not parts.fragment or (file.suffix == ".md" and parts.fragment in Page(file).anchors())


@pytest.mark.parametrize(
    "target",
    ["nowhere.md", "architecture.md#nowhere", "#nowhere", "http://example.org", "../../outside", "../Makefile#x"],
)
def test_a_broken_link_is_found(target: str) -> None:
    assert not _resolves(Page(ROOT / "docs" / "safety.md"), target)


@pytest.mark.parametrize(
    "target", ["architecture.md", "safety.md#the-rule", "#assumptions", "https://example.org", ".."]
)
def test_a_good_link_is_none(target: str) -> None:
    assert _resolves(Page(ROOT / "docs" / "safety.md"), target)


def test_every_page_is_in_the_index() -> None:
    index = Page(ROOT / "docs" / "README.md")
    told = {(index.path.parent / urlsplit(target).path).resolve() for _, target in index.links()}
    folders = {each for each in told if each.is_dir()}
    left = [
        page.name
        for page in pages()
        if page.path.is_relative_to(ROOT / "docs")
        and page.path not in {*told, index.path}
        and not folders & set(page.path.parents)
    ]
    assert left == []
