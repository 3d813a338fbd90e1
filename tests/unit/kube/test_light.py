"""The light transport against a TLS server on loopback that behaves as badly as a test wants."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twinlease.kube.light import CachedFile, LightTransport, in_cluster
from twinlease.kube.protocol import APPLY_PATCH, ApiError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + b'{"n":"1"}'

Handler = Callable[[ssl.SSLSocket, int], None]


def read_request(sock: ssl.SSLSocket) -> bytes:
    """Return one request with its body; empty where the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


class Server:
    """Accepts TLS connections and hands each, with its number, to a handler."""

    def __init__(self, handler: Handler, certificate: Path) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._handler = handler
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with raw:
                try:
                    with self._context.wrap_socket(raw, server_side=True) as sock:
                        self._handler(sock, self.connections)
                except OSError:
                    continue

    def close(self) -> None:
        """Stop accepting."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def self_signed(key: Path, certificate: Path) -> None:
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
    name = ["-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *made, *name], check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate for 127.0.0.1."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    self_signed(file, Path(f"{file}.crt"))
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


@pytest.fixture
def serve(certificate: Path) -> Iterator[Callable[[Handler], Server]]:
    """Return a function that starts a server."""
    servers: list[Server] = []

    def start(handler: Handler) -> Server:
        servers.append(Server(handler, certificate))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def account(tmp_path: Path, certificate: Path) -> Path:
    """Return a service account's directory."""
    (tmp_path / "token").write_text("token-1\n", encoding="ascii")
    (tmp_path / "ca.crt").write_bytes(Path(f"{certificate}.crt").read_bytes())
    return tmp_path


def transport(server: Server, account: Path) -> LightTransport:
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
    return in_cluster(environment, account, agent="twinlease-test")


def answering(seen: list[bytes], *, per_connection: int = 1000) -> Handler:
    """Return a handler that answers so many requests and closes without a word."""

    def handle(sock: ssl.SSLSocket, _number: int) -> None:
        for _ in range(per_connection):
            request = read_request(sock)
            if not request:
                return
            seen.append(request)
            sock.sendall(OK)

    return handle


def test_requests_share_a_connection_and_carry_the_token_as_it_is_now(
    serve: Callable[[Handler], Server], account: Path
) -> None:
    seen: list[bytes] = []
    server = serve(answering(seen))
    api = transport(server, account)
    assert api.request("GET", "/a b", query={"x": "y&z"}) == {"n": "1"}
    replacement = account / "token.new"
    replacement.write_text("token-22\n", encoding="ascii")
    replacement.replace(account / "token")
    assert api.request("PATCH", "/b", body={"k": 1}, content_type=APPLY_PATCH) == {"n": "1"}
    api.close()
    assert server.connections == 1
    assert seen[0].startswith(b"GET /a%20b?x=y%26z HTTP/1.1\r\n")
    assert b"Authorization: Bearer token-1\r\n" in seen[0]
    assert b"Authorization: Bearer token-22\r\n" in seen[1]
    assert b"Content-Type: application/apply-patch+yaml\r\n" in seen[1]
    assert seen[1].endswith(b'\r\n\r\n{"k":1}')


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_the_server_has_closed_is_not_used_again(
    serve: Callable[[Handler], Server], account: Path, method: str
) -> None:
    seen: list[bytes] = []
    server = serve(answering(seen, per_connection=1))
    api = transport(server, account)
    for expected in (1, 2):
        api.request(method, "/x", body={} if method == "POST" else None)
        assert len(seen) == expected
        deadline = time.monotonic() + 5
        while server.connections < expected and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)  # the server's FIN travels over loopback: there is no event to wait for on this side
    api.close()


def closing_on_second_request(seen: list[bytes]) -> Handler:
    """Return a handler that drops its first connection when the second request has come."""

    def handle(sock: ssl.SSLSocket, number: int) -> None:
        seen.append(read_request(sock))
        sock.sendall(OK)
        seen.append(read_request(sock))
        if number > 1:
            sock.sendall(OK)

    return handle


def test_a_repeatable_request_is_sent_again_on_a_stale_connection(
    serve: Callable[[Handler], Server], account: Path
) -> None:
    seen: list[bytes] = []
    api = transport(serve(closing_on_second_request(seen)), account)
    api.request("GET", "/1")
    assert api.request("GET", "/2") == {"n": "1"}
    api.close()
    assert [request.split()[1] for request in seen[:3]] == [b"/1", b"/2", b"/2"]


def test_a_request_that_may_have_worked_is_not_sent_again(serve: Callable[[Handler], Server], account: Path) -> None:
    seen: list[bytes] = []
    api = transport(serve(closing_on_second_request(seen)), account)
    api.request("GET", "/1")
    with pytest.raises(ApiError) as caught:
        api.request("POST", "/2", body={})
    api.close()
    assert caught.value.status == 0
    assert [request.split()[1] for request in seen] == [b"/1", b"/2"]


def test_a_refusal_carries_the_status_objects_reason(serve: Callable[[Handler], Server], account: Path) -> None:
    said = b'{"kind":"Status","reason":"Conflict","message":"it changed","code":409}'
    texts = [
        b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n404 page not found\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html/>",
    ]

    def handle(sock: ssl.SSLSocket, _number: int) -> None:
        for text in texts:
            read_request(sock)
            sock.sendall(text)

    api = transport(serve(handle), account)
    caught = []
    for _ in texts:
        with pytest.raises(ApiError) as error:
            api.request("GET", "/x")
        caught.append((error.value.status, error.value.reason, error.value.message))
    api.close()
    assert caught[0] == (409, "Conflict", "it changed")
    assert caught[1] == (404, "", "404 page not found")
    assert caught[2][0] == 0
    assert "no JSON object" in caught[2][2]


def test_the_deadline_covers_an_answer_that_trickles(serve: Callable[[Handler], Server], account: Path) -> None:
    ended = threading.Event()

    def handle(sock: ssl.SSLSocket, _number: int) -> None:
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not ended.wait(0.1):
            sock.sendall(b" ")

    api = transport(serve(handle), account)
    began = time.monotonic()
    with pytest.raises(ApiError, match="timed out"):
        api.request("GET", "/x", timeout=0.5)
    ended.set()
    assert time.monotonic() - began < 2


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_stream_yields_lines_however_they_are_cut(serve: Callable[[Handler], Server], account: Path) -> None:
    def handle(sock: ssl.SSLSocket, _number: int) -> None:
        read_request(sock)
        sock.sendall(CHUNKED)
        for part in (b'{"a":', b'1}\n{"b":2}\n', b'{"c":3}\n'):
            sock.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        sock.sendall(b"0\r\n\r\n")

    api = transport(serve(handle), account)
    with api.stream("/watch") as lines:
        assert list(lines) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_a_silent_stream_is_an_error_in_time(serve: Callable[[Handler], Server], account: Path) -> None:
    ended = threading.Event()

    def handle(sock: ssl.SSLSocket, _number: int) -> None:
        read_request(sock)
        sock.sendall(CHUNKED + b"3\r\n{}\n\r\n")
        ended.wait(10)

    api = transport(serve(handle), account)
    began = time.monotonic()
    with api.stream("/watch", timeout=0.3) as lines:
        assert next(lines) == b"{}"
        with pytest.raises(ApiError, match="timed out"):
            next(lines)
    ended.set()
    assert time.monotonic() - began < 3


def test_a_stream_that_breaks_off_is_an_error(serve: Callable[[Handler], Server], account: Path) -> None:
    def handle(sock: ssl.SSLSocket, _number: int) -> None:
        read_request(sock)
        sock.sendall(CHUNKED + b"3\r\n{}\n\r\n")

    api = transport(serve(handle), account)
    with pytest.raises(ApiError), api.stream("/watch", timeout=5) as lines:
        assert list(lines)


def test_a_refused_stream_is_an_error_at_once(serve: Callable[[Handler], Server], account: Path) -> None:
    def handle(sock: ssl.SSLSocket, _number: int) -> None:
        read_request(sock)
        said = b'{"reason":"Expired","message":"old"}'
        sock.sendall(b"HTTP/1.1 410 Gone\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))

    api = transport(serve(handle), account)
    with pytest.raises(ApiError) as caught, api.stream("/watch"):
        pass
    assert (caught.value.status, caught.value.reason) == (410, "Expired")


def test_nobody_listening_is_an_error_without_a_status(account: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
    with pytest.raises(ApiError, match="cannot connect") as caught:
        in_cluster(environment, account, agent="t").request("GET", "/x")
    assert caught.value.status == 0


def test_a_server_that_the_authority_did_not_sign_is_refused(
    serve: Callable[[Handler], Server], tmp_path: Path, account: Path
) -> None:
    server = serve(answering([]))
    self_signed(tmp_path / "other.key", account / "ca.crt")
    with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
        transport(server, account).request("GET", "/x")


@pytest.mark.parametrize("environment", [{}, {"KUBERNETES_SERVICE_HOST": "a", "KUBERNETES_SERVICE_PORT": "b"}])
def test_outside_a_cluster_there_is_no_transport(environment: dict[str, str]) -> None:
    with pytest.raises(ApiError, match="not in a cluster"):
        in_cluster(environment, agent="t")


def test_a_missing_file_is_an_api_error(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="cannot read"):
        CachedFile(tmp_path / "none", Path.read_text)()
