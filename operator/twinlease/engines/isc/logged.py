"""What dhcpd's log tells of: DHCP messages, and damage of its lease file. Standard library only: the guard runs this.

dhcpd writes a line for each DHCP message, received or sent, that begins with the message's name. Of a lease file that
it cannot read through it says in which line, and that data may be lost. What clients say stands further back in a line.
Source: dhcpd 4.4.3-P1, measured.
"""

import re

_TOLD = re.compile(rb"\n(DHCP[A-Z]+ |Corrupt lease file|\S{0,255}dhcpd\.leases line \d)")
_MESSAGES = {
    f"DHCP{name.upper()} ".encode(): name
    for name in ("discover", "offer", "request", "ack", "nak", "decline", "release", "inform")
}
DAMAGE = "damage"


def tally(lines: bytes) -> dict[str, int]:
    """Return how often each kind of event is told of in whole lines, each after a line's end: messages, ``damage``."""
    found: dict[str, int] = {}
    for told in _TOLD.findall(lines):
        name = _MESSAGES.get(told)
        if name is None:
            if told.startswith(b"DHCP"):
                continue  # of some other kind, like a lease query
            name = DAMAGE
        found[name] = found.get(name, 0) + 1
    return found
