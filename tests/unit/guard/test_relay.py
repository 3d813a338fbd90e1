"""The log's way from the server to our output, which never blocks anybody."""

import os
from collections.abc import Iterator

import pytest

from twinlease.guard.loop import Loop
from twinlease.guard.relay import Relay


class Rig:
    """A relay between a server's end and a reader's end, and the loop that drives it."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self.loop = Loop()
        self.relay = Relay(self.loop, self._writing)

    def server_writes(self, data: bytes) -> int:
        """Write as the server does; return how much the pipe took without waiting."""
        try:
            return os.write(self.relay.sink, data)
        except BlockingIOError:
            return 0

    def run(self, seconds: float = 0.15) -> None:
        """Let the loop run for a while."""
        self.loop.after(seconds, "test", self.loop.stop)
        self.loop.run()

    def read(self) -> bytes:
        """Return what came out so far."""
        parts: list[bytes] = []
        while True:
            try:
                parts.append(os.read(self._reading, 1 << 20))
            except BlockingIOError:
                return b"".join(parts)

    def close(self) -> None:
        """Let go of everything."""
        self.relay.close()
        self.loop.close()
        os.close(self._reading)
        os.close(self._writing)


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A rig."""
    made = Rig()
    yield made
    made.close()


def test_what_the_server_writes_comes_out_in_order(rig: Rig) -> None:
    lines = [b"line %d\n" % number for number in range(500)]
    for line in lines:
        rig.server_writes(line)
    rig.run()
    assert rig.read() == b"".join(lines)


def test_our_own_lines_come_out_whole(rig: Rig) -> None:
    rig.relay.write("guard ready")
    assert rig.read() == b"guard ready\n"


def test_the_tail_is_the_end_of_what_this_server_wrote(rig: Rig) -> None:
    rig.server_writes(b"of the server before\n")
    rig.relay.begin()
    rig.server_writes(b"".join(b"%d %s\n" % (number, b"x" * 500) for number in range(30)) + b"\nthe last words\n")
    tail = rig.relay.tail(5)
    assert len(tail) == 4  # of five lines one is empty
    assert tail[-1] == "the last words"
    assert tail[0].startswith("27 xxx")
    assert len(tail[0]) == 400
    assert not any("before" in line for line in rig.relay.tail(1000))


def test_a_reader_that_does_not_read_costs_log_and_nothing_else(rig: Rig) -> None:
    line = b"x" * 99 + b"\n"
    sent = 0
    while not rig.relay.dropped:
        sent += rig.server_writes(line * 1000)
        rig.relay.tail(1)  # drains the pipe, as the loop does
    assert rig.relay.dropped < sent
    kept = len(rig.read())
    assert kept < sent
    rig.relay.write("and on")
    rig.run(0.05)
    out = b""
    while part := rig.read():
        out += part
        rig.run(0.02)
    assert b"bytes of log dropped here" in out
    assert out.endswith(b"and on\n")


def test_a_reader_that_is_gone_is_no_reason_to_stop() -> None:
    reading, writing = os.pipe()
    loop = Loop()
    relay = Relay(loop, writing)
    os.close(reading)
    relay.write("into the void")
    assert relay.dropped == len("into the void") + 1
    relay.close()
    loop.close()
    os.close(writing)


def test_the_output_is_left_as_it_was() -> None:
    reading, writing = os.pipe()
    loop = Loop()
    relay = Relay(loop, writing)
    assert not os.get_blocking(writing)
    relay.close()
    assert os.get_blocking(writing)
    loop.close()
    os.close(reading)
    os.close(writing)
