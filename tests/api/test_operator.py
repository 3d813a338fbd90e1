"""The operator against a real API server; the test plays scheduler, kubelets and sidecars."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.operating import Operator, Start, account, administrator, bring_up, settle
from tests.api.world import CrashError, World
from tests.lab.apiserver import ApiServer
from tests.lab.rest import Rest
from twinlease.kube import protocol
from twinlease.kube.protocol import CONFIG_MAPS, PAIRS, PODS, POOLS, RESERVATIONS, SERVERS, ApiError, Json, Transport

OVERLAPPING = [{"start": "10.9.0.100", "end": "10.9.0.150"}, {"start": "10.9.0.140", "end": "10.9.0.199"}]
MAC = "02:00:00:00:00:01"


def test_a_pair_comes_up_from_nothing(world: World, operator: Operator) -> None:
    del operator
    assert statuses(world, PAIRS, "p") == {
        "Valid": "True",
        "Available": "True",
        "Redundant": "True",
        "Progressing": "False",
        "PartnerDown": "False",
        "KernelFence": "True",
        "LeaseDatabaseIntact": "True",
        "ClocksAgree": "Unknown",
    }
    assert statuses(world, POOLS, "lan") == {"Valid": "True", "Programmed": "True"}
    assert "range 10.9.0.100 10.9.0.199" in world.text("p-primary")
    assert "range 10.9.0.100 10.9.0.199" in world.text("p-secondary")


def test_a_second_operator_that_finds_all_well_writes_nothing_that_stays(
    world: World, operator: Operator, start: Start
) -> None:
    del operator
    before = essence(world)
    versions = {name: each["metadata"]["resourceVersion"] for name, each in world.servers().items()}
    another = start()
    another.look()

    assert another.look() == 0
    assert another.observed.writes == []
    assert essence(world) == before
    assert {name: each["metadata"]["resourceVersion"] for name, each in world.servers().items()} == versions


def test_the_bring_up_order(world: World, start: Start) -> None:
    starting = start()
    bring_up(world, starting)
    written = [path.rpartition("/namespaces/")[2].split("/")[1:] for path in starting.observed.writes]
    first = {}
    for place, (plural, *_) in enumerate(written):
        first.setdefault(plural, place)

    assert first["secrets"] < first["serviceaccounts"] < first["roles"] < first["dhcpservers"]
    assert first["dhcpservers"] < first["persistentvolumeclaims"] < first["pods"]
    configured = [place for place, (plural, *_) in enumerate(written) if plural == "configmaps"]
    assert len(configured) >= 3, "a ledger and two configurations"
    assert min(configured) < first["dhcpservers"], "the ledger comes before everything that follows from it"
    assert first["pods"] < max(configured), "configurations are rendered from what the running sidecars report"


def test_killed_after_any_write_another_operator_finishes_with_the_same_world(
    server: ApiServer, api: Rest, rights: Transport
) -> None:
    def run(number: int) -> tuple[dict[str, Any], bool]:
        name = f"crash-{number}"
        api.post("/api/v1/namespaces", {"metadata": {"name": name}})
        world = World(administrator(server), name, server)
        world.nodes()
        operator, crashed = Operator(rights, name), False
        operator.observed.die_at = number
        world.reservation("printer", MAC, "10.9.0.120")
        try:
            bring_up(world, operator)
        except CrashError:
            crashed = True
            settle(world, Operator(rights, name))
        return essence(world), crashed

    undisturbed, _ = run(0)
    for number in itertools.count(1):
        found, crashed = run(number)
        assert found == undisturbed, f"killed after write {number}"
        if not crashed:
            break
    assert number > 25


def test_a_changed_pool_goes_to_the_secondary_first_and_on_only_when_both_are_normal(
    world: World, operator: Operator
) -> None:
    before = world.wanted()
    world.pool(ranges=[{"start": "10.9.0.100", "end": "10.9.0.150"}])
    operator.look()

    told = world.wanted()
    assert told["p-primary"] == before["p-primary"]
    assert told["p-secondary"] != before["p-secondary"]

    for state in ("Startup", "CommunicationsInterrupted", "Recover"):
        world.report("p-secondary", running=told["p-secondary"], state=state, partner="Normal")
        operator.look()
        assert world.wanted()["p-primary"] == before["p-primary"], state

    world.report("p-secondary", running=told["p-secondary"], state="Normal")
    world.report("p-primary", running=before["p-primary"], state="CommunicationsInterrupted")
    operator.look()
    assert world.wanted()["p-primary"] == before["p-primary"]

    world.report("p-primary", running=before["p-primary"], state="Normal")
    operator.look()
    assert world.wanted()["p-primary"] != before["p-primary"]


@pytest.mark.parametrize("state", ["CommunicationsInterrupted", "PartnerDown", "Recover", "Unknown"])
def test_nothing_is_changed_while_the_pair_is_not_normal(world: World, operator: Operator, state: str) -> None:
    before = world.wanted()
    world.report("p-primary", running=before["p-primary"], state=state)
    world.pool(ranges=[])
    operator.look()

    assert world.wanted() == before
    assert world.conditions(PAIRS, "p")["Progressing"]["reason"] == "WaitingForNormal"


def test_a_node_that_is_not_ready_stops_the_rollout(world: World, operator: Operator) -> None:
    before = world.wanted()
    world.ready("n2", is_ready=False)
    world.pool(ranges=[])
    operator.look()

    assert world.wanted() == before
    assert world.conditions(PAIRS, "p")["Progressing"]["reason"] == "WaitingForReport"


def test_a_rejection_halts_the_rollout_and_shows(world: World, operator: Operator) -> None:
    before = world.wanted()
    world.pool(ranges=[{"start": "10.9.0.100", "end": "10.9.0.150"}])
    operator.look()
    refused = world.wanted()["p-secondary"]
    world.report("p-secondary", running=before["p-secondary"], state="Normal", rejected=refused)
    operator.look()

    assert world.wanted()["p-primary"] == before["p-primary"]
    progressing = world.conditions(PAIRS, "p")["Progressing"]
    assert (progressing["status"], progressing["reason"]) == ("False", "Rejected")
    assert "line 7: semicolon expected" in progressing["message"]
    assert world.conditions(POOLS, "lan")["Programmed"]["status"] == "False"
    assert [each["type"] for each in events(world) if each["reason"] == "Rejected"] == ["Warning"]

    world.pool()  # back to what was
    settle(world, operator)
    assert world.wanted() == before
    assert world.conditions(PAIRS, "p")["Progressing"]["reason"] == "UpToDate"


def test_a_deleted_pod_comes_back_on_its_node(world: World, operator: Operator) -> None:
    uid = world.pods()["p-secondary"]["metadata"]["uid"]
    world.admin.delete(PODS, "p-secondary", world.namespace, grace_seconds=0)
    operator.look()

    pod = world.pods()["p-secondary"]
    assert pod["metadata"]["uid"] != uid
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert terms == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}]


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_ended_is_made_anew(world: World, operator: Operator, phase: str) -> None:
    uid = world.pods()["p-primary"]["metadata"]["uid"]
    world.phase("p-primary", phase)
    operator.look()  # deletes it; nothing of it runs any more, so that it is gone at once
    operator.look()

    assert world.pods()["p-primary"]["metadata"]["uid"] != uid


def test_a_server_chosen_by_labels_stays_where_it_was_placed(world: World, start: Start) -> None:
    selected = {"nodeSelector": {"dhcp": "yes"}, "interface": "eth1"}
    world.pair(primary=selected, secondary=selected)
    world.pool()
    operator = start()
    settle(world, operator)
    node = world.pods()["p-primary"]["spec"]["nodeName"]
    assert node != world.pods()["p-secondary"]["spec"]["nodeName"]
    assert world.servers()["p-primary"]["spec"]["nodeName"] == node

    world.admin.delete(PODS, "p-primary", world.namespace, grace_seconds=0)
    settle(world, operator)
    assert world.pods()["p-primary"]["spec"]["nodeName"] == node


def test_an_invalid_edit_keeps_the_last_good_one_and_says_what_is_wrong(world: World, operator: Operator) -> None:
    before = world.wanted()
    world.pool(ranges=OVERLAPPING)
    settle(world, operator)

    assert world.wanted() == before
    valid = world.conditions(POOLS, "lan")["Valid"]
    assert valid["status"] == "False"
    assert "spec.ranges[1]" in valid["message"]
    assert "must not overlap" in valid["message"]
    assert valid["message"].endswith("What was last accepted goes on")
    assert world.conditions(POOLS, "lan")["Programmed"]["status"] == "False"
    assert [each["type"] for each in events(world) if each["reason"] == "InvalidSpec"] == ["Warning"]

    world.pool()
    settle(world, operator)
    assert statuses(world, POOLS, "lan") == {"Valid": "True", "Programmed": "True"}


def test_a_reservation_is_programmed_on_both(world: World, operator: Operator) -> None:
    world.reservation("printer", MAC, "10.9.0.50")
    settle(world, operator)

    assert statuses(world, RESERVATIONS, "printer") == {"Valid": "True", "Programmed": "True"}
    assert MAC in world.text("p-primary")
    assert MAC in world.text("p-secondary")


def test_a_reservation_inside_a_range_waits_until_nobody_can_hold_its_address(world: World, operator: Operator) -> None:
    world.reservation("printer", MAC, "10.9.0.120")
    settle(world, operator)

    held = world.conditions(RESERVATIONS, "printer")["Programmed"]
    assert (held["status"], held["reason"]) == ("False", "AddressHeld")
    assert MAC not in world.text("p-primary")
    assert "range 10.9.0.121" in world.text("p-primary")

    operator.now += 1800 + 60
    operator.look()
    assert MAC not in world.text("p-primary"), "only the operator's clock has stepped"
    settle(world, operator)
    assert world.conditions(RESERVATIONS, "printer")["Programmed"]["status"] == "True"
    assert MAC in world.text("p-primary")


def test_old_configurations_are_removed_and_the_role_names_the_present_ones(world: World, operator: Operator) -> None:
    world.pool(ranges=[{"start": "10.9.0.100", "end": "10.9.0.150"}])
    settle(world, operator)

    named = {name for each in world.servers().values() for name in each["spec"]["config"]["configMaps"]}
    assert set(world.all(CONFIG_MAPS)) == {*named, "p-ledger"}
    for role, found in world.all(protocol.ROLES).items():
        readable = [rule["resourceNames"] for rule in found["rules"] if rule["resources"] == ["configmaps"]]
        assert readable == [sorted(world.servers()[role]["spec"]["config"]["configMaps"])]


def test_a_new_image_replaces_one_pod_at_a_time(world: World, operator: Operator, start: Start) -> None:
    del operator
    upgraded = start(image="image:2")
    before = {name: pod["metadata"]["uid"] for name, pod in world.pods().items()}
    upgraded.look()
    assert deleting(world) == {"p-secondary"}

    world.vanish("p-secondary")
    upgraded.look()
    assert deleting(world) == set(), "the primary's turn is when both are normal again"
    settle(world, upgraded)
    assert deleting(world) == {"p-primary"}
    world.vanish("p-primary")
    settle(world, upgraded)

    images = {name: pod["spec"]["containers"][0]["image"] for name, pod in world.pods().items()}
    assert images == {"p-primary": "image:2", "p-secondary": "image:2"}
    assert {name: pod["metadata"]["uid"] for name, pod in world.pods().items()}.keys() == before.keys()


def test_a_changed_failover_link_waits_and_says_what_to_do(world: World, operator: Operator) -> None:
    before = world.wanted()
    world.pair(primary={"nodeName": "n1", "interface": "eth1", "failoverPort": 1647})
    settle(world, operator)

    assert world.wanted() == before
    progressing = world.conditions(PAIRS, "p")["Progressing"]
    assert (progressing["status"], progressing["reason"]) == ("False", "LinkChanged")
    assert "delete the pair" in progressing["message"]


def test_a_serving_pair_is_not_moved_to_another_interface_or_address(world: World, operator: Operator) -> None:
    before, places = world.wanted(), _places(world)
    world.pair(secondary={"nodeName": "n2", "interface": "eth7", "address": "10.9.0.77"})
    settle(world, operator)

    assert _places(world) == places
    assert world.wanted() == before
    progressing = world.conditions(PAIRS, "p")["Progressing"]
    assert (progressing["status"], progressing["reason"]) == ("False", "LinkChanged")

    world.pair()
    settle(world, operator)
    assert world.conditions(PAIRS, "p")["Progressing"]["reason"] == "UpToDate"


def _places(world: World) -> dict[str, tuple[str, str]]:
    specs = {name: each["spec"] for name, each in world.servers().items()}
    return {name: (each.get("interface", ""), each.get("address", "")) for name, each in specs.items()}


def test_a_paused_pair_is_left_alone(world: World, operator: Operator) -> None:
    world.pair(paused=True)
    world.pool(ranges=[])
    before = world.wanted()
    world.admin.delete(PODS, "p-secondary", world.namespace, grace_seconds=0)
    operator.look()

    assert world.wanted() == before
    assert set(world.pods()) == {"p-primary"}
    assert world.conditions(PAIRS, "p")["Progressing"]["reason"] == "Paused"


def test_a_pool_of_an_unknown_pair_is_told_so(world: World, start: Start) -> None:
    world.pool(pair="nobody")
    start().look("nobody")

    valid = world.conditions(POOLS, "lan")["Valid"]
    assert (valid["status"], valid["reason"]) == ("False", "UnknownPair")
    assert "spec.pairRef.name: 'nobody' must name a DHCPFailoverPair" in valid["message"]


def test_a_node_of_another_pair_is_refused(world: World, operator: Operator) -> None:
    world.pair("q", primary={"nodeName": "n3", "interface": "eth1"}, secondary={"nodeName": "n1", "interface": "eth1"})
    operator.look("q")

    valid = world.conditions(PAIRS, "q")["Valid"]
    assert valid["status"] == "False"
    assert "spec.secondary.nodeName: 'n1' must be a node of its own" in valid["message"]
    assert set(world.pods()) == {"p-primary", "p-secondary"}
    assert world.conditions(PAIRS, "p")["Valid"]["status"] == "True"


def test_a_missing_interface_is_the_pairs_fault_and_said_so(world: World, start: Start) -> None:
    starting = start()
    world.pair()
    world.pool()
    starting.look()
    world.schedule()
    missing = {
        "type": "NetworkReady",
        "status": "False",
        "reason": "InterfaceMissing",
        "message": "there is no interface eth1",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    world.report("p-primary", conditions=[missing], network={})
    starting.look()

    valid = world.conditions(PAIRS, "p")["Valid"]
    assert valid["status"] == "False"
    assert "spec.primary.interface: 'eth1' must" in valid["message"]


def test_everything_is_labelled_and_owned(world: World, operator: Operator) -> None:
    del operator
    uid = world.admin.get(PAIRS, "p", world.namespace)["metadata"]["uid"]
    kinds = (PODS, SERVERS, CONFIG_MAPS, protocol.ROLES, protocol.ROLE_BINDINGS, protocol.SERVICE_ACCOUNTS)
    for resource in (*kinds, protocol.SECRETS, protocol.CLAIMS):
        found = world.all(resource)
        assert found, resource.kind
        for name, each in found.items():
            labels = each["metadata"]["labels"]
            assert labels["app.kubernetes.io/managed-by"] == "twinlease", (resource.kind, name)
            assert labels["twinlease.io/pair"] == "p", (resource.kind, name)
            owners = [owner["uid"] for owner in each["metadata"].get("ownerReferences", [])]
            retained = resource == protocol.CLAIMS or name == "p-ledger"
            assert owners == ([] if retained else [uid]), (resource.kind, name)


def test_volumes_are_owned_only_where_they_shall_go_with_the_pair(world: World, operator: Operator) -> None:
    world.pair(storage={"reclaimPolicy": "Delete"})
    operator.look()
    assert all(each["metadata"].get("ownerReferences") for each in world.all(protocol.CLAIMS).values())

    world.pair(storage={"reclaimPolicy": "Retain"})
    operator.look()
    assert not any(each["metadata"].get("ownerReferences") for each in world.all(protocol.CLAIMS).values())


def test_objects_of_an_earlier_pair_of_the_same_name_are_waited_for(world: World, operator: Operator) -> None:
    world.admin.delete(PAIRS, "p", world.namespace)
    world.pair()
    before = world.wanted()
    operator.look()

    assert world.wanted() == before
    assert world.conditions(PAIRS, "p")["Progressing"]["reason"] == "WaitingForDeletion"


def test_what_somebody_deleted_comes_back(world: World, operator: Operator) -> None:
    before = essence(world)
    for resource in (protocol.ROLES, protocol.ROLE_BINDINGS, protocol.SERVICE_ACCOUNTS):
        world.admin.delete(resource, "p-primary", world.namespace)
    operator.look()

    assert essence(world) == before


def test_a_servers_account_reaches_its_own_objects_and_nothing_else(
    server: ApiServer, world: World, operator: Operator
) -> None:
    del operator
    sidecar = account(server, world.namespace, "p-primary")
    own, other = (world.servers()[f"p-{role}"]["spec"]["config"]["configMaps"][0] for role in ("primary", "secondary"))
    sidecar.request("GET", SERVERS.path(world.namespace, "p-primary"))
    sidecar.request("GET", CONFIG_MAPS.path(world.namespace, own))
    status = {"apiVersion": SERVERS.api_version, "kind": SERVERS.kind, "metadata": {"name": "p-primary"}}
    patch = {"content_type": protocol.APPLY_PATCH, "query": {"fieldManager": "twinlease-sidecar", "force": "true"}}
    path = SERVERS.path(world.namespace, "p-primary", "status")
    sidecar.request("PATCH", path, body={**status, "status": {"serving": False}}, **patch)

    refused: list[tuple[str, str, Json | None]] = [
        ("GET", SERVERS.path(world.namespace, "p-secondary"), None),
        ("GET", SERVERS.path(world.namespace), None),
        ("PATCH", SERVERS.path(world.namespace, "p-secondary", "status"), {"status": {"serving": True}}),
        ("PATCH", SERVERS.path(world.namespace, "p-primary"), {"spec": {"paused": True}}),
        ("GET", CONFIG_MAPS.path(world.namespace, other), None),
        ("GET", CONFIG_MAPS.path(world.namespace, "p-ledger"), None),
        ("GET", protocol.SECRETS.path(world.namespace, "p-omapi"), None),
        ("GET", PODS.path(world.namespace), None),
        ("DELETE", SERVERS.path(world.namespace, "p-primary"), None),
    ]
    for method, target, body in refused:
        with pytest.raises(ApiError) as caught:
            sidecar.request(method, target, body=body, content_type=protocol.MERGE_PATCH if body else protocol.JSON)
        assert caught.value.status == 403, (method, target)


def test_no_event_is_told_twice(world: World, operator: Operator, start: Start) -> None:
    world.pool(ranges=OVERLAPPING)
    operator.look()
    told = len(events(world))
    start().look()

    assert len(events(world)) == told


def statuses(world: World, resource: protocol.Resource, name: str) -> dict[str, str]:
    return {each: found["status"] for each, found in world.conditions(resource, name).items()}


def deleting(world: World) -> set[str]:
    return {name for name, pod in world.pods().items() if "deletionTimestamp" in pod["metadata"]}


def events(world: World) -> list[Json]:
    return list(world.all(protocol.EVENTS).values())


def essence(world: World) -> dict[str, Any]:
    """Return all that the operator made, without what differs from one making to the next."""
    return {f"{resource.kind}/{name}": bare for resource, name, bare in _essences(world)}


def _essences(world: World) -> Iterator[tuple[protocol.Resource, str, Any]]:
    kinds = (SERVERS, CONFIG_MAPS, protocol.ROLES, protocol.ROLE_BINDINGS, protocol.SERVICE_ACCOUNTS, protocol.CLAIMS)
    for resource in (*kinds, PODS, protocol.SECRETS, PAIRS, POOLS, RESERVATIONS):
        for name, found in world.all(resource).items():
            metadata = found["metadata"]
            bare = {
                "labels": metadata.get("labels"),
                "annotations": metadata.get("annotations"),
                "owners": [owner["name"] for owner in metadata.get("ownerReferences", [])],
                "conditions": [
                    (each["type"], each["status"], each["reason"])
                    for each in found.get("status", {}).get("conditions", [])
                    if resource in (PAIRS, POOLS, RESERVATIONS)
                ],
            }
            if resource in (SERVERS, protocol.ROLES, protocol.CLAIMS):
                bare["content"] = found.get("spec", found.get("rules"))
            if resource == CONFIG_MAPS:
                bare["content"] = found.get("data")
            yield resource, name, bare
