"""What is known of a server: by its last report, and only while it can be true."""

from typing import Any

from msgspec.structs import replace

from tests.unit.controller.test_serving import held
from tests.unit.decide.views import PRIMARY, SECONDARY, grant, quiet
from twinlease.controller.objects import read
from twinlease.controller.snapshot import Snapshot
from twinlease.decide.pairview import View
from twinlease.kube.protocol import NODES, PODS, SERVERS, Resource
from twinlease.model.states import FailoverState, Role

NORMAL = (FailoverState.NORMAL, FailoverState.NORMAL)
UNKNOWN = (FailoverState.UNKNOWN, FailoverState.UNKNOWN)
REVOKED = grant(quiet(), SECONDARY, holder="", node="")
SAID = {
    "podUid": "pod-uid",
    "daemon": {"running": True},
    "failover": {"state": "Normal", "partnerState": "Normal"},
    "serving": True,
}


def known(view: View | None, **said: Any) -> Snapshot:  # noqa: ANN401  # fields of a status
    """Return a pair whose servers' last reports are these, from the pods that are there, on nodes that are ready."""
    pod = _read(PODS, "pod-uid", spec={"nodeName": "n1"}, status={"phase": "Running"})
    node = _read(NODES, "n1", status={"conditions": [{"type": "Ready", "status": "True"}]})
    server = _read(SERVERS, "server-uid", status=SAID | said)
    return Snapshot(
        namespace="ns",
        name="p",
        pair=None,
        servers=dict.fromkeys(Role, server),
        pods=dict.fromkeys(Role, pod),
        nodes={"n1": node},
        lease=None if view is None else held(view),
    )


def _read(resource: Resource, uid: str, **fields: Any) -> Any:  # noqa: ANN401  # an object of that kind
    return read(resource, {"metadata": {"name": "n1", "namespace": "ns", "uid": uid, "resourceVersion": "1"}, **fields})


def test_a_server_that_was_revoked_runs_no_more_whatever_it_said_last() -> None:
    found = known(REVOKED)
    assert found.state(PRIMARY) == NORMAL
    assert found.serves(PRIMARY)
    assert found.fresh(SECONDARY), "its node is back before its sidecar has looked"
    assert found.state(SECONDARY) == UNKNOWN
    assert not found.serves(SECONDARY)


def test_before_there_is_a_serving_lease_the_reports_count() -> None:
    assert known(None).state(SECONDARY) == NORMAL
    assert known(quiet()).state(SECONDARY) == NORMAL


def test_a_server_without_a_daemon_has_no_state_and_serves_nobody() -> None:
    found = known(quiet(), daemon={"running": False})
    assert found.state(PRIMARY) == UNKNOWN
    assert not found.serves(PRIMARY)
    assert not known(quiet(), podUid="an earlier one").runs(PRIMARY)
    assert not replace(found, nodes={}).runs(PRIMARY)
