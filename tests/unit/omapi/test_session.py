"""Sessions against a server that the test plays, on loopback: right, wrong, silent and dead."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypureomapi import (  # type: ignore[import-untyped]  # typed inside, but without the py.typed marker
    OMAPI_OP_STATUS,
    OMAPI_OP_UPDATE,
    InBuffer,
    OmapiHMACMD5Authenticator,
    OmapiMessage,
    OmapiNullAuthenticator,
    OmapiStartupMessage,
)

from twinlease import omapi
from twinlease.engines.protocol import ControlError

SECRET = "MDEyMzQ1Njc4OWFiY2RlZg=="  # noqa: S105 - nobody's
OBJECT = [(b"name", b"lan"), (b"local-state", b"\0\0\0\2")]
Answer = Callable[[OmapiMessage], OmapiMessage]


class Dhcpd:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket, secret: str = SECRET) -> None:
        self.connection = connection
        self.buffer = InBuffer()
        self.key = OmapiHMACMD5Authenticator(b"twinlease", secret.encode())
        self.key.authid = 7

    def greet(self) -> None:
        """Exchange the greetings."""
        self.connection.sendall(OmapiStartupMessage().as_string())
        parser = self.buffer.parse_startup_message()
        while next(parser) is None:
            self.buffer.feed(self.connection.recv(4096))

    def hear(self) -> OmapiMessage:
        """Return the client's next message."""
        parser = self.buffer.parse_message()
        while (message := next(parser)) is None:
            data = self.connection.recv(4096)
            if not data:
                raise EOFError
            self.buffer.feed(data)
        return message

    def say(self, message: OmapiMessage, *, signed: bool = True) -> None:
        """Send a message."""
        message.sign(self.key if signed else OmapiNullAuthenticator())
        self.connection.sendall(message.as_string())

    def accept(self) -> None:
        """Greet, and take the key."""
        self.greet()
        question = self.hear()
        assert dict(question.obj)[b"name"] == b"twinlease"
        self.say(OmapiMessage(opcode=OMAPI_OP_UPDATE, handle=7, rid=question.tid), signed=False)


@contextmanager
def playing(play: Callable[[Dhcpd], None], secret: str = SECRET) -> Iterator[int]:
    """Serve one connection with a play; yield the port."""
    errors: list[BaseException] = []

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                play(Dhcpd(connection, secret))
        except (EOFError, ConnectionError):
            pass  # the client has left: the end of every play that goes on until then
        except BaseException as error:
            errors.append(error)
            raise

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(10)
    assert errors == []


def open_session(port: int, secret: str = SECRET, timeout: float = 5.0) -> omapi.OmapiSession:
    return omapi.connect("127.0.0.1", port, "twinlease", secret, timeout)


def answering(answer: Answer) -> Callable[[Dhcpd], None]:
    """Play a server that accepts the key and gives one kind of answer."""

    def play(dhcpd: Dhcpd) -> None:
        dhcpd.accept()
        while True:
            question = dhcpd.hear()
            reply = answer(question)
            reply.rid = reply.rid or question.tid
            dhcpd.say(reply)

    return play


def status(number: int, text: bytes) -> OmapiMessage:
    message = [(b"result", struct.pack("!I", number)), (b"message", text)]
    return OmapiMessage(opcode=OMAPI_OP_STATUS, message=message)


def test_a_lookup_returns_all_attributes() -> None:
    asked = []

    def answer(question: OmapiMessage) -> OmapiMessage:
        asked.append((dict(question.message)[b"type"], question.obj))
        return OmapiMessage(opcode=OMAPI_OP_UPDATE, handle=3, obj=OBJECT)

    with playing(answering(answer)) as port:
        session = open_session(port)
        assert session.lookup("failover-state", "lan") == {"name": b"lan", "local-state": b"\0\0\0\2"}
        assert session.lookup("failover-state", "lan") is not None
        session.close()
    assert asked == [(b"failover-state", [(b"name", b"lan")])] * 2


def test_nothing_found_is_no_error() -> None:
    with playing(answering(lambda _: status(23, b"not found"))) as port:
        session = open_session(port)
        assert session.lookup("failover-state", "lan") is None
        assert session.lookup("failover-state", "lan") is None
        session.close()


def test_an_update_goes_to_the_object_that_was_found() -> None:
    written = []

    def answer(question: OmapiMessage) -> OmapiMessage:
        if question.opcode != OMAPI_OP_UPDATE:
            return OmapiMessage(opcode=OMAPI_OP_UPDATE, handle=3, obj=OBJECT)
        written.append((question.handle, question.obj))
        return status(0, b"")

    with playing(answering(answer)) as port:
        session = open_session(port)
        session.update("failover-state", "lan", {"local-state": b"\0\0\0\4"})
        session.close()
    assert written == [(3, [(b"local-state", b"\0\0\0\4")])]


def test_an_update_of_nothing_and_a_refused_one_are_errors() -> None:
    with playing(answering(lambda _: status(23, b"not found"))) as port:
        session = open_session(port)
        with pytest.raises(ControlError, match="updating failover-state 'lan': there is none"):
            session.update("failover-state", "lan", {})

    def refuse(question: OmapiMessage) -> OmapiMessage:
        if question.opcode != OMAPI_OP_UPDATE:
            return OmapiMessage(opcode=OMAPI_OP_UPDATE, handle=3, obj=OBJECT)
        return status(18, b"can't update object")

    with playing(answering(refuse)) as port:
        session = open_session(port)
        with pytest.raises(ControlError, match="error 18 can't update object"):
            session.update("failover-state", "lan", {})


def test_any_other_status_is_an_error_and_the_end() -> None:
    with playing(answering(lambda _: status(24, b"bad statement"))) as port:
        session = open_session(port)
        with pytest.raises(ControlError, match="error 24 bad statement"):
            session.lookup("failover-state", "lan")
        with pytest.raises(ControlError):
            session.lookup("failover-state", "lan")


def test_an_answer_to_another_question_is_an_error() -> None:
    with playing(answering(lambda _: OmapiMessage(opcode=OMAPI_OP_UPDATE, obj=OBJECT, rid=1))) as port:
        session = open_session(port)
        with pytest.raises(ControlError, match="another question"):
            session.lookup("failover-state", "lan")


def test_an_answer_signed_with_another_key_is_an_error() -> None:
    play = answering(lambda _: OmapiMessage(opcode=OMAPI_OP_UPDATE, obj=OBJECT))
    with playing(play, secret="AAAAAAAAAAAAAAAAAAAAAA==") as port:  # noqa: S106 - nobody's
        session = open_session(port)
        with pytest.raises(ControlError, match="not signed with our key"):
            session.lookup("failover-state", "lan")


def test_an_unknown_key_is_refused() -> None:
    def play(dhcpd: Dhcpd) -> None:
        dhcpd.greet()
        question = dhcpd.hear()
        reply = status(23, b"no such key")
        reply.rid = question.tid
        dhcpd.say(reply, signed=False)

    with playing(play) as port, pytest.raises(ControlError, match="key 'twinlease' refused: error 23 no such key"):
        open_session(port)


def test_a_server_that_hangs_up_is_an_error() -> None:
    with playing(Dhcpd.accept) as port:
        session = open_session(port)
        with pytest.raises(ControlError):
            session.lookup("failover-state", "lan")


def test_silence_ends_at_the_deadline() -> None:
    with playing(lambda dhcpd: dhcpd.hear() and None) as port:
        begin = time.monotonic()
        with pytest.raises(ControlError, match=r"no answer within 0\.2 s"):
            open_session(port, timeout=0.2)
        assert time.monotonic() - begin < 2


def test_a_trickle_ends_at_the_deadline_too() -> None:
    def play(dhcpd: Dhcpd) -> None:
        dhcpd.accept()
        question = dhcpd.hear()
        reply = OmapiMessage(opcode=OMAPI_OP_UPDATE, obj=OBJECT * 50, rid=question.tid)
        reply.sign(dhcpd.key)
        for byte in reply.as_string():
            dhcpd.connection.sendall(bytes([byte]))
            time.sleep(0.02)  # the trickle

    with playing(play) as port:
        session = open_session(port, timeout=0.3)
        begin = time.monotonic()
        with pytest.raises(ControlError, match=r"no answer within 0\.3 s"):
            session.lookup("failover-state", "lan")
        assert time.monotonic() - begin < 1.5


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ControlError, match=f"control interface at 127.0.0.1:{port}: connection refused"):
        open_session(port)


def test_a_key_that_is_no_base64_is_an_error() -> None:
    with playing(Dhcpd.greet) as port, pytest.raises(ControlError, match="not base64"):
        open_session(port, secret="A")  # noqa: S106 - nobody's


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_garbage_is_a_control_error_and_nothing_else(garbage: bytes, greeted: bool) -> None:  # noqa: FBT001  # hypothesis passes it by position
    def play(dhcpd: Dhcpd) -> None:
        if greeted:
            dhcpd.accept()
            dhcpd.hear()
        dhcpd.connection.sendall(garbage)

    with playing(play) as port, pytest.raises(ControlError):
        open_session(port).lookup("failover-state", "lan")


def test_many_objects_are_changed_in_few_steps_each_by_what_it_is() -> None:
    states = {bytes([10, 0, 0, n]): n % 3 for n in range(80)}
    changed: dict[int, dict[bytes, bytes]] = {}
    bursts: list[int] = []

    def play(dhcpd: Dhcpd) -> None:
        dhcpd.accept()
        for _ in range(160 - 27 - 1):  # each is looked up, one is not there, and a third is left alone
            message = dhcpd.hear()
            bursts.append(len(dhcpd.buffer.buff))
            if message.opcode == OMAPI_OP_UPDATE:
                changed[message.handle] = dict(message.obj)
                refused = message.handle == 5
                dhcpd.say(_result(message, 6 if refused else 0, "no right" if refused else ""))
                continue
            assert dict(message.message)[b"type"] == b"lease"
            address = dict(message.obj)[b"ip-address"]
            if address[3] == 7:
                dhcpd.say(_result(message, 23, "no object"))
                continue
            obj = [(b"state", bytes([states[address]]))]
            dhcpd.say(OmapiMessage(opcode=OMAPI_OP_UPDATE, handle=address[3], rid=message.tid, obj=obj))

    with playing(play) as port:
        session = omapi.connect("127.0.0.1", port, "twinlease", SECRET, 5.0)
        problems = session.change_each(
            "lease",
            "ip-address",
            list(states),
            lambda found: [{"ends": found["state"], "state": b"\2"}] if found["state"] != b"\0" else [],
        )
        session.close()
    assert [index for index, problem in enumerate(problems) if problem] == [5, 7]
    assert (problems[5], problems[7]) == ("error 6 no right", "error 23 no object")
    assert sorted(changed) == [n for n in range(80) if n % 3 and n != 7]
    assert all(list(found) == [b"ends", b"state"] for found in changed.values())
    assert max(bursts) > 0  # the next one was there before the first had its answer


def test_nothing_comes_between_two_messages_of_one_object() -> None:
    waiting: list[tuple[bytes, int]] = []

    def play(dhcpd: Dhcpd) -> None:
        dhcpd.accept()
        message = dhcpd.hear()
        dhcpd.say(OmapiMessage(opcode=OMAPI_OP_UPDATE, handle=1, rid=message.tid, obj=[(b"state", b"\7")]))
        for number in range(2):
            message = dhcpd.hear()
            waiting.append((dict(message.obj)[b"state"], len(dhcpd.buffer.buff)))
            dhcpd.say(_result(message, 6 * number, "no right" if number else ""))

    with playing(play) as port:
        session = omapi.connect("127.0.0.1", port, "twinlease", SECRET, 5.0)
        changes = [{"state": b"\4"}, {"state": b"\7"}]
        assert session.change_each("lease", "ip-address", [bytes(4)], lambda _: changes) == ["error 6 no right"]
        session.close()
    (first, after), (second, rest) = waiting
    assert (first, second, rest) == (b"\4", b"\7", 0)
    assert after > 0  # the second one was there with the first


def _result(question: OmapiMessage, number: int, text: str) -> OmapiMessage:
    message = [(b"result", struct.pack("!I", number)), (b"message", text.encode())]
    return OmapiMessage(opcode=OMAPI_OP_STATUS, rid=question.tid, message=message)
