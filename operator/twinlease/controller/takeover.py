"""What is said of a pair's service: partner-down and its dates, the fences, the lease databases."""

import math
import re
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from twinlease.api.pairstatus import JudgedRule, PairServer, Takeover
from twinlease.api.permit import Isolation
from twinlease.api.server import ServerStatus
from twinlease.api.servinglease import DatabaseVerdict, Phase
from twinlease.controller.manifests.common import server_name
from twinlease.controller.serving import Serving
from twinlease.controller.snapshot import Snapshot
from twinlease.decide import account, byhand, dates, partnerdown
from twinlease.decide.pairview import View
from twinlease.model import conditions, durations
from twinlease.model.conditions import FALSE, TRUE, UNKNOWN, Verdict
from twinlease.model.states import CATCHING_UP, FailoverState, Role

PARTNER_DOWN, KERNEL_FENCE, LEASE_DATABASE = conditions.PAIR[4:7]

_LONGEST_MESSAGE = 2000
_LONGEST_RULE = 1000
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_STEADY_SECONDS = 3
_LOST = {
    DatabaseVerdict.LOST: "LeaseDatabaseLost",
    DatabaseVerdict.STALE: "LeaseDatabaseStale",
    DatabaseVerdict.SHORT: "LeaseDatabaseShort",
    DatabaseVerdict.FOREIGN: "LeaseDatabaseFound",
}
_SAID = {
    DatabaseVerdict.LOST: "is gone",
    DatabaseVerdict.STALE: "is an older state of the one that was confirmed",
    DatabaseVerdict.SHORT: "lacks leases that were confirmed",
    DatabaseVerdict.FOREIGN: "is of another server or of an earlier pair, and leases in it still run",
    DatabaseVerdict.VIRGIN: "has never been used",
    DatabaseVerdict.SPENT: "is of somebody else, but nothing in it runs any more",
    DatabaseVerdict.UNKNOWN: "has not been judged yet",
    DatabaseVerdict.INTACT: "is the one that was confirmed",
}


class Told(Struct, frozen=True, kw_only=True):
    """All of it, for one pair."""

    partner_down: Verdict
    kernel_fence: Verdict
    lease_database: Verdict
    takeover: Takeover
    phase: str
    survivor: str


def told(snapshot: Snapshot, serving: Serving, before: Takeover, now: str) -> Told:
    """Return what is said.

    Args:
        snapshot: What is known.
        serving: What was judged.
        before: What was said last: a date that is the same but for a second is not said anew.
        now: RFC 3339.
    """
    return Told(
        partner_down=_partner_down(serving, snapshot),
        kernel_fence=_kernel_fence(snapshot, serving.view),
        lease_database=_lease_database(snapshot, serving.view),
        takeover=_takeover(snapshot.name, serving, before, now),
        phase="" if serving.lease is None else str(serving.lease.phase),
        survivor="" if serving.lease is None else serving.lease.survivor,
    )


def executed(view: View) -> bool:
    """Tell whether a server is in partner-down: by hand, or as survivor, who says so or says to have executed it."""
    lease = view.lease
    if byhand.said(view):
        return True
    if lease.phase is Phase.BOTH or not lease.survivor:
        return False
    role = Role(lease.survivor)
    return view.state(role) is FailoverState.PARTNER_DOWN or partnerdown.executed(view, role)


def _partner_down(serving: Serving, snapshot: Snapshot) -> Verdict:
    verdict, view = serving.verdict, serving.view
    sentences = [verdict.message, *serving.refused]
    if snapshot.lease is not None and snapshot.lease.meta.deleting and snapshot.pair is not None:
        sentences.append(
            f"The serving lease {snapshot.lease.meta.name} was deleted by hand: it stays as long as the pair is there, "
            "for without it nobody knows who may serve; delete the pair to end its service"
        )
    holds = view is not None and executed(view)
    message = ". ".join(each.rstrip(".") for each in sentences if each)
    status = TRUE if holds else FALSE
    return Verdict(type=PARTNER_DOWN, status=status, reason=verdict.reason, message=message[:_LONGEST_MESSAGE])


def silent_since(view: View | None, role: Role, before: PairServer | None) -> str:
    """Return since when a server has not renewed, once a renewal is overdue; empty: it is not, as far as was watched.

    Args:
        view: What was judged; None: nothing could be.
        role: Which server.
        before: What was said of it last.
    """
    if view is None or not view.own(role).incarnation or not view.late(role):
        return ""
    return _steady("" if before is None else before.silent_since, view.now - view.sights[role].silent)


def _takeover(pair: str, serving: Serving, before: Takeover, now: str) -> Takeover:
    verdict, view = serving.verdict, serving.view
    rules = () if view is None else tuple(_rule(pair, each, view.now) for each in account.account(view))
    made = Takeover(reason=verdict.reason, message=verdict.message[:_LONGEST_MESSAGE], time=now, rules=rules)
    if before.time and (made.reason, made.message) == (before.reason, before.message) and _same(rules, before.rules):
        made = replace(made, time=before.time, rules=before.rules)
    if view is None:
        return made
    silence = max((view.expiry(role) for role in Role if view.confirmed(role)), default=0.0)
    earliest = view.now + verdict.retry if verdict.reason == "NotYet" and verdict.retry is not None else 0.0
    return replace(
        made,
        epoch=view.lease.epoch if serving.lease is None else serving.lease.epoch,
        earliest=_steady(before.earliest, earliest),
        silence=durations.text(math.ceil(silence)),
        **_dates(view),
    )


def _dates(view: View) -> Mapping[str, str]:
    """Return the dates of a survivor in partner-down and of a server that returns, as far as they are known."""
    found: dict[str, str] = {}
    for role in Role:
        report = view.own(role).report
        since, mclt = report.since, durations.seconds(report.mclt)
        if not since or not view.confirmed(role):
            continue
        if view.state(role) is FailoverState.PARTNER_DOWN and role == view.lease.survivor:
            parked = durations.seconds(view.lease.max_lease.duration)
            found["addresses_usable"] = dates.text(since + mclt)
            found["parked_until"] = dates.text(since + parked + 1)
        elif view.state(role) in CATCHING_UP and role != view.lease.survivor and mclt:
            found["recover_ends"] = dates.text(since + mclt)
    return found


def _rule(pair: str, rule: account.Rule, now: float) -> JudgedRule:
    return JudgedRule(
        server=server_name(pair, rule.role),
        rule=rule.name,
        holds=rule.holds,
        message=rule.message[:_LONGEST_RULE],
        remedy=rule.remedy[:_LONGEST_RULE],
        until="" if rule.retry is None else dates.text(now + rule.retry),
    )


def _same(new: tuple[JudgedRule, ...], old: tuple[JudgedRule, ...]) -> bool:
    """Tell whether rules say the same, but for spans of time and the inaccuracy of looking twice."""
    return len(new) == len(old) and all(
        replace(one, until="", message=_NUMBER.sub("#", one.message))
        == replace(other, until="", message=_NUMBER.sub("#", other.message))
        and bool(one.until) == bool(other.until)
        and (not one.until or _steady(other.until, dates.seconds(one.until)) == other.until)
        for one, other in zip(new, old, strict=True)
    )


def _steady(before: str, date: float) -> str:
    """Return a date as text; the one of before if it is the same but for the inaccuracy of looking twice."""
    if not date:
        return ""
    return before if before and abs(dates.seconds(before) - date) <= _STEADY_SECONDS else dates.text(date)


def _kernel_fence(snapshot: Snapshot, view: View | None) -> Verdict:
    serving = [] if view is None else [role for role in Role if view.confirmed(role)]
    if view is None or not serving:
        return Verdict(type=KERNEL_FENCE, status=UNKNOWN, reason="NotServing", message="No server serves under a grant")
    for role in serving:
        force = view.own(role).in_force
        name = server_name(snapshot.name, role)
        if force.isolation is Isolation.SERVE:
            message = f"{name} serves without end: spec.isolation is Serve"
            return Verdict(type=KERNEL_FENCE, status=FALSE, reason="NotFenced", message=message)
        if not force.kernel_fence:
            return _unfenced(name, snapshot, role)
    names = " and ".join(server_name(snapshot.name, role) for role in serving)
    message = f"The kernel stops the answers of {names} when their permits end, as proven at their start"
    return Verdict(type=KERNEL_FENCE, status=TRUE, reason="Proven", message=message)


def _unfenced(name: str, snapshot: Snapshot, role: Role) -> Verdict:
    server = snapshot.servers.get(role)
    said = conditions.get((ServerStatus() if server is None else server.status).conditions, KERNEL_FENCE)
    reason, why = ("NotProven", "") if said is None or said.status == TRUE else (said.reason, said.message)
    message = (
        f"That the kernel enforces the end of the permit of {name} was not proven at its start: its silence is no "
        f"evidence that it is stopped, unless spec.fence is Process. {why}"
    )
    return Verdict(type=KERNEL_FENCE, status=FALSE, reason=reason, message=message.rstrip())


def _lease_database(snapshot: Snapshot, view: View | None) -> Verdict:
    if view is None:
        return Verdict(type=LEASE_DATABASE, status=UNKNOWN, reason="NotJudgedYet", message="Nothing is known yet")
    found = {role: view.own(role).database.verdict for role in Role}
    message = "; ".join(_said_of(snapshot.name, role, view) for role in Role)
    for verdict, reason in _LOST.items():
        if verdict in found.values():
            return Verdict(type=LEASE_DATABASE, status=FALSE, reason=reason, message=message)
    if all(verdict is DatabaseVerdict.INTACT for verdict in found.values()):
        return Verdict(type=LEASE_DATABASE, status=TRUE, reason="Intact", message=message)
    known = DatabaseVerdict.UNKNOWN not in found.values()
    reason = "NotUsedYet" if known else "NotJudgedYet"
    return Verdict(type=LEASE_DATABASE, status=UNKNOWN, reason=reason, message=message)


def _said_of(pair: str, role: Role, view: View) -> str:
    database = view.own(role).database
    name = server_name(pair, role)
    said = f"the lease database of {name} {_SAID[database.verdict]}"
    if database.verdict is DatabaseVerdict.FOREIGN:
        said += (
            f" ({database.held}): adopt it (twinlease.io/adopt-leases={name}@{view.lease.epoch}) or give it up "
            f"(twinlease.io/discard-leases={name}@{view.lease.epoch})"
        )
    elif database.message and database.verdict is not DatabaseVerdict.INTACT:
        said += f" ({database.message})"
    return said
