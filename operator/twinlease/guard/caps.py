"""Raising a capability that is permitted, for as long as it is needed. capabilities(7), linux/capability.h."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

_VERSION_3 = 0x20080522


class Capability(IntEnum):
    """Numbers of capabilities."""

    NET_BIND_SERVICE = 10
    NET_ADMIN = 12
    NET_RAW = 13


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """Half of the sets: effective, permitted, inheritable, 32 capabilities each."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)


def permitted(capability: Capability) -> bool:
    """Tell whether this process may raise a capability."""
    return bool(_get()[0].permitted & 1 << capability)


@contextmanager
def raised(*capabilities: Capability) -> Iterator[None]:
    """Have capabilities in effect for the length of a block, in this thread; those that are not permitted stay away."""
    sets = _get()
    before = sets[0].effective
    wanted = sum(1 << capability for capability in capabilities) & sets[0].permitted
    sets[0].effective |= wanted
    _set(sets)
    try:
        yield
    finally:
        sets[0].effective = before
        _set(sets)


def _get() -> "ctypes.Array[_Sets]":
    sets = (_Sets * 2)()
    _call(_libc.capget, sets)
    return sets


def _set(sets: "ctypes.Array[_Sets]") -> None:
    _call(_libc.capset, sets)


def _call(function: "ctypes._NamedFuncPointer", sets: "ctypes.Array[_Sets]") -> None:
    if function(ctypes.byref(_Header(_VERSION_3, 0)), sets):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
