"""Requests are timed, however they end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from twinlease.kube.protocol import JSON, ApiError, Json
from twinlease.kube.timed import TimedTransport


class Answers:
    """A transport that answers as it was told."""

    def __init__(self, answer: Json | Exception) -> None:
        self._answer = answer

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout: float = 10.0,
    ) -> Json:
        """Return what was asked for, or fail."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return {"asked": [method, path, query, body, content_type, timeout], **self._answer}

    @contextmanager
    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Iterator[Iterator[bytes]]:
        """Return what was asked for."""
        yield iter([f"{path} {query} {timeout}".encode()])


def test_a_request_goes_through_as_it_is_and_is_timed() -> None:
    seen: list[tuple[float, tuple[str, ...]]] = []
    timed = TimedTransport(Answers({}), lambda seconds, labels: seen.append((seconds, labels)))

    answer = timed.request("PATCH", "/p", query={"a": "b"}, body=[1], content_type="x", timeout=3.0)
    assert answer == {"asked": ["PATCH", "/p", {"a": "b"}, [1], "x", 3.0]}
    ((seconds, labels),) = seen
    assert (0 <= seconds < 5, labels) == (True, ("PATCH", "ok"))
    with timed.stream("/w", query={"watch": "1"}, timeout=2.0) as lines:
        assert list(lines) == [b"/w {'watch': '1'} 2.0"]
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("status", "result"), [(409, "conflict"), (403, "refused"), (500, "refused"), (0, "unreachable")]
)
def test_an_error_is_passed_on_and_counted_as_what_it_is(status: int, result: str) -> None:
    seen: list[tuple[str, ...]] = []
    error = ApiError(status, "Reason", "message")
    timed = TimedTransport(Answers(error), lambda _, labels: seen.append(labels))

    with pytest.raises(ApiError) as caught:
        timed.request("GET", "/p")
    assert caught.value is error
    assert seen == [("GET", result)]
