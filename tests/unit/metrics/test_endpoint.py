"""The endpoint answers those who look, and bounds what anybody else can make it do."""

import http.client
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.waiting import until
from twinlease.metrics.endpoint import MAX_CONNECTIONS, MAX_REQUEST, Answer, Endpoint, answer, health, kept

PAGES = {"/metrics": lambda: Answer(b"a 1\n", "text/plain; version=0.0.4")}


def broken() -> Answer:
    raise RuntimeError("a fault of ours")


@pytest.fixture
def port() -> Iterator[int]:
    """The port of an endpoint on the loopback."""
    endpoint = Endpoint("127.0.0.1", 0, {**PAGES, "/healthz": health(lambda: ""), "/broken": broken}, patience=1.0)
    endpoint.bind()
    endpoint.start()
    yield endpoint.port
    endpoint.close()
    endpoint.join(timeout=5)
    assert not endpoint.is_alive()


def asked(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read()


def said(port: int, data: bytes) -> bytes:
    """Send what is no client's, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(data)
        parts = []
        try:
            while part := sock.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)


def test_pages_are_found_by_path(port: int) -> None:
    assert asked(port, "/metrics") == (200, b"a 1\n")
    assert asked(port, "/metrics?name[]=x") == (200, b"a 1\n")
    assert asked(port, "/healthz") == (200, b"ok\n")
    assert asked(port, "/") == (404, b"Not Found\n")
    assert asked(port, "/metrics/../../etc/passwd")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "get"])
def test_get_is_all_there_is(port: int, method: str) -> None:
    assert asked(port, "/metrics", method)[0] == 405


def test_a_page_that_fails_ends_nothing(port: int) -> None:
    assert asked(port, "/broken") == (500, b"Internal Server Error\n")
    assert asked(port, "/healthz")[0] == 200


def test_a_request_that_is_too_long_is_refused(port: int) -> None:
    head = b"GET /metrics HTTP/1.1\r\nX: "
    assert said(port, head.ljust(MAX_REQUEST + 1, b"y")).startswith(b"HTTP/1.1 431 ")
    assert asked(port, "/metrics")[0] == 200


def test_a_request_that_does_not_come_to_its_end_is_dropped(port: int) -> None:
    began = time.monotonic()
    assert said(port, b"GET /metrics HTTP/1.1\r\n") == b""
    assert 0.9 < time.monotonic() - began < 5


def test_who_holds_all_connections_is_rid_of_in_time(port: int) -> None:
    with ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            for _ in range(MAX_CONNECTIONS)
        ]
        for sock in held:
            sock.sendall(b"G")
        assert said(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
        until("there is room again", answered(port), timeout=10, every=0.2)


def answered(port: int) -> Callable[[], bool]:
    def ask() -> bool:
        try:
            return asked(port, "/healthz")[0] == 200
        except (ConnectionError, http.client.BadStatusLine):
            return False

    return ask


def test_an_address_that_is_taken_is_waited_for(port: int, caplog: pytest.LogCaptureFixture) -> None:
    second = Endpoint("127.0.0.1", port, PAGES)
    second.start()
    until("it says so", lambda: "cannot listen" in caplog.text, timeout=5)
    second.close()
    second.join(timeout=15)
    assert not second.is_alive()


def test_a_page_is_made_once_for_all_who_ask_at_the_same_time() -> None:
    now, made = [0.0], []
    page = kept(lambda: made.append(1) or Answer(b"%d" % len(made)), lambda: now[0], seconds=0.5)

    assert (page().body, page().body) == (b"1", b"1")
    now[0] = 0.6
    assert page().body == b"2"


def test_a_probe_says_what_is_wrong() -> None:
    assert health(lambda: "no answer from the API")() == Answer(b"no answer from the API\n", status=503)


@given(st.binary(max_size=200))
def test_no_request_is_a_fault(head: bytes) -> None:
    assert answer(head, PAGES).status in (400, 404, 405)
