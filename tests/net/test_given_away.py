"""What a secondary told its primary is over, and heard no answer to: that one may have given it to somebody else.

Whoever had it before may not come by it again at the secondary: not while the two are cut off, not when they meet, and
not when the primary dies and the secondary serves alone. Nor what a primary told its secondary is over: that one gives
it to anybody an MCLT after it has entered partner-down. And somebody gets each address, some day.
"""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Literal

from msgspec.structs import replace

from tests.lab.waiting import until
from tests.net.apart import brief, given_to_others
from tests.net.client import Clients, hardware_addresses
from tests.net.jig import Jig, closing
from tests.net.managed import managed
from tests.net.services import PRIMARY, SECONDARY
from tests.net.test_apart import IP, PEOPLE, cut_short, settled, standing
from tests.net.test_resume import MCLT, STALL, extend, leased, released, stall, started, unacknowledged
from twinlease.decide.clocks import LIMIT_SECONDS
from twinlease.model.states import FailoverState, Role

Enter = Literal["extended", "running", "stopped"]
CUT_OFF = FailoverState.COMMUNICATIONS_INTERRUPTED
LONGEST = 3 * MCLT
SERVICE = brief("10.77.0.100", "10.77.0.131", longest=LONGEST)
SERVICE = replace(SERVICE, failover=replace(SERVICE.failover, max_response_delay=2 * STALL, mclt=MCLT))
SHORT = brief("10.77.0.100", "10.77.0.131", longest=MCLT)
SHORT = replace(SHORT, failover=replace(SHORT.failover, max_response_delay=STALL))


class Scene:
    """Two servers that are cut off, and the primary has given to others what it heard was released at the secondary.

    Attributes:
        addresses: All that was released.
        former: Who released them.
        others: Who got some of them at the primary.
    """

    def __init__(self, stack: ExitStack, *, ours: bool) -> None:
        self.jig = stack.enter_context(Jig(PRIMARY, SECONDARY))
        self.crowd = stack.enter_context(Clients.on(self.jig.clients))
        self._ours = ours
        _, files = started(stack, self.jig, SERVICE, ours=ours)
        people = released(self.jig, self.crowd, unacknowledged)
        self.addresses = [each.address for each in people]
        self.former = [each.mac for each in people]
        freed = partial(standing, files[Role.PRIMARY], self.addresses)
        until("the primary frees some", lambda: freed().count("free") > 1, timeout=STALL)
        self.crowd.lease(hardware_addresses(1, family=9), timeout=2)  # dhcpd writes down first what it took in
        self.jig.cut_link()
        for server in self.jig.servers.values():
            with closing(server.control()) as control:
                until("cut off", lambda control=control: control.failover().local is CUT_OFF, timeout=20)  # type: ignore[misc]
        known = partial(standing, files[Role.SECONDARY], self.addresses)
        until("all is done", lambda: not ours or "released" not in known(), timeout=15)
        self.jig.reach(Role.PRIMARY)
        self.others = [each for each in leased(self.crowd) if each.address in self.addresses]

    def early(self) -> list[float]:
        """Return how early what others have is given to somebody else."""
        return cut_short(self.crowd, {each.address: each.ends for each in self.others}, former=self.former)

    def await_all_given_again(self) -> None:
        """Wait until each address has been given to somebody once more."""
        left = {*self.addresses} - {each.address for each in self.others}
        assert given_to_others(self.crowd, left, timeout=2 * LONGEST) == left


def meeting(*, ours: bool) -> tuple[int, list[float]]:
    """Have who released come back to the secondary, and the two meet.

    Args:
        ours: Our sidecars look after the servers; else what is over is leased again, as what the primary may extend.
    """
    with ExitStack() as stack:
        scene = Scene(stack, ours=ours)
        jig = scene.jig
        if not ours:
            with closing(jig.secondary.control()) as control:
                assert control.hold(scene.addresses, int(time.time()) + LONGEST) == {}
        jig.reach(Role.SECONDARY)
        wanted = {each.address: each.ends for each in scene.others}
        acks = scene.crowd.lease(scene.former, timeout=4).values()
        cut = [round(wanted[ack.address] - time.time(), 1) for ack in acks if ack.address in wanted]
        if not ours:
            return len(wanted), cut
        jig.reach(Role.PRIMARY)
        jig.mend_link()
        with closing(jig.primary.control()) as control:
            while control.failover().local is CUT_OFF:
                extend(scene.others)
        jig.reach(*Role)
        jig.await_normal(timeout=30)
        cut += scene.early()
        scene.await_all_given_again()
        return len(wanted), cut


def alone(enter: Enter) -> tuple[int, list[float]]:
    """Have the primary die, and the secondary enter partner-down."""
    with ExitStack() as stack:
        scene = Scene(stack, ours=False)
        jig = scene.jig
        extend(scene.others)
        jig.primary.signal(signal.SIGKILL)
        if enter == "extended":  # as a primary would: it is whose it was
            jig.secondary.stop()
            jig.secondary.start("survive", relationship=SERVICE.failover.name, hold=LONGEST, role=Role.PRIMARY)
            jig.secondary.enter_partner_down()
        elif enter == "stopped" or jig.secondary.survive_running(LONGEST) is None:
            jig.secondary.stop()
            jig.secondary.survive(LONGEST)
        jig.reach(Role.SECONDARY)
        found = scene.early()
        if enter != "extended":
            scene.await_all_given_again()
        return len(scene.others), found


def outlived(*, ours: bool) -> tuple[int, list[float]]:
    """Have clients release at the primary, unanswered, and come back to it, and the secondary serve alone.

    Returns how many get back what the secondary has as free, and how early that is given to somebody else.
    """
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd, ExitStack() as stack:
        pair, files = started(stack, jig, SERVICE, ours=ours)
        people = settled(crowd)
        addresses = [each.address for each in people]
        time.sleep(LIMIT_SECONDS + 1)  # else our sidecar takes a release for older than the lease, and has it kept
        unanswered(jig)
        jig.reach(Role.PRIMARY)
        for each in people:
            crowd.release(each.mac, each.address, IP[Role.PRIMARY])
        freed = partial(standing, files[Role.SECONDARY], addresses)
        until("the secondary frees some", lambda: freed().count("free") > 1, timeout=STALL)
        jig.cut_link()
        with closing(jig.primary.control()) as primary, closing(jig.secondary.control()) as secondary:
            for control in (primary, secondary):
                until("cut off", lambda control=control: control.failover().local is CUT_OFF, timeout=20)  # type: ignore[misc]
            known = partial(standing, files[Role.PRIMARY], addresses)
            until("all is done", lambda: not ours or "released" not in known(), timeout=15)
            if not ours:
                assert primary.hold(addresses, int(time.time()) + LONGEST) == {}
        free = {address for address, state in zip(addresses, freed(), strict=True) if state == "free"}
        acks = crowd.lease([each.mac for each in people], timeout=4).values()
        ends = {ack.address: time.time() + ack.lease_seconds for ack in acks if ack.address in free}
        assert free
        if not ends:
            return 0, []
        if pair is None:
            jig.primary.signal(signal.SIGKILL)
        else:
            pair.primary.kill()
        jig.secondary.set_state(FailoverState.PARTNER_DOWN)  # nothing is to be kept there, for it has them as free
        jig.reach(Role.SECONDARY)
        return len(ends), cut_short(crowd, ends)


def unanswered(jig: Jig) -> None:
    """Let no acknowledgement of the secondary's through to the primary any more."""
    lost = "tcp dport 647 @th,272,8 4 drop"
    jig.primary.namespace.nft("inet", "link-in", "hook input priority 0", lost, lost.replace("dport", "sport"))


def unheard(first: Role) -> list[float]:
    """Have clients release at a server, unheard by the other one, and some go on with that one, and the two meet.

    Returns how early theirs are given to somebody else. Whatever the others left is given again; by a primary that left
    it to the secondary only later than we wait.
    """
    with ExitStack() as stack:
        jig = stack.enter_context(Jig(PRIMARY, SECONDARY))
        crowd = stack.enter_context(Clients.on(jig.clients))
        jig.configure(SHORT)
        stack.enter_context(managed(jig, max_lease=MCLT)).start(SHORT)
        people = settled(crowd)
        time.sleep(LIMIT_SECONDS + 1)
        stall(jig)
        jig.reach(first)
        for each in people:
            crowd.release(each.mac, each.address, IP[first])
        time.sleep(0.5)  # nobody answers that
        jig.reach(first.other)
        staying, addresses = people[::2], {each.address for each in people}
        for server in jig.servers.values():
            with closing(server.control()) as control:
                while control.failover().local is not CUT_OFF:
                    extend(staying)
        jig.mend_link()
        with closing(jig.primary.control()) as control:
            while control.failover().local is CUT_OFF:
                extend(staying)
        jig.reach(*Role)
        jig.await_normal(timeout=30)
        former = [each.mac for each in people[1::2]]
        found = cut_short(crowd, {each.address: each.ends for each in staying}, former=former)
        if first is Role.SECONDARY:
            assert given_to_others(crowd, addresses, timeout=4 * MCLT) == addresses
        return found


def repeated(*, again: bool) -> int:
    """Have a primary leave to the secondary what clients released, unheard, that never come again, and the two meet.

    Returns how many addresses are given to others once all leases are over.

    Args:
        again: The primary says so once more, as our sidecar has it.
    """
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd:
        jig.start(SHORT)
        people = settled(crowd)
        addresses = [each.address for each in people]
        stall(jig)
        jig.reach(Role.PRIMARY)
        for each in people:
            crowd.release(each.mac, each.address, IP[Role.PRIMARY])
        with closing(jig.primary.control()) as primary, closing(jig.secondary.control()) as secondary:
            for control in (primary, secondary):
                until("cut off", lambda control=control: control.failover().local is CUT_OFF, timeout=20)  # type: ignore[misc]
            over = int(time.time()) + MCLT + MCLT // 2
            assert primary.leave(addresses, over) == {}
            jig.mend_link()
            jig.await_normal()
            time.sleep(max(over + 2 - time.time(), 0))
            if again:
                assert primary.repeat(addresses) == {}
        jig.reach(*Role)
        return len(given_to_others(crowd, addresses, timeout=2 * MCLT))


def test_who_released_does_not_get_back_what_the_primary_gave_to_others(
    record_property: Callable[[str, object], None],
) -> None:
    with ThreadPoolExecutor(4) as pool:
        plain, *ours = pool.map(lambda ours: meeting(ours=ours), (False, True, True, True))
    given, cut = sum(given for given, _ in ours), [left for _, cut in ours for left in cut]
    record_property("leased again", f"{len(plain[1])} of {plain[0]} early, {plain[1]}")
    record_property("ours", f"{len(cut)} of {given} early, {cut}")
    assert given
    assert cut == []
    assert plain[1]  # else the hazard did not show, and the lines above prove nothing


def test_nor_from_a_secondary_alone(record_property: Callable[[str, object], None]) -> None:
    ways: list[Enter] = ["extended", "running", "stopped"]
    with ThreadPoolExecutor(len(ways)) as pool:
        found = dict(zip(ways, pool.map(alone, ways), strict=True))
    for way, (given, cut) in found.items():
        record_property(way, f"{len(cut)} of {given} early, {cut}")
        assert given
    assert [found[way][1] for way in ("running", "stopped")] == [[], []]
    assert found["extended"][1]  # else the hazard did not show, and the line above proves nothing


def test_nor_from_a_primary_what_its_secondary_has_as_free(record_property: Callable[[str, object], None]) -> None:
    with ThreadPoolExecutor(3) as pool:
        plain, *ours = pool.map(lambda ours: outlived(ours=ours), (False, True, True))
    record_property("leased again", f"{len(plain[1])} of {plain[0]} early, {plain[1]}")
    record_property("ours", f"{[given for given, _ in ours]} given back")
    assert [cut for _, cut in ours] == [[], []]
    assert plain[1]  # else the hazard did not show, and the line above proves nothing


def test_what_the_other_did_not_hear_of_its_client_keeps_there_and_the_rest_is_given_again() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(unheard, Role)) == [[], []]


def test_what_was_left_to_a_secondary_that_had_it_leased_is_given_again_once_it_is_said_again(
    record_property: Callable[[str, object], None],
) -> None:
    with ThreadPoolExecutor(2) as pool:
        once, twice = pool.map(lambda again: repeated(again=again), (False, True))
    record_property("given again", f"{twice}; said once: {once}")
    assert twice == PEOPLE
    assert once < PEOPLE, "the hazard that is guarded against did not show"
