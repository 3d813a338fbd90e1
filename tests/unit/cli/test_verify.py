"""`twinlease verify`: what it takes for a leader, and whom for the operator. The rest is tried with the chart."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import pytest

from twinlease.cli.main import dispatch
from twinlease.cli.verify import Clock, Finding, leader, named
from twinlease.controller.guarded import shipped
from twinlease.kube.client import Client
from twinlease.kube.protocol import JSON, ApiError, Json


class Leases:
    """A transport that answers with one state of the Lease after the other; the last one stays."""

    def __init__(self, *states: Json | ApiError) -> None:
        self._states = list(states)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout: float = 10.0,
    ) -> Json:
        """Return the next state."""
        del query, body, content_type, timeout
        assert (method, path) == ("GET", "/apis/coordination.k8s.io/v1/namespaces/dhcp/leases/twinlease-operator")
        found = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        if isinstance(found, ApiError):
            raise found
        return {"spec": found}

    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Nothing watches here."""
        raise NotImplementedError


def looked(*states: Json | ApiError) -> Finding:
    passed = [0.0]
    clock = Clock(now=lambda: passed[0], sleep=lambda seconds: passed.append(passed.pop() + seconds))
    return leader(Client(Leases(*states), "test"), "dhcp", clock)


ABSENT = ApiError(404, "NotFound", "no such Lease")


def test_who_renews_leads() -> None:
    first, second = ({"holderIdentity": "a_1", "renewTime": f"2026-01-01T00:00:0{each}Z"} for each in (1, 3))
    assert looked(ABSENT, first, first, second) == Finding("an operator leads: a_1")


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([ABSENT], "nobody holds the lead"),
        ([{"holderIdentity": "", "renewTime": "2026-01-01T00:00:01Z"}], "nobody holds the lead"),
        ([{"holderIdentity": "a_1", "renewTime": "2026-01-01T00:00:01Z"}], "a_1 renews no more"),
        ([ApiError(403, "Forbidden", "no right")], "403 Forbidden: no right"),
    ],
)
def test_who_does_not_renew_does_not(states: list[Json | ApiError], said: str) -> None:
    found = looked(*states)
    assert found.tried == "an operator leads"
    assert found.problem.startswith(said)


def test_the_shipped_policy_names_the_account_of_the_plain_manifests() -> None:
    assert named(shipped()[0]) == "system:serviceaccount:twinlease-system:twinlease-operator"
    assert named({}) == ""


def test_without_a_namespace_it_asks_for_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    with pytest.raises(SystemExit) as caught:
        dispatch(["verify"])
    assert caught.value.code == 2
    assert "--namespace or POD_NAMESPACE must name the namespace of the operator" in capsys.readouterr().err
