"""Whether the server talks to its partner at this moment."""

from pathlib import Path

from twinlease.ipc.connections import TABLE, established
from twinlease.ipc.protocol import FenceSpec


def connected(spec: FenceSpec, listing: Path = TABLE) -> bool:
    """Tell whether a failover connection of this machine is established; also if that cannot be told.

    Asked on the spot and not remembered: nobody else has to have seen it.
    """
    found = established(spec, listing)
    return found is None or bool(found)
