"""``kubectl twinlease timeline``."""

from pathlib import Path

import click
import msgspec

from twinlease.cli import reach, screen
from twinlease.cli.exits import Exit, Failure
from twinlease.cli.facts import one
from twinlease.cli.options import cluster_options
from twinlease.cli.show import svg
from twinlease.cli.show.timeline import page

_COLUMNS = 80
"""Of the strips where there is no terminal."""


@click.command()
@reach.pair
@click.option(
    "--svg", "picture", type=click.Path(dir_okay=False), metavar="FILE", help="Write a picture instead; - for output."
)
@screen.output
@cluster_options
def timeline(pair: str, picture: str | None, output: str) -> None:
    """Show how a pair stood over time: states of both servers, phases, verdicts.

    The operator keeps the last 50 changes in the pair's status. What came and went between two of its looks is not in
    it.
    """
    if picture and output != "text":
        raise click.UsageError("--svg writes a picture: not with -o")
    facts = one(reach.cluster(), pair)
    now = screen.now()
    if picture == "-":
        click.echo(svg.draw(facts, now), nl=False)
    elif picture:
        try:
            Path(picture).write_text(svg.draw(facts, now), encoding="utf-8")
        except OSError as error:
            raise Failure(Exit.USAGE, f"{picture} cannot be written: {error.strerror}") from error
    elif output != "text":
        history = msgspec.to_builtins(facts.status.history)
        screen.dump({"namespace": facts.namespace, "name": facts.name, "history": list(history)}, output)
    else:
        console = screen.console()
        screen.show(page(facts, now, console.width if console.is_terminal else _COLUMNS))
