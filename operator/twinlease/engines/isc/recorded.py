"""What a lease file says, read once and whole, with dhcpd stopped: what a start is decided on."""

import time
from pathlib import Path

from twinlease.engines.isc import records
from twinlease.engines.isc.states import from_word
from twinlease.engines.protocol import Recorded
from twinlease.model.states import FailoverState

NOTHING = Recorded(
    exists=False,
    local=FailoverState.UNKNOWN,
    partner=FailoverState.UNKNOWN,
    since=0,
    newest=0,
    newest_address="",
    held=0,
    held_until=0,
    transitions=0,
)
"""What is recorded where there is no file."""


def recorded(lease_file: Path) -> Recorded:
    """Read a lease file in one pass: of each address the last record counts, and a last one cut short does not.

    Raises:
        OSError: The file cannot be read. One that does not exist is a value, ``NOTHING``.
    """
    seen: dict[bytes, bytes] = {}
    ends: dict[bytes, bytes] = {}
    mine, since, partner, transitions = "", b"", "", 0
    try:
        with lease_file.open("rb") as file:
            for block in records.content(file):
                for lease in records.leases(block):
                    if not lease.whole:
                        continue
                    seen[lease.address] = lease.seen
                    ends[lease.address] = lease.ends if lease.state == "active" else b""
                for change in records.changes(block):
                    transitions += 1
                    if change.my_state:
                        mine, since = change.my_state, change.my_since
                    partner = change.partner_state or partner
    except FileNotFoundError:
        return NOTHING
    now = records.text(int(time.time()))
    held = [end for end in ends.values() if end > now]
    address, newest = max(seen.items(), key=lambda item: item[::-1], default=(b"", b""))
    return Recorded(
        exists=True,
        local=from_word(mine),
        partner=from_word(partner),
        since=records.seconds(since),
        newest=records.seconds(newest),
        newest_address=address.decode("ascii") if newest else "",
        held=len(held),
        held_until=records.LATEST if records.NEVER in held else records.seconds(max(held, default=b"")),
        transitions=transitions,
    )
