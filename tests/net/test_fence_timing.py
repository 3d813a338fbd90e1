"""The kernel's timed permit by itself: what a keeper that is late, or on time, lets out of the machine."""

import sys

from tests.lab.waiting import until
from tests.net.fenced import PORTS, boot_time
from tests.net.guarded import INTERFACE
from tests.net.jig import Jig
from twinlease.decide.permit import MARGIN
from twinlease.guard.fence import ARM_SECONDS, PERIOD_SECONDS, Fence
from twinlease.guard.selftest import leaks


def until_boot_time(when: float) -> None:
    until(f"CLOCK_BOOTTIME is {when}", lambda: boot_time() >= when, timeout=30, every=0.01)


def test_a_keeper_that_stalls_grants_nothing(jig: Jig) -> None:
    with jig.primary.namespace.entered():
        fence = Fence()
        assert fence.prepare(INTERFACE, 0, PORTS).kernel
        assert fence.grant(lambda: 60.0)
        assert "gets out" in leaks(INTERFACE)
        fence.flush()

        def stalled() -> float:
            until_boot_time(boot_time() + ARM_SECONDS + 0.05)
            return 60.0

        assert not fence.grant(stalled)
        assert leaks(INTERFACE) == ""
        assert not fence.grant(lambda: 0.0)
        assert not fence.grant(lambda: -5.0)
        assert leaks(INTERFACE) == ""
        fence.remove()


def test_a_keeper_that_stalls_a_little_less_lets_answers_out_for_no_longer_than_that(jig: Jig) -> None:
    stall = ARM_SECONDS - 0.1
    with jig.primary.namespace.entered():
        fence = Fence()
        assert fence.prepare(INTERFACE, 0, PORTS).kernel
        deadline = boot_time() + 0.1

        def stalled() -> float:
            left = deadline - boot_time()
            until_boot_time(boot_time() + stall)
            return left

        assert fence.grant(stalled)
        until("nothing gets out", lambda: leaks(INTERFACE) == "", timeout=2, every=0.001)
        late = boot_time() - deadline
        sys.stdout.write(f"open for {1000 * late:.0f} ms after its deadline, K {1000 * MARGIN:.0f} ms\n")
        assert stall - 0.1 < late < MARGIN
        fence.remove()


def test_renewals_leave_no_gap(jig: Jig) -> None:
    with jig.primary.namespace.entered():
        fence = Fence()
        fence.prepare(INTERFACE, 0, PORTS)
        end = boot_time() + 2.5 * PERIOD_SECONDS
        while boot_time() < end:
            assert fence.grant(lambda: 60.0)
            assert "a raw frame on eth0 gets out; a UDP packet gets out" in leaks(INTERFACE)
        fence.remove()


def test_the_last_permit_is_no_longer_than_what_is_left(jig: Jig) -> None:
    with jig.primary.namespace.entered():
        fence = Fence()
        fence.prepare(INTERFACE, 0, PORTS)
        deadline = boot_time() + 0.4
        fence.grant(lambda: deadline - boot_time())
        until_boot_time(deadline + 0.02)
        assert leaks(INTERFACE) == ""
        fence.remove()
