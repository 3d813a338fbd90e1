"""Who may write what of a serving lease: the shipped policy and roles, on a real API server, with real tokens."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from tests.api.identities import bound, pod
from tests.api.leaves import Change, at, changes
from tests.api.operating import MANIFESTS, account, administrator
from tests.api.scene import FINALIZER, Scene, merge
from tests.api.world import World
from tests.lab.apiserver import ApiServer
from tests.lab.waiting import until
from twinlease.kube import protocol
from twinlease.kube.client import Client
from twinlease.kube.protocol import (
    JSON_PATCH,
    MERGE_PATCH,
    SERVERS,
    SERVING_LEASES,
    ApiError,
    Json,
    Resource,
    Transport,
)
from twinlease.model.states import Role

POLICIES = Resource(
    "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "admissionregistration.k8s.io", namespaced=False
)
BINDINGS = Resource(
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    "admissionregistration.k8s.io",
    namespaced=False,
)
NAME = "twinlease-serving-lease"
BY_OTHERS = "is written by the operator and the pair's two servers only"


def jsonpatch(who: Transport, path: str, *operations: Json) -> Json:
    return who.request("PATCH", path, body=list(operations), content_type=JSON_PATCH)


def applied(who: Transport, path: str, body: Json) -> Json:
    name = path.rpartition("/")[2]
    full = {"apiVersion": SERVING_LEASES.api_version, "kind": SERVING_LEASES.kind, "metadata": {"name": name}, **body}
    query = {"fieldManager": "test", "force": "true"}
    return who.request("PATCH", path, body=full, content_type=protocol.APPLY_PATCH, query=query)


def refused(call: Callable[..., object], *arguments: Any) -> str:  # noqa: ANN401  # handed on as they are
    """Return with which words the API forbids something."""
    with pytest.raises(ApiError) as caught:
        call(*arguments)
    assert caught.value.status == 403, caught.value
    return caught.value.message


def forbidden(who: Transport, path: str, wanted: list[Change]) -> dict[tuple[str, ...], str]:
    """Return what the API says to each change, empty if it takes it. None of them is stored."""
    said = {}
    for change in wanted:
        try:
            merge(who, path, {"spec": change.spec}, dryRun="All")
        except ApiError as error:
            said[change.path] = f"{error.status}: {error.message}"
        else:
            said[change.path] = ""
    return said


@pytest.fixture(scope="module")
def guarded(server: ApiServer, rights: Transport) -> Transport:
    """Return the operator's way to the API, once the shipped policy is in force."""
    admin = administrator(server)
    namespace = "admission-in-force"
    admin.request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
    body = {"apiVersion": SERVING_LEASES.api_version, "kind": SERVING_LEASES.kind, "metadata": {"name": "p"}}

    def in_force() -> bool:
        try:
            admin.request("POST", SERVING_LEASES.path(namespace), body={**body, "spec": {}}, query={"dryRun": "All"})
        except ApiError as error:
            return NAME in error.message
        return False

    until("the admission policy is in force", in_force, timeout=30.0)
    return rights


@pytest.fixture
def scene(server: ApiServer, guarded: Transport, namespace: str) -> Scene:
    """Return a pair's serving lease that the primary holds."""
    World(administrator(server), namespace).nodes()
    return Scene(server, guarded, namespace)


# --- servers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", Role)
def test_a_server_may_change_every_field_of_its_own_part(scene: Scene, role: Role) -> None:
    mine = [change for change in changes(scene.spec()) if change.own_of == role and change.path[3] != "node"]
    assert len(mine) > 30
    said = forbidden(scene.servers[role], scene.path, mine)
    assert {path: words for path, words in said.items() if words} == {}
    for path in said:
        change = next(each for each in changes(scene.spec()) if each.path == path)
        merge(scene.servers[role], scene.path, {"spec": change.spec})
        assert at(scene.spec(), change.path) == at(change.spec, change.path)


@pytest.mark.parametrize("role", Role)
def test_a_server_may_change_no_other_field_of_the_specification(scene: Scene, role: Role) -> None:
    before = scene.spec()
    others = [change for change in changes(before) if change.own_of != role]
    assert len(others) > 50
    said = forbidden(scene.servers[role], scene.path, others)
    expected = f"The {role} may change spec.servers.{role}.own and nothing else"
    assert {path: words for path, words in said.items() if expected not in words} == {}
    assert scene.spec() == before


def test_a_server_may_not_take_an_order_away(scene: Scene) -> None:
    order = {"epoch": 6, "interruption": 3, "evidence": "Expired"}
    merge(scene.operator, scene.path, {"spec": {"epoch": 6, "order": order}})
    for role in Role:
        assert "nothing else" in refused(merge, scene.servers[role], scene.path, {"spec": {"order": None}})
    assert scene.spec()["order"] == order


@pytest.mark.parametrize("role", Role)
def test_a_server_cannot_hide_another_change_behind_its_own_part(scene: Scene, role: Role) -> None:
    before = scene.spec()
    both = {"spec": {"phase": "Alone", "servers": {role: {"own": {"renewal": 9}}}}}
    assert "nothing else" in refused(merge, scene.servers[role], scene.path, both)
    assert scene.spec() == before


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"a": "b"}},
        {"annotations": {"a": "b"}},
        {"finalizers": []},
        {"finalizers": ["example.com/more", FINALIZER]},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]},
    ],
    ids=str,
)
def test_a_server_may_change_no_metadata(scene: Scene, change: Json) -> None:
    before = scene.read()["metadata"]
    assert "nothing else" in refused(merge, scene.servers[Role.PRIMARY], scene.path, {"metadata": change})
    assert scene.read()["metadata"] == before


def test_a_server_may_not_take_metadata_away(scene: Scene) -> None:
    merge(scene.operator, scene.path, {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}})
    for key in ("labels", "annotations"):
        said = refused(merge, scene.servers[Role.PRIMARY], scene.path, {"metadata": {key: None}})
        assert "nothing else" in said
    merge(scene.servers[Role.PRIMARY], scene.path, {"spec": {"servers": {"primary": {"own": {"renewal": 2}}}}})


def test_a_server_writes_its_part_in_one_conditional_json_patch(scene: Scene) -> None:
    role, grant = Role.PRIMARY, "/spec/servers/primary/grant"
    own = {"incarnation": scene.incarnation(role), "node": "n1", "renewal": 7, "inForce": {"epoch": 5}}
    conditions = [
        {"op": "test", "path": f"{grant}/holder", "value": scene.incarnation(role)},
        {"op": "test", "path": f"{grant}/epoch", "value": 5},
        {"op": "test", "path": "/spec/servers/primary/own/incarnation", "value": scene.incarnation(role)},
    ]
    write = {"op": "replace", "path": "/spec/servers/primary/own", "value": own}
    jsonpatch(scene.servers[role], scene.path, *conditions, write)
    assert scene.spec()["servers"]["primary"]["own"]["renewal"] == 7
    conditions[1]["value"] = 4
    with pytest.raises(ApiError) as caught:
        jsonpatch(scene.servers[role], scene.path, *conditions, {**write, "value": {**own, "renewal": 8}})
    assert caught.value.status == 422  # not 403: to be told from what the policy refuses
    assert scene.spec()["servers"]["primary"]["own"]["renewal"] == 7


def test_an_empty_holder_and_an_empty_incarnation_can_be_tested(scene: Scene) -> None:
    scene.make("fresh")
    operations = [
        {"op": "test", "path": f"/spec/servers/secondary/{name}", "value": ""}
        for name in ("grant/holder", "own/incarnation")
    ]
    write = {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}
    jsonpatch(scene.operator, SERVING_LEASES.path(scene.namespace, "fresh"), *operations, write)


def test_a_server_may_apply_its_own_part_only(scene: Scene) -> None:
    mine = {"own": {"incarnation": scene.incarnation(Role.PRIMARY), "node": "n1", "renewal": 4}}
    applied(scene.servers[Role.PRIMARY], scene.path, {"spec": {"servers": {"primary": mine}}})
    assert scene.spec()["servers"]["primary"]["own"]["renewal"] == 4
    theirs = {"spec": {"servers": {"primary": mine, "secondary": {"own": {"renewal": 4}}}}}
    assert "nothing else" in refused(applied, scene.servers[Role.PRIMARY], scene.path, theirs)


def test_a_server_may_not_replace_create_or_delete(scene: Scene) -> None:
    primary, found = scene.servers[Role.PRIMARY], scene.read()
    collection = SERVING_LEASES.path(scene.namespace)
    new = {**found, "metadata": {"name": "q"}}
    for method, path, body in (
        ("PUT", scene.path, found),
        ("POST", collection, new),
        ("DELETE", scene.path, None),
        ("DELETE", collection, None),
    ):
        assert "cannot" in refused(partial(primary.request, method, path, body=body)), (method, path)
    assert "cannot" in refused(applied, primary, f"{collection}/q", {"spec": {}})
    # A patch that creates where nothing is would be a creation: no server may.
    administrator(scene.server).request("DELETE", scene.path)
    merge(scene.admin, scene.path, {"metadata": {"finalizers": []}})
    with pytest.raises(ApiError) as caught:
        applied(primary, scene.path, {"spec": {}})
    assert caught.value.status == 403


def test_a_server_reaches_no_other_pairs_lease_and_no_secrets(scene: Scene) -> None:
    scene.make("q")
    primary = scene.servers[Role.PRIMARY]
    assert primary.request("GET", scene.path)["metadata"]["name"] == "p"
    selected = primary.request("GET", SERVING_LEASES.path(scene.namespace), query={"fieldSelector": "metadata.name=p"})
    assert [each["metadata"]["name"] for each in selected["items"]] == ["p"]
    other = SERVING_LEASES.path(scene.namespace, "q")
    own = {"incarnation": scene.incarnation(Role.PRIMARY)}
    for method, path, body in (
        ("GET", other, None),
        ("PATCH", other, {"spec": {"servers": {"primary": {"own": own}}}}),
        ("GET", SERVING_LEASES.path(scene.namespace), None),
        ("PATCH", SERVERS.path(scene.namespace, "p-secondary", "status"), {"status": {"serving": True}}),
        ("PATCH", SERVERS.path(scene.namespace, "q-primary", "status"), {"status": {"serving": True}}),
        ("PATCH", SERVERS.path(scene.namespace, "p-primary"), {"spec": {"paused": True}}),
        ("GET", protocol.SECRETS.path(scene.namespace), None),
        ("GET", protocol.SECRETS.path(scene.namespace, "p-omapi"), None),
        ("GET", POLICIES.path(None, NAME), None),
    ):
        kind = MERGE_PATCH if body else protocol.JSON
        assert "cannot" in refused(partial(primary.request, method, path, body=body, content_type=kind)), (method, path)


# --- incarnations -----------------------------------------------------------------------------------------------------
def test_another_pod_of_the_same_account_cannot_speak_for_this_incarnation(scene: Scene) -> None:
    stranger = pod(scene.server, scene.namespace, "stranger", "p-primary", "n3")
    who = bound(scene.server, stranger)
    before = scene.spec()
    for part in ({"renewal": 2}, {"incarnation": scene.incarnation(Role.PRIMARY), "renewal": 2}):
        said = refused(merge, who, scene.path, {"spec": {"servers": {"primary": {"own": part}}}})
        assert stranger["metadata"]["uid"] in said
        assert scene.incarnation(Role.PRIMARY) in said
    assert scene.spec() == before
    mine = {"incarnation": f"{stranger['metadata']['uid']}/t", "node": "n1"}
    said = refused(merge, who, scene.path, {"spec": {"servers": {"primary": {"own": mine}}}})
    assert 'own.node must be the node of the pod that writes it, n3. Found "n1"' in said
    mine["node"] = "n3"
    merge(who, scene.path, {"spec": {"servers": {"primary": {"own": mine}}}})
    assert scene.spec()["servers"]["primary"]["own"]["incarnation"] == mine["incarnation"]


@pytest.mark.parametrize("claimed", ["{uid}", "{uid}x/t", "x{uid}/t", "", "/t"])
def test_an_incarnation_begins_with_the_pods_uid_and_a_slash(scene: Scene, claimed: str) -> None:
    uid = scene.pods[Role.PRIMARY]["metadata"]["uid"]
    part = {"incarnation": claimed.format(uid=uid)}
    said = refused(scene.own, Role.PRIMARY, part)
    assert f"must begin with the UID of the pod that writes it, {uid}/" in said


def test_a_token_that_is_bound_to_no_pod_is_refused(scene: Scene) -> None:
    unbound = account(scene.server, scene.namespace, "p-primary")
    for part in ({"renewal": 2}, {"incarnation": "/t"}):
        said = refused(merge, unbound, scene.path, {"spec": {"servers": {"primary": {"own": part}}}})
        assert "bound to its pod" in said


def test_who_asks_is_who_writes(scene: Scene) -> None:
    mine = scene.incarnation(Role.SECONDARY)
    part = {"asks": {"incarnation": scene.incarnation(Role.PRIMARY)}}
    said = refused(
        merge, scene.servers[Role.SECONDARY], scene.path, {"spec": {"servers": {"secondary": {"own": part}}}}
    )
    assert "own.asks.incarnation must be that of own.incarnation" in said
    scene.own(Role.SECONDARY, {"asks": {"incarnation": mine}})
    assert scene.spec()["servers"]["secondary"]["own"]["asks"]["incarnation"] == mine


# --- the operator -----------------------------------------------------------------------------------------------------
def test_the_operator_may_change_everything_but_the_own_parts(scene: Scene) -> None:
    before = scene.spec()
    wanted = changes(before)
    said = forbidden(scene.operator, scene.path, wanted)
    decisions = {change.path: said[change.path] for change in wanted if not change.own_of}
    parts = {change.path: said[change.path] for change in wanted if change.own_of}
    assert {path: words for path, words in decisions.items() if words} == {}
    assert {path: words for path, words in parts.items() if "Each server writes its own part itself" not in words} == {}
    assert len(decisions) > 20
    assert len(parts) > 60
    assert scene.spec() == before


def test_the_operator_may_change_metadata_and_delete(scene: Scene) -> None:
    merge(scene.operator, scene.path, {"metadata": {"labels": {"a": "b"}, "finalizers": []}})
    assert scene.read()["metadata"]["labels"] == {"a": "b"}
    scene.operator.request("DELETE", scene.path)
    assert Client(scene.admin, "test").find(SERVING_LEASES, "p", scene.namespace) is None


def test_the_operator_may_not_create_a_lease_with_somebodys_words_in_it(scene: Scene) -> None:
    for part in (
        {"incarnation": "u/t"},
        {"renewal": 1},
        {"epoch": 1},
        {"released": 1},
        {"inForce": {"epoch": 1}},
        {"answer": {"epoch": 1}},
        {"lineage": {"id": "a"}},
        {"asks": {"incarnation": "u/t"}},
    ):
        body = {
            "apiVersion": SERVING_LEASES.api_version,
            "kind": SERVING_LEASES.kind,
            "metadata": {"name": "q"},
            "spec": {"servers": {"secondary": {"own": part}}},
        }
        said = refused(partial(scene.operator.request, "POST", SERVING_LEASES.path(scene.namespace), body=body))
        assert "has empty own parts" in said


def test_the_operator_sees_whether_the_policy_is_there_and_no_other(scene: Scene) -> None:
    for resource in (POLICIES, BINDINGS):
        assert scene.operator.request("GET", resource.path(None, NAME))["metadata"]["name"] == NAME
        assert "cannot" in refused(partial(scene.operator.request, "GET", resource.path(None, "another")))
        assert "cannot" in refused(partial(scene.operator.request, "DELETE", resource.path(None, NAME)))


# --- everybody else ---------------------------------------------------------------------------------------------------
@pytest.fixture
def others(scene: Scene) -> Iterator[dict[str, Transport]]:
    """Return an administrator, a service account that may do everything, and another operator."""
    for name in ("robot", "twinlease-operator"):
        scene.admin.request("POST", protocol.SERVICE_ACCOUNTS.path(scene.namespace), body={"metadata": {"name": name}})
    binding = {
        "metadata": {"name": f"{scene.namespace}-everything"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [
            {"kind": "ServiceAccount", "name": name, "namespace": scene.namespace}
            for name in ("robot", "twinlease-operator")
        ],
    }
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    scene.admin.request("POST", bindings, body=binding)
    robots = {name: account(scene.server, scene.namespace, name) for name in ("robot", "twinlease-operator")}
    yield {"admin": scene.admin, **robots}
    scene.admin.request("DELETE", f"{bindings}/{scene.namespace}-everything")


def test_nobody_else_changes_the_specification(scene: Scene, others: dict[str, Transport]) -> None:
    before = scene.spec()
    for who in others.values():
        said = forbidden(who, scene.path, changes(before))
        assert {path: words for path, words in said.items() if BY_OTHERS not in words} == {}
    assert scene.spec() == before


def test_whoever_edits_by_hand_is_told_what_to_do_instead(scene: Scene) -> None:
    said = refused(merge, scene.admin, scene.path, {"spec": {"phase": "Alone"}})
    for part in (
        BY_OTHERS,
        "set spec.ROLE.maintenance of the DHCPFailoverPair",
        "twinlease.io/confirm-dead=p-ROLE@5",
        "remove its finalizer twinlease.io/serving",
    ):
        assert part in said


def test_nobody_else_creates_one(scene: Scene, others: dict[str, Transport]) -> None:
    body = {
        "apiVersion": SERVING_LEASES.api_version,
        "kind": SERVING_LEASES.kind,
        "metadata": {"name": "q"},
        "spec": {},
    }
    for who in others.values():
        said = refused(partial(who.request, "POST", SERVING_LEASES.path(scene.namespace), body=body))
        assert "made by the operator only. Create a DHCPFailoverPair" in said
        path = SERVING_LEASES.path(scene.namespace, "q")
        assert "made by the operator only" in refused(applied, who, path, {"spec": {}})


def test_a_human_may_label_it_and_may_give_it_up(scene: Scene) -> None:
    merge(scene.admin, scene.path, {"metadata": {"labels": {"a": "b"}}})
    scene.admin.request("DELETE", scene.path)
    assert scene.read()["metadata"]["deletionTimestamp"]
    scene.own(Role.PRIMARY, {"renewal": 2})  # while it waits for its finalizer, servers go on renewing
    assert scene.spec()["servers"]["primary"]["own"]["renewal"] == 2
    merge(scene.admin, scene.path, {"metadata": {"finalizers": None}})
    assert Client(scene.admin, "test").find(SERVING_LEASES, "p", scene.namespace) is None


# --- the policy itself ------------------------------------------------------------------------------------------------
def shipped() -> dict[str, Json]:
    """Return the objects of the shipped file by kind."""
    with (MANIFESTS / "admission.yaml").open(encoding="utf-8") as file:
        return {found["kind"]: found for found in yaml.safe_load_all(file)}


def test_the_policy_is_set_to_fail_closed(scene: Scene) -> None:
    assert scene.admin.request("GET", POLICIES.path(None, NAME))["spec"]["failurePolicy"] == "Fail"
    assert scene.admin.request("GET", BINDINGS.path(None, NAME))["spec"]["validationActions"] == ["Deny"]


@pytest.mark.parametrize("variable", ["role", "pod", "sameDecision", "sameOthers", "sameMetadata"])
def test_a_rule_that_cannot_be_judged_refuses(scene: Scene, variable: str) -> None:
    objects = shipped()
    policy, binding = objects[POLICIES.kind], objects[BINDINGS.kind]
    name = f"{scene.namespace}-broken"
    for found in (policy, binding):
        found["metadata"]["name"] = name
    broken = next(each for each in policy["spec"]["variables"] if each["name"] == variable)
    rule = broken["expression"]
    broken["expression"] = f"dyn(object.spec).nothing ? ({rule}) : ({rule})"
    binding["spec"]["policyName"] = name
    here = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    binding["spec"]["matchResources"] = {"namespaceSelector": here}
    own = {"spec": {"servers": {"primary": {"own": {"renewal": 3}}}}}
    try:
        scene.admin.request("POST", POLICIES.path(), body=policy)
        scene.admin.request("POST", BINDINGS.path(), body=binding)
        until("the broken policy is in force", lambda: not _takes(scene, own), timeout=30.0)
        with pytest.raises(ApiError, match=rf"'{name}'.*no such key: nothing"):
            merge(scene.servers[Role.PRIMARY], scene.path, own)
        assert scene.spec()["servers"]["primary"]["own"]["renewal"] == 0
    finally:
        scene.admin.request("DELETE", BINDINGS.path(None, name))
        scene.admin.request("DELETE", POLICIES.path(None, name))


def _takes(scene: Scene, body: Json) -> bool:
    try:
        merge(scene.servers[Role.PRIMARY], scene.path, body, dryRun="All")
    except ApiError:
        return False
    return True


def test_the_operator_is_named_once(scene: Scene) -> None:
    del scene
    text = (MANIFESTS / "admission.yaml").read_text(encoding="utf-8")
    assert text.count("system:serviceaccount:twinlease-system:twinlease-operator") == 1
