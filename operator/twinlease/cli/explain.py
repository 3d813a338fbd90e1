"""``kubectl twinlease explain``."""

import click
import msgspec

from twinlease.cli import reach, screen
from twinlease.cli.facts import PairFacts, leaders, one
from twinlease.cli.options import cluster_options
from twinlease.cli.show import words
from twinlease.cli.show.explain import page
from twinlease.kube.protocol import Json


@click.command()
@reach.pair
@screen.output
@cluster_options
def explain(pair: str, output: str) -> None:
    """Say why partner-down is or is not declared.

    Each rule with its evidence and what would change it, as the operator judged it last: it publishes its judgement in
    the pair's status, and nothing here is guessed.
    """
    cluster = reach.cluster()
    facts = one(cluster, pair)
    if output != "text":
        screen.dump(document(facts), output)
        return
    console = screen.console()
    screen.warn(words.deserted([each.renewed for each in leaders(cluster)], screen.now()))
    screen.show(page(facts, screen.now(), ascii_only=not console.encoding.lower().startswith("utf")))


def document(facts: PairFacts) -> Json:
    """Return the judgement for programs, with the names that it has in the pair's status."""
    status = facts.status
    return {
        "namespace": facts.namespace,
        "name": facts.name,
        "phase": status.phase,
        "survivor": status.survivor,
        "takeover": msgspec.to_builtins(status.takeover),
    }
