"""A server's own part of the serving lease: a pure function of the snapshot, and how it is written."""

import math
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from twinlease.api.servinglease import (
    Answered,
    Asks,
    Database,
    DatabaseVerdict,
    InForce,
    Lineage,
    Own,
    Report,
    Start,
)
from twinlease.decide.pairview import CLOCK_STEPPED
from twinlease.engines.protocol import Watermark
from twinlease.kube.protocol import Json
from twinlease.model import durations
from twinlease.model.states import Role, serves
from twinlease.sidecar import database
from twinlease.sidecar.observed import Observed
from twinlease.sidecar.record import Record
from twinlease.sidecar.tenure import Standing, going_by, resumable

_MISSING = object()
_NOT_TRIED = "NotTried"


class Draft(Struct, frozen=True, kw_only=True):
    """What is to be written, but for what only the moment of sending can tell.

    Attributes:
        role: Whose entry.
        holder: Of the grant as it was when this was made; a write fails if it is another one.
        epoch: The same.
        own: The own part at the moment ``boot``.
        boot: CLOCK_BOOTTIME when this was made.
        confirms: The lineage is put on record.
        reach: How far the leases reach, with ``confirms``.
        frozen: The disk cannot be written any more: the record stays as it is.
    """

    role: Role
    holder: str
    epoch: int
    own: Own
    boot: float
    confirms: bool
    reach: Watermark | None
    frozen: bool = False

    def significant(self) -> tuple[str, int, Own]:
        """Return what makes it worth writing at once: everything that does not merely grow with time."""
        own = self.own
        asks = own.asks if own.asks is UNSET else replace(own.asks, waiting_millis=0)
        calm = replace(
            own,
            renewal=0,
            lineage=Lineage(id=own.lineage.id),
            report=replace(own.report, interrupted_millis=0, promise_seconds=0),
            asks=asks,
        )
        return self.holder, self.epoch, calm

    def at(self, boot: float, wall: float, renewal: int, record: Record) -> Own:
        """Return the own part as it is sent at a moment."""
        later = max(0, round((boot - self.boot) * 1000))
        own, report, asks = self.own, self.own.report, self.own.asks
        if report.interruption:
            report = replace(report, interrupted_millis=report.interrupted_millis + later)
        if asks is not UNSET and asks.ready:
            asks = replace(asks, waiting_millis=asks.waiting_millis + later)
        lineage = database.lineage_of(record, wall) if self.confirms else own.lineage
        return replace(own, renewal=renewal, report=report, asks=asks, lineage=lineage)


def draft(now: Observed) -> Draft | None:
    """Return what is to be written; None while too little is known."""
    grant, confirmed, role = now.grant, now.confirmed, now.role
    if grant is None or confirmed is None or role is None or not now.incarnation or not now.found.readable:
        return None
    if now.guard is None and not now.gone:
        return None  # nobody knows whether the daemon runs
    if now.hung:
        return None  # every write would be a renewal
    confirms = not now.gone and database.confirms(now.verdict, now.standing, now.tenure, now.found.record)
    return Draft(
        role=role,
        holder=grant.holder,
        epoch=grant.epoch,
        own=_own(now, confirmed, confirms=confirms),
        boot=now.boot,
        confirms=confirms,
        reach=now.reach,
        frozen=now.gone,
    )


def gives_up(now: Observed) -> str:  # noqa: PLR0911  # one reason after the other
    """Return why the grant is given back, CamelCase; empty: it is not.

    Only with the daemon dead, and only by whoever will not start it under this grant any more.
    """
    tenure = now.tenure
    if not tenure.epoch or now.standing is not Standing.HELD:
        return ""
    if now.gone:
        return "PodEnds"
    if now.guard is None or now.running or now.desired is None or now.desired.cached:
        return ""
    if tenure.given_up:
        return "GivenUp"
    if now.desired.object.spec.maintenance:
        return "Maintenance"
    if now.wrong_clock:
        return now.wrong_clock
    if not now.unbroken:
        return "PermitEnded"
    if now.desired.object.spec.paused:
        return ""
    if tenure.begun and now.verdict is not DatabaseVerdict.UNKNOWN and not resumable(now.found.recorded, now.verdict):
        return "MayNotResume"
    return ""


def asking(now: Observed) -> str:
    """Return why a grant is asked for, CamelCase; empty: none is."""
    desired = now.desired
    if now.guard is None or now.running or now.stopping or now.gone or desired is None or desired.cached:
        return ""
    if desired.object.spec.maintenance or desired.object.spec.paused:
        return ""
    misled = CLOCK_STEPPED if now.found.record.misled else ""
    if now.standing is Standing.REVOKED:
        return misled or "Revoked"
    if now.standing is Standing.NONE:
        return misled or ("Stopped" if now.tenure.epoch else "NewIncarnation")
    if now.standing is Standing.HELD and now.tenure.given_up:
        return now.wrong_clock or misled or "MayNotResume"
    return ""


def operations(role: Role, raw: Json, holder: str, epoch: int, own: Own) -> list[Json]:
    """Return the JSON Patch (RFC 6902) that writes an own part, if the grant and the last own part are as known.

    Args:
        role: Whose.
        raw: The object as last read.
        holder: The grant's holder that the write relies on.
        epoch: The same of its epoch.
        own: What is written.
    """
    base = f"/spec/servers/{role}"
    wanted = {f"{base}/grant/holder": holder, f"{base}/grant/epoch": epoch}
    for field in ("incarnation", "renewal"):
        # Not only another incarnation's writes: a late one of our own must not overtake a later one either.
        wanted[f"{base}/own/{field}"] = _at(raw, f"{base}/own/{field}")
    tests = {_test(raw, path, value) for path, value in wanted.items()}
    patch = [{"op": "test", "path": path, "value": msgspec.json.decode(value)} for path, value in sorted(tests)]
    missing = [parent for parent in (base.rpartition("/")[0], base) if _at(raw, parent) is _MISSING]
    patch += [{"op": "add", "path": parent, "value": {}} for parent in missing]
    patch.append({"op": "add", "path": f"{base}/own", "value": full(own)})
    return patch


def full(own: Own) -> Json:
    """Return an own part with its identity spelled out, for later writes to test."""
    built: Json = msgspec.to_builtins(own)
    return {**built, "incarnation": own.incarnation, "renewal": own.renewal}


def _test(raw: Json, path: str, value: object) -> tuple[str, bytes]:
    """Return a test of a value, or of the nearest thing that is there: one of what is not would always fail."""
    while _at(raw, path) is _MISSING:
        path = path.rpartition("/")[0]
        value = _at(raw, path)
    return path, msgspec.json.encode(value)


def _at(raw: Json, path: str) -> Any:  # noqa: ANN401  # JSON of any kind
    value: Any = raw
    for part in path.split("/")[1:]:
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _own(now: Observed, confirmed: Own, *, confirms: bool) -> Own:
    record = now.found.record
    lease_epoch = now.lease.spec.epoch if now.lease is not None else 0
    return Own(
        incarnation=now.incarnation,
        node=now.node,
        epoch=max(record.epoch, lease_epoch),
        in_force=_in_force(now),
        report=_report(now),
        lineage=Lineage(id=record.id) if confirms else confirmed.lineage,
        database=_database(now),
        asks=_asks(now),
        released=_released(now, confirmed),
        answer=last_answer(record.answered, confirmed.answer),
    )


def last_answer(*answers: Answered) -> Answered:
    """Return the answer to the latest order."""
    return max(answers, key=lambda each: each.epoch)


def _in_force(now: Observed) -> InForce:
    grant = now.grant
    if now.rolled_back:
        return InForce() if now.tenure.given_up else now.tenure.in_force  # renewed by nothing, until it has ended
    if grant is None or now.standing not in {Standing.OFFERED, Standing.HELD}:
        return InForce()
    if now.standing is Standing.OFFERED:
        may = database.to_go_by(now.verdict, now.found.record) and not (
            now.stopping or now.gone or _promised_since(now)
        )
        return going_by(grant, kernel_fence=False) if may else InForce()
    if now.tenure.given_up or now.gone:
        return InForce()
    return going_by(grant, kernel_fence=_fenced(now))


def _promised_since(now: Observed) -> bool:
    """Tell whether a server that is to survive has promised its partner something that the grant does not know of.

    The own part that was judged is the one that asks; what was written since asks no more. As soon as the grant is
    seen nothing more is promised, so that this ends.
    """
    own = now.confirmed
    if now.grant is None or now.grant.start is not Start.SURVIVE or not now.promiser.running(now.boot):
        return False
    return own is None or own.asks is UNSET or not own.report.promising


def _fenced(now: Observed) -> bool:
    """Tell whether the kernel's fence was proven at the last start under this grant."""
    if not now.tenure.begun or now.guard is None:
        return False
    if now.running or now.guard.fence.reason != _NOT_TRIED:
        return now.guard.fence.kernel
    return now.in_force.kernel_fence  # nothing runs, and the guard is a new one: it will tell at the next start


def _report(now: Observed) -> Report:
    said = now.failover
    promise = now.promiser.until - now.boot
    running = now.promiser.running(now.boot)
    base = Report(
        promising=running,
        promise_seconds=min(math.ceil(promise), 1 << 31) if running and promise < math.inf else (1 << 31) * running,
        interruption=now.interruption.current if now.running else 0,
        interrupted_millis=round(now.interruption.age(now.boot) * 1000) if now.running else 0,
    )
    if said is None or not now.running or now.guard is None:
        return base
    return replace(
        base,
        state=said.local.value,
        partner_state=said.partner.value,
        since=said.since,
        serving=serves(said.local, said.partner),
        mclt=durations.text(said.mclt),
        config=now.guard.revision,
    )


def _database(now: Observed) -> Database:
    if now.running:
        return Database(verdict=now.verdict)
    return database.report(now.found, now.verdict)


def _asks(now: Observed) -> Asks | UnsetType:
    reason = asking(now)
    if not reason or now.guard is None:
        return UNSET
    waiting = 0.0 if now.ready_since is None else now.boot - now.ready_since
    return Asks(
        incarnation=now.incarnation,
        reason=reason,
        stopped=now.guard.alone and not now.running,
        ready=now.ready_since is not None,
        skew_millis=round(now.clocks.offset * 1000) if now.clocks.differ else 0,
        waiting_millis=max(0, round(waiting * 1000)),
    )


def _released(now: Observed, confirmed: Own) -> int:
    dead = now.gone or (now.guard is not None and not now.running)
    if now.tenure.epoch and now.tenure.given_up and dead:
        return now.tenure.epoch
    mine = confirmed.incarnation == now.incarnation
    return confirmed.released if mine and now.standing is not Standing.HELD else 0
