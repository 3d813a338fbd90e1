"""A server whose partner has never shown up, on the configuration that names nobody as its partner."""

import time
from ipaddress import IPv4Interface

import pytest
from msgspec.structs import replace

from tests.net.client import Clients, hardware_addresses
from tests.net.jig import Jig, closing
from tests.net.services import service
from twinlease.model.states import FailoverState, Role


@pytest.mark.parametrize("placeholder", ["255.255.255.255"])
def test_nobody_as_a_partner_costs_nothing_and_keeps_nobody_waiting(
    jig: Jig, clients: Clients, placeholder: str
) -> None:
    offered = service()
    nobody = replace(
        offered.endpoints[Role.SECONDARY],
        serving=IPv4Interface(f"{placeholder}/32"),
        failover_address=IPv4Interface(placeholder).ip,
    )
    alone = replace(offered, endpoints={**offered.endpoints, Role.SECONDARY: nobody})
    jig.primary.configure(alone)
    jig.primary.survive(hold=60)
    assert len(clients.lease(hardware_addresses(5), timeout=20)) == 5
    before = jig.primary.cpu_seconds()
    time.sleep(8)
    assert jig.primary.cpu_seconds() - before < 0.2
    with closing(jig.primary.control()) as control:
        assert control.failover().local is FailoverState.PARTNER_DOWN
