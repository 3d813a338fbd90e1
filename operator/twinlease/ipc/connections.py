"""The failover connections of this machine, by its table of TCP connections (proc(5), tcp). Standard library only."""

import socket
import struct
from pathlib import Path

from twinlease.ipc.protocol import FenceSpec

TABLE = Path("/proc/self/net/tcp")
_LOCAL, _REMOTE, _STATE = 1, 2, 3
_ESTABLISHED = "01"


def established(spec: FenceSpec, listing: Path = TABLE) -> frozenset[tuple[str, str]] | None:
    """Return both ends of each failover connection that is established (I/O); None: that cannot be told.

    Either side may have called the other. No two connections have the same ends at the same time, and a new one seldom
    those of an old one: who calls takes another port each time.
    """
    try:
        lines = listing.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    called = f":{spec.failover_port:04X}" if spec.failover_port else ""
    partner = _address(spec.partner, spec.partner_port) if spec.partner and spec.partner_port else ""
    found = (fields for line in lines if len(fields := line.split()) > _STATE and fields[_STATE] == _ESTABLISHED)
    return frozenset(
        (fields[_LOCAL], fields[_REMOTE])
        for fields in found
        if (called and fields[_LOCAL].endswith(called)) or (partner and fields[_REMOTE] == partner)
    )


def _address(address: str, port: int) -> str:
    """Return an address and a port as the kernel lists them."""
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    return f"{number:08X}:{port:04X}"
