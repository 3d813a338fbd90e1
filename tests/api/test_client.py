"""Our client on both of its transports, against a real API server."""

import base64
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.lab.apiserver import ApiServer
from twinlease.kube import official
from twinlease.kube.client import Client, EventType, WatchEvent
from twinlease.kube.light import LightTransport
from twinlease.kube.protocol import CONFIG_MAPS, SERVERS, ApiError, Json


def light(server: ApiServer, directory: Path) -> LightTransport:
    """Return the light transport as the server's administrator."""
    found: dict[str, Any] = msgspec.json.decode(server.kubeconfig.read_bytes())
    cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
    pem = directory / "user.pem"
    pem.write_bytes(b"".join(base64.b64decode(user[f"client-{what}-data"]) for what in ("certificate", "key")))
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    context.load_cert_chain(pem)
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    return LightTransport(host, int(port), context=lambda: context)


@pytest.fixture(params=["light", "official"])
def client(request: pytest.FixtureRequest, server: ApiServer, tmp_path: Path) -> Iterator[Client]:
    """Return a client on each of the transports."""
    if request.param == "light":
        transport = light(server, tmp_path)
        yield Client(transport, "twinlease-test")
        transport.close()
    else:
        yield Client(official.OfficialTransport(official.configuration(server.kubeconfig)), "twinlease-test")


def config(name: str, namespace: str, **data: str) -> Json:
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"test": "yes"}}, "data": data}


def test_create_get_find_delete(client: Client, namespace: str) -> None:
    made = client.create(CONFIG_MAPS, config("a", namespace, k="v"))
    assert client.get(CONFIG_MAPS, "a", namespace)["data"] == {"k": "v"}
    with pytest.raises(ApiError) as twice:
        client.create(CONFIG_MAPS, config("a", namespace))
    assert (twice.value.status, twice.value.reason) == (409, "AlreadyExists")
    with pytest.raises(ApiError) as other:
        client.delete(CONFIG_MAPS, "a", namespace, uid="another-uid")
    assert other.value.status == 409
    client.delete(CONFIG_MAPS, "a", namespace, uid=made["metadata"]["uid"])
    assert client.find(CONFIG_MAPS, "a", namespace) is None


def test_apply_owns_what_it_applied_and_gives_up_what_it_leaves_out(client: Client, namespace: str) -> None:
    client.apply(CONFIG_MAPS, config("a", namespace, mine="1", dropped="1"))
    client.merge_patch(CONFIG_MAPS, "a", namespace, {"data": {"theirs": "1"}})
    client.apply(CONFIG_MAPS, config("a", namespace, mine="2"))
    stored = client.get(CONFIG_MAPS, "a", namespace)
    assert stored["data"] == {"mine": "2", "theirs": "1"}
    assert "twinlease-test" in {entry["manager"] for entry in stored["metadata"]["managedFields"]}


def test_apply_that_changes_nothing_is_no_change(client: Client, namespace: str) -> None:
    first = client.apply(CONFIG_MAPS, config("a", namespace, k="v"))
    again = client.apply(CONFIG_MAPS, config("a", namespace, k="v"))
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]


def test_apply_without_force_respects_another_owner(client: Client, namespace: str, server: ApiServer) -> None:
    server.kubectl("create", "configmap", "a", "--from-literal=k=theirs", "-n", namespace)
    with pytest.raises(ApiError) as conflict:
        client.apply(CONFIG_MAPS, config("a", namespace, k="ours"), force=False)
    assert conflict.value.status == 409
    assert client.apply(CONFIG_MAPS, config("a", namespace, k="ours"))["data"] == {"k": "ours"}


def test_replace_is_compare_and_swap(client: Client, namespace: str) -> None:
    old = client.create(CONFIG_MAPS, config("a", namespace, k="1"))
    new = client.replace(CONFIG_MAPS, {**old, "data": {"k": "2"}})
    with pytest.raises(ApiError) as late:
        client.replace(CONFIG_MAPS, {**old, "data": {"k": "3"}})
    assert (late.value.status, late.value.reason) == (409, "Conflict")
    assert client.get(CONFIG_MAPS, "a", namespace)["metadata"]["resourceVersion"] == new["metadata"]["resourceVersion"]


def test_a_json_patch_whose_test_fails_changes_nothing(client: Client, namespace: str) -> None:
    client.create(CONFIG_MAPS, config("a", namespace, k="1"))
    swap = [{"op": "test", "path": "/data/k", "value": "1"}, {"op": "replace", "path": "/data/k", "value": "2"}]
    assert client.json_patch(CONFIG_MAPS, "a", namespace, swap)["data"] == {"k": "2"}
    with pytest.raises(ApiError) as refused:
        client.json_patch(CONFIG_MAPS, "a", namespace, swap)
    assert refused.value.status == 422
    assert client.get(CONFIG_MAPS, "a", namespace)["data"] == {"k": "2"}


def test_the_status_of_a_server_is_applied_apart_from_its_spec(client: Client, namespace: str) -> None:
    metadata = {"name": "lan-primary", "namespace": namespace}
    spec = {"pairRef": {"name": "lan"}, "role": "primary", "failoverName": "lan", "interface": "eth0"}
    client.apply(SERVERS, {"metadata": metadata, "spec": spec})
    stored = client.apply(SERVERS, {"metadata": metadata, "status": {"serving": True}}, subresource="status")
    assert stored["status"]["serving"] is True
    assert stored["metadata"]["generation"] == 1
    again = client.apply(SERVERS, {"metadata": metadata, "status": {"serving": True}}, subresource="status")
    assert again["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    with pytest.raises(ApiError) as nobody:
        client.apply(SERVERS, {"metadata": {**metadata, "name": "none"}, "status": {}}, subresource="status")
    assert nobody.value.status == 404


def test_a_list_in_pages_is_the_list(client: Client, namespace: str) -> None:
    for number in range(7):
        client.create(CONFIG_MAPS, config(f"c{number}", namespace))
    client.create(CONFIG_MAPS, {"metadata": {"name": "other", "namespace": namespace}})
    found = client.list(CONFIG_MAPS, namespace, label_selector="test=yes", page=3)
    assert [item["metadata"]["name"] for item in found.items] == [f"c{number}" for number in range(7)]
    (one,) = client.list(CONFIG_MAPS, namespace, field_selector="metadata.name=c3").items
    assert (one["kind"], one["metadata"]["name"]) == ("ConfigMap", "c3")


def changes(
    events: Iterator[WatchEvent], done: threading.Event, seen: list[tuple[EventType, str]]
) -> Callable[[], None]:
    def follow() -> None:
        for event in events:
            seen.append((event.type, event.object["metadata"]["name"]))
            if event.object["metadata"]["name"] == "last":
                done.set()
                return

    return follow


def test_a_watch_tells_what_its_selector_selects_and_outlives_its_requests(client: Client, namespace: str) -> None:
    client.create(CONFIG_MAPS, config("a", namespace))
    version = client.list(CONFIG_MAPS, namespace).resource_version
    # A silence of 2 s makes the server end each request after 1 s: the watch below is several of them.
    events = client.watch(CONFIG_MAPS, namespace, resource_version=version, label_selector="test=yes", silence=2)
    done, seen = threading.Event(), list[tuple[EventType, str]]()
    follower = threading.Thread(target=changes(events, done, seen), daemon=True)
    follower.start()
    client.merge_patch(CONFIG_MAPS, "a", namespace, {"data": {"k": "1"}})
    client.create(CONFIG_MAPS, {"metadata": {"name": "unseen", "namespace": namespace}})
    assert not done.wait(2.5)
    client.delete(CONFIG_MAPS, "a", namespace)
    client.create(CONFIG_MAPS, config("last", namespace))
    assert done.wait(10)
    follower.join(5)
    assert seen == [(EventType.MODIFIED, "a"), (EventType.DELETED, "a"), (EventType.ADDED, "last")]


def test_a_refusal_by_the_schema_names_the_field(client: Client, namespace: str) -> None:
    spec = {"pairRef": {"name": "lan"}, "role": "third", "failoverName": "lan"}
    with pytest.raises(ApiError, match=r"spec\.role") as refused:
        client.apply(SERVERS, {"metadata": {"name": "x", "namespace": namespace}, "spec": spec})
    assert (refused.value.status, refused.value.reason) == (422, "Invalid")
