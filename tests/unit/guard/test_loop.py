"""The guard's event loop."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from twinlease.guard.loop import READ, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop, and the signal dispositions as they were."""
    before = signal.getsignal(signal.SIGUSR1)
    made = Loop()
    yield made
    made.close()
    signal.signal(signal.SIGUSR1, before)


def test_timers_fire_in_their_order_and_once(loop: Loop) -> None:
    fired: list[str] = []
    loop.after(0.06, "late", lambda: fired.append("late"))
    loop.after(0.08, "test", loop.stop)
    loop.after(0.02, "early", lambda: fired.append("early"))
    loop.after(0.01, "cancelled", lambda: fired.append("cancelled"))
    loop.after(0.5, "replaced", lambda: fired.append("too late"))
    loop.after(0.04, "replaced", lambda: fired.append("replaced"))
    loop.cancel("cancelled")
    loop.cancel("never set")
    loop.run()
    assert fired == ["early", "replaced", "late"]


def test_a_signal_is_handled_in_the_loop(loop: Loop) -> None:
    seen: list[int] = []

    def handle() -> None:
        seen.append(1)
        loop.stop()

    loop.on_signal(signal.SIGUSR1, handle)
    loop.after(0.01, "test", lambda: os.kill(os.getpid(), signal.SIGUSR1))
    loop.run()
    assert seen == [1]


def test_a_descriptor_is_watched_until_it_is_not(loop: Loop) -> None:
    reading, writing = os.pipe()
    seen: list[bytes] = []
    loop.watch(reading, READ, lambda: seen.append(b"never called"))

    def once() -> None:
        seen.append(os.read(reading, 1))
        loop.unwatch(reading)
        loop.unwatch(reading)

    loop.watch(reading, READ, once)
    os.write(writing, b"ab")
    loop.after(0.05, "test", loop.stop)
    loop.run()
    assert seen == [b"a"]
    os.close(reading)
    os.close(writing)


def test_work_that_blocks_does_not_block_the_loop(loop: Loop) -> None:
    order: list[str] = []
    released = threading.Event()

    def work() -> None:
        released.wait(5)
        order.append("worked")

    def done() -> None:
        order.append("done")
        loop.stop()

    loop.offload(work, done)
    loop.after(0.02, "meanwhile", lambda: (order.append("meanwhile"), released.set()))
    loop.run()
    assert order == ["meanwhile", "worked", "done"]
