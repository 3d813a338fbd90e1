"""Snapshots for the sidecar's pure functions."""

from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from msgspec.structs import replace

from twinlease.api.server import ServerSpec, ServerStatus, WantedConfig
from twinlease.api.types import ObjectRef
from twinlease.engines.protocol import FailoverStatus
from twinlease.ipc.client import FenceStatus, GuardStatus, LastExit, PermitStatus
from twinlease.model.states import FailoverState
from twinlease.netlink.choose import Network
from twinlease.sidecar.observed import Candidate, Desired, Metadata, Observed, ServerObject, Verdict

OLD, NEW = "0" * 64, "1" * 64

NETWORK = Network(
    interface="eth0",
    index=7,
    link_up=True,
    serving=IPv4Interface("10.0.0.2/24"),
    failover_address=IPv4Address("10.0.0.2"),
    addresses=(IPv4Interface("10.0.0.2/24"),),
)

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
        token="00112233445566778899aabbccddeeff",  # noqa: S106  # a name of the pod, no secret
        permit=PermitStatus(None if revision else 0.0, lapsed=False),
        fence=FenceStatus(kernel=False, reason="NotTried", message=""),
        alone=True,
        others="",
        record=None,
        record_error="",
        clock_steps=0,
    )._replace(**more)


def candidate(verdict: Verdict, message: str = "what it said", revision: str = NEW) -> Candidate:
    """Return a candidate."""
    return Candidate(revision=revision, verdict=verdict, message=message)


def in_states(local: FailoverState, partner: FailoverState) -> FailoverStatus:
    """Return the answer of a server in these states."""
    return replace(NORMAL, local=local, partner=partner)


def observed(**changes: Any) -> Observed:  # noqa: ANN401  # fields of the snapshot
    """Return a snapshot of a server that is wanted and could run; nothing runs yet. What it answers is fresh."""
    now = Observed(
        desired=Desired(object=server()), network=NETWORK, guard=guard(), answered=True, engine_version="4.4.3-P1"
    )
    return replace(now, **changes)


LAST_EXIT = LastExit(time=1_700_000_100, code=-9, reason="Signalled", log=("one", "two"))
