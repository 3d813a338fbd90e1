"""The objects that are applied: the example, changed only where the measurement needs it."""

from collections.abc import Callable
from copy import deepcopy
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from benchmarks import bare, contest, rest, throughput, wires
from benchmarks.stage import CannotRunError
from tests.unit.engines.cases import PARAMETERS, both, endpoint, run
from twinlease.engines.isc.render import render
from twinlease.model.service import Pool, Service
from twinlease.model.states import Role

Object = dict[str, Any]

EXAMPLE: list[Object] = [
    {
        "kind": "DHCPFailoverPair",
        "metadata": {"name": "lan"},
        "spec": {"primary": {"nodeName": "n1"}, "secondary": {"nodeName": "n2"}},
    },
    {
        "kind": "DHCPPool",
        "metadata": {"name": "office"},
        "spec": {
            "pairRef": {"name": "lan"},
            "subnet": "10.250.0.0/24",
            "ranges": [{"start": "10.250.0.100", "end": "10.250.0.200"}],
            "options": {"routers": ["10.250.0.1"]},
        },
    },
    {"kind": "DHCPReservation", "metadata": {"name": "printer"}, "spec": {"pairRef": {"name": "lan"}}},
]

MANAGED_POD: Object = {
    "metadata": {"name": "lan-primary"},
    "spec": {
        "hostNetwork": True,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 6767},
        "initContainers": [{"name": "sidecar"}],
        "containers": [
            {
                "name": "server",
                "image": "localhost/twinlease:dev",
                "command": ["guard"],
                "env": [{"name": "A", "value": "b"}],
                "ports": [{"containerPort": 67, "hostPort": 67}],
                "resources": {"requests": {"cpu": "50m"}},
                "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}},
                "volumeMounts": [{"name": "run", "mountPath": "/run/twinlease"}],
            }
        ],
        "volumes": [{"name": "run", "emptyDir": {}}],
    },
}


def rendered(role: Role) -> str:
    """Return a configuration as the operator renders it."""
    pool = Pool(
        name="office",
        subnet=IPv4Network("10.250.0.0/16"),
        ranges=(run("10.250.64.0", "10.250.255.254"),),
        default_lease=90,
        minimum_lease=90,
        maximum_lease=90,
    )
    ends = both(endpoint(Role.PRIMARY, "10.250.0.11/24"), endpoint(Role.SECONDARY, "10.250.0.12/24"))
    return render(Service(endpoints=ends, failover=PARAMETERS, omapi_port=7911, pools=(pool,), reservations=()), role)


@pytest.mark.parametrize("role", list(Role))
def test_the_bare_configuration_differs_only_where_the_two_would_meet(role: Role) -> None:
    before = rendered(role)
    after = bare.configuration(before, "office", 647, 7911)
    assert wires.MANAGED not in after
    assert "647" not in after.replace("10.252", "")
    assert "/run/twinlease" not in after
    changed = [
        (old.split()[0], new.split()[0])
        for old, new in zip(before.splitlines(), after.splitlines(), strict=True)
        if old != new
    ]
    kinds = {"server-identifier", "include", "omapi-port", "failover", "address", "port", "peer", "subnet", "range"}
    assert {old for old, _ in changed} <= kinds | {"#"}
    assert all(old == new for old, new in changed)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("10.250.", "10.9."),
        lambda text: text.replace("port 647;", "port 650;"),
        lambda text: text.replace("omapi-port 7911;", ""),
        lambda text: text.replace('failover peer "office"', 'failover peer "other"'),
        lambda text: text.replace("/run/twinlease/", "/elsewhere/"),
    ],
)
def test_a_configuration_that_would_meet_the_managed_one_is_refused(spoil: Callable[[str], str]) -> None:
    with pytest.raises(CannotRunError, match="has no"):
        bare.configuration(spoil(rendered(Role.PRIMARY)), "office", 647, 7911)


def test_the_bare_pod_keeps_limits_and_confinement_and_loses_the_guard() -> None:
    before = deepcopy(MANAGED_POD)
    found = bare.pod(MANAGED_POD, "n1")
    assert before == MANAGED_POD
    server = found["spec"]["containers"][0]
    own = MANAGED_POD["spec"]["containers"][0]
    assert [server[key] for key in ("image", "resources", "securityContext")] == [
        own[key] for key in ("image", "resources", "securityContext")
    ]
    assert server["command"][0] == "/usr/sbin/dhcpd"
    assert server["command"][-1] == wires.BARE_LINK
    assert "ports" not in server
    assert "initContainers" not in found["spec"]
    assert found["spec"]["hostNetwork"] is True
    assert found["spec"]["nodeName"] == "n1"
    assert found["metadata"]["name"] == "bare-lan-primary"
    own_user = found["spec"]["securityContext"]
    assert {own_user[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {6768}  # no fence of a guard's is its
    assert own_user["runAsNonRoot"] is True
    mounted = {each["name"] for each in server["volumeMounts"]}
    assert mounted == {each["name"] for each in found["spec"]["volumes"]}


def test_idle_pairs_are_all_different_and_find_no_node() -> None:
    before = deepcopy(EXAMPLE)
    made = [each for number in (1, 2) for each in rest.idle_pair(EXAMPLE, number)]
    assert before == EXAMPLE
    assert len({(each["kind"], each["metadata"]["name"]) for each in [*EXAMPLE, *made]}) == 9
    nodes = [each["spec"][role]["nodeName"] for each in made[::3] for role in ("primary", "secondary")]
    assert len(set(nodes)) == 4
    assert not set(nodes) & {"n1", "n2", "n3"}
    assert [each["spec"]["pairRef"]["name"] for each in made[1:3]] == ["lan-1", "lan-1"]


def test_the_large_pool_has_an_address_for_every_client() -> None:
    before = deepcopy(EXAMPLE)
    found = throughput.large(EXAMPLE)
    assert before == EXAMPLE
    assert [found[0], found[2]] == [EXAMPLE[0], EXAMPLE[2]]
    spec = found[1]["spec"]
    assert spec["subnet"] == "10.250.0.0/16"
    assert spec["options"] == EXAMPLE[1]["spec"]["options"]
    ends = [int(IPv4Address(spec["ranges"][0][end])) for end in ("start", "end")]
    assert ends[1] - ends[0] > 1.5 * contest.CLIENTS
    assert set(spec["leaseTime"].values()) == {"8h"}


def test_the_second_lan_has_no_address_of_the_first() -> None:
    lines = [line for step in wires.plan() for line in step.lines]
    addresses = [line.split()[2] for line in lines if line.startswith("addr add")]
    assert addresses == ["10.252.0.11/24", "10.252.0.12/24", "10.252.0.250/24"]
    assert all(step.namespace.startswith("twl-") for step in wires.plan())


def test_counts_are_compared_node_by_node() -> None:
    later = wires.Received((110, 220), (5, 7))
    assert later.since(wires.Received((100, 200), (5, 6))) == wires.Received((10, 20), (0, 1))


@pytest.mark.parametrize(
    ("name", "memory", "core"),
    [
        ("lan-primary sidecar", "≤ 40", "≤ 0.5"),
        ("lan-secondary guard", "≤ 20", "None"),
        ("operator, waiting", "≤ 120", "None"),
        ("lan-primary dhcpd", "None", "None"),
    ],
)
def test_each_component_has_its_targets(name: str, memory: str, core: str) -> None:
    assert [str(each) for each in rest.targets(name)] == [memory, core]
