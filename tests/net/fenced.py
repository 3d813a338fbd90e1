"""A real server without a partner, under a guard with a fence."""

import time

from tests.net.guarded import Guard, start
from twinlease.ipc.client import GuardStatus
from twinlease.ipc.protocol import FenceSpec, Mode

ALONE = """
authoritative;
ping-check off;
omapi-port 7911;
default-lease-time 600;
max-lease-time 600;
subnet 10.77.0.0 netmask 255.255.255.0 { range 10.77.0.100 10.77.0.199; }
"""
"""A server without a partner: it answers from its first moment on."""

PARTNER = "10.77.0.3"
PORTS = FenceSpec(Mode.KERNEL, PARTNER, failover_port=647, omapi_port=7911, peer_port=648, partner_port=647)


def boot_time() -> float:
    """Return CLOCK_BOOTTIME, in which deadlines are told."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def serve(guard: Guard, seconds: float | None = 60.0, fence: FenceSpec = PORTS) -> GuardStatus:
    """Start the server with a permit of so many seconds."""
    deadline = None if seconds is None else boot_time() + seconds
    return guard.client.apply(guard.offer(ALONE), start(deadline=deadline, fence=fence))
