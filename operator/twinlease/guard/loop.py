"""The event loop: file descriptors, signals and a few named timers. It sleeps until something happens."""

import os
import selectors
import signal
import threading
import time
from collections.abc import Callable

Callback = Callable[[], None]

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class Loop:
    """One thread's loop; make one per process, for it owns the process's signal wake-up."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: dict[str, tuple[float, Callback]] = {}
        self._signals: dict[int, Callback] = {}
        self._stopped = False
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self.watch(self._woken, READ, self._signalled)

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        """Call back whenever ``fd`` is ready; replaces an earlier watch of it."""
        if fd in self._selector.get_map():
            self._selector.modify(fd, events, callback)
        else:
            self._selector.register(fd, events, callback)

    def unwatch(self, fd: int) -> None:
        """Stop watching; harmless if it is not watched."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def offload(self, work: Callback, done: Callback) -> None:
        """Have a thread do what may block for long, like a disk; ``done`` is called from the loop afterwards."""
        ended, ending = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

        def run() -> None:
            try:
                work()
            finally:
                os.close(ending)

        def finish() -> None:
            self.unwatch(ended)
            os.close(ended)
            done()

        self.watch(ended, READ, finish)
        threading.Thread(target=run, daemon=True).start()

    def on_signal(self, number: int, callback: Callback) -> None:
        """Call back, from the loop, when a signal has come."""
        self._signals[number] = callback
        # The interpreter writes a signal's number to the wake-up pipe only if the signal has a handler.
        signal.signal(number, lambda _number, _frame: None)

    def after(self, seconds: float, name: str, callback: Callback) -> None:
        """Call back once after so many seconds; replaces an earlier timer of that name."""
        self._timers[name] = (time.monotonic() + seconds, callback)

    def cancel(self, name: str) -> None:
        """Forget a timer; harmless if there is none."""
        self._timers.pop(name, None)

    def stop(self) -> None:
        """Return from ``run`` once the present callbacks are done."""
        self._stopped = True

    def run(self) -> None:
        """Serve until ``stop``."""
        while not self._stopped:
            for key, _ in self._selector.select(self._timeout()):
                key.data()
            self._expire()
        self._stopped = False

    def close(self) -> None:
        """Give the signal wake-up back and let go of everything."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        os.close(self._woken)
        os.close(self._waker)

    def _timeout(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(when for when, _ in self._timers.values()) - time.monotonic())

    def _expire(self) -> None:
        now = time.monotonic()
        due = [name for name, (when, _) in self._timers.items() if when <= now]
        for name in due:
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer[1]()

    def _signalled(self) -> None:
        for number in set(os.read(self._woken, 4096)):
            callback = self._signals.get(number)
            if callback is not None:
                callback()
