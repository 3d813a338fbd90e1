"""A very small client of the API server: JSON in, JSON out, with the kubeconfig's certificate.

The lab looks at the cluster many times a second while it comes up; a kubectl process for each look would be slower
than the cluster.
"""

import base64
import http.client
import json
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab.shell import run

_ANSWER_SECONDS = 10.0
_UNREACHABLE = (urllib.error.URLError, http.client.HTTPException, OSError)


class UnreachableError(RuntimeError):
    """The API server did not answer."""


class ApiError(RuntimeError):
    """The API server answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Rest:
    """The API server a kubeconfig of `tests.lab.pki` names."""

    def __init__(self, kubeconfig: Path) -> None:
        document = json.loads(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._server: str = cluster["server"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as file:  # the ssl module takes a client certificate from a file only
            file.write(base64.b64decode(user["client-certificate-data"]))
            file.write(base64.b64decode(user["client-key-data"]))
            file.flush()
            self._context.load_cert_chain(file.name)

    def get(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON the server holds there
        """Return the object at a path."""
        return json.loads(self._call("GET", path, None, "application/json"))

    def post(self, path: str, body: dict[str, Any]) -> None:
        """Create an object; one that is there already is left as it is."""
        try:
            self._call("POST", path, body, "application/json")
        except ApiError as error:
            if error.code != http.HTTPStatus.CONFLICT:
                raise

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """Merge `body` into the object at a path."""
        self._call("PATCH", path, body, "application/merge-patch+json")

    def watch(self, path: str, *, since: str = "", silence: float = 10.0) -> Iterator[dict[str, Any]]:
        """Yield every change of a list's objects, with `type` and `object`; it never ends by itself.

        Args:
            path: Of the list.
            since: The resource version after which changes are told; empty: every object as it is comes first.
            silence: After so many seconds without a change the stream counts as dead.

        Raises:
            UnreachableError: The server did not answer, or the stream is dead.
        """
        with self._opened(
            "GET", f"{path}?watch=1&resourceVersion={since}", None, "application/json", silence
        ) as stream:
            try:
                for line in stream:
                    yield json.loads(line)
            except _UNREACHABLE as error:
                raise UnreachableError(f"{self._server}: {error}") from error
        raise UnreachableError(f"{self._server}: the stream of {path} ended")

    def ready(self) -> bool:
        """Say whether the server calls itself ready."""
        try:
            return self._call("GET", "/readyz", None, "application/json") == "ok"
        except (UnreachableError, ApiError):
            return False

    def _call(self, method: str, path: str, body: dict[str, Any] | None, kind: str) -> str:
        with self._opened(method, path, body, kind, _ANSWER_SECONDS) as answer:
            try:
                return answer.read().decode()
            except _UNREACHABLE as error:
                raise UnreachableError(f"{self._server}: {error}") from error

    def _opened(
        self, method: str, path: str, body: dict[str, Any] | None, kind: str, timeout: float
    ) -> http.client.HTTPResponse:
        request = urllib.request.Request(  # noqa: S310 - the address is the one of our own server
            self._server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": kind, "Accept": "application/json"},
        )
        handlers = [urllib.request.HTTPSHandler(context=self._context), urllib.request.ProxyHandler({})]
        try:
            answer: http.client.HTTPResponse = urllib.request.build_opener(*handlers).open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(error.code, error.read().decode(errors="replace")[:2000]) from error
        except _UNREACHABLE as error:
            raise UnreachableError(f"{self._server}: {error}") from error
        return answer


def kubectl(binary: str, kubeconfig: Path, *arguments: str, stdin: str | None = None, timeout: float = 60.0) -> str:
    """Run kubectl as the kubeconfig's user and return what it printed."""
    return run([binary, f"--kubeconfig={kubeconfig}", *arguments], stdin=stdin, timeout=timeout)
