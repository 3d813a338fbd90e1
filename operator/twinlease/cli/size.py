"""``kubectl twinlease size``."""

import sys
from typing import Any

import click
import msgspec
import yaml
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from twinlease.cli import screen
from twinlease.cli.show import words
from twinlease.decide.sizing import Need, Sizes, size
from twinlease.kube.protocol import Json
from twinlease.model import durations


class Span(click.ParamType[int]):
    """A duration as Kubernetes writes it, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401  # click's own signature
        """Return the seconds."""
        if isinstance(value, int):
            return value
        try:
            return durations.seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SPAN = Span()


@click.command("size")
@click.option(
    "--clients",
    type=click.IntRange(min=0),
    metavar="N",
    help="Addresses leased at the same time, at most: clients that left count until their leases end.",
)
@click.option(
    "--arrivals",
    type=click.FloatRange(min=0),
    metavar="N",
    help="New clients in an hour, at most: those that need an address that they did not have.",
)
@click.option("--lease", type=SPAN, metavar="DURATION", help="Longest lease that a client gets, like 8h.")
@click.option(
    "--after",
    type=SPAN,
    default="5m",
    show_default=True,
    metavar="DURATION",
    help="T: how long a server must be gone before its partner takes over.",
)
@click.option(
    "--max-response-delay",
    "response",
    type=SPAN,
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="R: how long dhcpd takes to notice that its partner is gone, at most.",
)
@click.option(
    "--outage",
    type=SPAN,
    default="72h",
    show_default=True,
    metavar="DURATION",
    help="How long one server may be gone until it is repaired.",
)
@click.option("--mclt", type=SPAN, metavar="DURATION", help="MCLT; left out: the lease, 30m at most.")
@screen.output
def size_(  # noqa: PLR0913  # one for each option
    *,
    clients: int | None,
    arrivals: float | None,
    lease: int | None,
    after: int,
    response: int,
    outage: int,
    mclt: int | None,
    output: str,
) -> None:
    """Compute MCLT, T, D and pool sizes that fit together.

    Asks on a terminal for what is left out of --clients, --arrivals and --lease. Asks no cluster.
    """
    need = Need(
        clients=_asked("--clients", "Addresses leased at the same time, at most", click.INT, clients),
        arrivals=_asked("--arrivals", "New clients in an hour, at most", click.FLOAT, arrivals),
        lease=_asked("--lease", "Longest lease", SPAN, lease),
        after=after,
        response=response,
        outage=outage,
        mclt=mclt,
    )
    try:
        found = size(need)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if output != "text":
        screen.dump(document(need, found), output)
    else:
        screen.show(page(need, found))


def _asked(option: str, question: str, kind: Any, given: Any) -> Any:  # noqa: ANN401  # whatever the kind gives
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise click.UsageError(f"{option} is needed where there is no terminal to ask on")
    return click.prompt(question, type=kind, err=True)


def document(need: Need, found: Sizes) -> Json:
    """Return the numbers for programs, in seconds and addresses, and the fields of the specification."""
    return {"need": msgspec.to_builtins(need), "sizes": msgspec.to_builtins(found), "spec": spec(found)}


def page(need: Need, found: Sizes) -> RenderableType:
    """Return the page: each number with where it comes from, then the fields of the specification."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style=words.STRONG)
    table.add_column(overflow="fold")
    for row in _rows(need, found):
        table.add_row(*row)
    return Group(table, Text(), Text("spec of the DHCPFailoverPair:", words.DIM), Text(fields(found).rstrip()))


def _rows(need: Need, found: Sizes) -> list[tuple[str, str, str]]:
    span = words.span
    rate = f"{need.arrivals:g}/h"
    return [
        ("T", span(found.after), "an interruption must last so long before partner-down is considered"),
        ("R", span(found.response), f"until the loss is noticed; R + T = {span(found.noticed)}"),
        ("D", span(found.duration), f"one renewal; D + ε = {found.stopped:.1f}s, and that must not exceed T"),
        ("promise", span(found.duration), "likewise, among the two servers"),
        ("MCLT", span(found.mclt), "new leases while cut off, and the wait before the partner's addresses are used"),
        ("own half", str(found.own), f"free on each server: {rate} until R + T + MCLT (or a shorter outage ends)"),
        ("free", str(found.free), f"on both: at least twice that, and {rate} until R + T + 1.5 leases (parked ones)"),
        ("pool", str(found.pool), f"dynamic addresses: {need.clients} leased and what must be free"),
        ("without", str(found.alone), "free on each server, should nobody ever take over in the whole outage"),
        ("load", f"{found.renewals:.1f}/s", "renewals while cut off, each client at half of the MCLT"),
        ("writes", f"{found.writes:.0f}/h", "of both servers to the API, at rest"),
    ]


def fields(found: Sizes) -> str:
    """Return the fields of a pair's specification as YAML."""
    return yaml.safe_dump(spec(found), sort_keys=False)


def spec(found: Sizes) -> Json:
    """Return the fields of a pair's specification, with the names that they have there."""
    text = durations.text
    return {
        "failover": {"mclt": text(found.mclt), "maxResponseDelay": text(found.response)},
        "partnerDown": {"after": text(found.after)},
        "servingLease": {
            "duration": text(found.duration),
            "aloneDuration": text(found.alone_duration),
            "promise": text(found.duration),
            "maxPromise": text(found.max_promise),
        },
    }
