"""Where pages go: a terminal with its colours and width, or a pipe without either; or a document for programs."""

import datetime as dt
import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import yaml
from rich.console import Console, RenderableType

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_ENDLESS = 10_000
"""Columns of what is no terminal: nothing is broken, for programs read it by lines."""

output = click.option(
    "-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", help="What to print."
)
"""The option that asks for a document."""


def console() -> Console:
    """Return standard output: colours on a terminal unless NO_COLOR is set, none elsewhere."""
    found = Console(highlight=False, emoji=False, markup=False, file=sys.stdout)
    if not found.is_terminal:
        found.width = _ENDLESS
    return found


def text_of(page: RenderableType, on: Console) -> str:
    """Return a page as it looks on a console, without blanks at the ends of lines."""
    with on.capture() as captured:
        on.print(page)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def show(page: RenderableType) -> None:
    """Print a page."""
    click.echo(text_of(page, console()), nl=False, color=True)


def warn(message: str) -> None:
    """Print a sentence on standard error; an empty one is none."""
    if message:
        click.secho(message, fg="red", err=True)


def dump(document: object, form: str) -> None:
    """Print a document as ``json`` or ``yaml``."""
    if form == "json":
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120), nl=False)


def now() -> float:
    """Return the time by this machine's clock, seconds since the epoch."""
    return dt.datetime.now(dt.UTC).timestamp()
