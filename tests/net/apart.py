"""What tests of servers that go apart have in common: leases of seconds, a link to cut, clients that keep count."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address

from msgspec.structs import replace

from tests.net.client import NONE, Clients, Kind, hardware_addresses
from tests.net.jig import Jig, Server, await_states, closing
from tests.net.services import service
from tests.unit.engines.cases import run
from twinlease.model.service import Service
from twinlease.model.states import FailoverState

MCLT = 5
LONGEST = 16  # more than three times mclt, or a secondary would give nothing away too early
INTERRUPTED = (FailoverState.COMMUNICATIONS_INTERRUPTED, FailoverState.NORMAL)
ALONE = (FailoverState.PARTNER_DOWN, FailoverState.COMMUNICATIONS_INTERRUPTED)


def brief(first: str, last: str, *, longest: int = LONGEST) -> Service:
    """Return a service with leases of seconds."""
    whole = service(run(first, last))
    pool = replace(whole.pools[0], default_lease=longest, minimum_lease=1, maximum_lease=longest)
    return replace(whole, failover=replace(whole.failover, mclt=MCLT), pools=(pool,))


def interrupt(jig: Jig) -> None:
    """Cut the link, and wait until both servers have seen it."""
    jig.cut_link()
    for server in jig.servers.values():
        with closing(server.control()) as control:
            await_states(control, INTERRUPTED, timeout=10)


@dataclass
class Client:
    """One client, and until when its lease runs."""

    crowd: Clients
    mac: bytes
    address: IPv4Address = NONE
    server: IPv4Address = NONE
    ends: float = 0.0

    def lease(self, timeout: float) -> bool:
        """Lease any address; tell whether there was one."""
        ack = self.crowd.lease([self.mac], timeout=timeout).get(self.mac)
        if ack is not None:
            self.address, self.server, self.ends = ack.address, ack.server, time.time() + ack.lease_seconds
        return ack is not None

    def renew(self) -> int:
        """Extend the lease with whoever hears it; return for how long."""
        ack = self.crowd.renew(self.mac, self.address, listen=2)
        assert ack is not None
        assert ack.kind is Kind.ACK
        self.ends = time.time() + ack.lease_seconds
        return ack.lease_seconds


def state_of(server: Server, address: IPv4Address) -> str:
    """Return the state of an address in a server's lease file."""
    record = server.lease_file.read_text().rpartition(f"lease {address} {{")[2]
    return record.partition("\n  binding state ")[2].partition(";")[0]


def given_to_others(crowd: Clients, addresses: Collection[IPv4Address], *, timeout: float) -> set[IPv4Address]:
    """Have more clients than there are addresses ask until each is given to one; return which are, in so many seconds.

    What a server keeps for a client that it offered it to counts, too: both servers may offer to the same one, and then
    there is an address that is anybody's, and that nobody gets for longer than a test can wait.
    """
    given: set[IPv4Address] = set()
    patience = time.monotonic() + timeout
    while time.monotonic() < patience and not given.issuperset(addresses):
        given.update(ack.address for ack in crowd.lease(hardware_addresses(40, family=6), timeout=1.5).values())
        given.update(crowd.kept())
    return given.intersection(addresses)
