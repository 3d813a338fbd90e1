"""A Kubernetes API that holds a few objects in memory and speaks real HTTPS to real sidecars.

It has no validation, no admission and no memory of versions: what is tested with it is not the API.
"""

import json
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from tests.net.jig import Namespace

Object = dict[str, Any]

NAMESPACE = "dhcp"
TOKEN = "the-token-of-a-service-account"  # noqa: S105 - of a server that lives as long as a test
_BASE = f"/namespaces/{NAMESPACE}/"


class PatchError(Exception):
    """A JSON Patch that cannot be applied."""


class FakeApi:
    """Objects by plural and name, with listeners wherever one is wanted.

    Attributes:
        writes: Every status that was written, in order, with the name of its object.
        patches: Every JSON Patch that was taken: when (monotonic), of which object, and its operations.
        before_patch: Called with the operations of a JSON Patch before it is applied, if it is set.
        version: The last resource version that was given.
        reachable: False: every request is refused and watches end.
        cut: The same for these ports only.
    """

    def __init__(self, directory: Path) -> None:
        self.account = directory / "account"
        self.writes: list[tuple[str, Object]] = []
        self.patches: list[tuple[float, str, list[Object]]] = []
        self.before_patch: Callable[[list[Object]], None] | None = None
        self.reachable = True
        self.cut: set[int] = set()
        self.changed = threading.Condition(threading.RLock())
        self.objects: dict[tuple[str, str], Object] = {}
        self.version = 100
        self._exits = ExitStack()
        self.account.mkdir()
        self._certificate = directory / "api.pem"
        _self_signed(self._certificate, self.account / "ca.crt")
        (self.account / "token").write_text(TOKEN, encoding="ascii")

    def listen(self, namespace: Namespace) -> int:
        """Listen on the loopback of a network namespace and return the port."""

        class Bound(_Handler):
            api = self

        with namespace.entered():
            server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        self._exits.callback(thread.join, 5)
        self._exits.callback(server.server_close)
        self._exits.callback(server.shutdown)
        return int(server.server_address[1])

    def put(self, plural: str, name: str, **content: Any) -> None:  # noqa: ANN401  # an object's fields
        """Create an object or replace fields of it; a changed spec raises the generation."""
        with self.changed:
            new = {"metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": 0}}
            found = self.objects.setdefault((plural, name), new)
            if "spec" in content and content["spec"] != found.get("spec"):
                found["metadata"]["generation"] += 1
            found.update(content)
            self._touch(found)

    def patch(self, plural: str, name: str, operations: list[Object]) -> Object | None:
        """Apply a JSON Patch (RFC 6902: test, add, replace on objects); None if there is no such object.

        Raises:
            PatchError: A test failed, or a path is not there; nothing has changed.
        """
        with self.changed:
            found = self.objects.get((plural, name))
            if found is None:
                return None
            if self.before_patch is not None:
                self.before_patch(operations)
            changed = json.loads(json.dumps(found))
            for operation in operations:
                _apply(changed, operation)
            found.clear()
            found.update(changed)
            self.patches.append((time.monotonic(), name, operations))
            self._touch(found)
            return found

    def replace(self, plural: str, name: str, version: str, spec: Object) -> bool:
        """Compare-and-swap of a spec: do nothing and tell so if the object is not of that version any more."""
        with self.changed:
            found = self.objects[plural, name]
            if found["metadata"]["resourceVersion"] != version:
                return False
            found["spec"] = spec
            self._touch(found)
            return True

    def read(self, plural: str, name: str) -> Object:
        """Return a copy of an object."""
        with self.changed:
            copy: Object = json.loads(json.dumps(self.objects[plural, name]))
            return copy

    def status(self, name: str) -> Object:
        """Return the status of a DHCPServer."""
        with self.changed:
            return dict(self.objects["dhcpservers", name].get("status") or {})

    def write_status(self, plural: str, name: str, body: Object) -> Object | None:
        """Take an applied status; None if there is no such object."""
        with self.changed:
            found = self.objects.get((plural, name))
            if found is None:
                return None
            self.writes.append((name, body["status"]))
            found["status"] = body["status"]
            self._touch(found)
            return found

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Refuse everything for the length of a block."""
        with self.changed:
            self.reachable = False
            self.changed.notify_all()
        try:
            yield
        finally:
            with self.changed:
                self.reachable = True
                self.changed.notify_all()

    @contextmanager
    def out_of_reach(self, port: int) -> Iterator[None]:
        """Refuse everything on one port for the length of a block."""
        with self.changed:
            self.cut.add(port)
            self.changed.notify_all()
        try:
            yield
        finally:
            with self.changed:
                self.cut.discard(port)
                self.changed.notify_all()

    def _touch(self, found: Object) -> None:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        self.changed.notify_all()

    def __enter__(self) -> Self:
        """Return the API."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        with self.changed:
            self.reachable = False
            self.changed.notify_all()
        self._exits.close()


class _Handler(BaseHTTPRequestHandler):
    api: ClassVar[FakeApi]
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """Get, list or watch."""
        if not self._admitted():
            return
        target = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        plural, _, name = target.path.partition(_BASE)[2].partition("/")
        wanted = query.get("fieldSelector", "").removeprefix("metadata.name=")
        if query.get("watch"):
            self._watch(plural, wanted, int(query["resourceVersion"]))
            return
        with self.api.changed:
            if name:
                found = self.api.objects.get((plural, name))
                text = json.dumps(found) if found else None
            else:
                items = [held for key, held in self.api.objects.items() if key == (plural, wanted)]
                text = json.dumps({"metadata": {"resourceVersion": str(self.api.version)}, "items": items})
        self._answer(text)

    def do_PATCH(self) -> None:
        """Apply a status, or a JSON Patch."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._admitted():
            return
        if self.headers["Content-Type"] == "application/json-patch+json":
            self._json_patch(body)
            return
        plural, name, subresource = urlsplit(self.path).path.partition(_BASE)[2].split("/")
        assert subresource == "status"
        assert "fieldManager=twinlease-sidecar" in self.path
        stored = self.api.write_status(plural, name, body)
        self._answer(json.dumps(stored) if stored else None)

    def _json_patch(self, operations: list[Object]) -> None:
        plural, name = urlsplit(self.path).path.partition(_BASE)[2].split("/")
        assert "fieldManager=twinlease-sidecar" in self.path
        try:
            stored = self.api.patch(plural, name, operations)
        except PatchError as error:
            self._answer(json.dumps({"reason": "Invalid", "message": str(error)}), 422)
            return
        self._answer(json.dumps(stored) if stored else None)

    def _admitted(self) -> bool:
        if not self._reachable():
            self.close_connection = True
            return False
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer('{"reason":"Unauthorized","message":"who are you?"}', 401)
            return False
        return True

    def _reachable(self) -> bool:
        address = self.server.server_address
        return self.api.reachable and address[1] not in self.api.cut

    def _watch(self, plural: str, wanted: str, version: int) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        api = self.api
        while True:
            with api.changed:
                while self._reachable() and self._version(plural, wanted) <= version:
                    api.changed.wait()
                if not self._reachable():
                    self.close_connection = True
                    return
                version = self._version(plural, wanted)
                line = json.dumps({"type": "MODIFIED", "object": api.objects[plural, wanted]}).encode() + b"\n"
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            except OSError:  # the sidecar is gone
                self.close_connection = True
                return

    def _version(self, plural: str, wanted: str) -> int:
        found = self.api.objects.get((plural, wanted))
        return int(found["metadata"]["resourceVersion"]) if found else 0

    def _answer(self, text: str | None, status: int = 200) -> None:
        if text is None:
            text, status = '{"reason":"NotFound","message":"there is none"}', 404
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _apply(whole: Object, operation: Object) -> None:
    """Apply one operation."""
    *parents, last = operation["path"].split("/")[1:]
    place = whole
    for part in parents:
        if not isinstance(place, dict) or part not in place:
            raise PatchError(f"no {operation['path']}")
        place = place[part]
    if operation["op"] in {"test", "replace"} and last not in place:
        raise PatchError(f"no {operation['path']}")
    if operation["op"] == "test":
        if place[last] != operation["value"]:
            raise PatchError(f"{operation['path']} is {place[last]!r}, not {operation['value']!r}")
    else:
        place[last] = operation["value"]


def _self_signed(both: Path, certificate: Path) -> None:
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(both)]
    name = ["-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *made, *name], check=True, capture_output=True)
    both.write_bytes(both.read_bytes() + certificate.read_bytes())
