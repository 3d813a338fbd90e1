"""The page of ``status``: pairs as trees."""

from collections.abc import Iterator, Sequence

from msgspec import UNSET, Struct
from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from twinlease.api.pairstatus import PairServer
from twinlease.api.permit import Isolation
from twinlease.api.server import ServerStatus
from twinlease.api.types import Condition
from twinlease.cli.facts import PairFacts
from twinlease.cli.show import words
from twinlease.cli.show.runway import Rate
from twinlease.decide import dates
from twinlease.decide.pairview import entry
from twinlease.decide.permit import epsilon
from twinlease.model import conditions, durations
from twinlease.model.states import Role

_PROMISED = "Promised"
_TOLD_BY_THE_VERDICT = "PartnerDown"
_GOOD = {"Progressing": conditions.FALSE}


class Moment(Struct, frozen=True, kw_only=True):
    """What a page needs besides the facts.

    Attributes:
        now: Seconds since the epoch, by the clock of who looks.
        rates: How fast the free addresses of each pair went while it was watched, by namespace and name.
    """

    now: float
    rates: dict[tuple[str, str], Rate] = {}


def page(pairs: Sequence[PairFacts], moment: Moment) -> RenderableType:
    """Return the page of some pairs."""
    if not pairs:
        return Text("There is no pair here. `kubectl twinlease status -A` looks in all namespaces.")
    parts: list[RenderableType] = []
    for each in pairs:
        parts += [Text(), _pair(each, moment)]
    return Group(*parts[1:])


def _pair(facts: PairFacts, moment: Moment) -> Tree:
    status = facts.status
    title = Text.assemble((facts.name, words.STRONG), "  ", words.state(status.state), "  ")
    title.append(f"namespace {facts.namespace}", words.DIM)
    tree = Tree(title, guide_style=words.DIM)
    if not facts.judged:
        tree.add(Text("No operator has looked at it yet. `kubectl twinlease version` tells which ones run.", words.BAD))
        return tree
    _add_verdict(tree, facts, moment.now)
    for server in status.servers:
        _add_server(tree, facts, server, moment)
    _add_pools(tree, facts)
    for condition in status.conditions:
        if condition.type != _TOLD_BY_THE_VERDICT and condition.status != _GOOD.get(condition.type, conditions.TRUE):
            tree.add(_condition(condition))
    return tree


def _add_verdict(tree: Tree, facts: PairFacts, now: float) -> None:
    takeover, phase = facts.status.takeover, facts.status.phase
    line = words.verdict(takeover.reason)
    line.append(f": {takeover.message or 'nothing has been said yet'}")
    branch = tree.add(line)
    # Figures age; and who has just fallen silent was normal when that was said.
    silent = takeover.reason == "Normal" and any(each.state != "Normal" for each in facts.status.servers)
    if takeover.time and (silent or any(each.isdigit() for each in takeover.message)):
        branch.add(Text(f"said {words.span(now - dates.seconds(takeover.time))} ago", words.DIM))
    alone = f", survivor {facts.status.survivor}" if facts.status.survivor else ""
    if phase and phase != "Both":
        branch.add(Text(f"phase {phase}{alone}, epoch {takeover.epoch}"))
    for each in countdowns(facts, now):
        branch.add(Text(each))


def countdowns(facts: PairFacts, now: float) -> Iterator[str]:
    """Yield a sentence for each date of a takeover or a return that is known."""
    takeover = facts.status.takeover
    if takeover.earliest:
        yield f"partner-down is considered {words.at(takeover.earliest, now)}"
    if takeover.addresses_usable:
        yield f"the partner's free addresses may be used {words.at(takeover.addresses_usable, now)}"
    if takeover.parked_until:
        over = dates.seconds(takeover.parked_until) <= now
        verb = "were" if over else "are"
        yield (
            f"leases that the partner may have renewed {verb} kept until {words.clock(takeover.parked_until, now)}"
            + ("" if over else f", {words.span(dates.seconds(takeover.parked_until) - now)} from now")
        )
    if takeover.recover_ends:
        yield f"the returning server's wait for the MCLT ends {words.at(takeover.recover_ends, now)}"


def _add_server(tree: Tree, facts: PairFacts, server: PairServer, moment: Moment) -> None:
    role = _role(server)
    report = ServerStatus() if role is None else facts.servers.get(role, ServerStatus())
    title = Text.assemble((server.role, words.STRONG), "  ", words.state(server.state), "  ")
    title.append(
        ", ".join(part for part in (f"{server.name} on {server.node or 'no node yet'}", server.address) if part)
    )
    branch = tree.add(title)
    branch.add(Text(_service(server, report, moment.now), words.GOOD if server.serving else words.WARN))
    if role is not None:
        branch.add(_permit(facts, server, role, moment.now))
    runway = _runway(facts, role, moment) if server.serving and role is not None else ""
    if runway:
        branch.add(Text(runway))
    for condition in report.conditions:
        if condition.status == conditions.FALSE and condition.message and not server.serving:
            branch.add(_condition(condition))


def _role(server: PairServer) -> Role | None:
    """Return its role; None: whoever wrote the status did not say so, or in words that are not ours."""
    return next((role for role in Role if role == server.role), None)


def _service(server: PairServer, report: ServerStatus, now: float) -> str:
    if server.state == "Unknown":
        said = f" (it last said {report.failover.state})" if report.failover.state not in ("", "Unknown") else ""
        return f"no fresh report of a running server{said}"
    for_long = f" {words.since(report.failover.since, now)}" if report.failover.since else ""
    answers = "answers its clients" if server.serving else "answers no dynamic client"
    return f"{answers}{for_long}; sees its partner in {server.partner_state}"


def _permit(facts: PairFacts, server: PairServer, role: Role, now: float) -> Text:
    """Return why a server may answer, and until when at most where it has fallen silent."""
    lease, report = facts.lease, facts.servers.get(role, ServerStatus())
    own = None if lease is None else entry(lease, role).own
    grant = None if lease is None else entry(lease, role).grant
    asks = own is not None and own.asks is not UNSET
    if grant is None or own is None or not grant.holder or asks:
        return Text("permit: none; it asks for a grant" if asks else "permit: none, it holds no grant", words.WARN)
    length = durations.seconds(own.in_force.duration)
    how = f"{own.in_force.duration} on each renewal, {grant.start} in epoch {grant.epoch}"
    if server.silent_since:
        silent = f"permit: it has not renewed {words.since(server.silent_since, now)}"
        if own.in_force.isolation is Isolation.SERVE:
            return Text(f"{silent}; it may serve for ever (isolation Serve)", words.BAD)
        end = dates.seconds(server.silent_since) + length + epsilon(length)
        if end > now:
            return Text(f"{silent}; it may answer on the last one for {words.span(end - now)}", words.BAD)
        enforced = "" if own.in_force.kernel_fence else ", which the kernel does not enforce"
        return Text(f"{silent}; its permit has ended{enforced}", words.BAD)
    fence = "fenced by the kernel" if server.kernel_fence else "not fenced by the kernel"
    kind = server.permit or "None"
    if kind == _PROMISED and report.permit.until:
        kind = f"{_PROMISED} by its partner until {words.clock(report.permit.until, now)} at least"
    return Text(f"permit: {kind}, {how}; {fence}", "" if server.kernel_fence else words.WARN)


def _runway(facts: PairFacts, role: Role, moment: Moment) -> str:
    report = facts.servers.get(role)
    if report is None or not report.pools:
        return ""
    own = sum(each.free if role is Role.PRIMARY else each.backup for each in report.pools)
    rate = moment.rates.get((facts.namespace, facts.name))
    line = f"runway: {own} free addresses of its own"
    return line if rate is None else f"{line}; {rate.said(own)}"


def _add_pools(tree: Tree, facts: PairFacts) -> None:
    status = facts.status
    if status.pools:
        free = Text(f"{status.addresses} addresses in {status.pools} pool{'s' if status.pools != 1 else ''}: ")
        free.append(f"{status.active} leased, {status.free} free", "" if status.free else words.BAD)
        tree.add(free)


def _condition(condition: Condition) -> Text:
    mild = condition.type == "Progressing" or condition.status == conditions.UNKNOWN
    style = words.WARN if mild else words.BAD
    told = Text.assemble((f"{condition.type}={condition.status} {condition.reason}", style))
    return told.append(f": {condition.message}") if condition.message else told
