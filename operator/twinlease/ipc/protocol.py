"""Messages: one JSON object per line, checked strictly on both sides.

The guard holds the capabilities and the sidecar talks to the network, so the guard takes nothing on trust: a request
has exactly the fields that its operation defines, of exactly their types, or it is refused.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

VERSION = 3
MAX_LINE = 64 * 1024
"""Longest message in bytes, the line's end included."""

MAX_LOG_LINES = 20
MAX_GRACE = 30.0
"""Longest time in seconds that a server is given to stop."""

MAX_RECORD = 8 * 1024
"""Longest durable record in bytes, as compact JSON."""
MISLED = "misled"
"""The one field of the record that the guard knows: true from the kill of a server for its clock to the next start."""

_MAX_EDITS = 16
_MAX_PARAMETERS = 16
_MAX_TEXT = 256
_LARGEST = 1 << 53  # below it a JSON number means the same to everybody
_REVISION = re.compile(r"[0-9a-f]{64}")
# As api.types.InterfaceName, which the guard may not import.
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:-]{0,14}")
_EDIT = re.compile(r"[a-z][a-z0-9-]{0,63}")
_PARAMETER = re.compile(r"[a-z][A-Za-z0-9-]{0,63}")
_TEXT = re.compile(r"[ -~]*")
_ADDRESS = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)


class Op:
    """Operations."""

    STATUS = "status"
    PERMIT = "permit"
    CLOSE = "close"
    KEEP = "keep"
    APPLY = "apply"
    START = "start"
    STOP = "stop"
    REMEMBER = "remember"


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
    LAPSED = "lapsed"
    UNPROVEN = "unproven"
    GONE = "gone"


class Mode:
    """What expiry of the permit is worth to others. The guard uses the kernel wherever it can, in both."""

    KERNEL = "Kernel"
    PROCESS = "Process"


class FenceSpec(NamedTuple):
    """What a start needs to know to fence the server and to close its ports.

    Attributes:
        mode: One of ``Mode``.
        partner: The partner's IPv4 address; empty if it is not known: then nobody but this machine reaches the ports.
        failover_port: TCP, for the partner only; 0 if there is none.
        omapi_port: TCP, for this machine only; 0 if there is none.
        peer_port: UDP, of the sidecars, for the partner only; 0 if there is none.
        partner_port: TCP, on which the partner listens for this server; 0 if that is not known.
        proven: Somebody relies on the kernel's fence: no start unless it is proven at this one.
    """

    mode: str
    partner: str
    failover_port: int
    omapi_port: int
    peer_port: int
    partner_port: int
    proven: bool = False

    def fields(self) -> dict[str, Any]:
        """Return it as it stands in a request."""
        return {
            "mode": self.mode,
            "partner": self.partner,
            "failoverPort": self.failover_port,
            "omapiPort": self.omapi_port,
            "peerPort": self.peer_port,
            "partnerPort": self.partner_port,
            "proven": self.proven,
        }


def fence_of(fields: Mapping[str, Any]) -> FenceSpec:
    """Return the fence of a request that has been checked."""
    ports = (fields["failoverPort"], fields["omapiPort"], fields["peerPort"], fields["partnerPort"])
    return FenceSpec(fields["mode"], fields["partner"], *ports, proven=fields["proven"])


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


def _is_deadline(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST  # so no NaN either


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_parameter(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT and _TEXT.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_parameters(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= _MAX_PARAMETERS
        and all(_PARAMETER.fullmatch(name) and _is_parameter(each) for name, each in value.items())
    )


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF  # noqa: PLR2004  # 16 bits


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_partner(value: object) -> bool:
    return isinstance(value, str) and (value == "" or _ADDRESS.fullmatch(value) is not None)


Check = Callable[[object], bool]

_FENCE: Mapping[str, Check] = {
    "mode": lambda value: value in (Mode.KERNEL, Mode.PROCESS),
    "partner": _is_partner,
    "failoverPort": _is_port,
    "omapiPort": _is_port,
    "peerPort": _is_port,
    "partnerPort": _is_port,
    "proven": _is_flag,
}


def _is_fence(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == _FENCE.keys()
        and all(valid(value[name]) for name, valid in _FENCE.items())
    )


def record_bytes(record: Mapping[str, Any]) -> bytes:
    """Return a durable record as it is kept."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode()


def _is_record(value: object) -> bool:
    try:
        return isinstance(value, dict) and len(record_bytes(value)) <= MAX_RECORD
    except (ValueError, RecursionError):
        return False


_PERMIT: Mapping[str, tuple[Check, str]] = {
    "deadline": (_is_deadline, "seconds of CLOCK_BOOTTIME, or null"),
    "steps": (_is_count, "how many steps of the wall clock were known when it was reckoned"),
}
_START: Mapping[str, tuple[Check, str]] = {
    "interface": (_is_interface, "an interface's name"),
    "edits": (_is_edits, f"a list of at most {_MAX_EDITS} names of edits"),
    "parameters": (_is_parameters, f"at most {_MAX_PARAMETERS} names with short texts or whole numbers"),
    **_PERMIT,
    "fence": (_is_fence, "mode, partner, failoverPort, omapiPort, peerPort, partnerPort and proven"),
}
_OPERATIONS: Mapping[str, Mapping[str, tuple[Check, str]]] = {
    Op.STATUS: {},
    Op.PERMIT: _PERMIT,
    Op.CLOSE: {},
    Op.KEEP: {},
    Op.APPLY: {"revision": (is_revision, "64 lower-case hex digits"), **_START},
    Op.START: {"restart": (_is_flag, "true or false"), **_START},
    Op.REMEMBER: {"record": (_is_record, f"an object of at most {MAX_RECORD} bytes")},
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
