"""A returning server is cut off after it has caught up and before it is normal; the survivor serves on meanwhile."""

import time
from collections.abc import Callable

from msgspec.structs import replace

from tests.lab.waiting import until
from tests.net.apart import brief
from tests.net.client import Clients, hardware_addresses
from tests.net.granting import QUICK
from tests.net.jig import Jig, await_states, closing
from tests.net.managed import managed
from tests.net.services import service
from tests.net.test_oldnews import standing
from tests.net.test_return import settled
from tests.unit.engines.cases import run
from twinlease.api.servinglease import Phase
from twinlease.model.states import FailoverState, Role

LONGEST, MCLT, PEOPLE = 20, 14, 40
DOWN, WAIT, DONE = FailoverState.PARTNER_DOWN, FailoverState.RECOVER_WAIT, FailoverState.RECOVER_DONE


def test_what_was_leased_meanwhile_is_given_to_others(
    jig: Jig, clients: Clients, record_property: Callable[[str, object], None]
) -> None:
    """The hazard, with the secondary surviving: it believes what its partner says has expired."""
    whole = brief("10.77.0.100", f"10.77.0.{99 + PEOPLE}", longest=LONGEST)
    jig.start(replace(whole, failover=replace(whole.failover, mclt=MCLT)))
    settled(jig)
    jig.primary.stop()
    jig.secondary.stop()
    jig.secondary.survive(LONGEST)
    people = hardware_addresses(PEOPLE)
    assert len(clients.lease(people[:12], timeout=10)) == 12
    jig.primary.recover()
    with closing(jig.primary.control()) as control:
        await_states(control, (WAIT, DOWN), timeout=20)
        jig.cut_link()
        await_states(control, (DONE, DOWN), timeout=3 * MCLT)
    ends = {ack.address: time.time() + ack.lease_seconds for ack in clients.lease(people, timeout=8).values()}
    jig.mend_link()
    jig.await_normal()
    early: list[float] = []
    while time.time() < max(ends.values(), default=0.0):
        acks = clients.lease(hardware_addresses(PEOPLE, family=7), timeout=1.7).values()
        early += [round(ends.pop(ack.address, 0.0) - time.time(), 1) for ack in acks]
    early = [left for left in early if left > 0]
    record_property("given to strangers", early)
    assert early, "the hazard that is guarded against did not show"


def test_its_sidecar_has_it_return_anew(jig: Jig, clients: Clients) -> None:
    with managed(jig, QUICK) as pair:
        pair.start(service(run("10.77.0.100", "10.77.0.139")))
        pair.secondary.kill()
        until("it is taken over from", lambda: pair.operator.own(Role.PRIMARY).answer.epoch > 0, timeout=60)
        pair.secondary.new_pod()
        pair.secondary.start()
        until("it waits", lambda: pair.secondary.states[0] == "RecoverWait", timeout=60)
        first = pair.secondary.guard.client.status().starts
        jig.cut_link()
        until("it returns anew", lambda: pair.secondary.guard.client.status().starts > first, timeout=60)
        people = hardware_addresses(10)
        leased = {str(ack.address) for ack in clients.lease(people, timeout=30).values()}
        assert len(leased) == len(people)
        jig.mend_link()
        until("it has heard again", lambda: pair.secondary.states[0] == "RecoverWait", timeout=60)
        after = standing(pair.secondary.guard.lease_dir / jig.secondary.lease_file.name)
        assert {after[address] for address in leased} == {"active"}  # before it serves anybody
        pair.await_normal(timeout=90)
        until("both may serve", lambda: pair.operator.lease.phase is Phase.BOTH, timeout=10)
        assert pair.secondary.guard.client.status().starts == first + 1
