"""Wrong objects: each refused with field, value and what is allowed, while the pair goes on serving."""

import copy
import json

import pytest

from tests.api.refused import CASES, Case
from tests.e2e.world import OF_PAIR, PAIR, POOL, SERVING, Object, World
from tests.lab.shell import CommandError
from tests.lab.waiting import until

META = {"apiVersion": "twinlease.io/v1alpha1"}
REF = {"pairRef": {"name": PAIR}}
PRINTER_MAC, PRINTER_ADDRESS = "02:00:00:00:00:99", "10.250.0.99"


def pool(name: str, subnet: str, *ranges: tuple[str, str], pair: str = PAIR) -> Object:
    """Return a pool."""
    spec = {"pairRef": {"name": pair}, "subnet": subnet, "ranges": [{"start": a, "end": b} for a, b in ranges]}
    return {**META, "kind": "DHCPPool", "metadata": {"name": name}, "spec": spec}


def reservation(name: str, mac: str, address: str, pair: str = PAIR) -> Object:
    """Return a reservation."""
    spec = {"pairRef": {"name": pair}, "hardwareAddress": mac, "address": address}
    return {**META, "kind": "DHCPReservation", "metadata": {"name": name}, "spec": spec}


def pair(name: str, primary: Object, secondary: Object) -> Object:
    """Return a pair on the lab's storage."""
    storage = {"persistentVolumeClaim": {"storageClassName": "node-local"}}
    spec = {"primary": primary, "secondary": secondary, "storage": storage}
    return {**META, "kind": "DHCPFailoverPair", "metadata": {"name": name}, "spec": spec}


LAN = "lan0"
ACROSS = [
    # what, the object, words of the message
    ("pools overlap", pool("wide", "10.250.0.0/16"), ("spec.subnet", "10.250.0.0/16", "10.250.0.0/24")),
    ("ranges overlap", pool("twice", "10.251.0.0/24", ("10.251.0.10", "10.251.0.20"), ("10.251.0.15", "10.251.0.30")),
     ("spec.ranges[1]", "10.251.0.15", "10.251.0.10")),
    ("unknown pair, pool", pool("lost", "10.252.0.0/24", pair="nobody"), ("spec.pairRef.name", "nobody")),
    ("unknown pair, reservation", reservation("lost", PRINTER_MAC, PRINTER_ADDRESS, "nobody"),
     ("spec.pairRef.name", "nobody")),
    ("reservation outside", reservation("far", PRINTER_MAC, "10.99.0.5"),
     ("spec.address", "10.99.0.5", "10.250.0.0/24")),
    ("reservation of a server's address", reservation("clash", PRINTER_MAC, SERVING[f"{PAIR}-primary"]),
     ("spec.address", SERVING[f"{PAIR}-primary"])),
    ("reservation of the broadcast address", reservation("all", PRINTER_MAC, "10.250.0.255"),
     ("spec.address", "10.250.0.255")),
    ("two pairs on one node",
     pair("second", {"nodeName": "n1", "interface": LAN}, {"nodeName": "n3", "interface": LAN}),
     ("spec.primary.nodeName", "n1", PAIR)),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "says"), [pytest.param(each[1], each[2], id=each[0]) for each in ACROSS])
def test_what_only_several_objects_show_is_a_condition(example: World, wrong: Object, says: tuple[str, ...]) -> None:
    kind, name = wrong["kind"], wrong["metadata"]["name"]
    example.apply(wrong)
    try:
        example.wait(kind, name, "Valid", "False", timeout=30)
        message = example.condition(kind, name, "Valid")["message"]
        assert all(word in message for word in says), message
        assert message in example.lab.kubectl("describe", kind, name) or _folded(example, kind, name, message)
    finally:
        example.lab.kubectl("delete", kind, name)


def test_the_same_mac_or_address_twice(example: World) -> None:
    taken = example.get("dres", "printer")["spec"]
    for name, mac, address, field in (
        ("same-mac", taken["hardwareAddress"], PRINTER_ADDRESS, "spec.hardwareAddress"),
        ("same-address", PRINTER_MAC, taken["address"], "spec.address"),
    ):
        example.apply(reservation(name, mac, address))
        try:
            example.wait("dres", name, "Valid", "False", timeout=30)
            assert field in (said := example.condition("dres", name, "Valid")["message"])
            assert "printer" in said
        finally:
            example.lab.kubectl("delete", "dres", name)


def test_a_wrong_edit_leaves_the_last_good_one_serving(example: World) -> None:
    good = example.get("dpool", POOL)["spec"]
    revision = example.get("dfp", PAIR)["status"]["config"]
    wrong = copy.deepcopy(good["ranges"])
    wrong.append(wrong[0])
    example.patch("dpool", POOL, {"ranges": wrong})
    example.wait("dpool", POOL, "Valid", "False", timeout=30)
    assert example.get("dfp", PAIR)["status"]["config"] == revision
    assert example.lease_one().server in SERVING.values()
    example.patch("dpool", POOL, {"ranges": good["ranges"]})
    example.wait("dpool", POOL, "Valid", timeout=30)


@pytest.mark.parametrize(
    ("name", "peer", "says"),
    [
        ("no-such-interface", {"interface": "lan7"}, ("lan7", "lan0")),
        ("not-its-address", {"interface": LAN, "address": "10.250.0.77"}, ("10.250.0.77", "10.250.0.13")),
    ],
)
def test_what_only_the_node_shows(example: World, name: str, peer: Object, says: tuple[str, ...]) -> None:
    # n1 is the example pair's: the second pair's other server finds no node, which must not hide the fault on n3.
    example.apply(pair(name, {"nodeName": "n3", **peer}, {"nodeSelector": {"none": "such"}, "interface": LAN}))
    try:
        server = f"{name}-primary"
        until("the server exists", lambda: any(each["metadata"]["name"] == server for each in example.every("dsrv")),
              timeout=30)  # fmt: skip
        example.wait("dsrv", server, "NetworkReady", "False", timeout=60)
        message = example.condition("dsrv", server, "NetworkReady")["message"]
        assert all(word in message for word in says), message
    finally:
        example.lab.kubectl("delete", "dfp", name)
        until("its pod is gone", lambda: not example.pod_uid(f"{name}-primary"), timeout=90, every=0.3)
        example.lab.kubectl("delete", "pvc,configmap", f"--selector={OF_PAIR}={name}")
        example.forget_service(name)
        example.lab.recycle_volumes()


def test_admission_refuses_with_field_value_and_what_is_allowed(example: World) -> None:
    assert len(CASES) >= 20
    before = {name: example.get("dsrv", name)["status"]["daemon"]["starts"] for name in SERVING}
    for case in CASES:
        said = _refusal(example, case)
        assert case.field in said, f"{case.name}: {said}"
        assert all(word in said for word in case.says), f"{case.name}: {said}"
    assert example.both_normal()
    assert {name: example.get("dsrv", name)["status"]["daemon"]["starts"] for name in SERVING} == before
    assert example.lease_one().server in SERVING.values()


def test_the_operators_log_holds_no_traceback(example: World) -> None:
    for name in (each["metadata"]["name"] for each in example.every("pods", "twinlease-system")):
        assert "Traceback" not in example.lab.kubectl("logs", name, "--namespace=twinlease-system", "--tail=-1")


def _refusal(world: World, case: Case) -> str:
    try:
        world.lab.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(case.manifest))
    except CommandError as error:
        return str(error)
    pytest.fail(f"{case.name} was accepted")


def _folded(world: World, kind: str, name: str, message: str) -> bool:
    """Tell whether a describe that folds long lines shows the message."""
    shown = "".join(world.lab.kubectl("describe", kind, name).split())
    return "".join(message.split()) in shown
