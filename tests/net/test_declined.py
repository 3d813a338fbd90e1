"""What a client declines at a server that is cut off: nobody gets it there meanwhile, and somebody does, some day."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from msgspec.structs import replace

from tests.lab.waiting import until
from tests.net.apart import INTERRUPTED, Client, brief, given_to_others, interrupt
from tests.net.client import Clients, hardware_addresses
from tests.net.jig import NORMAL, SECRET, Jig, await_states, closing, states
from tests.net.managed import managed
from tests.net.services import PRIMARY, SECONDARY
from tests.net.test_apart import IP, LONGEST, cut_short, standing
from twinlease import omapi
from twinlease.model.service import Service
from twinlease.model.states import FailoverState, Role

Enter = Literal["plain", "running", "stopped"]
FEW = brief("10.77.0.100", "10.77.0.103", longest=LONGEST)
OVER = 8
"""In so many seconds the day is over for which an address is out of use."""


def settle(each: Client) -> None:
    """Have a client get a lease that is as long as leases are, and both servers know of it."""
    assert each.lease(15)
    until("a long lease", lambda: each.renew() >= LONGEST, timeout=10, every=1.5)
    time.sleep(1.5)  # both have told each other


class Scene(NamedTuple):
    """Two servers with few addresses, and a client.

    Attributes:
        leases: The primary's lease file.
        kept: How the primary has an address after a while that was declined at it, unheard by the secondary.
    """

    jig: Jig
    crowd: Clients
    each: Client
    leases: Path
    kept: str

    def decline(self) -> None:
        """Have the client decline its address at the primary."""
        address = self.each.address
        self.crowd.decline(self.each.mac, address, PRIMARY.ip)
        until("it was abandoned", lambda: "binding state abandoned" in self.leases.read_text(), timeout=5)

    def decline_in_a_stall(self) -> None:
        """Have the client, whose lease both know, decline while the link stalls."""
        settle(self.each)
        self.jig.stall_link()
        self.jig.reach(Role.PRIMARY)
        self.decline()

    def await_kept(self) -> None:
        """Wait until the primary has done with the address what it does."""
        until(self.kept, lambda: standing(self.leases, [self.each.address]) == [self.kept], timeout=5)

    def lease_again(self) -> None:
        """Have the client lease its address at the secondary."""
        address = self.each.address
        self.jig.reach(Role.SECONDARY)
        assert self.each.lease(15)
        assert self.each.address == address

    def early(self) -> list[float]:
        """Return as ``cut_short`` what strangers get of the primary after the client renewed."""
        self.each.renew()
        self.jig.reach(Role.PRIMARY)
        return cut_short(self.crowd, {self.each.address: self.each.ends})


@contextmanager
def scene(service: Service, *, ours: bool) -> Iterator[Scene]:
    """Have two servers start; with our sidecars, or plain."""
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd, ExitStack() as stack:
        leases = jig.primary.lease_file
        if ours:
            jig.configure(service)
            pair = stack.enter_context(managed(jig, max_lease=LONGEST))
            pair.start(service)
            leases = pair.primary.guard.lease_dir / leases.name
        else:
            jig.start(service)
        each = Client(crowd, hardware_addresses(1)[0])
        yield Scene(jig, crowd, each, leases, "active" if ours else "abandoned")


def of_the_primary(*, ours: bool) -> list[float]:
    """Have the client decline, cut off, what the primary gave it, and lease it at the secondary."""
    with scene(FEW, ours=ours) as here:
        here.jig.reach(Role.PRIMARY)
        assert here.each.lease(15)
        time.sleep(1.5)  # the secondary has heard of it
        interrupt(here.jig)
        here.decline()
        here.await_kept()
        here.lease_again()
        return here.early()


def of_the_secondary(*, ours: bool) -> list[float]:
    """Have the client decline, cut off, what the secondary gave it of its own, and go on with it."""
    with scene(FEW, ours=ours) as here:
        until("some are the secondary's", lambda: "binding state backup" in here.leases.read_text(), timeout=5)
        interrupt(here.jig)
        here.jig.reach(Role.SECONDARY)
        assert here.each.lease(15)
        assert standing(here.leases, [here.each.address]) == ["backup"]
        here.jig.reach(Role.PRIMARY)
        here.decline()
        here.await_kept()
        here.lease_again()
        return here.early()


def stalled(*, ours: bool) -> list[float]:
    """Have the client decline while the link stalls, and lease it again; both notice then that they are cut off."""
    few = replace(FEW, failover=replace(FEW.failover, max_response_delay=5))
    with scene(few, ours=ours) as here:
        here.decline_in_a_stall()
        here.lease_again()
        for server in here.jig.servers.values():
            with closing(server.control()) as control:
                await_states(control, INTERRUPTED, timeout=20)
        here.await_kept()
        return here.early()


def unnoticed(*, ours: bool) -> list[float]:
    """Have the client decline while the link stalls, and lease it again; neither ever notices that they are cut off."""
    few = replace(FEW, failover=replace(FEW.failover, max_response_delay=60))
    with scene(few, ours=ours) as here:
        here.decline_in_a_stall()
        here.await_kept()
        here.lease_again()
        found = here.early()
        with closing(here.jig.primary.control()) as control:
            assert states(control) == NORMAL
        return found


@pytest.mark.parametrize("way", [of_the_primary, of_the_secondary, stalled, unnoticed])
def test_what_a_client_declined_and_the_other_leased_to_it_is_no_strangers(
    way: Callable[..., list[float]], record_property: Callable[[str, object], None]
) -> None:
    """The primary has nothing else left, and takes an abandoned address then."""
    with ThreadPoolExecutor(2) as pool:
        plain, ours = pool.map(lambda ours: way(ours=ours), (False, True))
    record_property("plain", plain)
    assert ours == []
    assert plain, "the hazard that is guarded against did not show"


def alone(enter: Enter) -> list[float]:
    """Have the client decline and go on with the secondary, unseen by any sidecar, and that one die."""
    with scene(FEW, ours=False) as here:
        settle(here.each)
        interrupt(here.jig)
        here.jig.reach(Role.PRIMARY)
        here.decline()
        here.await_kept()
        here.lease_again()
        here.each.renew()
        here.jig.secondary.signal(signal.SIGKILL)
        primary = here.jig.primary
        if enter == "plain":
            primary.set_state(FailoverState.PARTNER_DOWN)
        elif enter == "running":
            assert primary.survive_running(LONGEST) is not None
        else:
            primary.stop()
            primary.survive(LONGEST)
        here.jig.reach(Role.PRIMARY)
        return cut_short(here.crowd, {here.each.address: here.each.ends})


def test_what_was_declined_unseen_is_kept_in_partner_down(record_property: Callable[[str, object], None]) -> None:
    ways: list[Enter] = ["plain", "running", "stopped"]
    with ThreadPoolExecutor(len(ways)) as pool:
        found = dict(zip(ways, pool.map(alone, ways), strict=True))
    record_property("plain", found["plain"])
    assert [found[way] for way in ("running", "stopped")] == [[], []]
    assert found["plain"], "the hazard that is guarded against did not show"


def given_again(role: Role, *, retired: bool) -> bool:
    """Have a server keep as nobody's what was declined, meet its partner, and the day be over.

    Returns whether anybody gets the address then.

    Args:
        role: That server.
        retired: It is given up, as our sidecar does.
    """
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd:
        jig.start(FEW)
        server = jig.servers[role]
        each = Client(crowd, hardware_addresses(1)[0])
        jig.reach(role)
        assert each.lease(15)
        address = each.address
        time.sleep(1.5)  # the other one has heard of it
        interrupt(jig)
        crowd.decline(each.mac, address, IP[role])
        until("abandoned", lambda: standing(server.lease_file, [address]) == ["abandoned"], timeout=5)
        with closing(server.control()) as control:
            assert control.hold([address], int(time.time())) == {}
            jig.mend_link()
            jig.reach(*Role)
            jig.await_normal()
            _ends(jig, role, address, int(time.time()) + OVER)
            time.sleep(OVER + 5)
            if retired:
                assert control.retire([address]) == {}
        return bool(given_to_others(crowd, [address], timeout=2 * LONGEST))


def _ends(jig: Jig, role: Role, address: IPv4Address, when: int) -> None:
    def change(lease: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
        assert not lease.get("hardware-address")
        assert int.from_bytes(lease["ends"], "big") > when + 80_000
        return [{"ends": when.to_bytes(4, "big")}]

    with jig.servers[role].namespace.entered():
        session = omapi.connect("127.0.0.1", FEW.omapi_port, jig.servers[role].engine.control_key, SECRET, 2.0)
    assert session.change_each("lease", "ip-address", [address.packed], change) == [""]
    session.close()


@pytest.mark.parametrize("role", Role)
def test_what_was_kept_as_nobodys_is_given_again_some_day(role: Role) -> None:
    with ThreadPoolExecutor(2) as pool:
        left, retired = pool.map(lambda retired: given_again(role, retired=retired), (False, True))
    assert retired
    assert not left, "the hazard that is guarded against did not show"
