"""``kubectl twinlease version``."""

from collections.abc import Mapping

import click
from msgspec import Struct
from msgspec.structs import replace

from twinlease import __version__
from twinlease.api.crds import KINDS
from twinlease.api.types import API_VERSION
from twinlease.cli import reach, screen
from twinlease.cli.exits import Failure, not_installed
from twinlease.cli.facts import Leader, PairFacts, every, leaders
from twinlease.cli.options import cluster_options
from twinlease.cli.show import words
from twinlease.kube.protocol import Json


class Versions(Struct, frozen=True, kw_only=True):
    """What runs where.

    Attributes:
        kinds: Those of ours that the cluster knows; None: it was not asked.
        operators: Version by how many pairs it wrote about last.
        sidecars: Version by how many servers report with it.
        leaders: Operators that lead or led last, as far as the user may see them.
    """

    kinds: tuple[str, ...] | None = None
    operators: Mapping[str, int] = {}
    sidecars: Mapping[str, int] = {}
    leaders: tuple[Leader, ...] = ()


@click.command()
@click.option("--client", is_flag=True, help="Only of this program; asks no cluster.")
@screen.output
@cluster_options
def version(*, client: bool, output: str) -> None:
    """Print what runs: versions of this program, the CRDs, operators, sidecars.

    Operators and sidecars are those of all pairs of the cluster, as they wrote it last.
    """
    if client:
        found = Versions()
    else:
        cluster = reach.cluster()
        with cluster.answering():
            kinds = tuple(sorted({each.name for each in KINDS} & cluster.client.kinds(API_VERSION)))
        if not kinds:
            click.echo(f"client     {__version__}")
            raise not_installed(cluster.host)
        try:
            found = replace(counted(kinds, every(cluster, all_namespaces=True)), leaders=tuple(leaders(cluster)))
        except Failure:
            if output == "text":
                click.echo("\n".join(lines(Versions(kinds=kinds))[:2]))
            raise
    if output != "text":
        screen.dump(document(found), output)
    elif client:
        click.echo(__version__)
    else:
        for line in [*lines(found), *leading(found, screen.now())]:
            click.echo(line)


def counted(kinds: tuple[str, ...], pairs: list[PairFacts]) -> Versions:
    """Return what pairs say of the versions that run."""
    operators: dict[str, int] = {}
    sidecars: dict[str, int] = {}
    for pair in pairs:
        wrote = pair.status.operator or "unknown"
        operators[wrote] = operators.get(wrote, 0) + 1
        for report in pair.servers.values():
            told = report.version or "unknown"
            sidecars[told] = sidecars.get(told, 0) + 1
    return Versions(kinds=kinds, operators=operators, sidecars=sidecars)


def lines(found: Versions) -> list[str]:
    """Return the page."""
    missing = [each.name for each in KINDS if each.name not in (found.kinds or ())]
    crds = API_VERSION + (f", without {', '.join(missing)}: apply the CRDs of this version" if missing else "")
    return [
        f"client     {__version__}",
        f"CRDs       {crds}",
        f"operators  {_said(found.operators, 'pair')}",
        f"sidecars   {_said(found.sidecars, 'server')}",
    ]


def leading(found: Versions, now: float) -> list[str]:
    """Return a line for each operator that leads or led last; ``now`` is seconds since the epoch."""
    return [
        f"leader     {each.holder} in {each.namespace}, renewed {words.span(now - each.renewed)} ago"
        for each in found.leaders
    ]


def document(found: Versions) -> Json:
    """Return the same for programs."""
    built: Json = {"client": __version__}
    if found.kinds is not None:
        built["crds"] = {"version": API_VERSION, "kinds": list(found.kinds)}
        built["operators"], built["sidecars"] = dict(found.operators), dict(found.sidecars)
    return built


def _said(versions: Mapping[str, int], what: str) -> str:
    counts = (f"{name} ({number} {what}{'s' if number != 1 else ''})" for name, number in sorted(versions.items()))
    return ", ".join(counts) or f"none seen: there is no {what}"
