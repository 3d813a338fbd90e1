"""Names and addresses: all different, all of a form the kernel takes."""

import ipaddress

import pytest

from tests.lab import model
from tests.lab.model import CLIENTS, NODES, Client


def test_every_address_and_name_is_used_once() -> None:
    addresses = [model.MANAGEMENT_ADDRESS, *(node.management_address for node in NODES)]
    addresses += [node.lan_address for node in NODES]
    hardware = [mac for node in NODES for mac in (node.management_mac, node.lan_mac)]
    namespaces = [node.namespace for node in NODES] + [client.namespace for client in CLIENTS]
    for values in (addresses, hardware, [*namespaces, model.MANAGEMENT_NAMESPACE, model.LAN_NAMESPACE]):
        assert len(set(values)) == len(values)


def test_serving_addresses_are_those_that_are_documented() -> None:
    assert [node.lan_address for node in NODES] == ["10.250.0.11", "10.250.0.12", "10.250.0.13"]
    lan = ipaddress.ip_network(model.LAN_NETWORK)
    assert all(ipaddress.ip_address(node.lan_address) in lan for node in NODES)


def test_networks_do_not_overlap() -> None:
    texts = [model.SERVICE_NETWORK, model.LAN_NETWORK, "10.240.0.0/24", *(node.pod_network for node in NODES)]
    networks = [ipaddress.ip_network(text) for text in texts]
    for index, network in enumerate(networks):
        assert not any(network.overlaps(other) for other in networks[index + 1 :])


@pytest.mark.parametrize("name", ["n1", "left", "trunk-l", "mgmt", "Upper", "9lives", "", "far-too-long-a-name"])
def test_a_client_cannot_take_the_name_of_a_port_or_one_too_long(name: str) -> None:
    with pytest.raises(ValueError, match="client name"):
        Client(name, "left")


def test_the_longest_client_name_still_names_an_interface() -> None:
    assert len(Client("a2345678901", "right").name) <= 15


def test_an_unknown_node_is_named_in_the_error() -> None:
    assert model.node("n2").index == 2
    with pytest.raises(ValueError, match=r"no node 'n9'.*n1, n2, n3"):
        model.node("n9")
