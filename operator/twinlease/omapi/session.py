"""A session with a running dhcpd: always a deadline, one kind of error, dead after any error.

The library pypureomapi gives the messages, their parser and signatures. The socket is ours: the library's own client
leaks it when a connection fails, and bounds each read but no answer. Blocking: asynchronous callers use a thread.
"""

import binascii
import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pypureomapi import (  # type: ignore[import-untyped]  # typed inside, but without the py.typed marker
    OMAPI_OP_STATUS,
    OMAPI_OP_UPDATE,
    InBuffer,
    OmapiAuthenticatorBase,
    OmapiError,
    OmapiHMACMD5Authenticator,
    OmapiMessage,
    OmapiNullAuthenticator,
    OmapiStartupMessage,
)

from twinlease.engines.protocol import ControlError

_T = TypeVar("_T")
_NOT_FOUND = 23  # ISC_R_NOTFOUND: dhcpd's status for an object that it does not know
_READ_BYTES = 4096
_ON_THEIR_WAY = 32
"""Messages that are sent before the first of them is answered: few enough for the buffers of both ends."""

Change = Callable[[Mapping[str, bytes]], Sequence[Mapping[str, bytes]]]


class OmapiSession:
    """One authenticated connection; ``twinlease.engines.isc.control.Session`` is the protocol that it keeps.

    Args:
        connection: A fresh TCP connection to dhcpd, which the session owns from then on.
        peer: What errors call the other end.
        key_name: Name of the key in dhcpd's configuration.
        secret: The key, base64.
        timeout: Longest wait for one whole answer, seconds.

    Raises:
        ControlError: No OMAPI at the other end, no answer in time, or the key is refused.
    """

    def __init__(self, connection: socket.socket, peer: str, key_name: str, secret: str, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._peer = peer
        self._buffer = InBuffer()
        self._signer: OmapiAuthenticatorBase = OmapiNullAuthenticator()
        with self._dead_after_error():
            self._greet()
            self._authenticate(key_name, secret)

    def lookup(self, kind: str, name: str) -> Mapping[str, bytes] | None:
        """Return all attributes of the object of a kind that has a name, None if there is none.

        Raises:
            ControlError: No answer in time, a lost connection, or an answer that is none. The session is dead then.
        """
        with self._dead_after_error():
            answer = self._open(kind, name)
            return None if answer is None else _attributes(answer)

    def update(self, kind: str, name: str, attributes: Mapping[str, bytes]) -> None:
        """Set attributes of the object of a kind that has a name. What the server makes of them is to be read back.

        Raises:
            ControlError: There is no such object, the server refuses, no answer in time, a lost connection, or an
                answer that is none. The session is dead then.
        """
        with self._dead_after_error():
            found = self._open(kind, name)
            if found is None:
                raise OmapiError(f"updating {kind} {name!r}: there is none")
            message = OmapiMessage.update(found.handle)
            message.update_object({key.encode("ascii"): value for key, value in attributes.items()})
            number, text = _status(self._exchange(message))
            if number != 0:
                raise OmapiError(f"updating {kind} {name!r}: error {number} {text}")

    def change_each(self, kind: str, key: str, values: Sequence[bytes], change: Change) -> list[str]:
        """Look objects of a kind up by an attribute, and set what follows from what each of them is.

        Several messages are on their way at once, so it takes a fraction of as many calls of ``update``.

        Args:
            kind: Of the objects.
            key: The attribute that finds each of them.
            values: Its values.
            change: Returns which attributes to set, in their order, given all that an object has; none: leave it.
                One message for each mapping: the server does nothing else between those of one object.

        Returns:
            What went wrong with each, empty: nothing.

        Raises:
            ControlError: No answer in time, a lost connection, or an answer that is none. The session is dead then.
        """
        problems = [""] * len(values)
        with self._dead_after_error():
            updates: list[tuple[int, OmapiMessage]] = []
            found = self._exchange_all([_opening(kind, {key.encode(): value}) for value in values])
            for index, answer in enumerate(found):
                if answer.opcode != OMAPI_OP_UPDATE:
                    problems[index] = "error {} {}".format(*_status(answer))
                    continue
                for wanted in change(_attributes(answer)):
                    message = OmapiMessage.update(answer.handle)
                    message.update_object({name.encode("ascii"): value for name, value in wanted.items()})
                    updates.append((index, message))
            answers = self._exchange_all([message for _, message in updates])
            for (index, _), answer in zip(updates, answers, strict=True):
                number, text = _status(answer)
                problems[index] = problems[index] or (f"error {number} {text}" if number else "")
        return problems

    def _open(self, kind: str, name: str) -> OmapiMessage | None:
        answer = self._exchange(_opening(kind, {b"name": name.encode()}))
        if answer.opcode == OMAPI_OP_UPDATE:
            return answer
        if _status(answer)[0] == _NOT_FOUND:
            return None
        raise OmapiError("looking up {} {!r}: error {} {}".format(kind, name, *_status(answer)))

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    @contextlib.contextmanager
    def _dead_after_error(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            self.close()
            raise ControlError(f"{self._peer}: no answer within {self._timeout:g} s") from error
        except (OSError, OmapiError, ValueError) as error:
            self.close()
            raise ControlError(f"{self._peer}: {_reason(error)}") from error

    def _greet(self) -> None:
        self._connection.sendall(OmapiStartupMessage().as_string())
        self._read(self._buffer.parse_startup_message()).validate()

    def _authenticate(self, key_name: str, secret: str) -> None:
        signer = OmapiHMACMD5Authenticator(key_name.encode(), secret.encode())
        message = OmapiMessage.open(b"authenticator")
        message.update_object(signer.auth_object())
        answer = self._exchange(message)
        if answer.opcode != OMAPI_OP_UPDATE or answer.handle == 0:
            raise OmapiError("key {!r} refused: error {} {}".format(key_name, *_status(answer)))
        signer.authid = answer.handle
        self._signer = signer

    def _exchange(self, message: OmapiMessage) -> OmapiMessage:
        return self._exchange_all([message])[0]

    def _exchange_all(self, messages: Sequence[OmapiMessage]) -> list[OmapiMessage]:
        """Send messages and return their answers in the same order."""
        answers: list[OmapiMessage] = []
        for first in range(0, len(messages), _ON_THEIR_WAY):
            part = messages[first : first + _ON_THEIR_WAY]
            for message in part:
                message.sign(self._signer)
            self._connection.settimeout(self._timeout)
            self._connection.sendall(b"".join(message.as_string() for message in part))
            answers += [self._answer(message) for message in part]
        return answers

    def _answer(self, message: OmapiMessage) -> OmapiMessage:
        answer = self._read(self._buffer.parse_message())
        if answer.authid != self._signer.authid or not answer.verify({self._signer.authid: self._signer}):
            raise OmapiError("the answer is not signed with our key: the server refused it, or has another one")
        if not answer.is_response(message):
            raise OmapiError("the answer belongs to another question")
        return answer

    def _read(self, parser: Iterator[_T | None]) -> _T:
        deadline = time.monotonic() + self._timeout
        while (parsed := next(parser)) is None:
            self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
            data = self._connection.recv(_READ_BYTES)
            if not data:
                raise OmapiError("connection closed by the server")
            if time.monotonic() > deadline:
                raise TimeoutError
            self._buffer.feed(data)
        self._buffer.resetsize()
        return parsed


def connect(host: str, port: int, key_name: str, secret: str, timeout: float) -> OmapiSession:
    """Open a session.

    Args:
        host: IPv4 address of the server: its own loopback, for the protocol hides nothing from a listener.
        port: TCP port.
        key_name: Name of the key in dhcpd's configuration.
        secret: The key (HMAC-MD5, the only algorithm that the library speaks), base64.
        timeout: Longest wait for the connection, and then for any one answer; seconds, > 0.

    Raises:
        ControlError: Nobody listens, no answer in time, or the key is refused.
    """
    peer = f"control interface at {host}:{port}"
    try:
        connection = socket.create_connection((host, port), timeout=timeout)
    except OSError as error:
        raise ControlError(f"{peer}: {_reason(error)}") from error
    return OmapiSession(connection, peer, key_name, secret, timeout)


def _opening(kind: str, found_by: Mapping[bytes, bytes]) -> OmapiMessage:
    message = OmapiMessage.open(kind.encode())
    message.update_object(dict(found_by))
    return message


def _attributes(answer: OmapiMessage) -> Mapping[str, bytes]:
    return {key.decode("ascii"): value for key, value in answer.obj}


def _status(answer: OmapiMessage) -> tuple[int, str]:
    """Return number and text of a status message; (-1, "") of any other."""
    if answer.opcode != OMAPI_OP_STATUS:
        return -1, ""
    attributes = dict(answer.message)
    text = attributes.get(b"message", b"").decode("ascii", "replace")
    return int.from_bytes(attributes.get(b"result", b""), "big"), text


def _reason(error: Exception) -> str:
    if isinstance(error, binascii.Error):
        return f"the key is not base64: {error}"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error) or "an answer that is no OMAPI"
