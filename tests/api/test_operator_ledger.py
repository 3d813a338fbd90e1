"""What the operator remembers of who holds what, on a real API server: lost, damaged, taken over, and put right."""

import pytest

from tests.api.operating import Operator, Start, settle
from tests.api.world import World
from twinlease.kube import protocol
from twinlease.kube.protocol import CONFIG_MAPS, PAIRS, PODS, RESERVATIONS, SERVERS

MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
LEASE = 3600
"""The longest lease of the pool."""


@pytest.fixture
def printer(world: World, operator: Operator) -> None:
    """Have a reservation that both servers run."""
    world.reservation("printer", MAC, "10.9.0.50")
    settle(world, operator)


def test_a_config_map_that_somebody_deleted_is_made_again(world: World, operator: Operator) -> None:
    world.pool(leaseTime={"default": "20m"})
    operator.look()  # the secondary is told, and has not followed yet
    ordered = world.servers()["p-secondary"]["spec"]["config"]["configMaps"]
    for name in ordered:
        world.admin.delete(CONFIG_MAPS, name, world.namespace)
    operator.look()

    assert set(ordered) <= set(world.all(CONFIG_MAPS))


def test_a_status_without_sense_is_told_and_changes_nothing(world: World, operator: Operator) -> None:
    before = world.wanted()
    network = {"interface": "eth1", "linkUp": True, "address": "garbage"}
    world.report("p-primary", running=before["p-primary"], state="Normal", network=network)
    world.pool(ranges=[])
    operator.look()

    assert world.wanted() == before
    message = world.conditions(PAIRS, "p")["Progressing"]["message"]
    assert "the status of DHCPServer p-primary has 'garbage' where an address should be" in message


def test_a_server_that_is_still_told_a_withdrawn_revision_confirms_nothing(world: World, operator: Operator) -> None:
    good = world.wanted()
    world.pool(ranges=[{"start": "10.9.0.100", "end": "10.9.0.250"}])
    operator.look()
    refused = world.wanted()["p-secondary"]
    world.report("p-secondary", running=good["p-secondary"], state="Normal", rejected=refused)
    world.report("p-primary", running=good["p-primary"], state="CommunicationsInterrupted")
    world.pool()
    world.reservation("printer", MAC, "10.9.0.240")  # what only the refused one would have leased out
    operator.look()
    assert world.wanted()["p-secondary"] == refused, "nothing is told while the pair is not normal"

    operator.now += 1800 + 60
    operator.look()
    world.report("p-secondary", running=good["p-secondary"], state="Normal", rejected=refused)
    world.report("p-primary", running=good["p-primary"], state="Normal")
    operator.look()
    assert MAC not in world.text("p-secondary")


@pytest.mark.usefixtures("printer")
def test_a_pair_that_is_applied_again_knows_who_holds_what(world: World, start: Start) -> None:
    vanish(world)
    world.reservation("printer", OTHER, "10.9.0.50")
    world.reservation("inside", "02:00:00:00:00:03", "10.9.0.120")
    world.pair()
    again = start()
    settle(world, again)

    assert statuses(world)["Available"] == "True"
    for server in world.servers():
        text = world.text(server)
        assert "hardware ethernet" not in text
        assert "range 10.9.0.100 10.9.0.119" in text
    again.now += LEASE
    settle(world, again)
    assert OTHER in world.text("p-primary")


@pytest.mark.usefixtures("printer")
def test_a_pair_that_is_applied_again_unchanged_serves_all_at_once(world: World, start: Start) -> None:
    before = {server: world.text(server) for server in world.servers()}
    vanish(world)
    world.pair()
    settle(world, start())

    assert {server: world.text(server) for server in world.servers()} == before
    known = statuses(world)
    assert known.pop("ClocksAgree") == "Unknown", "nobody measures here"
    assert set(known.values()) == {"True", "False"}
    assert known["Redundant"] == "True"


def test_the_ledger_goes_with_the_pair_only_as_the_leases_do(world: World, operator: Operator) -> None:
    uid = world.all(PAIRS)["p"]["metadata"]["uid"]
    assert owners(world) == []
    world.pair(storage={"reclaimPolicy": "Delete"})
    settle(world, operator)
    assert owners(world) == [uid]
    world.pair(storage={"reclaimPolicy": "Retain"})
    settle(world, operator)
    assert owners(world) == []


@pytest.mark.usefixtures("printer")
def test_a_deleted_ledger_frees_no_address(world: World, operator: Operator) -> None:
    before = world.wanted()
    world.admin.delete(CONFIG_MAPS, "p-ledger", world.namespace)
    settle(world, operator)
    assert world.wanted() == before, "the servers go on with what they run"
    told = [each for each in world.all(protocol.EVENTS).values() if each["reason"] == "LedgerLost"]
    assert [each["type"] for each in told] == ["Warning"]

    world.reservation("printer", OTHER, "10.9.0.50")
    world.reservation("free", "02:00:00:00:00:03", "10.9.0.60")
    settle(world, operator)
    assert "hardware ethernet" not in world.text("p-secondary")
    assert world.conditions(RESERVATIONS, "free")["Programmed"]["reason"] == "AddressHeld"

    operator.now += LEASE
    settle(world, operator)
    assert OTHER in world.text("p-secondary")
    assert "10.9.0.60" in world.text("p-primary")


@pytest.mark.usefixtures("printer")
def test_a_reservation_that_was_moved_while_the_ledger_was_lost_waits(world: World, operator: Operator) -> None:
    world.admin.delete(CONFIG_MAPS, "p-ledger", world.namespace)
    world.reservation("printer", OTHER, "10.9.0.50")
    settle(world, operator)

    assert OTHER not in world.text("p-secondary")
    assert world.conditions(RESERVATIONS, "printer")["Programmed"]["reason"] == "AddressHeld"


@pytest.mark.usefixtures("printer")
def test_an_older_ledger_is_noticed(world: World, operator: Operator) -> None:
    old = world.all(CONFIG_MAPS)["p-ledger"]["binaryData"]
    world.reservation("phone", OTHER, "10.9.0.60")
    settle(world, operator)
    world.admin.merge_patch(CONFIG_MAPS, "p-ledger", world.namespace, {"binaryData": old})
    world.reservation("phone", "02:00:00:00:00:03", "10.9.0.60")
    operator.look()

    assert "02:00:00:00:00:03" not in world.text("p-secondary")
    assert "LedgerLost" in {each["reason"] for each in world.all(protocol.EVENTS).values()}


def test_without_a_ledger_nothing_is_rolled_out_while_an_object_is_invalid(world: World, operator: Operator) -> None:
    before = world.wanted()
    world.pool(ranges=[{"start": "10.9.0.100", "end": "10.9.0.150"}, {"start": "10.9.0.140", "end": "10.9.0.199"}])
    settle(world, operator)
    world.admin.delete(CONFIG_MAPS, "p-ledger", world.namespace)
    settle(world, operator)
    assert world.wanted() == before
    assert world.conditions(PAIRS, "p")["Progressing"]["reason"] == "LedgerLost"

    world.pool()
    settle(world, operator)
    assert world.wanted() == before
    assert world.conditions(PAIRS, "p")["Progressing"]["reason"] == "UpToDate"


def test_a_dead_pod_comes_back_though_the_ledger_is_unreadable(world: World, operator: Operator) -> None:
    before = world.wanted()
    world.admin.merge_patch(CONFIG_MAPS, "p-ledger", world.namespace, {"binaryData": {"ledger": "AAAA"}})
    world.admin.delete(PODS, "p-primary", world.namespace, grace_seconds=0)
    world.pool(ranges=[])
    settle(world, operator)

    assert set(world.pods()) == {"p-primary", "p-secondary"}
    assert world.wanted() == before
    assert world.conditions(PAIRS, "p")["Progressing"]["reason"] == "LedgerUnreadable"
    assert world.all(CONFIG_MAPS)["p-ledger"]["binaryData"] == {"ledger": "AAAA"}


def test_servers_whose_records_were_deleted_still_change_one_at_a_time(world: World, operator: Operator) -> None:
    before = world.wanted()
    for server in before:
        world.admin.delete(SERVERS, server, world.namespace)
    world.pool(leaseTime={"default": "20m"})
    operator.look()
    for server in before:
        world.report(server, running=before[server], state="CommunicationsInterrupted")
    operator.look()
    assert world.wanted() == dict.fromkeys(before, ""), "both run: neither changes before both are normal"

    for server in before:
        world.report(server, running=before[server], state="Normal")
    operator.look()
    told = world.wanted()
    assert (told["p-primary"], bool(told["p-secondary"])) == ("", True)
    settle(world, operator)
    assert statuses(world)["Redundant"] == "True"


def vanish(world: World) -> None:
    """Delete the pair, and what the garbage collector deletes with it."""
    uid = world.all(PAIRS)["p"]["metadata"]["uid"]
    world.admin.delete(PAIRS, "p", world.namespace)
    accounts = (protocol.SERVICE_ACCOUNTS, protocol.ROLES, protocol.ROLE_BINDINGS, protocol.SECRETS, protocol.CLAIMS)
    for resource in (CONFIG_MAPS, SERVERS, PODS, *accounts):
        for name, found in world.all(resource).items():
            if uid in {each["uid"] for each in found["metadata"].get("ownerReferences", [])}:
                world.admin.delete(resource, name, world.namespace, grace_seconds=0)


def owners(world: World) -> list[str]:
    """Return the UIDs of the ledger's owners."""
    return [each["uid"] for each in world.all(CONFIG_MAPS)["p-ledger"]["metadata"].get("ownerReferences", [])]


def statuses(world: World) -> dict[str, str]:
    """Return the pair's conditions."""
    return {each: found["status"] for each, found in world.conditions(PAIRS, "p").items()}
