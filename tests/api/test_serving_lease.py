"""The definition of the serving lease on a real API server: defaults, and which changes it takes from the operator."""

import copy
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from twinlease.api.rules import rules_of
from twinlease.api.servinglease import SERVING_LEASE_RULES
from twinlease.kube.client import Client
from twinlease.kube.protocol import SERVING_LEASES, ApiError, Json, Transport

GRANT: Json = {
    "holder": "",
    "node": "",
    "epoch": 0,
    "start": "Resume",
    "duration": "4m",
    "promise": "4m",
    "maxPromise": "30m",
    "isolation": "Fence",
    "watched": {"interruption": 0, "tainted": False},
}
OWN: Json = {
    "incarnation": "",
    "node": "",
    "renewal": 0,
    "epoch": 0,
    "inForce": {
        "epoch": 0,
        "duration": "0s",
        "promise": "0s",
        "maxPromise": "0s",
        "isolation": "Fence",
        "kernelFence": False,
    },
    "report": {
        "state": "Unknown",
        "partnerState": "Unknown",
        "since": 0,
        "serving": False,
        "mclt": "0s",
        "interruption": 0,
        "interruptedMillis": 0,
        "promising": False,
        "promiseSeconds": 0,
        "config": "",
    },
    "lineage": {"id": "", "counter": 0, "newest": 0, "address": "", "confirmed": ""},
    "database": {"verdict": "Unknown", "state": "Unknown", "held": 0, "message": ""},
    "released": 0,
    "answer": {"epoch": 0, "result": "Unknown", "reason": ""},
}
DEFAULTS: Json = {
    "epoch": 0,
    "phase": "Both",
    "survivor": "",
    "established": False,
    "maxLease": {"duration": "0s", "until": ""},
    "mclt": {"duration": "0s", "until": ""},
    "servers": {"primary": {"grant": GRANT, "own": OWN}, "secondary": {"grant": GRANT, "own": OWN}},
}
ORDER = {"epoch": 5, "interruption": 3, "evidence": "Expired"}
"""Of a lease in which the primary was granted with epoch 4, and ordered into partner-down with epoch 5."""


def new(name: str, namespace: str, spec: Json) -> Json:
    return {
        "apiVersion": SERVING_LEASES.api_version,
        "kind": SERVING_LEASES.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


class Held:
    """The serving lease of a namespace, in its operator's hands."""

    def __init__(self, operator: Transport, namespace: str) -> None:
        self._client = Client(operator, "twinlease-operator")
        self._namespace = namespace
        self._client.create(SERVING_LEASES, new("p", namespace, {}))

    @property
    def spec(self) -> Json:
        """What it says."""
        return dict(self._read()["spec"])

    def change(self, *changes: tuple[str, object]) -> None:
        """Replace it by itself with some fields (dotted paths) changed; None: taken out."""
        found = self._read()
        for path, value in changes:
            *parents, last = path.split(".")
            place = found["spec"]
            for parent in parents:
                place = place[parent]
            place[last] = value
            if value is None:
                del place[last]
        self._client.replace(SERVING_LEASES, found)

    def refused(self, *changes: tuple[str, object]) -> dict[str, str]:
        """Return what is wrong with a change by field; nothing else may be wrong."""
        with pytest.raises(ApiError) as caught:
            self.change(*changes)
        assert caught.value.status == 422, caught.value
        return _causes(caught.value)

    def _read(self) -> Json:
        return copy.deepcopy(self._client.get(SERVING_LEASES, "p", self._namespace))


def _causes(error: ApiError) -> dict[str, str]:
    """Return the message of each field: the API's text has `FIELD: KIND OF ERROR: [VALUE: ]MESSAGE` for each."""
    _, *parts = re.split(r"(spec[\w.]*): (?:Invalid value|Too long): ", error.message)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture
def fresh(rights: Transport, namespace: str) -> Held:
    """Return a lease as it is made."""
    return Held(rights, namespace)


@pytest.fixture
def held(fresh: Held) -> Held:
    """Return the lease of a pair that served, and whose primary was ordered into partner-down with epoch 5."""
    fresh.change(
        ("epoch", 4),
        ("established", True),
        ("maxLease.duration", "1h"),
        ("mclt.duration", "30m"),
        ("servers.primary.grant", GRANT | {"holder": "a/1", "node": "n1", "epoch": 4}),
        ("servers.secondary.grant", GRANT | {"holder": "b/1", "node": "n2", "epoch": 4}),
    )
    fresh.change(
        ("epoch", 5),
        ("phase", "Alone"),
        ("survivor", "primary"),
        ("order", ORDER),
        ("servers.secondary.grant", GRANT | {"epoch": 4}),
    )
    return fresh


@dataclass(frozen=True)
class Wrong:
    """A change that breaks one rule; `says` is what it must be told beside the field."""

    name: str
    field: str
    says: str
    changes: tuple[tuple[str, object], ...]


def _of_a_grant(role: str, other: str, holder: str) -> list[Wrong]:
    grant, at = f"servers.{role}.grant", f"spec.servers.{role}.grant"
    holds = f"{grant}.holder"
    return [
        Wrong(f"{role} granted without epoch", f"{at}.holder", f'"c/1" after "{holder}"', ((holds, "c/1"),)),
        Wrong(
            f"{role} granted under the epoch of before",
            f"{at}.holder",
            "with grant.epoch 4 and spec.epoch 6 after 5",
            (("epoch", 6), (holds, "c/1")),
        ),
        Wrong(
            f"{role} granted under the other's epoch",
            f"{at}.holder",
            "with grant.epoch 4 and spec.epoch 6 after 5",
            (("epoch", 6), (holds, "c/1"), (f"servers.{other}.grant.epoch", 6)),
        ),
        Wrong(f"epoch of the {role} falls", f"{at}.epoch", "3 after 4", ((f"{grant}.epoch", 3),)),
        Wrong(
            f"epoch of the {role} falls as spec.epoch rises",
            f"{at}.epoch",
            "3 after 4, with spec.epoch 6 after 5",
            (("epoch", 6), (f"{grant}.epoch", 3)),
        ),
        Wrong(f"epoch of the {role} rises by itself", f"{at}.epoch", "5 after 4", ((f"{grant}.epoch", 5),)),
        Wrong(
            f"epoch of the {role} beyond spec.epoch",
            f"{at}.epoch",
            "7 after 4, with spec.epoch 6 after 5",
            (("epoch", 6), (f"{grant}.epoch", 7)),
        ),
    ]


WRONG = [
    Wrong("epoch falls", "spec.epoch", "must not fall; found 4 after 5", (("epoch", 4),)),
    Wrong(
        "established falls",
        "spec.established",
        "must not become false again; found false after true",
        (("established", False),),
    ),
    Wrong(
        "order later than its epoch",
        "spec.order",
        "found order.epoch 5 with spec.epoch 6 after 5",
        (("epoch", 6), ("order", ORDER | {"interruption": 4})),
    ),
    Wrong(
        "order earlier than its epoch",
        "spec.order",
        "found order.epoch 7 with spec.epoch 6 after 5",
        (("epoch", 6), ("order", ORDER | {"epoch": 7})),
    ),
    Wrong("order without a rise", "spec.order", "found order.epoch 6 with spec.epoch 5", (("order.epoch", 6),)),
    Wrong("evidence changed later", "spec.order", "cannot change later", (("order.evidence", "Confirmed"),)),
    Wrong("interruption changed later", "spec.order", "cannot change later", (("order.interruption", 4),)),
    Wrong("longest lease falls", "spec.maxLease.duration", "59m after 1h", (("maxLease.duration", "59m"),)),
    Wrong(
        "longest lease falls with its date",
        "spec.maxLease.duration",
        "falls only after its date was set; found 59m after 1h",
        (("maxLease", {"duration": "59m", "until": "2031-01-01T00:00:00Z"}),),
    ),
    Wrong("MCLT falls", "spec.mclt.duration", "29m59s after 30m", (("mclt.duration", "29m59s"),)),
    *_of_a_grant("primary", "secondary", "a/1"),
    *_of_a_grant("secondary", "primary", ""),
    Wrong(
        "revoked without epoch",
        "spec.servers.primary.grant.holder",
        'found "" after "a/1", with grant.epoch 4 and spec.epoch 5 after 5',
        (("servers.primary.grant.holder", ""),),
    ),
]


def test_every_rule_has_its_wrong_changes() -> None:
    assert {f"spec{each['fieldPath']}" for each in rules_of(SERVING_LEASE_RULES)} == {case.field for case in WRONG}


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_a_wrong_change_is_refused_for_that_alone(held: Held, case: Wrong) -> None:
    before = held.spec
    found = held.refused(*case.changes)
    assert list(found) == [case.field]  # so that without this rule it would have been taken
    assert case.says in found[case.field]
    assert held.spec == before


def test_two_wrongs_are_both_told(held: Held) -> None:
    found = held.refused(("epoch", 4), ("established", False))
    assert set(found) == {"spec.epoch", "spec.established"}


def test_an_order_that_was_taken_back_cannot_be_given_again(held: Held) -> None:
    held.change(("order", None), ("phase", "Both"), ("survivor", ""))
    assert list(held.refused(("order", ORDER))) == ["spec.order"]


def test_a_lease_is_made_of_defaults(fresh: Held) -> None:
    assert fresh.spec == DEFAULTS


def test_everything_written_out_is_accepted(rights: Transport, namespace: str) -> None:
    made = Client(rights, "twinlease-operator").create(SERVING_LEASES, new("q", namespace, DEFAULTS))
    assert made["spec"] == DEFAULTS


@pytest.mark.parametrize("date", ["soon", "2026-11-21", "2026-11-21T10:00:00+01:00", "2026-11-21T10:00:00.5Z"])
def test_a_date_is_in_utc_and_whole_seconds(held: Held, date: str) -> None:
    assert "spec.maxLease.until" in held.refused(("maxLease.until", date))
    held.change(("maxLease.until", "2026-11-21T10:00:00Z"))


def test_what_the_operator_does_is_accepted(held: Held) -> None:
    returned = GRANT | {"holder": "b/2", "node": "n2", "epoch": 6, "start": "Recover"}
    held.change(("epoch", 6), ("phase", "Returning"), ("servers.secondary.grant", returned))
    held.change(("servers.primary.grant.duration", "4m"), ("servers.primary.grant.watched.interruption", 3))
    held.change(("order", None), ("phase", "Both"), ("survivor", ""))
    again = ORDER | {"epoch": 7}
    revoked = returned | {"holder": "", "node": ""}
    held.change(
        ("epoch", 7),
        ("phase", "Alone"),
        ("survivor", "primary"),
        ("order", again),
        ("servers.secondary.grant", revoked),
    )
    # Bounds rise at once, and fall once their date was there.
    for bound in ("maxLease", "mclt"):
        held.change((f"{bound}.duration", "90m"))
        held.change((f"{bound}.until", "2031-01-01T00:00:00Z"))
        held.change((bound, {"duration": "10m", "until": ""}))
    # The same incarnation, granted once more after it gave its grant back.
    held.change(("epoch", 8), ("servers.primary.grant.epoch", 8))
    # After an older copy was restored: far beyond, and nobody holds anything.
    held.change(("epoch", 40), ("servers.primary.grant.holder", ""), ("servers.primary.grant.node", ""))
    assert held.spec["epoch"] == 40


def test_its_table_tells_who_serves(server: ApiServer, held: Held, namespace: str) -> None:
    del held
    header, row = server.kubectl("get", "dlease", "-n", namespace).splitlines()
    assert header.split() == ["NAME", "PHASE", "SURVIVOR", "EPOCH", "PRIMARY", "SECONDARY", "AGE"]
    assert row.split()[:6] == ["p", "Alone", "primary", "5", "Unknown", "Unknown"]
    header, row = server.kubectl("get", "dlease", "-n", namespace, "-o", "wide").splitlines()
    assert header.split()[7:] == ["ORDER", "PRIMARY-HOLDER", "SECONDARY-HOLDER"]
    assert row.split()[7:] == ["5", "a/1"]


def test_every_field_explains_itself(server: ApiServer, tmp_path: Path) -> None:
    text = server.kubectl("explain", "dlease.spec", "--recursive=false", f"--cache-dir={tmp_path}")
    assert "Raised by every grant and every revocation." in text
    text = server.kubectl("explain", "dlease.spec.servers.primary.own.asks", f"--cache-dir={tmp_path}")
    assert "The server does not run and asks for a grant." in text
    assert "<no description>" not in text
