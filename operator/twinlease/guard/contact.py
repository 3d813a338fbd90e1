"""Whether the server talks to its partner at this moment: by the machine's table of TCP connections. proc(5), tcp."""

import socket
import struct
from pathlib import Path

from twinlease.ipc.protocol import FenceSpec

_CONNECTIONS = Path("/proc/self/net/tcp")
_LOCAL, _REMOTE, _STATE = 1, 2, 3
_ESTABLISHED = "01"


def connected(spec: FenceSpec, listing: Path = _CONNECTIONS) -> bool:
    """Tell whether a failover connection of this machine is established; also if that cannot be told.

    Either side may have called the other. Asked on the spot and not remembered: nobody else has to have seen it.
    """
    try:
        lines = listing.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return True
    called = f":{spec.failover_port:04X}" if spec.failover_port else ""
    partner = _address(spec.partner, spec.partner_port) if spec.partner and spec.partner_port else ""
    found = (fields for line in lines if len(fields := line.split()) > _STATE and fields[_STATE] == _ESTABLISHED)
    return any(
        (called and fields[_LOCAL].endswith(called)) or (partner and fields[_REMOTE] == partner) for fields in found
    )


def _address(address: str, port: int) -> str:
    """Return an address and a port as the kernel lists them."""
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    return f"{number:08X}:{port:04X}"
