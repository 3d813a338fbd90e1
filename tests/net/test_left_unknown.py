"""To whom the secondary has given what was left to it, a primary that is cut off does not know.

Of such an address it has the client before. That one may not come by it again: neither when the secondary dies and the
primary serves alone, nor when the two meet in the very moment in which the primary says anew that it left the address.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address
from typing import Literal, NamedTuple

from msgspec.structs import replace

from tests.lab.waiting import until
from tests.net.apart import Client, brief, given_to_others
from tests.net.client import Clients, hardware_addresses
from tests.net.jig import SECRET, Jig, closing
from tests.net.services import PRIMARY, SECONDARY
from tests.net.test_apart import cut_short, settled, standing
from tests.net.test_left import LONGEST, PATIENCE, unacknowledged
from tests.net.test_resume import MCLT, extend, leased, released
from twinlease import omapi
from twinlease.engines.isc.control import IscControl, Session
from twinlease.engines.protocol import ControlError
from twinlease.model.states import FailoverState, Role

Change = Callable[[Mapping[str, bytes]], Sequence[Mapping[str, bytes]]]
Enter = Literal["leased again", "running", "stopped"]
Before = Literal["nothing", "what is free", "what is leased"]
CUT_OFF = FailoverState.COMMUNICATIONS_INTERRUPTED
POOL = [IPv4Address("10.77.0.100") + number for number in range(32)]
SERVICE = brief(str(POOL[0]), str(POOL[-1]), longest=LONGEST)
SERVICE = replace(SERVICE, failover=replace(SERVICE.failover, max_response_delay=PATIENCE, mclt=MCLT))
RESIDENTS = 4
"""As many on either half: else dhcpd balances the pool when the two meet, and has enough on its way with that."""
ANEW = LONGEST + LONGEST // 2
"""For so many seconds the primary says that an address is the secondary's."""


class Scene(NamedTuple):
    """Two servers that are cut off.

    Attributes:
        former: Who had the addresses before.
        left: What the primary left to the secondary, unheard, and has said anew since.
        others: Who got some of those at the secondary.
        residents: What clients had leased all the time, long known to both.
        primary: The primary's control.
    """

    jig: Jig
    crowd: Clients
    former: list[bytes]
    left: list[IPv4Address]
    others: list[Client]
    residents: list[IPv4Address]
    primary: IscControl

    def early(self) -> tuple[int, list[float]]:
        """Return how many addresses the secondary gave, and how early they were given to somebody else."""
        ends = {each.address: each.ends for each in self.others}
        return len(ends), cut_short(self.crowd, ends, former=self.former) if ends else []

    def await_all_given_again(self) -> None:
        """Wait until each address has been given to somebody once more."""
        assert given_to_others(self.crowd, self.left, timeout=LONGEST + 2 * MCLT) == {*self.left}


class Overtaken:
    """A session; what it is to change waits until something else has happened, once."""

    def __init__(self, session: Session, first: Callable[[], None]) -> None:
        self._session = session
        self._first: Callable[[], None] | None = first
        self.lookup, self.update, self.close = session.lookup, session.update, session.close

    def change_each(self, kind: str, key: str, values: Sequence[bytes], change: Change) -> list[str]:
        """Change them once that has happened; what there is to change has been decided before."""

        def overtaken(found: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
            changes = change(found)
            if len(changes) > 1 and self._first is not None:
                first, self._first = self._first, None
                first()
            return changes

        return self._session.change_each(kind, key, values, overtaken)


@contextlib.contextmanager
def cut_off() -> Iterator[Scene]:
    with Jig(PRIMARY, SECONDARY) as jig, Clients.on(jig.clients) as crowd:
        jig.start(SERVICE)
        residents = [each.address for each in settled(crowd, RESIDENTS, family=4)]
        people = released(jig, crowd, unacknowledged)
        known = partial(standing, jig.secondary.lease_file, [each.address for each in people])
        until("some are left to the secondary", lambda: "backup" in known(), timeout=PATIENCE / 2)
        crowd.lease(hardware_addresses(1, family=9), timeout=2)  # dhcpd writes down first what it took in
        jig.cut_link()
        with closing(jig.primary.control()) as primary, closing(jig.secondary.control()) as secondary:
            for control in (primary, secondary):
                until("cut off", lambda control=control: control.failover().local is CUT_OFF, timeout=2 * PATIENCE)  # type: ignore[misc]
            with contextlib.closing(jig.primary.engine.binding_log(jig.primary.lease_file)) as log:
                last = {each.address: each for each in log.news()}
            left = [IPv4Address(address) for address, each in last.items() if each.left]
            assert primary.leave(left, int(time.time()) + ANEW) == {}
            jig.reach(Role.SECONDARY)
            others = [each for each in leased(crowd) if each.address in left]
            extend(others)
            yield Scene(jig, crowd, [each.mac for each in people], left, others, residents, primary)


def alone(enter: Enter) -> tuple[int, list[float]]:
    """Have the secondary die, and the primary enter partner-down."""
    with cut_off() as scene:
        jig = scene.jig
        jig.secondary.signal(signal.SIGKILL)
        if enter == "leased again":
            scene.primary.hold(scene.left, int(time.time()) + ANEW, free=True)
            scene.primary.declare_partner_down()
        elif enter == "stopped" or jig.primary.survive_running(LONGEST) is None:
            jig.primary.stop()
            jig.primary.survive(LONGEST)
        jig.reach(Role.PRIMARY)
        found = scene.early()
        jig.mend_link()
        jig.secondary.recover()
        jig.reach(*Role)
        jig.await_normal(timeout=2 * MCLT)
        scene.await_all_given_again()
        return found


def meeting(*, at_once: bool) -> tuple[int, list[float]]:
    """Have the two meet while the primary says anew what it left to the secondary.

    Args:
        at_once: As our sidecar has it said; else in two steps, and they meet between them.
    """
    with cut_off() as scene:
        jig, told = scene.jig, int(time.time()) + ANEW
        if not at_once:
            _release(jig, scene.left, told)
        jig.mend_link()
        with contextlib.suppress(ControlError):  # it says that it is not cut off any more
            while at_once and scene.primary.failover().local is CUT_OFF:
                told += 1
                scene.primary.leave(scene.left, told, beside=POOL)
                time.sleep(0.1)
        while scene.primary.failover().local is CUT_OFF:
            extend(scene.others)
        jig.reach(*Role)
        jig.await_normal(timeout=30)
        return scene.early()


def behind_the_word(before: Before, seconds: float) -> tuple[int, list[float]]:
    """Have the two meet behind the primary's word that it is cut off, and before it is told anew what it left.

    Args:
        before: What is told before, as our sidecar has it.
        seconds: For so long they have met already.
    """
    with cut_off() as scene, closing(scene.jig.primary.control()) as other:
        jig = scene.jig
        beside = {"nothing": [], "what is free": POOL, "what is leased": scene.residents}[before]

        def meet() -> None:
            jig.mend_link()
            until("they meet", lambda: other.failover().local is not CUT_OFF, timeout=2 * PATIENCE, every=0.001)
            time.sleep(seconds)

        control = jig.primary.engine.control(lambda: Overtaken(session(jig), meet), SERVICE.failover.name)
        with closing(control), contextlib.suppress(ControlError):  # of the second it says that it is not cut off
            control.leave(scene.left, int(time.time()) + ANEW + 1, beside=beside)
        jig.reach(*Role)
        jig.await_normal(timeout=30)
        found = scene.early()
        scene.await_all_given_again()
        return found


def session(jig: Jig) -> omapi.OmapiSession:
    """Open a session with the primary."""
    with jig.primary.namespace.entered():
        return omapi.connect("127.0.0.1", SERVICE.omapi_port, jig.primary.engine.control_key, SECRET, 2.0)


def _release(jig: Jig, addresses: Sequence[IPv4Address], until: int) -> None:
    def change(_: Mapping[str, bytes]) -> Sequence[Mapping[str, bytes]]:
        return [{"ends": until.to_bytes(4, "big"), "state": (4).to_bytes(4, "big")}]

    with contextlib.closing(session(jig)) as opened:
        opened.change_each("lease", "ip-address", [each.packed for each in addresses], change)


def test_who_had_it_before_does_not_get_it_back_from_a_primary_alone(
    record_property: Callable[[str, object], None],
) -> None:
    ways: list[Enter] = ["leased again", "running", "stopped"]
    with ThreadPoolExecutor(len(ways)) as pool:
        found = dict(zip(ways, pool.map(alone, ways), strict=True))
    for way, (given, cut) in found.items():
        record_property(way, f"{len(cut)} of {given} early, {cut}")
        assert given
    assert [found[way][1] for way in ("running", "stopped")] == [[], []]
    assert found["leased again"][1]  # else the hazard did not show, and the line above proves nothing


def test_whenever_the_two_meet_nobody_hears_that_it_was_released(
    record_property: Callable[[str, object], None],
) -> None:
    with ThreadPoolExecutor(4) as pool:
        plain, *ours = pool.map(lambda at_once: meeting(at_once=at_once), (False, True, True, True))
    given, cut = sum(given for given, _ in ours), [left for _, cut in ours for left in cut]
    record_property("in two steps", f"{len(plain[1])} of {plain[0]} early, {plain[1]}")
    record_property("at once", f"{len(cut)} of {given} early, {cut}")
    assert given
    assert cut == []
    assert plain[1]  # else the hazard did not show, and the lines above prove nothing


def test_nor_when_they_meet_behind_the_word_that_the_primary_is_cut_off(
    record_property: Callable[[str, object], None],
) -> None:
    moments = (0.0, 0.005, 0.3)
    cases: dict[Before, Sequence[float]] = {
        "nothing": (0.0, 0.0, 0.0),  # later it does not always show
        "what is free": moments,
        "what is leased": moments,
    }
    with ThreadPoolExecutor(len(cases) * len(moments)) as pool:
        begun = {before: [pool.submit(behind_the_word, before, each) for each in cases[before]] for before in cases}
        found = {before: [each.result() for each in some] for before, some in begun.items()}
    for before, some in found.items():
        record_property(before, f"{sum(len(cut) for _, cut in some)} of {sum(given for given, _ in some)} early")
    ours = found["what is free"] + found["what is leased"]
    assert all(given for given, _ in ours)
    assert [cut for _, cut in ours] == [[]] * len(ours)
    assert any(cut for _, cut in found["nothing"])  # else the hazard did not show, and the lines above prove nothing
