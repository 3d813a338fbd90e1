"""What becomes of the fence where the kernel refuses it, and what the keeper makes of a fence that fails."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import pytest

from twinlease.guard.fence import ARM_SECONDS, PERIOD_SECONDS, Fence, FenceLostError, Kernel
from twinlease.guard.keeper import Clocks, Keeper
from twinlease.guard.loop import Loop
from twinlease.guard.nft import NFPROTO_NETDEV, NFT_TABLE_F_OWNER, Chain, Message, NftError, number
from twinlease.guard.permit import Reason
from twinlease.ipc.protocol import Code, FenceSpec, Mode, ProtocolError

SPEC = FenceSpec(Mode.KERNEL, "10.0.0.2", 647, 7911, 648, 647)
OWNED = number(2, NFT_TABLE_F_OWNER | 0x4)


class FakeKernel:
    """Refuses what a test tells it to; remembers the batches that it did."""

    def __init__(self, refuse: Mapping[str, int] | None = None, *, owners: bool = True, batches: int = 0) -> None:
        self.refuse = dict(refuse or {})
        self.done: list[Sequence[Message]] = []
        self.gate_rules = 1
        self._owners = owners
        self._batches = batches

    def commit(self, messages: Sequence[Message]) -> None:
        """Do it, or refuse."""
        if self._batches:
            raise NftError(self._batches, "")
        for message in messages:
            if not self._owners and message.what.startswith("table") and OWNED in message.body:
                raise NftError(errno.EOPNOTSUPP, message.what)
            for what, code in self.refuse.items():
                if message.what.startswith(what):
                    raise NftError(code, message.what)
        self.done.append(messages)

    def rules(self, chain: Chain) -> int:
        """Return what the test says."""
        assert chain.name == "out"
        return self.gate_rules

    def close(self) -> None:
        """Do nothing."""


def made(kernel: FakeKernel, *, leak: str = "") -> Fence:
    fence = Fence(lambda: kernel, lambda _: leak)
    fence.prepare("eth0", 6767, SPEC)
    return fence


def test_no_nf_tables() -> None:
    def connect() -> Kernel:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    fence = Fence(connect, lambda _: "a raw frame gets out")
    proven = fence.prepare("eth0", 6767, SPEC)
    assert (proven.kernel, proven.reason) == (False, "NotSupported")
    fence.flush()
    fence.remove()


def test_no_egress_hook_closes_the_ports_at_least() -> None:
    kernel = FakeKernel({"chain twinlease out eth0": errno.EOPNOTSUPP})
    proven = made(kernel).proven
    assert (proven.kernel, proven.reason) == (False, "NotSupported")
    assert "chain twinlease out eth0" in proven.message
    assert "ports are closed" in proven.message
    (batch,) = kernel.done
    assert {message.what for message in batch if message.what.startswith(("chain", "set"))} == {"chain twinlease in"}


def test_a_kernel_without_persistent_owners_gets_a_plain_table_that_is_looked_after() -> None:
    kernel = FakeKernel(owners=False)
    fence = made(kernel)
    assert (fence.proven.kernel, fence.proven.reason) == (True, "PlainTable")
    fence.check()
    kernel.gate_rules = 0
    with pytest.raises(FenceLostError, match="rule of chain out is gone"):
        fence.check()


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (FakeKernel({"table": errno.EPERM}), "TableInUse"),
        (FakeKernel(batches=errno.EPERM), "NoCapability"),
    ],
)
def test_what_is_not_ours_to_have(kernel: FakeKernel, reason: str) -> None:
    assert made(kernel).proven[:2] == (False, reason)
    assert "nothing gets out all the same" in made(kernel).proven.message
    assert "nothing gets out" not in made(kernel, leak="a raw frame gets out").proven.message


def test_what_leaks_is_told_and_nothing_of_ours_stays_in_the_way() -> None:
    kernel = FakeKernel()
    proven = made(kernel, leak="a UDP packet gets out").proven
    assert proven.reason == "SelfTestFailed"
    assert proven.message.startswith("a UDP packet gets out although user 6767 is fenced on eth0")
    first, last = kernel.done
    assert {message.what for message in first} - {message.what for message in last} >= {"chain twinlease out eth0"}
    assert not any(message.family == NFPROTO_NETDEV and message.what.startswith("chain") for message in last)


def test_a_grant_is_armed_checked_and_no_longer_than_what_is_left() -> None:
    kernel = FakeKernel()
    fence = made(kernel)
    kernel.done.clear()
    assert fence.grant(lambda: 0.25)
    arm, fire = kernel.done
    assert [message.what for message in arm] == ["element of arm"]
    assert int(ARM_SECONDS * 1000).to_bytes(8, "big") in arm[0].body
    assert [message.what for message in fire[:3]] == ["element of arm", "set permit", "element of permit"]
    assert (250).to_bytes(8, "big") in fire[2].body
    assert fence.grant(lambda: 1000.0)
    assert int(PERIOD_SECONDS * 1000).to_bytes(8, "big") in kernel.done[-1][2].body
    assert not fence.grant(lambda: 0.0)


def test_an_arm_that_is_over_and_a_table_that_is_gone_are_two_things() -> None:
    kernel = FakeKernel()
    fence = made(kernel)

    def stalled() -> float:
        kernel.refuse["element of arm"] = errno.ENOENT
        return 60.0

    assert not fence.grant(stalled)
    with pytest.raises(FenceLostError):
        fence.grant(stalled)


# --- the keeper -------------------------------------------------------------------------------------------------------
class Rig:
    """A keeper of a pretended server, with clocks that stand still unless they are moved."""

    def __init__(self, loop: Loop, *, fenced: bool = True, talks: bool = False) -> None:
        self.kernel = FakeKernel({} if fenced else {"chain": errno.EOPNOTSUPP})
        self.now, self.wall = 100.0, 1000.0
        self.killed: list[str] = []
        self.talks = talks
        self.loop = loop
        fence = Fence(lambda: cast("Kernel", self.kernel), lambda _: "")
        self.keeper = Keeper(
            loop,
            fence,
            self.killed.append,
            lambda *_: None,
            Clocks(lambda: self.now, lambda: self.wall),
            lambda _: self.talks,
        )
        self.keeper.prepare("lo", 6767, SPEC)

    def passes(self, seconds: float, step: float = 0.0) -> None:
        """Let time pass, and have the keeper look."""
        self.now += seconds
        self.wall += seconds + step
        self.loop.after(
            0.4, "test", self.loop.stop
        )  # a tick is due within a third of a period, whatever the clocks say
        self.loop.run()

    def lapses(self, deadline: float | None) -> None:
        """See that a permit is refused."""
        with pytest.raises(ProtocolError) as caught:
            self.keeper.extend(deadline, 0)
        assert caught.value.code == Code.LAPSED


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop."""
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def rig(loop: Loop) -> Iterator[Rig]:
    """A keeper whose kernel fences."""
    made = Rig(loop)
    yield made
    made.keeper.release()


def test_it_renews_until_the_deadline_and_then_kills_once(rig: Rig) -> None:
    rig.keeper.begin(110.0, 0)
    rig.kernel.done.clear()
    rig.passes(5.0)
    assert [message.what for message in rig.kernel.done[-1]].count("element of permit") == 2
    rig.keeper.extend(120.0, 0)
    rig.passes(10.0)
    assert rig.killed == []
    rig.passes(5.1)
    rig.passes(1.0)
    assert rig.killed == [Reason.PERMIT_ENDED]
    assert all(message.what == "set permit" for message in rig.kernel.done[-1])
    rig.lapses(200.0)
    rig.keeper.ended()
    assert rig.keeper.status()["permit"] == {"deadline": 0.0, "lapsed": False}
    rig.lapses(None)
    assert len(rig.killed) == 1


def test_what_was_closed_is_not_renewed_but_looked_after(rig: Rig) -> None:
    rig.keeper.begin(None, 0)
    rig.keeper.close()
    rig.kernel.done.clear()
    rig.passes(5.0)
    assert {message.what for batch in rig.kernel.done for message in batch} == {"set permit"}
    assert rig.keeper.status()["permit"] == {"deadline": None, "lapsed": True}
    assert rig.killed == []
    rig.kernel.refuse["set permit"] = errno.ENOENT
    rig.passes(1.0)
    assert rig.killed == [Reason.FENCE_LOST]


def test_without_the_kernel_closing_is_killing(loop: Loop) -> None:
    rig = Rig(loop, fenced=False)
    rig.keeper.close()
    rig.keeper.begin(None, 0)
    assert rig.killed == []
    rig.keeper.close()
    assert rig.killed == [Reason.PERMIT_ENDED]
    rig.keeper.release()


@pytest.mark.parametrize("step", [3600.0, -3.0])
def test_after_a_step_of_the_clock_only_a_later_permit_counts(rig: Rig, step: float) -> None:
    rig.keeper.begin(200.0, 0)
    rig.passes(1.0, step)
    assert rig.keeper.status()["permit"]["deadline"] == 102.0
    rig.keeper.extend(300.0, 0)  # was reckoned before the step, and came after it was seen
    assert rig.keeper.status()["permit"]["deadline"] == 102.0
    rig.keeper.extend(300.0, 1)
    rig.passes(10.0)
    rig.wall += step
    rig.keeper.extend(400.0, 1)  # likewise
    assert rig.keeper.status()["permit"]["deadline"] == 112.0
    rig.passes(1.1)
    assert rig.killed == [Reason.CLOCK_STEPPED]
    assert rig.keeper.status()["clockSteps"] == 2


@pytest.mark.parametrize(("step", "deadline", "fenced"), [(3.0, 200.0, True), (-3.0, None, True), (3.0, None, False)])
def test_a_step_of_the_clock_in_contact_with_the_partner_kills(
    loop: Loop, step: float, deadline: float | None, *, fenced: bool
) -> None:
    rig = Rig(loop, fenced=fenced, talks=True)
    rig.keeper.begin(deadline, 0)
    rig.passes(1.0, step / 2)
    assert rig.killed == []
    rig.passes(1.0, step / 2)
    assert rig.killed == [Reason.CLOCK_STEPPED]
    status = rig.keeper.status()
    assert (status["clockSteps"], status["clockStep"], status["permit"]["lapsed"]) == (1, round(step, 3), True)
    rig.lapses(300.0)
    assert len(rig.killed) == 1
    if fenced:
        assert {message.what for message in rig.kernel.done[-1]} == {"set permit"}
    rig.keeper.ended()
    rig.wall -= step
    rig.keeper.status()
    assert len(rig.killed) == 1, "nothing runs that could be wrong"
    rig.keeper.release()


def test_a_step_forward_kills_a_server_that_keeps_what_others_hold(rig: Rig) -> None:
    rig.keeper.begin(None, 0, keeps=True)
    rig.passes(1.0, -60.0)
    assert rig.killed == []
    rig.passes(1.0, 3.0)
    assert rig.killed == [Reason.CLOCK_STEPPED]


def test_a_running_server_may_come_to_keep_what_others_hold(rig: Rig) -> None:
    with pytest.raises(ProtocolError, match="no server runs"):
        rig.keeper.keep()
    rig.keeper.begin(None, 0)
    rig.passes(1.0, 3.0)
    rig.keeper.keep()
    rig.passes(1.0, -60.0)
    assert rig.killed == []
    rig.passes(1.0, 3.0)
    assert rig.killed == [Reason.CLOCK_STEPPED]


def test_a_lost_fence_kills_also_when_the_permit_holds(rig: Rig) -> None:
    rig.keeper.begin(None, 0)
    rig.kernel.refuse["element"] = errno.EPERM
    rig.passes(0.1)
    assert rig.killed == [Reason.FENCE_LOST]
    rig.lapses(None)


def test_a_deadline_that_is_over_starts_nothing(rig: Rig) -> None:
    rig.keeper.check(100.001)
    rig.keeper.check(None)
    with pytest.raises(ProtocolError, match="is over") as caught:
        rig.keeper.check(100.0)
    assert caught.value.code == Code.LAPSED
