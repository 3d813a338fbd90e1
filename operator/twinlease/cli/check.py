"""``kubectl twinlease check``, and what it has in common with ``render``."""

import click

from twinlease.cli.manifests import Json, ManifestError, load
from twinlease.decide.review import PAIR, POOL, RESERVATION, Reviewed, review

FILES = click.option(
    "-f",
    "--filename",
    "sources",
    multiple=True,
    required=True,
    metavar="FILE",
    help="File or directory of manifests, or - for standard input. May be given several times.",
)


@click.command()
@FILES
def check(sources: tuple[str, ...]) -> None:
    """Check manifests without a cluster, by the operator's own rules.

    Prints one line for each problem and exits with 1 if there is any. Objects of other kinds are passed over.
    """
    manifests = ours(sources)
    reviewed = review(manifests)
    fail_on_findings(reviewed)
    for pair in reviewed.unjudged:
        click.echo(f"pair {pair} is not among the files: only each object by itself was checked", err=True)
    click.echo(f"{len(manifests)} object{'' if len(manifests) == 1 else 's'} checked: no problem")


def ours(sources: tuple[str, ...]) -> list[Json]:
    """Return the objects of our kinds; none at all ends the program."""
    try:
        read = load(sources)
    except ManifestError as error:
        raise click.ClickException(str(error)) from error
    found = [each for each in read if each.get("kind") in (PAIR, POOL, RESERVATION)]
    if not found:
        raise click.ClickException(f"{', '.join(sources)}: no {PAIR}, {POOL} or {RESERVATION} in it")
    return found


def fail_on_findings(reviewed: Reviewed) -> None:
    """Print what is wrong, if anything is, and end with that."""
    for finding in reviewed.findings:
        click.echo(str(finding))
    if reviewed.findings:
        raise click.exceptions.Exit(1)
