"""The API over the official client's connection handling: what operator and command line use.

Only its configuration (service account or kubeconfig with all its ways to log in), its connection pool and its
authentication are used. Bodies stay dictionaries: its generated models cost time and reject what they do not know.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec
import urllib3
import yaml
from kubernetes import client as official
from kubernetes import config as official_config

from twinlease.kube.protocol import JSON, ApiError, Json

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_CONNECT_SECONDS = 5.0
_MAX_LINE = 64 * 1024 * 1024
# The official client checks no shapes: a list where it wants a mapping fails in the middle of it.
_MISSHAPEN = (AttributeError, LookupError, TypeError, ValueError)
_UNUSABLE = (official_config.ConfigException, yaml.YAMLError, OSError, *_MISSHAPEN)


class OfficialTransport:
    """The seam's ``Transport`` on the official client; safe to share between threads.

    Args:
        configuration: As ``configuration`` of this module returns it.
    """

    def __init__(self, configuration: official.Configuration) -> None:
        self._api = official.ApiClient(configuration)

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
        """Return the decoded answer; ``timeout`` (seconds) is for the connection and for each silence after it.

        Raises:
            ApiError: Any status of 400 and above, or no answer (status 0).
        """
        response = self._call(method, path, query, body, content_type, timeout)
        try:
            answer = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise _no_answer(method, path, error) from error
        finally:
            response.release_conn()
        try:
            return msgspec.json.decode(answer, type=Json) if answer else {}
        except msgspec.DecodeError as error:
            raise ApiError(0, "", f"{method} {path}: the answer is no JSON object: {error}") from error

    @contextmanager
    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Iterator[Iterator[bytes]]:
        """Return a watch's lines as they come; ``timeout`` is the longest silence (seconds) that is no error.

        Raises:
            ApiError: As ``request``, also while iterating.
        """
        response = self._call("GET", path, query, None, JSON, timeout)
        try:
            yield _lines(response, path)
        finally:
            response.close()

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        timeout: float,
    ) -> urllib3.HTTPResponse:
        try:
            response: urllib3.HTTPResponse = self._api.call_api(
                quote(path, safe="/:"),
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": JSON, "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=(min(_CONNECT_SECONDS, timeout), timeout),
            )
        except official.ApiException as error:
            raise _refusal(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _no_answer(method, path, error) from error
        return response


def configuration(kubeconfig: Path | None = None) -> official.Configuration:
    """Return the official client's configuration: from a file, else the pod's service account, else the user's own.

    Raises:
        ApiError: None of them is there, or the file is unusable (status 0).
    """
    built = official.Configuration()
    try:
        if kubeconfig is not None:
            official_config.load_kube_config(str(kubeconfig), client_configuration=built)
        else:
            try:
                official_config.load_incluster_config(client_configuration=built)
            except official_config.ConfigException:
                official_config.load_kube_config(client_configuration=built)
    except _UNUSABLE as error:
        raise ApiError(0, "", f"no way to the API server: {_why(error)}") from error
    built.retries = False  # whoever calls decides what to repeat; hidden retries would multiply every deadline
    return built


def user(kubeconfig: str | None = None, context: str | None = None) -> tuple[official.Configuration, str]:
    """Return the configuration of somebody at a shell, and the namespace of the context.

    As for kubectl: the file, else ``$KUBECONFIG``, else ``~/.kube/config``, else the pod's service account.

    Raises:
        ApiError: None of them is there, or the file is unusable (status 0).
    """
    built = official.Configuration()
    namespace = "default"
    try:
        contexts, active = official_config.list_kube_config_contexts(kubeconfig)
        chosen = active if context is None else next((each for each in contexts if each["name"] == context), None)
        if chosen is None:
            known = ", ".join(each["name"] for each in contexts)
            raise ApiError(0, "", f"the kubeconfig has no context {context!r}, but {known or 'none'}")
        official_config.load_kube_config(kubeconfig, context, client_configuration=built)
        namespace = chosen["context"].get("namespace") or namespace
    except _UNUSABLE as error:
        if kubeconfig is not None or context is not None:
            raise ApiError(0, "", f"no usable kubeconfig: {_why(error)}") from error
        try:
            official_config.load_incluster_config(client_configuration=built)
        except official_config.ConfigException:
            raise ApiError(0, "", f"no usable kubeconfig: {_why(error)}") from error
        namespace = _NAMESPACE.read_text(encoding="utf-8").strip() if _NAMESPACE.exists() else namespace
    built.retries = False
    return built, namespace


def _why(error: Exception) -> str:
    """Return why a kubeconfig is unusable, for people."""
    if isinstance(error, _MISSHAPEN):
        return f"the file has not the form of one ({type(error).__name__}: {error})"
    return str(error)


def _lines(response: urllib3.HTTPResponse, path: str) -> Iterator[bytes]:
    rest = b""
    try:
        for chunk in response.stream(decode_content=True):
            *complete, rest = (rest + chunk).split(b"\n")
            yield from filter(None, complete)
            if len(rest) > _MAX_LINE:
                raise ApiError(0, "", f"GET {path}: a line longer than {_MAX_LINE} bytes")
    except urllib3.exceptions.HTTPError as error:
        raise _no_answer("GET", path, error) from error


def _refusal(error: official.ApiException) -> ApiError:
    status = int(error.status or 0)
    try:
        said = msgspec.json.decode(error.body or b"", type=Json)
        return ApiError(status, str(said.get("reason") or ""), str(said.get("message") or "refused"))
    except msgspec.DecodeError:
        # Proxies and the server's own multiplexer answer in plain text.
        return ApiError(status, "", str(error.body or error.reason or "refused")[:300].strip())


def _no_answer(method: str, path: str, error: Exception) -> ApiError:
    return ApiError(0, "", f"{method} {path}: {str(error) or type(error).__name__}")
