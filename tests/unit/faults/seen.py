"""Serving leases and answers as a run would have seen them, in few words."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tests.faults.case import Case, cast
from tests.faults.expect import Run
from tests.faults.stage import ADDRESSES
from tests.faults.timeline import LEASE, PAIR, SERVER, Change, Timeline
from tests.lab.history import Answer, Statistics, Verdict
from tests.lab.observed import Client
from twinlease.api.servinglease import (
    Asks,
    Entries,
    Entry,
    Evidence,
    Grant,
    InForce,
    Order,
    Own,
    Phase,
    Report,
    ServingLeaseSpec,
)
from twinlease.model.states import Role

HOLDER = "pod/token"
GRANTED = Grant(holder=HOLDER, node="n1", epoch=1)
NORMAL = Own(incarnation=HOLDER, in_force=InForce(epoch=1, duration="5s"), report=Report(state="Normal"))


def interrupted(millis: int, *, promise: int = 0, renewal: int = 1) -> Own:
    """Return the part of a server that is cut off for so long."""
    report = Report(
        state="CommunicationsInterrupted", interruption=1, interrupted_millis=millis, promising=promise > 0,
        promise_seconds=promise,
    )  # fmt: skip
    return replace(NORMAL, renewal=renewal, report=report)


def asking() -> Own:
    """Return the part of a server that asks for a grant."""
    return replace(NORMAL, asks=Asks(incarnation="pod/other", stopped=True))


def in_partner_down() -> Own:
    """Return the part of a server that is in partner-down."""
    return replace(NORMAL, report=Report(state="PartnerDown"))


def lease(
    primary: Own = NORMAL, secondary: Own = NORMAL, *, revoked: Role | None = None, epoch: int = 1
) -> ServingLeaseSpec:
    """Return a serving lease; with one server revoked, the other is ordered into partner-down."""
    entries = {
        role: Entry(grant=Grant() if role is revoked else replace(GRANTED, epoch=epoch), own=own)
        for role, own in ((Role.PRIMARY, primary), (Role.SECONDARY, secondary))
    }
    servers = Entries(primary=entries[Role.PRIMARY], secondary=entries[Role.SECONDARY])
    if revoked is None:
        return ServingLeaseSpec(epoch=epoch, established=True, servers=servers)
    order = Order(epoch=2, interruption=1, evidence=Evidence.EXPIRED)
    return ServingLeaseSpec(
        epoch=2, phase=Phase.ALONE, survivor=str(revoked.other), order=order, established=True, servers=servers
    )


def timeline(leases: Mapping[float, ServingLeaseSpec], verdicts: Mapping[float, str] | None = None) -> Timeline:
    """Return what was seen of leases and verdicts."""
    changes = [Change(time, LEASE, "lan", {}, spec) for time, spec in leases.items()]
    for time, reason in (verdicts or {}).items():
        status = {"conditions": [{"type": "PartnerDown", "reason": reason}]}
        changes.append(Change(time, PAIR, "lan", {"status": status}))
    return Timeline(sorted(changes, key=lambda each: each.time), "lan")


def server(time: float, role: Role, **daemon: Any) -> Change:  # noqa: ANN401  # as JSON has it
    """Return a DHCPServer that was seen."""
    return Change(time, SERVER, f"lan-{role}", {"status": {"daemon": daemon}})


def answers(role: Role, *times: float) -> list[Answer]:
    """Return ACKs of a server."""
    return [Answer(time, ADDRESSES[role], "ACK", Client("02:00:00:00:00:01"), new=True) for time in times]


def run(
    seen: Timeline, given: list[Answer], marks: Mapping[str, float], *, victim: Role = Role.SECONDARY
) -> Run:  # fmt: skip
    """Return a run that is over."""
    made = Case("made", "Made up.", ())
    history = Verdict((), (), Statistics(), tuple(sorted(given, key=lambda each: each.time)), {})
    return Run(made, cast(victim), marks, seen, history, ADDRESSES)
