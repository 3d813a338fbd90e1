"""Being woken by the kernel when somebody sets the wall clock. timerfd_create(2), TFD_TIMER_CANCEL_ON_SET.

By ctypes: Python has had it since 3.13 only. What it tells is a hint: whether the clock stepped, and by how much, its
reader looks up. Where the kernel does not have it there is still whoever looks now and then.
"""

import contextlib
import ctypes
import os
import time

_ABSTIME, _CANCEL_ON_SET = 1, 2
_FAR = 10 * 365 * 86_400
_libc = ctypes.CDLL(None, use_errno=True)


class _Itimerspec(ctypes.Structure):
    """A timer that fires once: interval, then value, each of seconds and nanoseconds."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class SetAlarm:
    """Becomes readable when the wall clock is set. Needs no capability."""

    def __init__(self) -> None:
        self._descriptor: int = _libc.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor >= 0 and not self._arm():
            self.close()

    def fileno(self) -> int:
        """Return the descriptor, -1 where the kernel has no such timer."""
        return self._descriptor

    def heard(self) -> None:
        """Take in that it rang, and wait for the next time."""
        with contextlib.suppress(OSError):  # ECANCELED: the clock was set; EAGAIN: a false alarm
            os.read(self._descriptor, 8)
        self._arm()

    def close(self) -> None:
        """Close the descriptor; harmless if there is none."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _arm(self) -> bool:
        far = _Itimerspec(0, 0, int(time.time()) + _FAR, 0)
        flags = _ABSTIME | _CANCEL_ON_SET
        armed: int = _libc.timerfd_settime(self._descriptor, flags, ctypes.byref(far), None)
        return armed == 0
