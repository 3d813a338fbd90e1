"""The API over the standard library's HTTP, with the pod's service account: what the sidecar can afford.

One keep-alive connection per thread; a watch has a connection of its own. Nothing here retries but one thing: a request
that may safely be sent twice and met a connection that the server had closed while it lay idle.
"""

import http.client
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from twinlease.kube.protocol import APPLY_PATCH, JSON, ApiError, Json

T = TypeVar("T")

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_CHUNK = 64 * 1024
_MAX_LINE = 64 * 1024 * 1024
_BAD_STATUS = 400
# A dead path is noticed after idle + count x interval, about 20 s, also by a watch that is rightly silent.
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2))
_UNACKNOWLEDGED_MS = 20_000


class CachedFile(Generic[T]):
    """Something made from a file, made anew when the file is replaced (as kubelet replaces projected volumes).

    Args:
        path: The file.
        parse: Makes the value from the path.
    """

    def __init__(self, path: Path, parse: Callable[[Path], T]) -> None:
        self._path = path
        self._parse = parse
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._value: T | None = None

    def __call__(self) -> T:
        """Return the value of the file as it is now.

        Raises:
            ApiError: The file cannot be read or understood; status 0.
        """
        try:
            with self._lock:
                found = self._path.stat()
                seen = (found.st_mtime_ns, found.st_ino, found.st_size)
                if self._value is None or seen != self._seen:
                    self._value, self._seen = self._parse(self._path), seen
                return self._value
        except (OSError, ValueError) as error:
            raise ApiError(0, "", f"cannot read {self._path}: {error}") from error


class LightTransport:
    """The seam's ``Transport`` on ``http.client``.

    Args:
        host: Address or name of the API server.
        port: TCP port.
        context: Returns the TLS context; asked once per connection.
        token: Returns the bearer token; asked once per request. None where the TLS context holds a certificate.
        agent: What the server's audit log shall call us.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        context: Callable[[], ssl.SSLContext],
        token: Callable[[], str] | None = None,
        agent: str = "twinlease",
    ) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._token = token
        self._agent = agent
        self._local = threading.local()

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
        """Return the decoded answer; ``timeout`` (seconds) covers all of it, a second attempt included.

        Raises:
            ApiError: Any status of 400 and above, or no answer (status 0).
        """
        deadline = time.monotonic() + timeout
        content = None if body is None else msgspec.json.encode(body)
        headers = self._headers(content_type if content is not None else None)
        try:
            status, answer = self._exchange(method, _target(path, query), content, headers, deadline)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _no_answer(method, path, error) from error
        if status >= _BAD_STATUS:
            raise _refusal(status, answer)
        return _decoded(answer)

    @contextmanager
    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Iterator[Iterator[bytes]]:
        """Return a watch's lines as they come; ``timeout`` is the longest silence (seconds) that is no error.

        Raises:
            ApiError: As ``request``, also while iterating.
        """
        headers = self._headers(None)
        connection = self._connection(timeout)
        try:
            try:
                connection.request("GET", _target(path, query), headers=headers)
                response = connection.getresponse()
                refused = response.read() if response.status >= _BAD_STATUS else None
            except (OSError, http.client.HTTPException) as error:
                raise _no_answer("GET", path, error) from error
            if refused is not None:
                raise _refusal(response.status, refused)
            yield _lines(response, path)
        finally:
            connection.close()

    def close(self) -> None:
        """Drop this thread's connection; the next request makes a new one."""
        connection: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            connection.close()

    def _exchange(
        self, method: str, target: str, content: bytes | None, headers: dict[str, str], deadline: float
    ) -> tuple[int, bytes]:
        connection, reused = self._kept(deadline)
        try:
            return _send(connection, method, target, content, headers, deadline)
        except (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError):
            # The server may close an idle connection in the moment in which we use it. Only a fresh one proves more.
            if not reused or not _repeatable(method, headers):
                raise
        self.close()
        connection, _ = self._kept(deadline)
        return _send(connection, method, target, content, headers, deadline)

    def _kept(self, deadline: float) -> tuple[http.client.HTTPSConnection, bool]:
        """Return this thread's connection and whether it has been used before."""
        connection: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if connection is not None and connection.sock is not None and not _readable(connection.sock):
            return connection, True
        self.close()
        connection = self._connection(_left(deadline))
        self._local.connection = connection
        return connection, False

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        """Return a connected connection."""
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._context())
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ApiError(0, "", f"cannot connect to the API server {self._host}:{self._port}: {error}") from error
        for option, value in _KEEP_ALIVE:
            connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
        return connection

    def _headers(self, content_type: str | None) -> dict[str, str]:
        headers = {"Accept": JSON, "User-Agent": self._agent}
        if content_type is not None:
            headers["Content-Type"] = content_type
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        return headers


def in_cluster(environment: Mapping[str, str], directory: Path = SERVICE_ACCOUNT, *, agent: str) -> LightTransport:
    """Return the transport of a pod's service account.

    Args:
        environment: Holds KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.
        directory: Holds ``token`` and ``ca.crt``, which may be replaced at any time.
        agent: What the server's audit log shall call us.

    Raises:
        ApiError: The environment names no API server.
    """
    try:
        host, port = environment["KUBERNETES_SERVICE_HOST"], int(environment["KUBERNETES_SERVICE_PORT"])
    except (KeyError, ValueError) as error:
        raise ApiError(0, "", f"not in a cluster: {error} in the environment") from error
    context = CachedFile(directory / "ca.crt", lambda path: ssl.create_default_context(cafile=str(path)))
    token = CachedFile(directory / "token", lambda path: path.read_text(encoding="ascii").strip())
    return LightTransport(host, port, context=context, token=token, agent=agent)


def _send(
    connection: http.client.HTTPSConnection,
    method: str,
    target: str,
    content: bytes | None,
    headers: dict[str, str],
    deadline: float,
) -> tuple[int, bytes]:
    sock = connection.sock
    sock.settimeout(_left(deadline))
    connection.request(method, target, body=content, headers=headers)
    sock.settimeout(_left(deadline))
    response = connection.getresponse()
    parts = []
    # Not read(): its timeout would start anew with each packet of an answer that trickles.
    while part := response.read1(_CHUNK):
        parts.append(part)
        sock.settimeout(_left(deadline))
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    response.close()
    return response.status, b"".join(parts)


def _lines(response: http.client.HTTPResponse, path: str) -> Iterator[bytes]:
    rest = b""
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _no_answer("GET", path, error) from error
        if not chunk:
            return
        *complete, rest = (rest + chunk).split(b"\n")
        yield from filter(None, complete)
        if len(rest) > _MAX_LINE:
            raise ApiError(0, "", f"GET {path}: a line longer than {_MAX_LINE} bytes")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _readable(sock: socket.socket) -> bool:
    """Tell whether something came on an idle connection: never an answer, so most likely its end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _repeatable(method: str, headers: Mapping[str, str]) -> bool:
    """Tell whether sending twice does what sending once does, with the same answer."""
    return method == "GET" or (method == "PATCH" and headers.get("Content-Type") == APPLY_PATCH)


def _target(path: str, query: Mapping[str, str] | None) -> str:
    target = quote(path, safe="/:")
    return f"{target}?{urlencode(query)}" if query else target


def _decoded(answer: bytes) -> Json:
    try:
        return msgspec.json.decode(answer, type=Json) if answer else {}
    except msgspec.DecodeError as error:
        raise ApiError(0, "", f"the API server's answer is no JSON object: {error}") from error


def _refusal(status: int, answer: bytes) -> ApiError:
    try:
        said = msgspec.json.decode(answer, type=Json)
        return ApiError(status, str(said.get("reason") or ""), str(said.get("message") or "refused"))
    except msgspec.DecodeError:
        # Proxies and the server's own multiplexer answer in plain text.
        return ApiError(status, "", answer[:300].decode(errors="replace").strip())


def _no_answer(method: str, path: str, error: Exception) -> ApiError:
    return ApiError(0, "", f"{method} {path}: {str(error) or type(error).__name__}")
