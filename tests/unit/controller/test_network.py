"""What a status may hold, and what is made of it."""

import pytest

from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.server import Network, ServerSpec, ServerStatus
from twinlease.api.types import ObjectRef
from twinlease.controller.network import endpoints, seen
from twinlease.controller.objects import Server, meta
from twinlease.model.decision import Decision
from twinlease.model.states import Role

PAIR = PairSpec(primary=Peer(node_name="n1", interface="lan0"), secondary=Peer(node_name="n2", interface="lan0"))


def server(role: Role, **network: str) -> Server:
    told = {"interface": "lan0", "address": f"10.0.0.{2 if role is Role.PRIMARY else 3}/24", **network}
    return Server(
        meta=meta({"metadata": {"name": f"lan-{role}"}}),
        spec=ServerSpec(pair_ref=ObjectRef(name="lan"), role=role, failover_name="lan", node_name=f"node-{role}"),
        status=ServerStatus(network=Network(**told)),  # type: ignore[arg-type]  # texts only
    )


def test_two_good_reports_are_two_endpoints() -> None:
    found = endpoints(PAIR, {role: server(role) for role in Role})
    assert not isinstance(found, Decision)
    assert {role: str(each.serving) for role, each in found.items()} == {
        Role.PRIMARY: "10.0.0.2/24",
        Role.SECONDARY: "10.0.0.3/24",
    }


@pytest.mark.parametrize("wrong", ["garbage", "10.0.0.300/24", "10.0.0.2/99", "::1"])
def test_an_address_that_is_none_is_told(wrong: str) -> None:
    found = endpoints(PAIR, {Role.PRIMARY: server(Role.PRIMARY), Role.SECONDARY: server(Role.SECONDARY, address=wrong)})
    assert isinstance(found, Decision)
    assert f"the status of DHCPServer lan-secondary has {wrong!r} where an address should be" in found.message


@pytest.mark.parametrize("wrong", ["garbage", "10.0.0.2/24"])
def test_a_link_address_that_is_none_is_not_used(wrong: str) -> None:
    report = seen({Role.PRIMARY: server(Role.PRIMARY, failover_address=wrong)})[Role.PRIMARY]
    assert report.network is not None
    assert report.network.failover_address == ""
    assert wrong in report.message
