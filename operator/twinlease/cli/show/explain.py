"""The page of ``explain``: why partner-down is or is not declared, rule by rule, and what would change it."""

from collections.abc import Iterator
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from twinlease.api.pairstatus import JudgedRule
from twinlease.cli.facts import PairFacts
from twinlease.cli.show import words
from twinlease.cli.show.status import countdowns
from twinlease.decide import dates
from twinlease.decide.account import START
from twinlease.model import conditions

_MEANING = {
    "Normal": "Both serve and share their leases. Nobody has to take over.",
    "NotYet": "One server is cut off from its partner and serves on. It takes over once every rule holds.",
    "WaitingForEvidence": (
        "Silence is no proof: a partner that is merely cut off may be answering clients. The survivor serves on from "
        "its own free addresses and renews every client; what waits is the use of its partner's free addresses."
    ),
    "Manual": "Every rule holds but the last: spec.partnerDown.mode leaves the step to you.",
    "Never": "spec.partnerDown.mode forbids the step. The survivor serves on from its own free addresses.",
    "Ordered": "The partner is revoked, and the survivor is told to enter partner-down. Its answer is awaited.",
    "Executed": "The survivor serves alone. The other one may come back at any time, and takes all leases over.",
    "Starting": "The survivor is to serve alone and has yet to say that it is in partner-down.",
    "Returning": (
        "The survivor serves. The other one answers no dynamic client until it has all leases and both are normal."
    ),
    "Withdrawn": "The survivor met its partner before it obeyed, so that nobody is in partner-down.",
    "NoSafeServer": "No server may be started, for another one may be serving or have newer leases.",
    "LeaseDatabaseLost": "Clients hold leases that nobody knows any more. Nothing is given out until they have ended.",
    "LeaseDatabaseFound": "A lease database lies on the disk that is not of this pair. It is not touched without you.",
    "PartnerDownByHand": "Somebody, or dhcpd itself, put a server into partner-down without an order.",
    "WitnessRolledBack": "An older copy of the API's storage was restored: what it says of grants may be untrue.",
    "PolicyMissing": "Without the admission policy any server could speak for its partner: no word is trusted.",
    "Created": "The pair is new. Its servers have yet to ask for their grants.",
    "WaitingForPartner": "The pair is new, and one of its servers has never been seen.",
}
_PROOF = "PartnerStopped"
_BY_HAND = frozenset({"NotYet", "WaitingForEvidence", "Manual", "NoSafeServer", "NoReport"})


def page(facts: PairFacts, now: float, *, ascii_only: bool = False) -> RenderableType:
    """Return the page of one pair; ``now`` is seconds since the epoch, ``ascii_only`` is for poor consoles."""
    title = Text.assemble("Pair ", (facts.name, words.STRONG), f" in namespace {facts.namespace}: ")
    title.append_text(words.state(facts.status.state))
    if not facts.judged:
        text = "No operator has looked at this pair yet. `kubectl twinlease version` tells which ones run."
        return Group(title, Text(text, words.BAD))
    parts: list[RenderableType] = [title, Text(), *_verdict(facts, now)]
    for server, rules in groupby(facts.status.takeover.rules, key=lambda each: each.server):
        parts += [Text(), *_rules(server, list(rules), now, ascii_only=ascii_only)]
    parts += _by_hand(facts)
    return Group(*parts)


def _verdict(facts: PairFacts, now: float) -> Iterator[RenderableType]:
    takeover = facts.status.takeover
    line = words.verdict(takeover.reason)
    if takeover.time and any(each.isdigit() for each in takeover.message):
        line.append(f", said {words.span(now - dates.seconds(takeover.time))} ago", words.DIM)
    yield line.append(f": {sentence(takeover.message)}")
    if takeover.reason in _MEANING:
        yield Text(_MEANING[takeover.reason])
    for each in countdowns(facts, now):
        yield Text(sentence(each))
    told = conditions.get(facts.status.conditions, "PartnerDown")
    refusals = "" if told is None else told.message.removeprefix(takeover.message.rstrip(".")).lstrip(". ")
    if refusals:
        yield Text(sentence(refusals), words.WARN)


def _rules(server: str, rules: list[JudgedRule], now: float, *, ascii_only: bool) -> Iterator[RenderableType]:
    missing = sum(not each.holds for each in rules)
    start = all(each.rule == START for each in rules)
    question = f"May {server} start?" if start else f"May {server} be put into partner-down?"
    answer = (
        "Not yet."
        if start
        else f"Not yet: {missing} of {len(rules)} rules {'does' if missing == 1 else 'do'} not hold."
        if missing
        else "Yes."
    )
    yield Text.assemble((question, words.STRONG), " ", answer)
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in rules:
        table.add_row(words.mark(holds=each.holds, ascii_only=ascii_only), each.rule, _evidence(each, now))
    yield Padding(table, (0, 0, 0, 2), expand=False)


def _evidence(rule: JudgedRule, now: float) -> Text:
    found = Text(sentence(rule.message))
    if rule.until:
        left = dates.seconds(rule.until) - now
        clock = words.clock(rule.until, now)
        until = (
            f"Until {clock}, for {words.span(left)} more"
            if left > 0
            else f"Until {clock}: the operator has yet to say so"
        )
        found.append(f" {until}.", words.WARN)
    if rule.remedy:
        found.append("\nWhat would change it: ", words.DIM)
        found.append(f"{rule.remedy}.")
    return found


def _by_hand(facts: PairFacts) -> Iterator[RenderableType]:
    """Yield how a human may vouch for the death of a server, where that counts and it is not seen alive."""
    if facts.status.takeover.reason not in _BY_HAND:
        return
    dead = [each for each in facts.status.servers if each.silent_since and not each.serving]
    for each in dead:
        if facts.status.phase == "Both" or each.role != facts.status.survivor:
            yield Text()
            yield Text(f"If {each.name} is dead for sure (its machine is off, and stays off), you may say so:")
            command = f"  kubectl twinlease partner-down {facts.name} -n {facts.namespace} --confirm-dead {each.name}"
            yield Text(command, words.STRONG, no_wrap=True)


def sentence(text: str) -> str:
    """Return a text with a capital first letter and one full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def still_missing(facts: PairFacts, server: str, now: float) -> list[str]:
    """Return what a takeover from a server waits for besides the proof that it is stopped; a sentence each."""
    rules = [each for each in facts.status.takeover.rules if not each.holds and each.server != server]
    found = []
    for each in rules:
        if each.rule in (START, _PROOF):
            continue
        until = f" Until {words.clock(each.until, now)}." if each.until else ""
        found.append(f"{each.rule}: {sentence(each.message)}{until}")
    return found
