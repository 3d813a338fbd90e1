"""The plan of the wires."""

import re

from tests.lab import network
from tests.lab.model import CLIENTS, LAN_NAMESPACE, MANAGEMENT_NAMESPACE, NODES, Client


def lines(namespace: str) -> list[str]:
    return [line for step in network.plan() if step.namespace == namespace for line in step.lines]


def test_every_cable_into_a_switch_is_plugged_into_a_bridge() -> None:
    for switch in (MANAGEMENT_NAMESPACE, LAN_NAMESPACE):
        ends = {
            found[1]
            for step in network.plan()
            for line in step.lines
            if (found := re.search(rf"peer name (\S+) netns {switch}$", line))
        }
        plugged = {found[1] for line in lines(switch) if (found := re.match(r"link set (\S+) master \S+ up$", line))}
        assert len(ends) >= len(NODES)
        assert ends <= plugged


def test_the_lan_is_two_bridges_joined_by_one_trunk() -> None:
    plan = lines(LAN_NAMESPACE)
    assert [line.split()[2] for line in plan if " type bridge" in line] == ["left", "right"]
    side = {found[1]: found[2] for line in plan if (found := re.match(r"link set (\S+) master (\S+) up$", line))}
    assert side == {
        "trunk-l": "left", "trunk-r": "right", "n1": "left", "c1": "left", "n2": "right", "n3": "right", "c2": "right",
    }  # fmt: skip


def test_nothing_is_done_in_a_namespace_the_lab_does_not_make() -> None:
    assert {step.namespace for step in network.plan()} == set(network.namespaces())


def test_nodes_reach_the_service_and_each_others_pods() -> None:
    for node in NODES:
        routes = [line for line in lines(node.namespace) if line.startswith("route add")]
        assert len(routes) == 1 + len(NODES) - 1
        assert not any(node.pod_network in line for line in routes)


def test_clients_have_no_address() -> None:
    for client in (*CLIENTS, Client("late", "right")):
        words = " ".join(line for step in network.client_plan(client) for line in step.lines)
        assert "addr add" not in words
        assert f"master {client.side}" in words
