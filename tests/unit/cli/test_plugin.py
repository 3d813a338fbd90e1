"""``kubectl twinlease``: checks and renders files without a cluster."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.api.refused import CASES, PAIR, POOL, RESERVATION, Case, changed
from twinlease import __version__
from twinlease.cli.manifests import ManifestError, load, parse
from twinlease.cli.plugin import main

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
ADDRESSES = ("--primary-address", "10.250.0.11/24", "--secondary-address", "10.250.0.12/24")


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def check(*manifests: dict[str, Any]) -> Result:
    return run("check", "-f", "-", stdin=yaml.safe_dump_all(manifests))


def test_the_version_of_the_program_needs_no_cluster() -> None:
    assert run("version", "--client").output == f"{__version__}\n"
    assert json.loads(run("version", "--client", "-o", "json").output) == {"client": __version__}


def test_the_examples_are_right() -> None:
    found = run("check", "-f", str(EXAMPLES))
    assert (found.exit_code, found.output) == (0, "3 objects checked: no problem\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_the_api_server_refuses_fails_the_check(case: Case) -> None:
    found = check(case.manifest)
    assert found.exit_code == 1
    kind, name = case.manifest["kind"], case.manifest["metadata"]["name"]
    assert any(line.startswith(f"{kind}/{name}: {case.field}") for line in found.stdout.splitlines()), found.stdout
    assert all(" must " in line for line in found.stdout.splitlines()), found.stdout


@pytest.mark.parametrize(
    ("objects", "line"),
    [
        (
            [PAIR, changed(POOL, ("spec.pairRef.name", "wan"))],
            "DHCPPool/office: spec.pairRef.name: 'wan' must be the name of a DHCPFailoverPair of the same",
        ),
        (
            [PAIR, POOL, changed(RESERVATION, ("spec.pairRef.name", "wan"))],
            "DHCPReservation/printer: spec.pairRef.name: 'wan' must be the name of a DHCPFailoverPair",
        ),
        (
            [PAIR, POOL, changed(RESERVATION, ("spec.address", "10.9.0.1"))],
            "DHCPReservation/printer: spec.address: '10.9.0.1' must lie inside the subnet of a pool of pair lan: ",
        ),
        (
            [PAIR, POOL, changed(RESERVATION, ("spec.address", "10.250.0.255"))],
            "DHCPReservation/printer: spec.address: '10.250.0.255' must be the address of a host",
        ),
        (
            [changed(PAIR, ("spec.primary.address", "10.250.0.20")), POOL, RESERVATION],
            "DHCPReservation/printer: spec.address: '10.250.0.20' must not be the address of the pair's primary server",
        ),
        (
            [PAIR, changed(POOL, ("spec.options.routers", ["10.250.0.20"])), RESERVATION],
            "DHCPReservation/printer: spec.address: '10.250.0.20' must not be the address of a router of DHCPPool",
        ),
        (
            [PAIR, POOL, RESERVATION, changed(RESERVATION, ("metadata.name", "b"), ("spec.address", "10.250.0.21"))],
            "DHCPReservation/b: spec.hardwareAddress: '02:00:00:00:00:01' must not be the client that DHCPReservation",
        ),
        (
            [
                PAIR,
                POOL,
                RESERVATION,
                changed(RESERVATION, ("metadata.name", "b"), ("spec.hardwareAddress", "02:00:00:00:00:02")),
            ],
            "DHCPReservation/b: spec.address: '10.250.0.20' must not be the address that DHCPReservation printer",
        ),
        (
            [PAIR, POOL, changed(POOL, ("metadata.name", "wide"), ("spec.subnet", "10.250.0.0/16"))],
            "DHCPPool/wide: spec.subnet: '10.250.0.0/16' must not overlap 10.250.0.0/24, which DHCPPool",
        ),
        (
            [
                PAIR,
                POOL,
                changed(
                    PAIR,
                    ("metadata.name", "two"),
                    ("spec.primary.nodeName", "n3"),
                    ("spec.secondary.nodeName", "n4"),
                ),
                changed(POOL, ("metadata.name", "same"), ("spec.pairRef.name", "two")),
            ],
            "DHCPPool/same: spec.subnet: '10.250.0.0/24' must not overlap 10.250.0.0/24, which DHCPPool",
        ),
        (
            [PAIR, changed(PAIR, ("metadata.name", "two"), ("spec.primary.nodeName", "n3"))],
            "DHCPFailoverPair/two: spec.secondary.nodeName: 'n2' must be a node of its own: the secondary of pair lan",
        ),
        (
            [PAIR, PAIR],
            "DHCPFailoverPair/lan: metadata.name: 'lan' must be given once",
        ),
        (
            [PAIR, changed(POOL, ("spec.ranges", [{"start": "10.250.0.9", "end": "10.250.0.20"}] * 2))],
            "DHCPPool/office: spec.ranges[1].start: '10.250.0.9' must lie outside spec.ranges[0]",
        ),
    ],
)
def test_what_only_several_objects_together_show(objects: list[dict[str, Any]], line: str) -> None:
    found = check(*objects)
    assert found.exit_code == 1
    assert any(each.startswith(line) for each in found.stdout.splitlines()), found.stdout


def test_without_the_pair_each_object_is_checked_by_itself() -> None:
    found = check(POOL, RESERVATION)
    assert found.exit_code == 0
    assert "pair lan is not among the files" in found.stderr
    assert check(changed(RESERVATION, ("spec.hardwareAddress", "x"))).exit_code == 1


def test_pairs_of_two_namespaces_do_not_share_subnets_but_nodes() -> None:
    elsewhere = [("metadata.namespace", "other")]
    other = changed(PAIR, *elsewhere)
    found = check(PAIR, POOL, other, changed(POOL, *elsewhere))
    assert [line.partition(":")[0] for line in found.stdout.splitlines()] == ["DHCPFailoverPair/lan"] * 2


def test_other_kinds_are_passed_over_and_lists_unpacked() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dhcp"}}
    bundle = {"apiVersion": "v1", "kind": "List", "items": [PAIR, POOL]}
    assert check(namespace, bundle, RESERVATION).stdout == "3 objects checked: no problem\n"
    found = check(namespace)
    assert (found.exit_code, "no DHCPFailoverPair, DHCPPool or DHCPReservation" in found.stderr) == (1, True)


@pytest.mark.parametrize(
    "manifest",
    [
        {"kind": "DHCPPool"},
        {"kind": "DHCPPool", "metadata": "x", "spec": "y"},
        {"kind": "DHCPPool", "metadata": {"name": 3}, "spec": {"pairRef": "lan", "subnet": 5, "ranges": [None]}},
        {"kind": "DHCPFailoverPair", "metadata": None, "spec": []},
        {"kind": "DHCPReservation", "metadata": {}, "spec": {"pairRef": {"name": ["x"]}, "address": {"a": 1}}},
    ],
)
def test_nonsense_gives_problems_not_tracebacks(manifest: dict[str, Any]) -> None:
    found = check(PAIR, manifest)
    assert found.exit_code == 1
    assert isinstance(found.exception, SystemExit)
    assert "must" in found.stdout


def test_what_is_missing_is_called_missing() -> None:
    assert check({"kind": "DHCPPool", "metadata": {}, "spec": {"subnet": "10.250.0.0/24"}}).stdout.splitlines() == [
        "DHCPPool/: apiVersion: it is missing, and must be twinlease.io/v1alpha1",
        "DHCPPool/: spec.pairRef: it is missing, and must be set",
        "DHCPPool/: metadata.name: it is missing, and must be set",
    ]
    assert check({**POOL, "apiVersion": ""}).stdout == (
        "DHCPPool/office: apiVersion: '' must be twinlease.io/v1alpha1\n"
    )
    without = {key: value for key, value in POOL.items() if key != "spec"}
    assert "DHCPPool/office: spec: it is missing, and must be set\n" in check(without).stdout


def test_what_cannot_be_read_is_said_plainly(tmp_path: Path) -> None:
    assert "No such file" in run("check", "-f", str(tmp_path / "none.yaml")).stderr
    assert "no YAML" in run("check", "-f", "-", stdin="a: [").stderr
    assert "an object is expected" in run("check", "-f", "-", stdin="- 1").stderr
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError):
        load((str(tmp_path),))


def test_yaml_is_read_as_kubectl_reads_it() -> None:
    (found,) = parse("x", "mac: 10:20:30:40:50:59\ndate: 2026-01-01T00:00:00Z\nport: 647\nnothing:\nyes: 0x10\n")
    assert found["mac"] == "10:20:30:40:50:59"
    assert found["date"] == "2026-01-01T00:00:00Z"
    assert (found["port"], found["nothing"]) == (647, None)


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_render_prints_what_would_be_served(role: str) -> None:
    found = run("render", "-f", str(EXAMPLES / "pair.yaml"), "--role", role, *ADDRESSES)
    assert found.exit_code == 0
    for text in ("mclt 1800;", "range 10.250.0.100 10.250.0.254;", "hardware ethernet 02:00:00:00:00:50;"):
        assert text in found.stdout
    assert ("split 128;" in found.stdout) == (role == "primary")


def test_render_says_what_is_wrong() -> None:
    examples = str(EXAMPLES / "pair.yaml")
    wrong = run("render", "-f", examples, "--role", "primary", "--primary-address", "10.250.0.11", *ADDRESSES[2:])
    assert (wrong.exit_code, "prefix length" in wrong.stderr) == (2, True)
    same = run("render", "-f", examples, "--role", "primary", *ADDRESSES[:2], "--secondary-address", "10.250.0.11/24")
    assert "different addresses" in same.stderr
    none = run("render", "-f", examples, "--role", "primary", *ADDRESSES, "--pair", "wan")
    assert "the files hold: lan" in none.stderr
    bad = yaml.safe_dump_all([changed(PAIR, ("spec.failover.split", 300))])
    found = run("render", "-f", "-", "--role", "primary", *ADDRESSES, stdin=bad)
    assert found.stdout == "DHCPFailoverPair/lan: spec.failover.split: '300' must be at most 256\n"
