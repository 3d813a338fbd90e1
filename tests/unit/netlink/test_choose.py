"""Which interface and addresses a server uses."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from twinlease.netlink.choose import Address, Interface, Network, NetworkProblem, Wanted, choose


def link(index: int, name: str, *addresses: str, up: bool = True) -> Interface:
    """Return an interface; an address that begins with ~ is a secondary one."""
    found = tuple(Address(IPv4Interface(text.lstrip("~")), text.startswith("~")) for text in addresses)
    return Interface(index=index, name=name, up=up, addresses=found)


NODE = (
    link(2, "eth0", "10.1.0.5/24"),
    link(3, "eth1", "10.2.0.5/24", "10.3.0.5/24"),
    link(4, "eth2", "10.4.0.5/24", "~10.4.0.6/24", up=False),
    link(5, "eth3"),
    link(6, "vip0", "10.1.0.9/32"),
    link(7, "vip1", "10.1.0.9/32"),
)


def wanted(
    interface: str | None = None, address: str | None = None, failover: str | None = None, *subnets: str
) -> Wanted:
    return Wanted(
        interface=interface,
        address=IPv4Address(address) if address else None,
        failover_address=IPv4Address(failover) if failover else None,
        subnets=tuple(map(IPv4Network, subnets)),
    )


@pytest.mark.parametrize(
    ("asked", "interface", "serving"),
    [
        (wanted("eth0"), "eth0", "10.1.0.5/24"),
        (wanted(None, "10.1.0.5"), "eth0", "10.1.0.5/24"),
        (wanted("eth1", "10.3.0.5"), "eth1", "10.3.0.5/24"),
        (wanted("eth1", None, None, "10.3.0.0/24"), "eth1", "10.3.0.5/24"),
        (wanted("eth2", None, None, "10.4.0.0/24"), "eth2", "10.4.0.5/24"),
        (wanted("eth2", "10.4.0.6", None, "10.4.0.0/24"), "eth2", "10.4.0.6/24"),
        (wanted("vip1", "10.1.0.9"), "vip1", "10.1.0.9/32"),
        (wanted("eth0", None, None, "10.99.0.0/24"), "eth0", "10.1.0.5/24"),
    ],
)
def test_what_is_clear_is_chosen(asked: Wanted, interface: str, serving: str) -> None:
    found = choose(NODE, asked)
    assert isinstance(found, Network)
    assert (found.interface, str(found.serving)) == (interface, serving)
    assert found.failover_address == found.serving.ip


def test_everything_of_the_interface_is_told() -> None:
    found = choose(NODE, wanted("eth2", "10.4.0.5", "10.1.0.5"))
    assert found == Network(
        interface="eth2",
        index=4,
        link_up=False,
        serving=IPv4Interface("10.4.0.5/24"),
        failover_address=IPv4Address("10.1.0.5"),
        addresses=(IPv4Interface("10.4.0.5/24"), IPv4Interface("10.4.0.6/24")),
    )


@pytest.mark.parametrize(
    ("asked", "reason", "told"),
    [
        (wanted("eth9"), "InterfaceMissing", "eth0, eth1, eth2, eth3, vip0, vip1"),
        (wanted(), "InterfaceMissing", "neither"),
        (wanted("eth3"), "AddressMissing", "eth3 has no IPv4 address"),
        (wanted("eth0", "10.9.9.9"), "AddressMissing", "not on interface eth0; there are 10.1.0.5/24 (eth0)"),
        (wanted(None, "10.9.9.9"), "AddressMissing", "not on any interface"),
        (wanted("eth1", "10.1.0.5"), "AddressMissing", "not on interface eth1"),
        (wanted("eth0", None, "10.9.9.9"), "AddressMissing", "failover address 10.9.9.9"),
        (wanted("eth1"), "AddressAmbiguous", "10.2.0.5/24 (eth1), 10.3.0.5/24 (eth1)), none of them"),
        (wanted("eth1", None, None, "10.2.0.0/24", "10.3.0.0/24"), "AddressAmbiguous", "2 of them"),
        (wanted(None, "10.1.0.9"), "AddressAmbiguous", "vip0, vip1"),
    ],
)
def test_what_is_not_clear_is_a_problem_that_says_what_there_is(asked: Wanted, reason: str, told: str) -> None:
    found = choose(NODE, asked)
    assert isinstance(found, NetworkProblem)
    assert found.reason == reason
    assert told in found.message


def test_a_node_without_a_network() -> None:
    found = choose((), wanted("eth0"))
    assert found == NetworkProblem("InterfaceMissing", "the node has no interface eth0; it has none")
