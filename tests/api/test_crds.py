"""The definitions on a real API server: accepted, defaults filled in, wrong objects refused with a helpful message."""

import json
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from tests.api.refused import CASES, IMMUTABLE, PAIR, PLURALS, POOL, REMOVED, RESERVATION, VALID, Case, changed
from tests.lab.apiserver import ApiServer
from tests.lab.rest import ApiError, Rest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KINDS = ("dhcpfailoverpairs", "dhcppools", "dhcpreservations", "dhcpservers", "dhcpservingleases")


def collection(namespace: str, kind: str) -> str:
    return f"/apis/twinlease.io/v1alpha1/namespaces/{namespace}/{PLURALS[kind]}"


def created(api: Rest, namespace: str, kind: str, manifest: dict[str, Any]) -> Any:  # noqa: ANN401  # whatever JSON the server made of it
    path = collection(namespace, kind)
    api.post(path, manifest)
    return api.get(f"{path}/{manifest['metadata']['name']}")


def causes(error: ApiError) -> list[dict[str, str]]:
    """Return what the server found wrong, each with the field's path."""
    assert error.code == 422, str(error)
    status = json.loads(str(error).partition(": ")[2])
    return list(status["details"]["causes"])


@pytest.mark.parametrize("plural", KINDS)
def test_a_definition_is_established(api: Rest, plural: str) -> None:
    definition = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.twinlease.io")
    conditions = {condition["type"]: condition for condition in definition["status"]["conditions"]}
    assert conditions["Established"]["status"] == "True"
    assert "NonStructuralSchema" not in conditions


def test_a_minimal_pair_gets_the_defaults(api: Rest, namespace: str) -> None:
    spec = created(api, namespace, "pair", PAIR)["spec"]
    assert spec == {
        "primary": {"nodeName": "n1", "interface": "lan0", "failoverPort": 647, "maintenance": False},
        "secondary": {"nodeName": "n2", "interface": "lan0", "failoverPort": 647, "maintenance": False},
        "engine": "ISC",
        "failover": {
            "mclt": "30m",
            "maxResponseDelay": "30s",
            "maxUnackedUpdates": 3,
            "loadBalanceMaxSeconds": 3,
        },
        "partnerDown": {"mode": "Automatic", "after": "5m"},
        "isolation": "Fence",
        "fence": "Kernel",
        "servingLease": {"duration": "4m", "aloneDuration": "1h", "promise": "4m", "maxPromise": "30m"},
        "storage": {"reclaimPolicy": "Retain"},
        "omapiPort": 7911,
        "peerPort": 7912,
        "metricsPort": 7913,
        "resources": {"server": {}, "sidecar": {}},
        "paused": False,
    }


def test_a_minimal_pool_and_reservation_get_the_defaults(api: Rest, namespace: str) -> None:
    pool = created(api, namespace, "pool", changed(POOL, ("spec.ranges", [])))["spec"]
    assert (pool["leaseTime"], pool["options"]) == ({"default": "30m"}, {})
    assert created(api, namespace, "reservation", RESERVATION)["spec"] == RESERVATION["spec"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_object_is_refused_with_field_value_and_what_is_allowed(api: Rest, namespace: str, case: Case) -> None:
    with pytest.raises(ApiError) as refused:
        api.post(collection(namespace, case.kind), case.manifest)
    found = causes(refused.value)
    assert any(
        cause["field"].startswith(case.field) and all(part in cause["message"] for part in case.says) for cause in found
    ), found
    assert api.get(collection(namespace, case.kind))["items"] == []


_OCTETS = ("0", "9", "99", "199", "249", "255", "256", "00", "01", "-1", "1a", "")
_LENGTHS = ("0", "8", "31", "32", "33", "08", "", "a")


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        return str(IPv4Address(text)) == text
    return False


def test_addresses_are_taken_as_everybody_reads_them(api: Rest, namespace: str) -> None:
    """The definitions have rules of their own for them, for Kubernetes 1.30 has none."""
    texts = [f"10.{octet}.0.{octet}" for octet in _OCTETS] + ["1.2.3", "1.2.3.4.5", "::1", "1.2.3.4 ", "1,2,3,4"]
    for text in texts:
        taken = _taken(api, namespace, "reservation", changed(RESERVATION, ("spec.address", text)))
        assert taken is _is_address(text), text


def test_networks_are_taken_as_everybody_reads_them(api: Rest, namespace: str) -> None:
    texts = [f"{address}/{length}" for address in ("0.0.0.0", "10.0.0.0", "10.0.0.128") for length in _LENGTHS]
    for text in [*texts, "10.0.0.0", "10.0.0/8", "10.0.0.0/8/8", "10.0.00.0/8"]:
        try:
            right = str(IPv4Network(text)) == text
        except ValueError:
            right = False
        pool = changed(POOL, ("spec.subnet", text), ("spec.ranges", REMOVED))
        assert _taken(api, namespace, "pool", pool) is right, text


@pytest.mark.parametrize("subnet", ["10.250.0.64/26", "10.250.0.0/31", "128.0.0.0/1"])
def test_a_range_lies_in_its_subnet_up_to_both_edges(api: Rest, namespace: str, subnet: str) -> None:
    network = IPv4Network(subnet)
    first, last = network[0], network[-1]
    beyond = last + 1 if last < IPv4Address("255.255.255.255") else None
    for start, end, right in ((first, last, True), (first - 1, last, False), (first, beyond, False)):
        if end is not None:
            ranges = [{"start": str(first), "end": str(first)}, {"start": str(start), "end": str(end)}]
            pool = changed(POOL, ("spec.subnet", subnet), ("spec.ranges", ranges))
            assert _taken(api, namespace, "pool", pool) is right, (start, end)


def _taken(api: Rest, namespace: str, kind: str, manifest: dict[str, Any]) -> bool:
    """Tell whether a server would take an object; what is refused is refused for its content."""
    try:
        api.post(f"{collection(namespace, kind)}?dryRun=All", manifest)
    except ApiError as error:
        return not causes(error)
    return True


@pytest.mark.parametrize("case", IMMUTABLE, ids=lambda case: case.name)
def test_an_immutable_field_cannot_change(api: Rest, namespace: str, case: Case) -> None:
    before = created(api, namespace, case.kind, VALID[case.kind])
    path = f"{collection(namespace, case.kind)}/{before['metadata']['name']}"
    change = changed({"spec": {}}, *case.changes)
    with pytest.raises(ApiError) as refused:
        api.patch(path, change)
    found = causes(refused.value)
    assert any(
        cause["field"] == case.field and all(part in cause["message"] for part in case.says) for cause in found
    ), found
    assert api.get(path)["spec"] == before["spec"]


def test_what_is_mutable_can_change(api: Rest, namespace: str) -> None:
    created(api, namespace, "pair", PAIR)
    path = f"{collection(namespace, 'pair')}/lan"
    api.patch(path, {"spec": {"failover": {"mclt": "10m", "split": 200}, "storage": {"reclaimPolicy": "Delete"}}})
    assert api.get(path)["spec"]["failover"]["split"] == 200
    created(api, namespace, "reservation", RESERVATION)
    path = f"{collection(namespace, 'reservation')}/printer"
    api.patch(path, {"spec": {"address": "10.250.0.21", "hardwareAddress": "02:00:00:00:00:02"}})
    assert api.get(path)["spec"]["address"] == "10.250.0.21"


def test_all_kinds_are_in_the_category_dhcp(server: ApiServer, api: Rest, namespace: str, tmp_path: Path) -> None:
    for kind, manifest in VALID.items():
        created(api, namespace, kind, manifest)
    # A cache of its own: the usual one may date from before our kinds were known.
    table = server.kubectl("get", "dhcp", "-n", namespace, f"--cache-dir={tmp_path}")
    for column in ("STATE", "PRIMARY", "SECONDARY", "SERVING", "FREE", "ACTIVE", "SUBNET", "MAC", "AGE"):
        assert column in table
    assert "dhcpreservation.twinlease.io/printer" in table


def test_the_table_of_a_pair_shows_its_status_at_a_glance(server: ApiServer, api: Rest, namespace: str) -> None:
    created(api, namespace, "pair", PAIR)
    status = {
        "state": "PartnerDown/Unknown",
        "survivor": "lan-primary",
        "free": 0,
        "active": 155,
        "servers": [{"name": "lan-primary", "role": "primary", "node": "n1"}, {"name": "lan-secondary", "node": "n2"}],
        "conditions": [
            {
                "type": "Available",
                "status": "True",
                "reason": "BothServe",
                "message": "",
                "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }
    api.patch(f"{collection(namespace, 'pair')}/lan/status", {"status": status})
    header, row = server.kubectl("get", "dfp", "-n", namespace).splitlines()
    columns = ["NAME", "STATE", "SURVIVOR", "PRIMARY", "SECONDARY", "SERVING", "VALID", "FREE", "ACTIVE", "AGE"]
    assert header.split() == columns
    assert row.split()[:7] == ["lan", "PartnerDown/Unknown", "lan-primary", "n1", "True", "0", "155"]


def test_the_examples_are_accepted(server: ApiServer, api: Rest, namespace: str) -> None:
    server.kubectl("apply", "--server-side", "--validate=strict", "-n", namespace, "-f", str(EXAMPLES))
    spec = api.get(f"{collection(namespace, 'pair')}/lan")["spec"]
    failover = {
        "mclt": "30m",
        "split": 128,
        "maxResponseDelay": "30s",
        "maxUnackedUpdates": 3,
        "loadBalanceMaxSeconds": 3,
    }
    assert spec["failover"] == failover
    assert [item["spec"]["address"] for item in api.get(collection(namespace, "reservation"))["items"]] == [
        "10.250.0.50"
    ]
