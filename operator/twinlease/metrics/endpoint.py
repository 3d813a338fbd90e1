"""A small HTTP server for those who look: GET only, and bounded in everything that a stranger could make it do.

Of a sidecar it listens on the node's own network. So a request has 8 KiB and five seconds, there are eight at a time
and fifty a second, what is answered is made at most twice a second, and no part of a request but its path counts.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

from twinlease.log import kv

_log = logging.getLogger(__name__)

MAX_REQUEST = 8 * 1024
"""Bytes of a request's head."""
REQUEST_SECONDS = 5.0
"""For a whole request and its answer."""
MAX_CONNECTIONS = 8
_ACCEPT_PAUSE_SECONDS = 0.02
_KEPT_SECONDS = 0.5
_BIND_AGAIN_SECONDS = 10.0
_PLAIN = "text/plain; charset=utf-8"
_END = b"\r\n\r\n"


class Answer(NamedTuple):
    """What is answered."""

    body: bytes
    content_type: str = _PLAIN
    status: HTTPStatus = HTTPStatus.OK


Page = Callable[[], Answer]


def health(problem: Callable[[], str]) -> Page:
    """Return the page of a probe: 200 and ``ok``, or 503 and the sentence that ``problem`` returns."""

    def page() -> Answer:
        said = problem()
        if said:
            return Answer(f"{said}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer(b"ok\n")

    return page


def answer(head: bytes, pages: Mapping[str, Page]) -> Answer:
    """Return the answer to a request's head; a page that fails is a 500, and is logged.

    Args:
        head: The request up to the empty line.
        pages: By path.
    """
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004  # method, target, version
        return _refusal(HTTPStatus.BAD_REQUEST)
    if words[0] != b"GET":
        return _refusal(HTTPStatus.METHOD_NOT_ALLOWED)
    page = pages.get(words[1].split(b"?", 1)[0].decode("ascii", "replace"))
    if page is None:
        return _refusal(HTTPStatus.NOT_FOUND)
    try:
        return page()
    except Exception:  # noqa: BLE001  # whatever it is: who looks must not end what is looked at
        _log.exception("a page failed", extra=kv(path=words[1][:80]))
        return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR)


def _refusal(status: HTTPStatus) -> Answer:
    return Answer(f"{status.phrase}\n".encode(), status=status)


def kept(page: Page, clock: Callable[[], float] = time.monotonic, seconds: float = _KEPT_SECONDS) -> Page:
    """Return a page that is made anew at most once in so many seconds, and by one at a time."""
    lock = threading.Lock()
    last: list[tuple[float, Answer]] = []

    def look() -> Answer:
        with lock:
            if not last or clock() - last[0][0] >= seconds:
                last[:] = [(clock(), page())]
            return last[0][1]

    return look


class Endpoint(threading.Thread):
    """Listens, and answers each connection once.

    An address that cannot be had is said once and tried again for ever: nothing else depends on it.

    Args:
        address: To listen on, of either family; empty: all of IPv4.
        port: TCP port; 0: any, for tests.
        pages: By path.
        patience: Seconds for a whole request and its answer.
    """

    def __init__(self, address: str, port: int, pages: Mapping[str, Page], patience: float = REQUEST_SECONDS) -> None:
        super().__init__(name="http", daemon=True)
        self.port = port
        self._patience = patience
        self._address = address
        self._pages = pages
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._closing = threading.Event()
        self._socket: socket.socket | None = None

    def run(self) -> None:
        """Serve until closed."""
        said = ""
        while not self._closing.is_set():
            try:
                self.bind()
            except OSError as error:
                if str(error) != said:
                    said = str(error)
                    _log.warning("cannot listen", extra=kv(address=self._address, port=self.port, why=said))
                self._closing.wait(_BIND_AGAIN_SECONDS)
                continue
            self._accept()

    def bind(self) -> None:
        """Listen from now on; ``port`` is the real one then. Done by ``run``, unless somebody cannot wait for it.

        Raises:
            OSError: The address or the port cannot be had.
        """
        if self._socket is not None:
            return
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self._address, self.port))
            made.listen(MAX_CONNECTIONS)
            made.settimeout(1.0)
        except OSError:
            made.close()
            raise
        self.port = made.getsockname()[1]
        self._socket = made
        _log.info("listening", extra=kv(address=self._address, port=self.port))

    def close(self) -> None:
        """End within a second."""
        self._closing.set()

    def _accept(self) -> None:
        sock = self._socket
        assert sock is not None  # noqa: S101  # bound just now
        while not self._closing.is_set():
            try:
                connection, _ = sock.accept()
            except TimeoutError:
                continue
            except OSError as error:  # out of file descriptors, or a client that hung up while it waited
                _log.warning("cannot accept", extra=kv(why=error))
                self._closing.wait(1.0)
                continue
            self._begin(connection)
            self._closing.wait(_ACCEPT_PAUSE_SECONDS)
        sock.close()
        self._socket = None

    def _begin(self, connection: socket.socket) -> None:
        """Have a connection served by a thread of its own, or close it."""
        if not self._free.acquire(blocking=False):
            connection.close()
            return
        try:
            threading.Thread(target=self._serve, args=(connection,), name="http-client", daemon=True).start()
        except RuntimeError:  # the pod may have no more threads
            connection.close()
            self._free.release()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                until = time.monotonic() + self._patience
                found = _said(connection, until)
                if found is not None:
                    _send(connection, answer(found, self._pages), until)
        except OSError:
            pass  # it hung up, or took too long
        finally:
            self._free.release()


def _said(connection: socket.socket, until: float) -> bytes | None:
    """Return the head of a request; None: there was none, in size and time.

    Raises:
        OSError: The client hung up, or took too long.
    """
    head = b""
    while _END not in head:
        connection.settimeout(max(0.001, until - time.monotonic()))
        more = connection.recv(MAX_REQUEST + 1 - len(head))
        if not more:
            return None
        head += more
        if len(head) > MAX_REQUEST:
            _send(connection, _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), until)
            return None
    return head


def _send(connection: socket.socket, said: Answer, until: float) -> None:
    head = (
        f"HTTP/1.1 {said.status.value} {said.status.phrase}\r\nContent-Type: {said.content_type}\r\n"
        f"Content-Length: {len(said.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n"
    )
    if said.status is HTTPStatus.METHOD_NOT_ALLOWED:
        head += "Allow: GET\r\n"
    connection.settimeout(max(0.001, until - time.monotonic()))
    connection.sendall(head.encode() + b"\r\n" + said.body)
    connection.shutdown(socket.SHUT_WR)
