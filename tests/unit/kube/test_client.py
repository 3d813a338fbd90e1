"""The API client over a transport that answers from a script."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import msgspec
import pytest

from twinlease.kube.client import Client, EventType, Expired, Propagation
from twinlease.kube.protocol import CONFIG_MAPS, NODES, PODS, SERVERS, ApiError, Json


class Script:
    """A transport that records what it is asked and answers what it was given, in order."""

    def __init__(self, *answers: Json | ApiError | list[Json | ApiError]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def request(self, method: str, path: str, **arguments: Any) -> Json:  # noqa: ANN401  # as the protocol's
        """Answer the next of the script."""
        self.asked.append({"method": method, "path": path, **arguments, "query": dict(arguments["query"] or {})})
        answer = self.answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        assert isinstance(answer, dict)
        return answer

    @contextmanager
    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Iterator[Iterator[bytes]]:
        """Stream the next of the script."""
        self.asked.append({"method": "WATCH", "path": path, "query": dict(query or {}), "timeout": timeout})
        answer = self.answers.pop(0)
        assert isinstance(answer, list)
        yield self._lines(answer)

    def _lines(self, answer: list[Json | ApiError]) -> Iterator[bytes]:
        for line in answer:
            if isinstance(line, ApiError):
                raise line
            yield msgspec.json.encode(line)


def pod(name: str, version: str = "1") -> Json:
    return {"metadata": {"name": name, "namespace": "n", "resourceVersion": version}}


def event(kind: str, name: str, version: str) -> Json:
    return {"type": kind, "object": pod(name, version)}


def test_find_tells_absence_from_failure() -> None:
    gone, broken = ApiError(404, "NotFound", "no"), ApiError(500, "InternalError", "oops")
    client = Client(Script(gone, broken), "m")
    assert client.find(PODS, "a", "n") is None
    with pytest.raises(ApiError, match="oops"):
        client.find(PODS, "a", "n")


def test_a_list_is_read_page_by_page_and_its_items_say_what_they_are() -> None:
    script = Script(
        {"metadata": {"continue": "c1", "resourceVersion": "7"}, "items": [pod("a")]},
        {"metadata": {"resourceVersion": "7"}, "items": [pod("b")]},
    )
    found = Client(script, "m").list(PODS, "n", label_selector="x=y", page=1)
    assert [item["metadata"]["name"] for item in found.items] == ["a", "b"]
    assert {(item["kind"], item["apiVersion"]) for item in found.items} == {("Pod", "v1")}
    assert found.resource_version == "7"
    assert [ask["query"] for ask in script.asked] == [
        {"labelSelector": "x=y", "limit": "1"},
        {"labelSelector": "x=y", "limit": "1", "continue": "c1"},
    ]


def test_a_list_whose_pages_expire_is_read_at_once() -> None:
    script = Script(
        {"metadata": {"continue": "c1", "resourceVersion": "7"}, "items": [pod("a")]},
        ApiError(410, "Expired", "too old"),
        {"metadata": {"resourceVersion": "9"}, "items": [pod("a"), pod("b")]},
    )
    found = Client(script, "m").list(PODS, "n", page=1)
    assert len(found.items) == 2
    assert "limit" not in script.asked[-1]["query"]


def test_apply_names_the_manager_and_fills_in_the_kind() -> None:
    script = Script({}, {})
    client = Client(script, "twinlease-x")
    client.apply(SERVERS, {"metadata": {"name": "s", "namespace": "n"}, "status": {}}, subresource="status")
    client.apply(NODES, {"metadata": {"name": "s"}}, force=False)
    first, second = script.asked
    assert first["method"] == "PATCH"
    assert first["path"] == "/apis/twinlease.io/v1alpha1/namespaces/n/dhcpservers/s/status"
    assert first["content_type"] == "application/apply-patch+yaml"
    assert first["query"] == {"fieldManager": "twinlease-x", "force": "true"}
    assert (first["body"]["kind"], first["body"]["apiVersion"]) == ("DHCPServer", "twinlease.io/v1alpha1")
    assert second["path"] == "/api/v1/nodes/s"
    assert second["query"]["force"] == "false"


def test_a_replacement_without_a_version_is_refused_before_it_is_sent() -> None:
    script = Script({})
    client = Client(script, "m")
    with pytest.raises(ValueError, match="resourceVersion"):
        client.replace(PODS, {"metadata": {"name": "a", "namespace": "n"}})
    assert script.asked == []
    client.replace(PODS, pod("a"))
    assert script.asked[0]["method"] == "PUT"
    assert script.asked[0]["body"]["metadata"]["resourceVersion"] == "1"


def test_patches_carry_their_content_types() -> None:
    script = Script({}, {})
    client = Client(script, "m")
    client.json_patch(PODS, "a", "n", [{"op": "test", "path": "/x", "value": 1}])
    client.merge_patch(CONFIG_MAPS, "a", "n", {"data": None}, subresource="status")
    assert [ask["content_type"] for ask in script.asked] == [
        "application/json-patch+json",
        "application/merge-patch+json",
    ]
    assert script.asked[1]["path"].endswith("/configmaps/a/status")


def test_delete_says_which_object_it_means() -> None:
    script = Script({})
    Client(script, "m").delete(PODS, "a", "n", uid="u-1", grace_seconds=5, propagation=Propagation.FOREGROUND)
    assert script.asked[0]["body"] == {
        "propagationPolicy": "Foreground",
        "preconditions": {"uid": "u-1"},
        "gracePeriodSeconds": 5,
    }


def test_a_watch_goes_on_from_its_last_bookmark() -> None:
    script = Script(
        [event("ADDED", "a", "11"), {"type": "BOOKMARK", "object": pod("", "15")}],
        [event("DELETED", "a", "16")],
    )
    changes = Client(script, "m").watch(PODS, "n", resource_version="10", field_selector="metadata.name=a", silence=40)
    first, second = islice(changes, 2)
    assert (first.type, first.object["metadata"]["name"]) == (EventType.ADDED, "a")
    assert second.type is EventType.DELETED
    assert [ask["query"]["resourceVersion"] for ask in script.asked] == ["10", "15"]
    assert script.asked[0]["query"]["fieldSelector"] == "metadata.name=a"
    assert script.asked[0]["query"]["timeoutSeconds"] == "30"
    assert script.asked[0]["timeout"] == 40


@pytest.mark.parametrize(
    "answer",
    [
        [{"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old resource version"}}],
        [ApiError(410, "Gone", "too old resource version")],
    ],
)
def test_a_watch_that_fell_behind_says_so(answer: list[Json | ApiError]) -> None:
    with pytest.raises(Expired, match="too old"):
        next(Client(Script(answer), "m").watch(PODS, "n", resource_version="1"))


@pytest.mark.parametrize(
    "line",
    [
        {"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}},
        {"type": "PERPLEXED", "object": pod("a")},
        {"kind": "no event at all"},
    ],
)
def test_any_other_failure_of_a_watch_is_an_api_error(line: Json) -> None:
    with pytest.raises(ApiError) as caught:
        next(Client(Script([line]), "m").watch(PODS, "n", resource_version="1"))
    assert not isinstance(caught.value, Expired)


def test_a_watch_that_ends_at_once_is_no_busy_loop() -> None:
    with pytest.raises(ApiError, match="ended at once"):
        next(Client(Script([], []), "m").watch(PODS, "n", resource_version="1"))
