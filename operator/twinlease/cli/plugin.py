"""``kubectl twinlease``: what a user does with pairs beyond ``kubectl get`` and ``apply``."""

from ipaddress import IPv4Address, IPv4Interface

import click
from msgspec import UNSET

from twinlease import __version__
from twinlease.cli.manifests import Json, ManifestError, load
from twinlease.decide import ledger
from twinlease.decide.acceptance import State
from twinlease.decide.ledger import Ledger
from twinlease.decide.review import PAIR, POOL, RESERVATION, Reviewed, review
from twinlease.engines.protocol import engine
from twinlease.model.service import Endpoint
from twinlease.model.states import Role
from twinlease.model.validate import peer

FILES = click.option(
    "-f",
    "--filename",
    "sources",
    multiple=True,
    required=True,
    metavar="FILE",
    help="File or directory of manifests, or - for standard input. May be given several times.",
)


def _interface(text: str) -> IPv4Interface:
    try:
        if "/" in text:
            return IPv4Interface(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} must be an IPv4 address with its prefix length: {error}") from error
    raise click.BadParameter(f"{text!r} must be an IPv4 address with its prefix length, like 192.0.2.1/24")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Look after DHCP failover pairs on Kubernetes."""


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


@main.command()
@FILES
def check(sources: tuple[str, ...]) -> None:
    """Check manifests without a cluster, by the operator's own rules.

    Prints one line for each problem and exits with 1 if there is any. Objects of other kinds are passed over.
    """
    manifests = _ours(sources)
    reviewed = review(manifests)
    _fail_on_findings(reviewed)
    for pair in reviewed.unjudged:
        click.echo(f"pair {pair} is not among the files: only each object by itself was checked", err=True)
    click.echo(f"{len(manifests)} object{'' if len(manifests) == 1 else 's'} checked: no problem")


@main.command()
@FILES
@click.option("--role", type=click.Choice([str(role) for role in Role]), required=True, help="Whose configuration.")
@click.option("--primary-address", type=_interface, required=True, metavar="A/LEN", help="Where the primary serves.")
@click.option(
    "--secondary-address", type=_interface, required=True, metavar="A/LEN", help="Where the secondary serves."
)
@click.option("--pair", "name", help="The pair, if the files hold several.")
def render(
    sources: tuple[str, ...],
    role: str,
    primary_address: IPv4Interface,
    secondary_address: IPv4Interface,
    name: str | None,
) -> None:
    """Print the configuration that a server would get.

    The servers' addresses are not in the manifests: the sidecars find them on their nodes.
    """
    reviewed = review(_ours(sources))
    _fail_on_findings(reviewed)
    chosen, state = _chosen(reviewed, name)
    addresses = {Role.PRIMARY: primary_address, Role.SECONDARY: secondary_address}
    if primary_address.ip == secondary_address.ip:
        raise click.UsageError("the two servers must have different addresses")
    endpoints = {each: _endpoint(chosen, state, each, addresses[each]) for each in Role}
    served = ledger.serve(Ledger(accepted=state), chosen, endpoints)
    if served is None or state.pair is None:
        raise click.ClickException(f"pair {chosen} has no valid specification")
    click.echo(engine(state.pair.spec.engine).render(served.service, Role(role)), nl=False)


def _ours(sources: tuple[str, ...]) -> list[Json]:
    try:
        found = load(sources)
    except ManifestError as error:
        raise click.ClickException(str(error)) from error
    ours = [each for each in found if each.get("kind") in (PAIR, POOL, RESERVATION)]
    if not ours:
        raise click.ClickException(f"{', '.join(sources)}: no {PAIR}, {POOL} or {RESERVATION} in it")
    return ours


def _fail_on_findings(reviewed: Reviewed) -> None:
    for finding in reviewed.findings:
        click.echo(str(finding))
    if reviewed.findings:
        raise click.exceptions.Exit(1)


def _chosen(reviewed: Reviewed, name: str | None) -> tuple[str, State]:
    states = {pair: state for (_, pair), state in reviewed.states.items() if name in (None, pair)}
    if len(states) != 1:
        known = ", ".join(pair for _, pair in reviewed.states) or "none"
        raise click.UsageError(f"choose one pair with --pair; the files hold: {known}")
    return states.popitem()


def _endpoint(name: str, state: State, role: Role, serving: IPv4Interface) -> Endpoint:
    if state.pair is None:
        raise click.ClickException(f"pair {name} has no valid specification")
    one = peer(state.pair.spec, role)
    return Endpoint(
        name=f"{name}-{role}",
        node="" if one.node_name is UNSET else one.node_name,
        interface="" if one.interface is UNSET else one.interface,
        serving=serving,
        failover_address=serving.ip if one.failover_address is UNSET else IPv4Address(one.failover_address),
        failover_port=one.failover_port,
    )
