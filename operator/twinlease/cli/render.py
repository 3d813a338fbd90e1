"""``kubectl twinlease render``."""

from ipaddress import IPv4Address, IPv4Interface

import click
from msgspec import UNSET

from twinlease.cli.check import FILES, fail_on_findings, ours
from twinlease.decide import ledger
from twinlease.decide.acceptance import State
from twinlease.decide.ledger import Ledger
from twinlease.decide.review import Reviewed, review
from twinlease.engines.protocol import engine
from twinlease.model.service import Endpoint
from twinlease.model.states import Role
from twinlease.model.validate import peer


def _interface(text: str) -> IPv4Interface:
    try:
        if "/" in text:
            return IPv4Interface(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} must be an IPv4 address with its prefix length: {error}") from error
    raise click.BadParameter(f"{text!r} must be an IPv4 address with its prefix length, like 192.0.2.1/24")


@click.command()
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
    reviewed = review(ours(sources))
    fail_on_findings(reviewed)
    chosen, state = _chosen(reviewed, name)
    addresses = {Role.PRIMARY: primary_address, Role.SECONDARY: secondary_address}
    if primary_address.ip == secondary_address.ip:
        raise click.UsageError("the two servers must have different addresses")
    endpoints = {each: _endpoint(chosen, state, each, addresses[each]) for each in Role}
    served = ledger.serve(Ledger(accepted=state), chosen, endpoints)
    if served is None or state.pair is None:
        raise click.ClickException(f"pair {chosen} has no valid specification")
    click.echo(engine(state.pair.spec.engine).render(served.service, Role(role)), nl=False)


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
