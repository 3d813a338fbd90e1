"""The pages as a reader's browser sees them: headings with their anchors, links, code, and the marks of commands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
SHELL = frozenset({"sh", "bash", "shell", "console"})

_PARSER = MarkdownIt("commonmark").enable("table")
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
_MARK = re.compile(r"(?:run by|not run:|not run unless marked:) ")
_COMMAND = re.compile(r"(?:docker|eval|helm|install|kubectl|make|oc|pip|python3?|sed|tcpdump|twinlease)\s", re.ASCII)
_NOT_IN_AN_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        line: Of its fence, from 1.
        mark: The comment right before it that says whether it is run; empty: there is none.
        prints: What the block says that follows at once in the language ``text``; None: none does.
    """

    language: str
    text: str
    line: int
    mark: str = ""
    prints: str | None = None

    @property
    def is_shell(self) -> bool:
        """Whether it is commands: by its language, or else by a line that begins with a program's name."""
        return self.language in SHELL or (not self.language and any(map(_COMMAND.match, self.text.splitlines())))


@dataclass(frozen=True)
class Page:
    """One file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path in the repository."""
        return str(self.path.relative_to(ROOT))

    def tokens(self) -> list[Token]:
        """Return what it is made of."""
        return _parsed(self.path)

    def anchors(self) -> set[str]:
        """Return what a link may name after ``#``, as GitHub makes it."""
        found: dict[str, int] = {}
        tokens = self.tokens()
        for opening, inside in pairwise(tokens):
            if opening.type != "heading_open":
                continue
            made = _NOT_IN_AN_ANCHOR.sub("", _plain(inside).lower()).replace(" ", "-")
            found[made] = found.get(made, -1) + 1
            if found[made]:
                found[f"{made}-{found[made]}"] = 0
        return set(found)

    def links(self) -> Iterator[tuple[int, str]]:
        """Yield every link and picture with its line."""
        for token in self.tokens():
            for child in token.children or ():
                target = child.attrGet("href" if child.type == "link_open" else "src")
                if child.type in {"link_open", "image"} and isinstance(target, str):
                    yield (token.map or [0])[0] + 1, target

    def blocks(self) -> Iterator[Block]:
        """Yield every fenced block."""
        tokens, general = self.tokens(), self._general_mark()
        for place, token in enumerate(tokens):
            if token.type == "fence":
                before = tokens[place - 1] if place else None
                after = tokens[place + 1] if place + 1 < len(tokens) else None
                yield Block(
                    language=token.info.strip(),
                    text=token.content,
                    line=(token.map or [0])[0] + 1,
                    mark=_mark(before) or general,
                    prints=after.content if after and (after.type, after.info.strip()) == ("fence", "text") else None,
                )

    def words(self) -> Iterator[tuple[int, str]]:
        """Yield everything that stands in inline code, with its line."""
        for token in self.tokens():
            for child in token.children or ():
                if child.type == "code_inline":
                    yield (token.map or [0])[0] + 1, child.content

    def rows(self) -> Iterator[list[list[str]]]:
        """Yield each table's lines below its head, as the inline code in each cell."""
        row: list[list[str]] = []
        inside = False
        for token in self.tokens():
            inside = token.type == "tbody_open" or (inside and token.type != "tbody_close")
            if inside and token.type == "tr_open":
                row = []
            elif inside and token.type == "inline":
                row.append([child.content for child in token.children or () if child.type == "code_inline"])
            elif inside and token.type == "tr_close":
                yield row

    def _general_mark(self) -> str:
        """Return what this page says of all its blocks, or else the README of its folder of all its pages'."""
        index = self.path.with_name("README.md")
        for page in (self, Page(index)) if index.exists() else (self,):
            for token in page.tokens():
                if (mark := _mark(token)).startswith("not run unless marked:"):
                    return mark
        return ""


@cache
def _parsed(path: Path) -> list[Token]:
    return _PARSER.parse(path.read_text(encoding="utf-8"))


def pages() -> list[Page]:
    """Return all of the repository, without what hides behind a dot."""
    found = (each for each in sorted(ROOT.rglob("*.md")) if not any(p[0] == "." for p in each.relative_to(ROOT).parts))
    return [Page(each) for each in found]


def _mark(token: Token | None) -> str:
    if token is None or token.type != "html_block":
        return ""
    comments = [" ".join(text.split()) for text in _COMMENT.findall(token.content)]
    return next((text for text in comments if _MARK.match(text)), "")


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.type in {"text", "code_inline"})
