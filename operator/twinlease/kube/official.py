"""The API over the official client's connection handling: what operator and command line use.

Only its configuration (service account or kubeconfig with all its ways to log in), its connection pool and its
authentication are used. Bodies stay dictionaries: its generated models cost time and reject what they do not know.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec
import urllib3
import yaml
from kubernetes import client as official
from kubernetes import config as official_config
from kubernetes.config.incluster_config import InClusterConfigLoader

from twinlease.kube.protocol import JSON, ApiError, Json

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_VARIABLE = "KUBECONFIG"
_OWN_FILE = "~/.kube/config"
_CONNECT_SECONDS = 5.0
_MAX_LINE = 64 * 1024 * 1024
# The official client checks no shapes: a list where it wants a mapping fails in the middle of it.
_MISSHAPEN = (AttributeError, LookupError, TypeError, ValueError)
_ERRNO = re.compile(r"^\[Errno \d+\] (?P<what>.*): '(?P<name>.*)'$", re.DOTALL)
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
            _load(str(kubeconfig), None, built)
        else:
            try:
                official_config.load_incluster_config(client_configuration=built)
            except official_config.ConfigException:
                _load(None, None, built)
    except _UNUSABLE as error:
        raise ApiError(0, "", f"no way to the API server: {_why(error)}") from error
    built.retries = False  # whoever calls decides what to repeat; hidden retries would multiply every deadline
    return built


def user(
    kubeconfig: str | None = None, context: str | None = None, *, account: Path = _ACCOUNT
) -> tuple[official.Configuration, str]:
    """Return the configuration of somebody at a shell, and the namespace of the context.

    As for kubectl: the file, else ``$KUBECONFIG``, else ``~/.kube/config``, else the pod's service account. The last
    one counts only where nothing else is named and there is no file: nobody becomes somebody else by a slip.

    Args:
        kubeconfig: The file.
        context: One of its contexts instead of the current one.
        account: Where a pod's service account is mounted.

    Raises:
        ApiError: None of them is there, or the file is unusable (status 0).
    """
    built = official.Configuration()
    built.retries = False
    named = kubeconfig or os.environ.get(_VARIABLE)
    files = named or _OWN_FILE
    told = files if kubeconfig or not named else f"{files} (${_VARIABLE})"
    try:
        if not any(Path(each).expanduser().exists() for each in files.split(os.pathsep) if each):
            if named or context is not None:
                raise ApiError(0, "", f"no usable kubeconfig: {told}: there is no such file")
            return built, _in_pod(account, built)
        contexts, active = official_config.list_kube_config_contexts(files)
        chosen = active if context is None else next((each for each in contexts if each["name"] == context), None)
        if chosen is None:
            known = ", ".join(each["name"] for each in contexts)
            raise ApiError(0, "", f"the kubeconfig has no context {context!r}, but {known or 'none'}")
        _load(files, context, built)
        return built, chosen["context"].get("namespace") or "default"
    except _UNUSABLE as error:
        raise ApiError(0, "", f"no usable kubeconfig: {told}: {_why(error)}") from error


def _in_pod(account: Path, built: official.Configuration) -> str:
    """Set the service account of this pod, and return its namespace.

    Raises:
        ApiError: This is no pod.
    """
    try:
        InClusterConfigLoader(str(account / "token"), str(account / "ca.crt")).load_and_set(built)
    except official_config.ConfigException as error:
        message = f"no usable kubeconfig: there is no {_OWN_FILE}, ${_VARIABLE} is not set, and this is no pod"
        raise ApiError(0, "", message) from error
    namespace = account / "namespace"
    return namespace.read_text(encoding="utf-8").strip() if namespace.exists() else "default"


class _Complaints(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message, on one line."""
        self.heard.append(" ".join(record.getMessage().split()))


def _load(files: str | None, context: str | None, built: official.Configuration) -> None:
    """Set what a kubeconfig says.

    The official client logs why a kubeconfig's exec plugin gives no credentials, and goes on without any.

    Raises:
        ConfigException: That, too.
    """
    complaints = _Complaints()
    logging.getLogger().addHandler(complaints)
    try:
        official_config.load_kube_config(files, context, client_configuration=built)
    finally:
        logging.getLogger().removeHandler(complaints)
    if complaints.heard:
        said = _ERRNO.sub(r"\g<name>: \g<what>", complaints.heard[0].removeprefix("exec: "))
        raise official_config.ConfigException(f"its exec plugin gives no credentials: {said}")


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
