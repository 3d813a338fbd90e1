"""What the guard lets in, and what the sidecar makes of its answers."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.ipc.framing import LineBuffer
from twinlease.ipc.protocol import (
    MAX_LINE,
    MAX_RECORD,
    Code,
    FenceSpec,
    ProtocolError,
    Request,
    decode_reply,
    decode_request,
    encode_error,
    encode_request,
    encode_result,
    fence_of,
)

REVISION = "0123456789abcdef" * 4
PORTS = {"failoverPort": 647, "omapiPort": 7911, "peerPort": 0, "partnerPort": 648}
FENCE = {"mode": "Kernel", "partner": "10.0.0.2", **PORTS, "proven": False}
START = {
    "interface": "eth0",
    "edits": ["recover"],
    "parameters": {"relationship": "lan", "hold": 30},
    "deadline": 12.5,
    "steps": 1,
    "fence": FENCE,
}
APPLY = {"v": 3, "id": 7, "op": "apply", "revision": REVISION, **START}


def line(**changes: Any) -> bytes:  # noqa: ANN401  # wrong types are the point
    message = {**APPLY, **changes}
    return json.dumps({key: value for key, value in message.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    "request_",
    [
        Request(1, "status", {}),
        Request(2, "apply", {"revision": REVISION, **START, "interface": "bond0.12", "edits": []}),
        Request(3, "start", {**START, "restart": True}),
        Request(4, "stop", {"grace": 2.5}),
        Request(5, "permit", {"deadline": None, "steps": 0}),
        Request(6, "permit", {"deadline": 99.75, "steps": 3}),
        Request(7, "close", {}),
        Request(9, "keep", {}),
        Request(8, "remember", {"record": {"epoch": 3, "deep": [{"a": None}]}}),
    ],
)
def test_requests_survive_the_way(request_: Request) -> None:
    sent = encode_request(request_)
    assert sent.endswith(b"\n")
    assert decode_request(sent[:-1]) == request_


@pytest.mark.parametrize(
    ("text", "code", "number"),
    [
        (b"", Code.BAD_REQUEST, 0),
        (b"GET / HTTP/1.1", Code.BAD_REQUEST, 0),
        (b"\xff\xfe", Code.BAD_REQUEST, 0),
        (b"[1]", Code.BAD_REQUEST, 0),
        (b"[" * 60000, Code.BAD_REQUEST, 0),
        (line(id="7"), Code.BAD_REQUEST, 0),
        (line(id=True), Code.BAD_REQUEST, 0),
        (line(v=1), Code.VERSION, 7),
        (line(v=True), Code.VERSION, 7),
        (line(v=...), Code.VERSION, 7),
        (line(op="exec"), Code.UNKNOWN_OP, 7),
        (line(op=["apply"]), Code.UNKNOWN_OP, 7),
        (line(extra=1), Code.BAD_REQUEST, 7),
        (line(edits=...), Code.BAD_REQUEST, 7),
        (line(edits="recover"), Code.BAD_REQUEST, 7),
        (line(edits=["a b"]), Code.BAD_REQUEST, 7),
        (line(edits=["x"] * 17), Code.BAD_REQUEST, 7),
        (line(revision="../../etc/passwd"), Code.BAD_REQUEST, 7),
        (line(revision=REVISION + "\n"), Code.BAD_REQUEST, 7),
        (line(interface="-cf"), Code.BAD_REQUEST, 7),
        (line(interface="eth0 x"), Code.BAD_REQUEST, 7),
        (line(interface="a" * 16), Code.BAD_REQUEST, 7),
        (line(restart=True), Code.BAD_REQUEST, 7),
        (line(parameters=[]), Code.BAD_REQUEST, 7),
        (line(parameters={"a b": 1}), Code.BAD_REQUEST, 7),
        (line(parameters={"a": 1.5}), Code.BAD_REQUEST, 7),
        (line(parameters={"a": True}), Code.BAD_REQUEST, 7),
        (line(parameters={"a": 'x"\n'}), Code.BAD_REQUEST, 7),
        (line(parameters={f"a{n}": 1 for n in range(17)}), Code.BAD_REQUEST, 7),
        (line(deadline="soon"), Code.BAD_REQUEST, 7),
        (line(steps=-1), Code.BAD_REQUEST, 7),
        (line(steps=True), Code.BAD_REQUEST, 7),
        (line(deadline=False), Code.BAD_REQUEST, 7),
        (line(deadline=float("nan")), Code.BAD_REQUEST, 7),
        (line(deadline=float("inf")), Code.BAD_REQUEST, 7),
        (line(deadline=10**400), Code.BAD_REQUEST, 7),
        (line(deadline=...), Code.BAD_REQUEST, 7),
        (line(fence=None), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "more": 1}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "mode": "kernel"}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "mode": ["Kernel"]}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "partner": "10.0.0.256"}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "partner": "10.0.0"}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "partner": "10.0.0.2."}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "partner": "10.0.0.2\n"}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "partner": "fe80::1"}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "omapiPort": 65536}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "omapiPort": True}), Code.BAD_REQUEST, 7),
        (line(fence={**FENCE, "proven": 1}), Code.BAD_REQUEST, 7),
        (b'{"v":3,"id":1,"op":"start","interface":"eth0"}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"permit"}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"close","deadline":1}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"remember","record":[]}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"remember","record":{"a":NaN}}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"remember","record":{"a":"' + b"x" * MAX_RECORD + b'"}}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"stop","grace":-1}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"stop","grace":31}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"stop","grace":NaN}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"stop","grace":true}', Code.BAD_REQUEST, 1),
        (b'{"v":3,"id":1,"op":"status","grace":1}', Code.BAD_REQUEST, 1),
    ],
)
def test_nothing_unknown_gets_in(text: bytes, code: str, number: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_request(text)
    assert (caught.value.code, caught.value.id) == (code, number)
    assert len(encode_error(caught.value)) < 1000, "an error does not send back what it refused"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        decode_request(data)


def test_a_fence_survives_the_way() -> None:
    fence = FenceSpec("Process", "", 647, 7911, 648, 647, proven=True)
    request = decode_request(line(fence=fence.fields()))
    assert fence_of(request.fields["fence"]) == fence


def test_replies() -> None:
    assert decode_reply(encode_result(3, {"a": 1}), 3) == {"a": 1}
    with pytest.raises(ProtocolError, match="it died") as caught:
        decode_reply(encode_error(ProtocolError(Code.START, "it died", 3)), 3)
    assert caught.value.code == Code.START
    with pytest.raises(ProtocolError, match="does not fit"):
        decode_reply(encode_result(4, {}), 3)
    with pytest.raises(ProtocolError, match="version 4"):
        decode_reply(b'{"v":4,"id":3,"ok":true,"result":{}}', 3)


@given(st.lists(st.binary(max_size=50).map(lambda raw: raw.replace(b"\n", b" "))), st.integers(1, 40))
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], size: int) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    buffer = LineBuffer()
    found = [line for at in range(0, len(stream), size) for line in buffer.feed(stream[at : at + size])]
    assert found == lines


def test_a_line_has_a_bound() -> None:
    assert list(LineBuffer().feed(b"x" * (MAX_LINE - 1) + b"\n")) == [b"x" * (MAX_LINE - 1)]
    for data in (b"x" * MAX_LINE, b"x" * MAX_LINE + b"\n"):
        with pytest.raises(ProtocolError):
            list(LineBuffer().feed(data))
