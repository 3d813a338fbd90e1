"""A returning server dies, or is cut off, while it catches up: what the survivor had sent it counts as on its way."""

import time
from collections.abc import Callable
from signal import SIGKILL
from typing import Literal

import pytest

from tests.lab.waiting import until
from tests.net.apart import LONGEST, brief
from tests.net.client import Clients, hardware_addresses
from tests.net.granting import QUICK
from tests.net.jig import Jig, closing
from tests.net.managed import Member, managed
from tests.net.services import service
from tests.unit.engines.cases import run
from twinlease.api.servinglease import Phase
from twinlease.engines.protocol import ControlError
from twinlease.model.states import FailoverState, Role
from twinlease.sidecar.resending import FIRST_SECONDS

ASKED = "Sent update request all"
DOWN, CATCHING_UP = FailoverState.PARTNER_DOWN, FailoverState.RECOVER
ADDRESSES = ("10.77.0.20", "10.77.0.250")
"""So many that to catch up takes longer than to be killed."""


@pytest.mark.parametrize("survivor", Role)
@pytest.mark.parametrize("end", ["killed", "cut off"])
def test_a_returning_server_waits_for_ever_for_what_was_on_its_way_until_it_is_sent_again(
    survivor: Role, end: Literal["killed", "cut off"], jig: Jig, record_property: Callable[[str, object], None]
) -> None:
    jig.start(brief(*ADDRESSES))
    keeper, other = jig.servers[survivor], jig.servers[survivor.other]
    with closing(keeper.control()) as control:
        until("balanced", lambda: control.failover().unacked_updates == 0, timeout=20)
        with pytest.raises(ControlError, match="nothing is sent anew"):
            control.resend()
    other.signal(SIGKILL)
    keeper.stop()
    keeper.survive(LONGEST)
    said = len(other.said())
    other.recover()
    until("it asked", lambda: ASKED in other.said()[said:], timeout=10, every=0.001)
    if end == "killed":
        other.signal(SIGKILL)
        other.recover()
    else:
        jig.cut_link()
        until("it is cut off", lambda: "disconnected" in other.said()[said:], timeout=10)
        jig.mend_link()
    until("it asked again", lambda: other.said()[said:].count(ASKED) == 2, timeout=20)
    with closing(keeper.control()) as control:
        begin = time.monotonic()
        while time.monotonic() < begin + 2 * FIRST_SECONDS:
            stuck = control.failover()
            assert (stuck.local, stuck.partner, stuck.unacked_updates) == (DOWN, CATCHING_UP, 3)
            time.sleep(0.1)
        begin = time.monotonic()
        again = control.resend()
        assert again.local is DOWN
        assert again.since > stuck.since  # the partner's addresses are left alone for longer, never for less
    jig.await_normal(timeout=4 * LONGEST)
    record_property("normal after", round(time.monotonic() - begin, 1))


def test_the_sidecar_of_the_survivor_has_it_sent_again(
    jig: Jig, clients: Clients, record_property: Callable[[str, object], None]
) -> None:
    with managed(jig, QUICK) as pair:
        pair.start(service(run(*ADDRESSES)))
        assert len(clients.lease(hardware_addresses(10), timeout=30)) == 10
        pair.secondary.kill()
        until("it is taken over from", lambda: pair.operator.own(Role.PRIMARY).answer.epoch > 0, timeout=60)
        killed_while_it_catches_up(pair.secondary)
        begin = time.monotonic()
        again(pair.secondary)
        pair.await_normal(timeout=120)
        record_property("normal after", round(time.monotonic() - begin, 1))
        until("both may serve", lambda: pair.operator.lease.phase is Phase.BOTH, timeout=5)
        assert "sent the returning partner again" in pair.primary.sidecar.said()


def again(member: Member) -> None:
    """Start a member anew, in another pod."""
    member.new_pod()
    member.start()


def killed_while_it_catches_up(member: Member) -> None:
    """Start a member anew, and have its node die while it catches up."""
    said = len(member.guard.said())
    again(member)
    until("it asked", lambda: ASKED in member.guard.said()[said:], timeout=60, every=0.001)
    member.guard.signal(SIGKILL)
    member.guard.process = None
    member.sidecar.signal(SIGKILL)
