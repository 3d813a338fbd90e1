"""What a client declines at a server that is cut off: nobody gets it there meanwhile, and somebody does, some day."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Literal

import pytest
from msgspec.structs import replace

from tests.lab.waiting import until
from tests.net.apart import INTERRUPTED, Client, brief, interrupt
from tests.net.client import Clients, hardware_addresses
from tests.net.jig import SECRET, Jig, await_states, closing
from tests.net.managed import managed
from tests.net.services import PRIMARY, SECONDARY
from tests.net.test_apart import IP, LONGEST, cut_short, standing
from twinlease import omapi
from twinlease.model.states import FailoverState, Role

Enter = Literal["plain", "running", "stopped"]
FEW = brief("10.77.0.100", "10.77.0.103", longest=LONGEST)
OVER = 8
"""In so many seconds the day is over for which an address is out of use."""


def settled(crowd: Clients) -> Client:
    """Return a client whose lease is as long as leases are."""
    each = Client(crowd, hardware_addresses(1)[0])
    assert each.lease(15)
    until("a long lease", lambda: each.renew() >= LONGEST, timeout=10, every=1.5)
    time.sleep(1.5)  # both have told each other
    return each


def declined(*, ours: bool) -> list[float]:
    """Have a client decline at the primary what the secondary gave it, and go on with it; return as ``cut_short``.

    The primary knows the address as the secondary's to give.

    Args:
        ours: Our sidecars look after the servers.
    """
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd, ExitStack() as stack:
        leases = jig.primary.lease_file
        if ours:
            jig.configure(FEW)
            pair = stack.enter_context(managed(jig, max_lease=LONGEST))
            pair.start(FEW)
            leases = pair.primary.guard.lease_dir / leases.name
        else:
            jig.start(FEW)
        until("some are the secondary's", lambda: "binding state backup" in leases.read_text(), timeout=5)
        interrupt(jig)
        jig.reach(Role.SECONDARY)
        each = Client(crowd, hardware_addresses(1)[0])
        assert each.lease(15)
        address = each.address
        assert standing(leases, [address]) == ["backup"]
        jig.reach(Role.PRIMARY)
        crowd.decline(each.mac, address, PRIMARY.ip)
        until("it was abandoned", lambda: "binding state abandoned" in leases.read_text(), timeout=5)
        wanted = "active" if ours else "abandoned"
        until(wanted, lambda: standing(leases, [address]) == [wanted], timeout=5)
        jig.reach(Role.SECONDARY)
        assert each.lease(15)
        assert each.address == address
        each.renew()
        jig.reach(Role.PRIMARY)
        return cut_short(crowd, {address: each.ends})


def test_what_the_secondary_gave_to_one_who_declined_it_is_no_strangers(
    record_property: Callable[[str, object], None],
) -> None:
    """The primary has nothing else left, and takes an abandoned address then."""
    with ThreadPoolExecutor(2) as pool:
        plain, ours = pool.map(lambda ours: declined(ours=ours), (False, True))
    record_property("plain", plain)
    assert ours == []
    assert plain, "the hazard that is guarded against did not show"


def stalled(*, ours: bool) -> list[float]:
    """Have a client decline at the primary while the link stalls, and lease the address again at the secondary.

    Both notice then that they are cut off. Returns as ``cut_short``.

    Args:
        ours: Our sidecars look after the servers.
    """
    few = replace(FEW, failover=replace(FEW.failover, max_response_delay=5))
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd, ExitStack() as stack:
        leases = jig.primary.lease_file
        if ours:
            jig.configure(few)
            pair = stack.enter_context(managed(jig, max_lease=LONGEST))
            pair.start(few)
            leases = pair.primary.guard.lease_dir / leases.name
        else:
            jig.start(few)
        each = settled(crowd)
        jig.stall_link()
        jig.reach(Role.PRIMARY)
        crowd.decline(each.mac, each.address, PRIMARY.ip)
        until("it was abandoned", lambda: "binding state abandoned" in leases.read_text(), timeout=5)
        jig.reach(Role.SECONDARY)
        address = each.address
        assert each.lease(15)
        assert each.address == address
        for server in jig.servers.values():
            with closing(server.control()) as control:
                await_states(control, INTERRUPTED, timeout=20)
        wanted = "active" if ours else "abandoned"
        until(wanted, lambda: standing(leases, [address]) == [wanted], timeout=5)
        each.renew()
        jig.reach(Role.PRIMARY)
        return cut_short(crowd, {address: each.ends})


def test_what_was_declined_while_the_link_stalled_is_no_strangers_once_it_is_known_to_be_cut(
    record_property: Callable[[str, object], None],
) -> None:
    with ThreadPoolExecutor(2) as pool:
        plain, ours = pool.map(lambda ours: stalled(ours=ours), (False, True))
    record_property("plain", plain)
    assert ours == []
    assert plain, "the hazard that is guarded against did not show"


def alone(enter: Enter) -> list[float]:
    """Have a client decline at the primary and go on with the secondary, unseen by any sidecar, and that one die.

    Returns as ``cut_short``, with the primary in partner-down.
    """
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd:
        jig.start(FEW)
        each = settled(crowd)
        interrupt(jig)
        jig.reach(Role.PRIMARY)
        crowd.decline(each.mac, each.address, PRIMARY.ip)
        address, leases = each.address, jig.primary.lease_file
        until("it was abandoned", lambda: standing(leases, [address]) == ["abandoned"], timeout=5)
        jig.reach(Role.SECONDARY)
        assert each.lease(15)
        assert each.address == address
        each.renew()
        jig.secondary.signal(signal.SIGKILL)
        if enter == "plain":
            jig.primary.set_state(FailoverState.PARTNER_DOWN)
        elif enter == "running":
            assert jig.primary.survive_running(LONGEST) is not None
        else:
            jig.primary.stop()
            jig.primary.survive(LONGEST)
        jig.reach(Role.PRIMARY)
        return cut_short(crowd, {address: each.ends})


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
        strangers = hardware_addresses(8, family=7)
        patience = time.monotonic() + 2 * LONGEST
        while time.monotonic() < patience:
            if any(ack.address == address for ack in crowd.lease(strangers, timeout=1.5).values()):
                return True
        return False


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
