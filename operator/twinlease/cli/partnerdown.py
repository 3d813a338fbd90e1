"""``kubectl twinlease partner-down``: a human vouches that a server is dead."""

import sys

import click

from twinlease.api.servinglease import ServingLeaseSpec
from twinlease.cli import reach, screen
from twinlease.cli.exits import Exit, Failure
from twinlease.cli.facts import PairFacts, one
from twinlease.cli.options import cluster_options
from twinlease.cli.show import words
from twinlease.cli.show.explain import still_missing
from twinlease.controller.annotations import CONFIRM_DEAD
from twinlease.decide.pairview import entry
from twinlease.kube.protocol import PAIRS
from twinlease.model.states import Role


@click.command("partner-down")
@reach.pair
@click.option("--confirm-dead", "server", required=True, metavar="SERVER", help="The DHCPServer that is dead.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cluster_options
def partner_down(pair: str, server: str, *, yes: bool) -> None:
    """Vouch that a server is dead, so that its partner may take over.

    Where a server is silent and nothing proves that it is stopped, the operator waits. Your word is that proof, for the
    present epoch only: it is refused while the server is seen alive, and the other rules hold all the same (`explain`
    lists them). If it is wrong, and the server answers clients, two of them may get one address.
    """
    cluster = reach.cluster()
    facts = one(cluster, pair)
    guard(facts, server)
    if not yes:
        _ask(facts, server)
        facts = one(cluster, pair)  # a human may take a while, and meanwhile it may have come back
        guard(facts, server)
    value = f"{server}@{_lease(facts).epoch}"
    # The UID: not another pair of this name.
    patch = {"metadata": {"uid": facts.uid, "annotations": {CONFIRM_DEAD: value}}}
    with cluster.answering():
        cluster.client.merge_patch(PAIRS, pair, cluster.namespace, patch)
    click.echo(f"{pair} annotated: {CONFIRM_DEAD}={value}")
    for each in still_missing(facts, server, screen.now()):
        click.echo(f"It counts once this holds, too. {each}")
    click.echo(f"The operator judges it now: kubectl twinlease explain {pair} -n {cluster.namespace}")


def guard(facts: PairFacts, server: str) -> None:
    """Refuse a confirmation that would have no effect, or that the facts speak against.

    Raises:
        Failure: It is refused, and why.
    """
    roles = {f"{facts.name}-{role}": role for role in Role}
    if server not in roles:
        known = " or ".join(roles)
        raise Failure(Exit.USAGE, f"{server!r} is no server of pair {facts.name}: it must be {known}")
    role, lease = roles[server], _lease(facts)
    grant, own = entry(lease, role).grant, entry(lease, role).own
    if lease.phase != "Both" and lease.survivor == role:
        raise _refused(f"{server} is the survivor, and serves alone: there is nobody to take over from it")
    if not grant.holder and facts.status.takeover.reason != "Manual":
        raise _refused(f"{server} holds no grant: it counts as stopped without your word")
    if grant.holder and own.released == grant.epoch:
        raise _refused(f"{server} was stopped and gave its grant back: it counts as stopped without your word")
    told = next((each for each in facts.status.servers if each.role == role), None)
    if told is None or not told.silent_since:
        raise _refused(
            f"{server} is seen alive: it renews, or its next renewal is not overdue yet. The operator must have "
            "missed it for two periods"
        )
    if told.serving:
        raise _refused(
            f"{server} may be alive: it has not renewed, but its pod runs on a ready node and said that it serves"
        )


def _lease(facts: PairFacts) -> ServingLeaseSpec:
    if facts.lease is None:
        raise Failure(Exit.NO, f"pair {facts.name} has no serving lease that can be read: there is nothing to confirm")
    return facts.lease


def _refused(why: str) -> Failure:
    return Failure(Exit.NO, f"refused: {why}")


def _ask(facts: PairFacts, server: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("standard input is no terminal: repeat with --yes if the server is dead")
    told = next(each for each in facts.status.servers if each.name == server)
    silent = f", has not renewed {words.since(told.silent_since, screen.now())}" if told.silent_since else ""
    click.echo(f"{server} on node {told.node or '(unknown)'}{silent}.", err=True)
    click.echo("If it answers clients all the same, two of them may get one address.", err=True)
    click.echo("Is its machine off, or do you know that it does not run and will not?", err=True)
    typed = click.prompt(f"Type {server} to vouch for that", default="", show_default=False, err=True)
    if typed != server:
        raise Failure(Exit.NO, "not confirmed: nothing was written")
