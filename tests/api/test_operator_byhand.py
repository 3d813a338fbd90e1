"""A server that somebody put into partner-down behind the operator's back, on a real API server."""

from tests.api.operating import Operator
from tests.api.world import World
from twinlease.api.servinglease import Phase, Start
from twinlease.kube.protocol import PAIRS


def test_it_is_started_anew_as_it_should_be_once_its_partner_asks(world: World, operator: Operator) -> None:
    """Its partner has served apart: what it knows must not be lost, and must not overwrite what the other gave out."""
    primary, secondary = world.seat("primary"), world.seat("secondary")
    operator.look()
    primary.confirm("PartnerDown", partner="CommunicationsInterrupted")
    secondary.cut_off(10)
    operator.look()
    told = world.conditions(PAIRS, "p")["PartnerDown"]
    assert (told["status"], told["reason"]) == ("True", "PartnerDownByHand")
    assert primary.granted
    assert secondary.granted

    secondary.crash(state="CommunicationsInterrupted")
    secondary.ask()
    operator.look()
    assert not secondary.granted
    assert world.servers()["p-primary"]["spec"]["maintenance"] is True

    primary.database = type(primary.database)(verdict=primary.database.verdict, state="PartnerDown")
    primary.release()
    secondary.ask()
    operator.look()
    assert world.servers()["p-primary"]["spec"].get("maintenance", False) is False
    assert not secondary.granted, "what the primary gave out is not known to it"

    primary.ask()
    operator.look()
    assert primary.grant.start is Start.SURVIVE
    assert primary.lease().phase is Phase.ALONE
    primary.confirm("PartnerDown", partner="CommunicationsInterrupted")
    operator.look()
    assert secondary.grant.start is Start.RECOVER
    assert secondary.granted
