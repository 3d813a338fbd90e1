"""``kubectl twinlease status``."""

import time

import click
from rich.live import Live

from twinlease.cli import reach, screen
from twinlease.cli.exits import Exit, Failure
from twinlease.cli.facts import PairFacts, document, every, leaders, one
from twinlease.cli.options import cluster_options
from twinlease.cli.reach import Cluster
from twinlease.cli.show import runway, words
from twinlease.cli.show.status import Moment, page
from twinlease.model import conditions


@click.command()
@click.argument("pair", required=False, metavar="[PAIR]", shell_complete=reach.complete_pairs)
@click.option("-A", "--all-namespaces", is_flag=True, help="Pairs of all namespaces, whatever -n says.")
@click.option("-w", "--watch", is_flag=True, help="Go on looking; in a pipe print a page whenever the facts change.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.5),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: how often to ask the API.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 10 if a pair is not redundant, with 11 if one is down.")
@screen.output
@cluster_options
def status(  # one for each option
    *, pair: str | None, all_namespaces: bool, watch: bool, interval: float, exit_code: bool, output: str
) -> None:
    """Show pairs: servers, states, reasons, permits, free addresses, countdowns.

    Dates are those that the operator published; countdowns run by this machine's clock.
    """
    if pair and all_namespaces:
        raise click.UsageError("a PAIR is of one namespace: name it with -n instead of -A")
    if watch and (output != "text" or exit_code):
        raise click.UsageError("--watch prints text and does not end: not with -o or --exit-code")
    cluster = reach.cluster()
    if watch:
        _watch(cluster, pair, interval, all_namespaces=all_namespaces)
        return
    found = _look(cluster, pair, all_namespaces=all_namespaces)
    if output == "text":
        screen.warn(words.deserted([each.renewed for each in leaders(cluster)], screen.now()))
        screen.show(page(found, Moment(now=screen.now())))
    else:
        screen.dump({"pairs": [document(each) for each in found]}, output)
    if exit_code:
        raise click.exceptions.Exit(int(graded(found)))


def graded(pairs: list[PairFacts]) -> Exit:
    """Return the exit status that says how the worst of some pairs is."""
    known = [each.status.conditions for each in pairs]
    if not all(conditions.holds(each, "Available") for each in known):
        return Exit.DOWN
    return Exit.DONE if all(conditions.holds(each, "Redundant") for each in known) else Exit.DEGRADED


def _look(cluster: Cluster, pair: str | None, *, all_namespaces: bool) -> list[PairFacts]:
    return [one(cluster, pair)] if pair else every(cluster, all_namespaces=all_namespaces)


def _watch(cluster: Cluster, pair: str | None, interval: float, *, all_namespaces: bool) -> None:
    """Show what is so until the user ends it; an API that is away for a while does not."""
    console = screen.console()
    first: dict[tuple[str, str], runway.Sample] = {}
    found = _look(cluster, pair, all_namespaces=all_namespaces)
    seen: list[PairFacts] | None = None
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    try:
        if live is not None:
            live.start()
        while True:
            now = screen.now()
            samples = {(each.namespace, each.name): runway.sample(each, now) for each in found}
            first = {key: first.get(key, last) for key, last in samples.items()}
            rates = {key: runway.rate(first[key], last) for key, last in samples.items()}
            moment = Moment(now=now, rates=rates)
            if live is not None:
                live.update(page(found, moment), refresh=True)
            elif found != seen:
                screen.show(page(found, moment))
            seen = found
            time.sleep(interval)
            try:
                found = _look(cluster, pair, all_namespaces=all_namespaces)
            except Failure as failure:
                if failure.status is not Exit.UNREACHABLE:
                    raise
                click.echo(f"{failure.format_message()}; trying again", err=True)
    except KeyboardInterrupt:
        return
    finally:
        if live is not None:
            live.stop()
