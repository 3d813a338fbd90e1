"""The ledger of what was given, and who mends against a server that the test plays."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import cast

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import NEW, guard, in_states, observed, server
from twinlease.decide.given import KNOWN_SECONDS
from twinlease.engines.protocol import Control, ControlError
from twinlease.model.binding import Binding, Standing
from twinlease.model.states import FailoverState, Role
from twinlease.sidecar.mending import Ledger, Mender
from twinlease.sidecar.observed import Desired, Observed

NOW = 1_700_000_000
ADDRESS = int(IPv4Address("10.0.0.1"))


def leased(address: int = ADDRESS, seen: int = NOW, ends: int = NOW + 600) -> Binding:
    return Binding(address, Standing.LEASED, seen, ends, ours=True)


def freed(address: int = ADDRESS, ends: int = NOW - 1) -> Binding:
    return Binding(address, Standing.FREE, NOW, ends)


class World:
    """A server with its lease database, whose clock the test sets."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.records: list[Binding] = []
        self.leased: list[tuple[int, int]] = []
        self.kept: list[tuple[int, int]] = []
        self.retired: list[int] = []
        self.expired: list[int] = []
        self.repeated: list[int] = []
        self.failure: Exception | None = None
        self.refused = ""
        self.read = 0

    def open(self) -> "World":
        """Begin to read its database."""
        return self

    def news(self) -> Iterator[Binding]:
        """Yield what was written since."""
        while self.read < len(self.records):
            self.read += 1
            yield self.records[self.read - 1]

    def close(self) -> None:
        """End reading."""

    def hold(self, addresses: Sequence[IPv4Address], until: int, *, free: bool = False) -> Mapping[IPv4Address, str]:
        """Lease again, and write that down."""
        if self.failure:
            raise self.failure
        for each in addresses:
            (self.leased if free else self.kept).append((int(each), until))
            if not self.refused:
                self.records.append(leased(int(each), ends=until))
        return dict.fromkeys(addresses, self.refused) if self.refused else {}

    def retire(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Write that down."""
        self.retired += map(int, addresses)
        return {}

    def expire(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Write that down."""
        self.expired += map(int, addresses)
        return {}

    def repeat(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Write that down."""
        self.repeated += map(int, addresses)
        return {}


def snapshot(local: FailoverState = FailoverState.NORMAL, **changes: object) -> Observed:
    now = observed(guard=guard(NEW), failover=in_states(local, FailoverState.NORMAL))
    return replace(now, **changes)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def mender(world: World) -> Mender:
    return Mender(world.open, lambda: world.now)


def tend(mender: Mender, world: World, now: Observed | None = None) -> list[tuple[int, int]]:
    """Have it look once; return what it leased again."""
    world.leased.clear()
    mender.tend(now or snapshot(), cast("Control", world))
    return world.leased


def test_what_a_late_word_freed_is_leased_again_as_long_as_it_was_given(world: World, mender: Mender) -> None:
    world.records = [leased(), leased(ADDRESS + 1), freed()]
    assert tend(mender, world) == [(ADDRESS, NOW + 600)]
    assert mender.busy
    assert tend(mender, world) == []
    world.records.append(freed())
    assert tend(mender, world) == [(ADDRESS, NOW + 600)]
    assert mender.mended == 2


def test_nothing_is_mended_before_everything_is_read(world: World, mender: Mender) -> None:
    other = [leased(ADDRESS + number) for number in range(1, 100_000)]
    world.records = [leased(), freed(), *other, leased(seen=NOW + 10, ends=NOW + 700)]
    rounds = 0
    while world.read < len(world.records):
        assert tend(mender, world) == []
        rounds += 1
    assert rounds > 1, "else there was nothing to be careful with"
    assert tend(mender, world) == []


def test_nothing_is_done_while_nothing_is_said_late(world: World, mender: Mender) -> None:
    world.records = [leased(), freed(ends=NOW + 10)]
    world.now += 20
    assert tend(mender, world) == []
    assert not mender.busy


def test_what_the_server_refuses_is_tried_again_after_a_while(world: World, mender: Mender) -> None:
    world.records = [leased(), freed()]
    world.refused = "no"
    assert len(tend(mender, world)) == 1
    assert tend(mender, world) == []
    world.now += 2
    assert len(tend(mender, world)) == 1
    world.now += 600
    assert tend(mender, world) == []
    assert mender.mended == 0


@pytest.mark.parametrize("failure", [ControlError("no answer"), OSError("gone")])
def test_it_goes_on_after_a_failure(world: World, mender: Mender, failure: Exception) -> None:
    world.records = [leased(), freed()]
    world.failure = failure
    assert tend(mender, world) == []
    world.failure = None
    world.now += 2
    assert tend(mender, world) == [(ADDRESS, NOW + 600)]


@pytest.mark.parametrize("local", FailoverState)
def test_a_server_that_serves_nobody_is_left_alone_and_nothing_is_forgotten(
    world: World, mender: Mender, local: FailoverState
) -> None:
    world.records = [leased(), freed()]
    serving = local in (
        FailoverState.NORMAL,
        FailoverState.COMMUNICATIONS_INTERRUPTED,
        FailoverState.PARTNER_DOWN,
    )
    assert bool(tend(mender, world, snapshot(local))) is serving
    assert bool(tend(mender, world)) is not serving


def test_a_server_that_does_not_answer_is_left_alone(world: World, mender: Mender) -> None:
    world.records = [leased(), freed()]
    for silent in (snapshot(answered=False), snapshot(failover=None), snapshot(guard=None)):
        assert tend(mender, world, silent) == []


def test_what_was_nobodys_and_is_over_is_given_up_once_both_are_normal(world: World, mender: Mender) -> None:
    nobodys = leased(ends=NOW + 60)._replace(nobodys=True)
    others = (
        nobodys._replace(address=ADDRESS + 1),
        leased(ADDRESS + 1, ends=NOW + 60),
        leased(ADDRESS + 2, ends=NOW + 60),
    )
    world.records = [nobodys, *others]
    world.now += 65  # by the partner's clock it may run
    tend(mender, world)
    assert world.retired == []
    world.now += 1
    tend(mender, world, snapshot(FailoverState.COMMUNICATIONS_INTERRUPTED))
    assert world.retired == []
    for _ in range(2):
        tend(mender, world)
        assert world.retired == [ADDRESS]


def test_what_a_secondary_took_it_says_is_over_once_more_when_all_is_said(world: World, mender: Mender) -> None:
    taken = Binding(ADDRESS, Standing.RESET, 0, 0, told=True)
    world.records = [taken, taken._replace(address=ADDRESS + 1), freed(ADDRESS + 1)]
    desired = Desired(object=server(role="secondary"))
    secondary = snapshot(desired=desired)
    tend(mender, world, snapshot(FailoverState.COMMUNICATIONS_INTERRUPTED, desired=desired))
    world.now += 5
    tend(mender, world, secondary)
    assert world.expired == []
    world.now += 1
    for _ in range(2):
        tend(mender, world, secondary)
        assert world.expired == [ADDRESS]


def test_what_a_primary_left_to_its_partner_it_says_once_more_when_that_may_agree(world: World, mender: Mender) -> None:
    left = Binding(ADDRESS, Standing.FREE, NOW - 60, NOW - 60, left=NOW + 60)
    by_dhcpd = left._replace(address=ADDRESS + 2, left=NOW - 60)
    world.records = [left, left._replace(address=ADDRESS + 1), leased(ADDRESS + 1), by_dhcpd]
    world.now += 60
    tend(mender, world, snapshot(FailoverState.COMMUNICATIONS_INTERRUPTED))
    world.now += KNOWN_SECONDS
    tend(mender, world)  # the two may not hear each other since they have met
    assert world.repeated == []
    world.now += 1
    tend(mender, world, snapshot(desired=Desired(object=server(role="secondary"))))
    assert world.repeated == []
    for _ in range(2):
        tend(mender, world)
        assert world.repeated == [ADDRESS]
        world.records.append(left)
    world.now += KNOWN_SECONDS + 6
    tend(mender, world)
    assert world.repeated == [ADDRESS] * 2


def test_what_a_primary_took_it_leaves_alone(world: World, mender: Mender) -> None:
    world.records = [Binding(ADDRESS, Standing.RESET, 0, 0, told=True)]
    tend(mender, world)
    world.now += 6
    tend(mender, world)
    assert world.expired == []


def test_the_ledger_forgets_what_no_word_can_reach() -> None:
    ledger = Ledger()
    for number in range(1000):
        ledger.take(leased(number, ends=NOW + 5000), NOW)
        ledger.take(leased(number, seen=NOW + 1, ends=NOW + 5000), NOW)
    ledger.forget(NOW + KNOWN_SECONDS)
    assert len(ledger) == 1000
    ledger.forget(NOW + KNOWN_SECONDS + 2)
    assert len(ledger) == 0
    ledger.take(leased(1, ends=NOW + 5000), NOW + KNOWN_SECONDS + 1)
    assert len(ledger) == 0


def declined(address: int = ADDRESS, *, unheard: bool = True, ends: int = NOW + 86_400) -> Binding:
    return Binding(address, Standing.OTHER, NOW, ends, unheard=unheard)


def server_of(role: str, local: FailoverState = FailoverState.NORMAL) -> Observed:
    return snapshot(local, desired=Desired(object=server(role=role)))


def test_what_was_declined_is_kept_once_the_partner_should_have_answered(world: World, mender: Mender) -> None:
    world.records = [declined(), declined(ADDRESS + 1), declined(ADDRESS + 1, unheard=False)]
    tend(mender, world)
    assert world.kept == []
    world.now += 1
    tend(mender, world)
    assert world.kept == [(ADDRESS, NOW + 86_400)]
    assert mender.busy
    world.now += 9
    tend(mender, world)
    assert len(world.kept) == 1


@pytest.mark.parametrize(("role", "kept"), [("primary", 0), ("secondary", 1)])
def test_what_is_its_own_by_the_partners_word_nobody_else_has(
    world: World, mender: Mender, role: str, kept: int
) -> None:
    world.records = [declined()._replace(before=Role.PRIMARY)]
    for _ in range(2):
        tend(mender, world, server_of(role))
        world.now += 1
    assert len(world.kept) == kept


def test_what_was_declined_is_out_of_use_no_longer_than_its_day(world: World, mender: Mender) -> None:
    world.records = [declined(ends=NOW)]
    for _ in range(2):
        tend(mender, world)
        world.now += 1
    assert world.kept == []


def test_a_partner_that_was_away_gets_its_time_to_answer(world: World, mender: Mender) -> None:
    world.records = [declined()]
    tend(mender, world, server_of("primary", FailoverState.COMMUNICATIONS_INTERRUPTED))
    world.now += 60
    tend(mender, world, server_of("primary", FailoverState.COMMUNICATIONS_INTERRUPTED))
    world.now += 0.5
    tend(mender, world)
    assert world.kept == []
    world.now += 0.5
    tend(mender, world)
    assert len(world.kept) == 1


def test_what_could_not_be_kept_for_want_of_an_answer_is_tried_again(world: World, mender: Mender) -> None:
    world.records, world.failure = [declined()], ControlError("no answer")
    for _ in range(2):
        tend(mender, world)
        world.now += 1
    world.failure = None
    tend(mender, world)
    assert len(world.kept) == 1
