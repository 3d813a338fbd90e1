"""Messages: one JSON object per line, checked strictly on both sides.

The guard holds the capabilities and the sidecar talks to the network, so the guard takes nothing on trust: a request
has exactly the fields that its operation defines, of exactly their types, or it is refused.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

VERSION = 1
MAX_LINE = 64 * 1024
"""Longest message in bytes, the line's end included."""

MAX_LOG_LINES = 20
MAX_GRACE = 30.0
"""Longest time in seconds that a server is given to stop."""

_MAX_EDITS = 16
_REVISION = re.compile(r"[0-9a-f]{64}")
# As api.types.InterfaceName, which the guard may not import.
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:-]{0,14}")
_EDIT = re.compile(r"[a-z][a-z0-9-]{0,63}")


class Op:
    """Operations."""

    STATUS = "status"
    APPLY = "apply"
    START = "start"
    STOP = "stop"


class Code:
    """Why the guard refused or failed."""

    VERSION = "version"
    UNKNOWN_OP = "unknown-op"
    BAD_REQUEST = "bad-request"
    NO_CONFIG = "no-config"
    DIGEST = "digest"
    STORAGE = "storage"
    EDIT = "edit"
    START = "start"


class Request(NamedTuple):
    """A request that has been checked."""

    id: int
    op: str
    fields: Mapping[str, Any]


class ProtocolError(Exception):
    """A message that breaks the rules, or a refusal.

    Attributes:
        code: One of ``Code``.
        id: The request's number; 0 where it cannot be told.
    """

    def __init__(self, code: str, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.id = number
        self.message = message


def is_revision(value: object) -> bool:
    """Tell whether a value is a configuration's SHA-256 in lower-case hex."""
    return isinstance(value, str) and _REVISION.fullmatch(value) is not None


def _is_interface(value: object) -> bool:
    return isinstance(value, str) and _INTERFACE.fullmatch(value) is not None


def _is_edits(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_EDITS
        and all(isinstance(edit, str) and _EDIT.fullmatch(edit) for edit in value)
    )


def _is_grace(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_GRACE


Check = Callable[[object], bool]

_OPERATIONS: Mapping[str, Mapping[str, tuple[Check, str]]] = {
    Op.STATUS: {},
    Op.APPLY: {
        "revision": (is_revision, "64 lower-case hex digits"),
        "interface": (_is_interface, "an interface's name"),
        "edits": (_is_edits, f"a list of at most {_MAX_EDITS} names of edits"),
    },
    Op.START: {
        "interface": (_is_interface, "an interface's name"),
        "edits": (_is_edits, f"a list of at most {_MAX_EDITS} names of edits"),
    },
    Op.STOP: {"grace": (_is_grace, f"seconds from 0 to {MAX_GRACE:g}")},
}


def decode_request(line: bytes) -> Request:
    """Return the request of one line.

    Raises:
        ProtocolError: It is not exactly what the protocol defines.
    """
    message = _object(line)
    number = message.pop("id", None)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ProtocolError(Code.BAD_REQUEST, "id must be a number from 0")
    version = message.pop("v", None)
    if version != VERSION or isinstance(version, bool):
        raise ProtocolError(Code.VERSION, f"this guard speaks version {VERSION}, not {_brief(version)}", number)
    op = message.pop("op", None)
    fields = _OPERATIONS.get(op) if isinstance(op, str) else None
    if fields is None:
        raise ProtocolError(Code.UNKNOWN_OP, f"no operation {_brief(op)}", number)
    if message.keys() != fields.keys():
        wrong = ", ".join(sorted(message.keys() ^ fields.keys()))
        raise ProtocolError(Code.BAD_REQUEST, f"{op}: unknown or missing fields: {wrong[:200]}", number)
    for name, (valid, allowed) in fields.items():
        if not valid(message[name]):
            raise ProtocolError(Code.BAD_REQUEST, f"{op}: {name} must be {allowed}", number)
    return Request(number, str(op), message)


def encode_request(request: Request) -> bytes:
    """Return the line of a request."""
    return _line({"v": VERSION, "id": request.id, "op": request.op, **request.fields})


def encode_result(number: int, result: Mapping[str, Any]) -> bytes:
    """Return the line of a reply that a request succeeded."""
    return _line({"v": VERSION, "id": number, "ok": True, "result": dict(result)})


def encode_error(error: ProtocolError) -> bytes:
    """Return the line of a reply that a request failed."""
    told = {"code": error.code, "message": error.message}
    return _line({"v": VERSION, "id": error.id, "ok": False, "error": told})


def decode_reply(line: bytes, number: int) -> dict[str, Any]:
    """Return the result of the reply to request ``number``.

    Raises:
        ProtocolError: The guard refused or failed, or this is no reply to that request.
    """
    message = _object(line)
    if message.get("ok") is False and isinstance(error := message.get("error"), dict):
        raise ProtocolError(str(error.get("code")), str(error.get("message")), number)
    if message.get("v") != VERSION:
        raise ProtocolError(Code.VERSION, f"the guard speaks version {_brief(message.get('v'))}, not {VERSION}", number)
    result = message.get("result")
    if message.get("id") != number or message.get("ok") is not True or not isinstance(result, dict):
        raise ProtocolError(Code.BAD_REQUEST, "the guard's reply does not fit the request", number)
    return result


def _object(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(Code.BAD_REQUEST, "not a line of JSON") from error
    if not isinstance(message, dict):
        raise ProtocolError(Code.BAD_REQUEST, "not a JSON object")
    return message


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _brief(value: object) -> str:
    return repr(value)[:80]
