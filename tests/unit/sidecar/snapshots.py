"""Snapshots for the sidecar's pure functions."""

from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from twinlease.api.server import ServerSpec, ServerStatus, WantedConfig
from twinlease.api.servinglease import (
    DatabaseVerdict,
    Entries,
    Entry,
    Grant,
    InForce,
    Lineage,
    Own,
    ServingLeaseSpec,
    Start,
)
from twinlease.api.types import ObjectRef
from twinlease.decide.permit import Permit
from twinlease.engines.protocol import FailoverStatus, Recorded
from twinlease.ipc.client import FenceStatus, GuardStatus, LastExit, PermitStatus
from twinlease.model.states import FailoverState
from twinlease.netlink.choose import Network
from twinlease.sidecar.database import Found
from twinlease.sidecar.keeper import Held
from twinlease.sidecar.observed import Candidate, Desired, LeaseObject, Metadata, Observed, ServerObject, Verdict
from twinlease.sidecar.record import Record
from twinlease.sidecar.tenure import Tenure

OLD, NEW = "0" * 64, "1" * 64

NETWORK = Network(
    interface="eth0",
    index=7,
    link_up=True,
    serving=IPv4Interface("10.0.0.2/24"),
    failover_address=IPv4Address("10.0.0.2"),
    addresses=(IPv4Interface("10.0.0.2/24"),),
)

TOKEN = "00112233445566778899aabbccddeeff"  # noqa: S105  # a name of the pod, no secret
ME = f"pod-1/{TOKEN}"
BOOT = 1000.0
GRANT = Grant(holder=ME, node="n1", epoch=5, start=Start.RESUME)
IN_FORCE = InForce(epoch=5, duration="4m", promise="4m", max_promise="30m", kernel_fence=True)
LINEAGE = Lineage(id="db", counter=7, newest=1_700_000_040, address="10.0.0.100")
NOTHING = Own()
OWN = Own(incarnation=ME, node="n1", renewal=9, epoch=5, in_force=IN_FORCE, lineage=LINEAGE)
TENURE = Tenure(incarnation=ME, epoch=5, start=Start.RESUME, in_force=IN_FORCE)
HELD = Held(epoch=5, permit=Permit(duration=240.0, renewed=BOOT - 10))
RECORD = Record(id="db", counter=7, newest=1_700_000_040, address="10.0.0.100", epoch=5)
FENCED = FenceStatus(kernel=True, reason="Proven", message="tried")

NORMAL = FailoverStatus(
    local=FailoverState.NORMAL,
    partner=FailoverState.NORMAL,
    since=1_700_000_000,
    partner_since=1_700_000_001,
    mclt=1800,
    unacked_updates=3,
)


def server(revision: str = NEW, **spec: Any) -> ServerObject:  # noqa: ANN401  # fields of the spec
    """Return a DHCPServer that wants a revision; none if it is empty."""
    built = ServerSpec(pair_ref=ObjectRef(name="lan"), role="primary", failover_name="lan", interface="eth0")
    if revision:
        built = replace(built, config=WantedConfig(revision=revision, config_maps=("a",)))
    return ServerObject(
        metadata=Metadata(name="lan-primary", uid="u", generation=4),
        spec=replace(built, **spec),
        status=ServerStatus(),
    )


def guard(revision: str = "", current: str = "", **more: Any) -> GuardStatus:  # noqa: ANN401  # fields of the status
    """Return a guard's status; its server runs if ``revision`` is given."""
    return GuardStatus(
        version="1",
        running=bool(revision),
        pid=5 if revision else 0,
        revision=revision,
        current=current or revision,
        started_at=1_700_000_000.5 if revision else 0,
        starts=1,
        last_exit=None,
        storage_error="",
        dropped_log_bytes=0,
        token=TOKEN,
        permit=PermitStatus(None if revision else 0.0, lapsed=False),
        fence=FENCED if revision else FenceStatus(kernel=False, reason="NotTried", message=""),
        alone=True,
        others="",
        record=None,
        record_error="",
        clock_steps=0,
        clock_step=0.0,
    )._replace(**more)


def candidate(verdict: Verdict, message: str = "what it said", revision: str = NEW) -> Candidate:
    """Return a candidate."""
    return Candidate(revision=revision, verdict=verdict, message=message)


def in_states(local: FailoverState, partner: FailoverState) -> FailoverStatus:
    """Return the answer of a server in these states."""
    return replace(NORMAL, local=local, partner=partner)


def lease(grant: Grant, own: Own = NOTHING, **spec: Any) -> LeaseObject:  # noqa: ANN401  # fields of the spec
    """Return a serving lease with this entry of the primary."""
    built = ServingLeaseSpec(epoch=grant.epoch, established=True, servers=Entries(primary=Entry(grant=grant, own=own)))
    built = replace(built, **spec)
    raw = {"spec": to_builtins(built)}
    return LeaseObject(metadata=Metadata(name="lan", uid="l"), spec=built, raw=raw)


def recorded(local: FailoverState = FailoverState.NORMAL, **more: Any) -> Recorded:  # noqa: ANN401  # its fields
    """Return what a lease database says of a server that stopped in a state."""
    found = Recorded(
        exists=True,
        local=local,
        partner=FailoverState.NORMAL,
        since=1_700_000_000,
        newest=1_700_000_050,
        newest_address="10.0.0.100",
        held=3,
        held_until=1_700_000_600,
        transitions=4,
    )
    return replace(found, **more)


def observed(**changes: Any) -> Observed:  # noqa: ANN401  # fields of the snapshot
    """Return a snapshot of a server that holds a grant and could run; nothing runs yet. What it answers is fresh."""
    now = Observed(
        desired=Desired(object=server()),
        network=NETWORK,
        guard=guard(),
        answered=True,
        engine_version="4.4.3-P1",
        boot=BOOT,
        wall=1_700_000_100.0,
        pod_uid="pod-1",
        node="n1",
        token=TOKEN,
        lease=lease(GRANT, OWN),
        tenure=TENURE,
        held=HELD,
        found=Found(record=RECORD, readable=True, recorded=recorded()),
        verdict=DatabaseVerdict.INTACT,
    )
    return replace(now, **changes)


LAST_EXIT = LastExit(time=1_700_000_100, code=-9, reason="Signalled", log=("one", "two"))
