"""What dhcpd's log tells of, counted."""

from hypothesis import given
from hypothesis import strategies as st

from twinlease.engines.isc.logged import tally

LOG = b"""
DHCPDISCOVER from 02:00:00:00:00:01 via eth0
DHCPOFFER on 10.77.0.100 to 02:00:00:00:00:01 (host) via eth0
DHCPREQUEST for 10.77.0.100 (10.77.0.2) from 02:00:00:00:00:01 (host) via eth0
DHCPACK on 10.77.0.100 to 02:00:00:00:00:01 (host) via eth0
DHCPREQUEST for 10.77.0.9 from 02:00:00:00:00:02 via eth0: wrong network.
DHCPNAK on 10.77.0.9 to 02:00:00:00:00:02 via eth0
DHCPDECLINE of 10.77.0.100 from 02:00:00:00:00:01 via eth0: abandoned
DHCPRELEASE of 10.77.0.100 from 02:00:00:00:00:01 via eth0 (found)
DHCPINFORM from 10.77.0.9 via eth0
DHCPACK to 10.77.0.9 (02:00:00:00:00:02) via eth0
DHCPLEASEQUERY from 10.77.0.1 for IP 10.77.0.9
failover peer lan: I move from recover to startup
time=2026-01-01T00:00:00.000Z level=INFO logger=twinlease.guard msg="DHCPACK on"
/var/lib/twinlease/dhcpd.leases line 12: semicolon expected.
Corrupt lease file - possible data loss!"""


def test_each_message_counts_once_and_damage_too() -> None:
    assert tally(LOG) == {
        "discover": 1, "offer": 1, "request": 2, "ack": 2, "nak": 1, "decline": 1, "release": 1, "inform": 1,
        "damage": 2,
    }  # fmt: skip


@given(st.binary(max_size=60).filter(lambda name: b"\n" not in name))
def test_what_a_client_calls_itself_counts_for_nothing(name: bytes) -> None:
    line = b"\nDHCPACK on 10.77.0.100 to 02:00:00:00:00:01 (%s DHCPNAK on ) via eth0" % name
    assert tally(line) == {"ack": 1}
