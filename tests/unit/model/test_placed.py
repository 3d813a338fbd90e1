"""What the nodes say against a pair's specification."""

from ipaddress import IPv4Address, IPv4Interface

import pytest

from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.server import Network
from twinlease.model.placed import Seen, endpoints, problems, serving_addresses
from twinlease.model.states import Role

PRIMARY = Peer(node_name="n1", interface="lan0")
SECONDARY = Peer(node_name="n2", interface="lan0")


def network(address: str = "10.0.0.2/24", *, failover: str = "10.0.0.2", also: str = "10.0.0.9/24") -> Network:
    return Network(
        interface="lan0", link_up=True, address=address, failover_address=failover, addresses=(address, also)
    )


def seen(network: Network | None, *, node: str = "n1", reason: str = "") -> Seen:
    return Seen(server="lan-x", node=node, network=network, reason=reason, message=reason)


def found(primary: Peer, report: Seen) -> list[str]:
    return [str(each) for each in problems(PairSpec(primary=primary, secondary=SECONDARY), {Role.PRIMARY: report})]


def test_what_is_not_reported_is_not_judged() -> None:
    assert found(PRIMARY, seen(None)) == []
    assert problems(PairSpec(primary=PRIMARY, secondary=SECONDARY), {}) == []


def test_what_fits_is_right() -> None:
    assert found(Peer(node_name="n1", interface="lan0", address="10.0.0.9"), seen(network())) == []


@pytest.mark.parametrize(
    ("peer", "report", "problem"),
    [
        (
            PRIMARY,
            seen(Network(), reason="InterfaceMissing"),
            "spec.primary.interface: 'lan0' must be an interface of node n1",
        ),
        (
            Peer(node_name="n1", address="10.0.0.7"),
            seen(Network(), reason="InterfaceMissing"),
            "spec.primary.address: '10.0.0.7' must be an address of",
        ),
        (
            Peer(node_name="n1", interface="lan0", address="10.0.0.7"),
            seen(network()),
            (
                "spec.primary.address: '10.0.0.7' must be an address of interface lan0 of node n1; "
                "it has 10.0.0.2/24, 10.0.0.9/24"
            ),
        ),
        (
            PRIMARY,
            seen(Network(interface="lan0"), reason="AddressMissing"),
            "spec.primary.interface: 'lan0' must carry an IPv4 address on node n1",
        ),
        (
            PRIMARY,
            seen(Network(interface="lan0", addresses=("10.0.0.2/24", "10.1.0.2/24")), reason="AddressAmbiguous"),
            (
                "spec.primary.address: '' must be set, to one of the addresses of interface lan0 of node n1; "
                "it has 10.0.0.2/24, 10.1.0.2/24"
            ),
        ),
        (
            Peer(node_name="n1", interface="lan0", failover_address="192.168.0.1"),
            seen(network(failover="")),
            "spec.primary.failoverAddress: '192.168.0.1' must be an address of node n1",
        ),
    ],
)
def test_what_does_not_fit_names_the_field_and_what_there_is(peer: Peer, report: Seen, problem: str) -> None:
    (only,) = found(peer, report)
    assert only.startswith(problem)


def test_a_report_about_the_interface_before_says_nothing_of_the_new_one() -> None:
    assert found(Peer(node_name="n1", interface="lan1", address="10.0.0.7"), seen(network())) == []


def test_two_servers_on_one_node_and_with_one_address() -> None:
    spec = PairSpec(
        primary=Peer(node_selector={"dhcp": "yes"}, interface="lan0"),
        secondary=Peer(node_selector={"dhcp": "yes"}, interface="lan0"),
    )
    reports = {role: seen(network()) for role in Role}
    assert [each.path for each in problems(spec, reports)] == ["spec.secondary.nodeSelector", "spec.secondary.address"]


def test_addresses_come_from_reports_before_the_specification() -> None:
    spec = PairSpec(
        primary=Peer(node_name="n1", address="10.0.0.7"), secondary=Peer(node_name="n2", address="10.0.0.8")
    )
    assert serving_addresses(spec, {Role.PRIMARY: seen(network())}) == {
        Role.PRIMARY: IPv4Address("10.0.0.2"),
        Role.SECONDARY: IPv4Address("10.0.0.8"),
    }


def test_endpoints_need_both_reports() -> None:
    spec = PairSpec(primary=PRIMARY, secondary=SECONDARY)
    reports = {Role.PRIMARY: seen(network())}
    assert endpoints(spec, reports) is None
    reports[Role.SECONDARY] = seen(network("10.0.0.3/24", failover=""), node="n2")
    made = endpoints(spec, reports)
    assert made is not None
    second = made[Role.SECONDARY]
    assert (second.node, second.serving) == ("n2", IPv4Interface("10.0.0.3/24"))
    assert second.failover_address == IPv4Address("10.0.0.3"), "the serving one, where no other is asked for"


def test_an_address_that_is_none_is_left_to_validation() -> None:
    spec = PairSpec(primary=Peer(node_name="n1", address="here"), secondary=SECONDARY)
    assert serving_addresses(spec, {}) == {}
