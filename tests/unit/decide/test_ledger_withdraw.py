"""A configuration that the engine refused must not keep addresses from those who had them."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from msgspec.structs import replace

from twinlease.decide import ledger
from twinlease.decide.ledger import Ledger
from twinlease.model.service import AddressRange, Endpoint, FailoverParameters, Pool, Service
from twinlease.model.states import Role

GOOD = {Role.PRIMARY: "a1", Role.SECONDARY: "b1"}
REFUSED = {Role.PRIMARY: "a2", Role.SECONDARY: "b2"}


def service(first: str, last: str) -> Service:
    endpoints = {
        role: Endpoint(
            name=role,
            node=role,
            interface="eth1",
            serving=IPv4Interface(f"10.9.0.{number}/24"),
            failover_address=IPv4Address(f"10.9.0.{number}"),
            failover_port=647,
        )
        for number, role in enumerate(Role, 2)
    }
    pool = Pool(
        name="lan",
        subnet=IPv4Network("10.9.0.0/24"),
        ranges=(AddressRange(IPv4Address(first), IPv4Address(last)),),
        default_lease=600,
        minimum_lease=60,
        maximum_lease=600,
    )
    failover = FailoverParameters(
        name="p",
        mclt=60,
        max_response_delay=30,
        max_unacked_updates=10,
        load_balance_max_seconds=3,
        split=128,
    )
    return Service(endpoints=endpoints, failover=failover, omapi_port=7911, pools=(pool,), reservations=())


def test_what_the_refused_one_left_out_is_live_again() -> None:
    good = ledger.observe(ledger.publish(Ledger(), service("10.9.0.10", "10.9.0.99"), GOOD), GOOD, 0)
    refused = ledger.publish(good, service("10.9.0.10", "10.9.0.49"), REFUSED)

    assert ledger.withdraw(refused) == replace(good, count=refused.count), "all but what must never fall"


def test_what_the_refused_one_would_have_added_stays_held() -> None:
    good = ledger.publish(Ledger(), service("10.9.0.10", "10.9.0.49"), GOOD)
    refused = ledger.publish(good, service("10.9.0.10", "10.9.0.99"), REFUSED)

    back = ledger.withdraw(refused)

    assert back.revisions == GOOD
    added = [each for each in back.exposures if not each.live]
    assert [(str(IPv4Address(each.first)), str(IPv4Address(each.last)), each.until) for each in added] == [
        ("10.9.0.50", "10.9.0.99", None)
    ]


def test_once_both_run_it_there_is_nothing_to_withdraw() -> None:
    good = ledger.publish(Ledger(), service("10.9.0.10", "10.9.0.99"), GOOD)
    newer = ledger.observe(ledger.publish(good, service("10.9.0.10", "10.9.0.49"), REFUSED), REFUSED, 0)

    assert ledger.withdraw(newer) == newer
