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
        kinds: Those of ours that the cluster knows; None: it was not asked, did not tell, or knows none.
        operators: Version by how many pairs it wrote about last; None: likewise.
        sidecars: Version by how many servers report with it; None: likewise.
        leaders: Operators that lead or led last, as far as the user may see them.
    """

    kinds: tuple[str, ...] | None = None
    operators: Mapping[str, int] | None = None
    sidecars: Mapping[str, int] | None = None
    leaders: tuple[Leader, ...] = ()


@click.command()
@click.option("--client", is_flag=True, help="Only of this program; asks no cluster.")
@screen.output
@cluster_options
def version(*, client: bool, output: str) -> None:
    """Print what runs: versions of this program, the CRDs, operators, sidecars.

    Operators and sidecars are those of all pairs of the cluster, as they wrote it last. What the cluster does not tell
    is left out, and standard error says why.
    """
    found, failure = (Versions(), None) if client else _asked()
    if output != "text":
        screen.dump(document(found), output)
    elif client:
        click.echo(__version__)
    else:
        for line in [*lines(found), *leading(found, screen.now())]:
            click.echo(line)
    if failure is not None:
        raise failure


def _asked() -> tuple[Versions, Failure | None]:
    """Return what can be known, and why not all of it; this program's own version always can."""
    found = Versions()
    try:
        cluster = reach.cluster()
        with cluster.answering():
            kinds = tuple(sorted({each.name for each in KINDS} & cluster.client.kinds(API_VERSION)))
        if not kinds:
            return found, not_installed(cluster.host)
        found = Versions(kinds=kinds)
        found = replace(counted(kinds, every(cluster, all_namespaces=True)), leaders=tuple(leaders(cluster)))
    except Failure as failure:
        return found, failure
    return found, None


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
    """Return the page, as far as it is known."""
    page = [f"client     {__version__}"]
    if found.kinds is not None:
        missing = [each.name for each in KINDS if each.name not in found.kinds]
        more = f", without {', '.join(missing)}: apply the CRDs of this version" if missing else ""
        page.append(f"CRDs       {API_VERSION}{more}")
    if found.operators is not None:
        page.append(f"operators  {_said(found.operators, 'pair')}")
    if found.sidecars is not None:
        page.append(f"sidecars   {_said(found.sidecars, 'server')}")
    return page


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
    for key, versions in (("operators", found.operators), ("sidecars", found.sidecars)):
        if versions is not None:
            built[key] = dict(versions)
    return built


def _said(versions: Mapping[str, int], what: str) -> str:
    counts = (f"{name} ({number} {what}{'s' if number != 1 else ''})" for name, number in sorted(versions.items()))
    return ", ".join(counts) or f"none seen: there is no {what}"
