"""Two servers that answer one client: what the longer promise says is what both keep."""

import time

from tests.lab.waiting import until
from tests.net.apart import MCLT, brief
from tests.net.client import Clients, Kind, hardware_addresses
from tests.net.jig import Jig, Server, closing
from tests.net.services import PRIMARY, SECONDARY
from tests.net.test_return import ends

COUNT = 8
LONGEST = 60
PROMPT = 1.0  # seconds; a partner that collects its acknowledgements takes 2


def nothing_unacknowledged(jig: Jig) -> bool:
    """Tell whether each server knows that the other knows what it has promised."""
    owed = 0
    for server in jig.servers.values():
        with closing(server.control()) as control:
            owed += control.failover().unacked_updates
    return owed == 0


def kept(server: Server, promised: dict[str, float]) -> bool:
    """Tell whether a server's file has every lease until its promised end, but for dhcpd's whole seconds."""
    known = ends(server)
    return all(known.get(address, 0) >= end - 1.5 for address, end in promised.items())


def test_a_client_that_asks_both_soon_after_its_lease_is_promised_the_same_by_both_and_both_keep_it() -> None:
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd:
        jig.start(brief("10.77.0.100", "10.77.0.131", longest=LONGEST))
        until("balanced", lambda: nothing_unacknowledged(jig), timeout=10)
        promised: dict[str, float] = {}
        first_by = set()
        for mac in hardware_addresses(COUNT):
            first = crowd.lease([mac], timeout=10)[mac]
            assert first.lease_seconds == MCLT
            first_by.add(first.server)
            until("prompt acknowledgement", lambda: nothing_unacknowledged(jig), timeout=PROMPT, every=0.02)
            asked = time.time()
            acks = [reply for reply in crowd.reboot(mac, first.address, listen=0.3) if reply.kind is Kind.ACK]
            assert {ack.server for ack in acks} == {PRIMARY.ip, SECONDARY.ip}
            assert {ack.lease_seconds for ack in acks} == {LONGEST}
            promised[str(first.address)] = asked + LONGEST
        assert first_by == {PRIMARY.ip, SECONDARY.ip}  # where the two differ, the primary's word overrules
        until("both have written", lambda: nothing_unacknowledged(jig), timeout=5)
        until("both keep to it", lambda: all(kept(server, promised) for server in jig.servers.values()), timeout=5)
