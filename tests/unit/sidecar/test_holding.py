"""The schedule of what is to be held, and the holder against a server that the test plays."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import cast

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import GRANT, NEW, OWN, guard, in_states, lease, observed, server
from twinlease.api.pool import Range
from twinlease.api.server import ServedPool
from twinlease.api.servinglease import Bound
from twinlease.engines.protocol import Control, ControlError
from twinlease.model.binding import Binding, Standing
from twinlease.model.states import FailoverState
from twinlease.sidecar.holding import Holder, Schedule
from twinlease.sidecar.observed import Desired, LastLease, Observed

SINCE, LONGEST = 1_700_000_000, 600
ADDRESS = int(IPv4Address("10.0.0.1"))


def ended(address: int = ADDRESS) -> Binding:
    return Binding(address, Standing.EXPIRED, 0, 0)


def leased(address: int = ADDRESS, ends: int = SINCE + LONGEST) -> Binding:
    return Binding(address, Standing.LEASED, SINCE, ends)


def left(address: int = ADDRESS, told: int = SINCE - 9) -> Binding:
    return Binding(address, Standing.FREE, 0, SINCE - 9, left=told)


def free(address: int = ADDRESS) -> Binding:
    return Binding(address, Standing.FREE, 0, 0)


def out_of_use(address: int, *, unheard: bool = True) -> Binding:
    return Binding(address, Standing.OTHER, SINCE, SINCE + 86_400, unheard=unheard)


class World:
    """A server with its lease database, whose clock the test sets."""

    def __init__(self) -> None:
        self.now = float(SINCE)
        self.records: list[Binding] = []
        self.held: list[tuple[int, int]] = []
        self.left: list[tuple[int, int]] = []
        self.taken: list[int] = []
        self.beside: list[IPv4Address] = []
        self.failure: ControlError | None = None
        self.refused: dict[IPv4Address, str] = {}
        self.deaf = False
        self.readers = 0
        self._read = 0

    def open(self) -> "World":
        """Begin to read its database."""
        self.readers += 1
        self._read = 0
        return self

    def news(self) -> Iterator[Binding]:
        """Yield what was written since."""
        while self._read < len(self.records):
            self._read += 1
            yield self.records[self._read - 1]

    def close(self) -> None:
        """End reading."""
        self.readers -= 1

    def hold(self, addresses: Sequence[IPv4Address], until: int) -> Mapping[IPv4Address, str]:
        """Hold, and write that down."""
        if self.failure:
            raise self.failure
        for address in addresses:
            if address not in self.refused:
                self.held.append((int(address), until))
                if not self.deaf:
                    self.records.append(leased(int(address), until))
        return {address: why for address, why in self.refused.items() if address in addresses}

    def leave(
        self, addresses: Sequence[IPv4Address], until: int, *, beside: Iterable[IPv4Address]
    ) -> Mapping[IPv4Address, str]:
        """Leave them to the partner, and write that down."""
        self.beside = list(beside)
        self.left += [(int(address), until) for address in addresses]
        self.records += [left(int(address), until) for address in addresses]
        return {}

    def take(self, addresses: Sequence[IPv4Address]) -> Mapping[IPv4Address, str]:
        """Take them from their clients, and write that down."""
        self.taken += map(int, addresses)
        self.records += [Binding(int(address), Standing.RESET, 0, 0, told=True) for address in addresses]
        return {}


def snapshot(local: FailoverState = FailoverState.COMMUNICATIONS_INTERRUPTED, **changes: object) -> Observed:
    said = replace(in_states(local, FailoverState.NORMAL), since=SINCE)
    now = observed(guard=guard(NEW), failover=said, lease=lease(GRANT, OWN, max_lease=Bound(duration="10m")))
    return replace(now, **changes)


def secondary() -> Observed:
    return snapshot(desired=Desired(object=server(role="secondary")))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def holder(world: World) -> Holder:
    return Holder(world.open, lambda: world.now)


def tend(holder: Holder, world: World, now: Observed | None = None) -> list[int]:
    """Have it look once; return what it held."""
    world.held.clear()
    holder.tend(now or snapshot(), cast("Control", world))
    return [address for address, _ in world.held]


def test_what_is_over_is_held_once_and_until_it_outlasts_every_promise(world: World, holder: Holder) -> None:
    world.records = [leased(), ended()]
    assert tend(holder, world) == [ADDRESS]
    assert world.held[0][1] > world.now + LONGEST
    assert tend(holder, world) == []


def test_it_is_held_again_before_a_new_promise_could_outlast_it(world: World, holder: Holder) -> None:
    world.records = [ended()]
    tend(holder, world)
    until = world.held[0][1]
    while world.now + LONGEST < until:
        assert not world.held or world.held[0][1] == until
        world.now += 1
        if tend(holder, world):
            break
    assert world.held
    assert world.held[0][1] > world.now + LONGEST


def test_what_a_primary_left_to_its_partner_it_tells_anew_before_that_is_over(world: World, holder: Holder) -> None:
    world.records = [ended(ADDRESS + 1), left(), left(ADDRESS + 2), free(ADDRESS + 2)]
    assert tend(holder, world) == [ADDRESS + 1]
    assert world.left == [(ADDRESS, world.held[0][1])]
    tend(holder, world)
    assert len(world.left) == 1
    while len(world.left) == 1:
        assert world.left[0][1] > world.now + LONGEST
        world.now += 1
        tend(holder, world)
    assert world.left[1][1] > world.now + LONGEST


def test_beside_it_looks_for_free_ones_in_every_pool(world: World, holder: Holder) -> None:
    world.records = [left()]
    ranges = Range(start="10.0.0.1", end="10.0.0.9"), Range(start="10.0.0.20", end="10.0.0.21")
    pools = ServedPool(name="a", ranges=ranges), ServedPool(name="b", ranges=(Range(start="10.0.8.0", end="10.0.8.1"),))
    tend(holder, world, snapshot(desired=Desired(object=server(pools=pools))))
    own = [f"10.0.0.{number}" for number in (*range(1, 10), 20, 21)]
    assert world.beside == [IPv4Address(each) for each in (*own, "10.0.8.0", "10.0.8.1")]


def test_what_is_a_secondarys_to_give_it_leaves_alone(world: World, holder: Holder) -> None:
    world.records = [left(), ended(ADDRESS + 1)]
    assert tend(holder, world, secondary()) == [ADDRESS + 1]
    assert world.left == []


def test_what_the_secondary_has_as_free_no_client_gets_back(world: World, holder: Holder) -> None:
    world.records = [ended()._replace(told=True), ended(ADDRESS + 1)]
    assert tend(holder, world) == [ADDRESS + 1]
    assert [address for address, _ in world.left] == [ADDRESS]
    world.now += LONGEST
    assert tend(holder, world) == [ADDRESS + 1]
    assert [address for address, _ in world.left] == [ADDRESS] * 2
    assert world.taken == []


def test_what_the_primary_may_have_given_away_no_client_gets_back(world: World, holder: Holder) -> None:
    world.records = [ended()._replace(told=True), ended(ADDRESS + 1)]
    assert tend(holder, world, secondary()) == [ADDRESS + 1]
    assert world.taken == [ADDRESS]
    world.now += LONGEST
    assert tend(holder, world, secondary()) == [ADDRESS + 1]
    assert world.taken == [ADDRESS]


def test_who_reads_the_leases_next_hears_what_was_left(world: World, holder: Holder) -> None:
    world.records = [left()]
    tend(holder, world)
    assert list(holder.log().news()) == [left(), left(told=world.left[0][1])]


def test_what_is_free_again_is_left_alone(world: World, holder: Holder) -> None:
    world.records = [ended(), free()]
    assert tend(holder, world) == []


def test_what_a_client_declines_meanwhile_is_held_and_counts_as_over(world: World, holder: Holder) -> None:
    far = SINCE + 9 * LONGEST
    world.records = [leased(1, far), out_of_use(1, unheard=False), leased(2, far)]
    assert tend(holder, world) == []
    world.records += [out_of_use(2), out_of_use(3, unheard=False)]
    world.deaf = True  # its word is not there yet when the database is read
    assert tend(holder, world) == [2]
    world.records += [leased(3, far), out_of_use(3)]
    assert {each.address: each.standing for each in holder.log().news()} == dict.fromkeys((2, 3), Standing.RELEASED)


@pytest.mark.parametrize(
    "now",
    [
        snapshot(FailoverState.NORMAL),
        snapshot(FailoverState.PARTNER_DOWN),
        snapshot(FailoverState.STARTUP),
        snapshot(failover=None),
        snapshot(guard=None),
        snapshot(guard=guard()),
        snapshot(lease=None),
        snapshot(answered=False),
    ],
)
def test_nothing_is_held_by_who_is_not_known_to_be_cut_off(now: Observed, world: World, holder: Holder) -> None:
    world.records = [ended()]
    assert tend(holder, world, now) == []
    assert not holder.busy
    assert world.readers == 0


def test_what_an_earlier_process_read_of_the_serving_lease_counts(world: World, holder: Holder) -> None:
    world.records = [ended()]
    assert tend(holder, world, snapshot(lease=None, remembered=LastLease(longest=LONGEST))) == [ADDRESS]
    assert world.held[0][1] > world.now + LONGEST


def test_a_moment_of_silence_forgets_nothing_and_the_end_everything(world: World, holder: Holder) -> None:
    tend(holder, world)
    tend(holder, world, snapshot(answered=False))
    assert (holder.busy, world.readers) == (True, 1)
    tend(holder, world, snapshot(FailoverState.NORMAL))
    assert (holder.busy, world.readers) == (False, 0)


def test_another_interruption_begins_anew(world: World, holder: Holder) -> None:
    world.records = [leased(ends=SINCE + 1)]
    later = SINCE + 100_000
    world.now = float(later)
    said = replace(in_states(FailoverState.COMMUNICATIONS_INTERRUPTED, FailoverState.NORMAL), since=later)
    assert tend(holder, world, snapshot(failover=said)) == []  # the partner heard of it long ago
    assert tend(holder, world) == [ADDRESS]
    assert world.readers == 1


def test_what_is_not_read_back_is_tried_again(world: World, holder: Holder) -> None:
    world.records, world.deaf = [ended()], True
    assert tend(holder, world) == [ADDRESS]
    assert tend(holder, world) == []
    world.now += 3
    assert tend(holder, world) == [ADDRESS]


def test_after_an_error_all_is_tried_again(world: World, holder: Holder, caplog: pytest.LogCaptureFixture) -> None:
    world.records, world.failure = [ended()], ControlError("no answer")
    for _ in range(3):
        assert tend(holder, world) == []
        world.now += 3
    assert caplog.text.count("a lease is not held") == 1
    world.failure = None
    assert tend(holder, world) == [ADDRESS]


def test_what_is_refused_keeps_nothing_else_from_being_held(
    world: World, holder: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    world.records = [ended(ADDRESS + n) for n in range(40)]
    world.refused = {IPv4Address(ADDRESS): "no such object"}
    assert sorted(tend(holder, world)) == [ADDRESS + n for n in range(1, 40)]
    world.now += 10
    assert tend(holder, world) == []
    assert caplog.text.count("a lease is not held") == 1


def test_ended_ones_come_first_and_the_oldest_news_wins_no_race() -> None:
    schedule = Schedule(since=SINCE, longest=LONGEST)
    schedule.take(leased(1, SINCE + 10))
    schedule.take(leased(2, SINCE + 5))
    schedule.take(ended(3))
    assert schedule.next(SINCE + 1.0, 2, again=SINCE + 3.0) == [3, 2]
    assert schedule.next(SINCE + 1.0, 2, again=SINCE + 3.0) == [1]
    schedule.take(free(3))
    assert sorted(schedule.next(SINCE + 3.0, 9, again=SINCE + 5.0)) == [1, 2]
    assert schedule.due(SINCE + 4.0) == 0


def test_of_ten_thousand_each_comes_up_once() -> None:
    schedule = Schedule(since=SINCE, longest=LONGEST)
    for number in range(10_000):
        schedule.take(ended(number))
    found = [schedule.next(SINCE, 8, again=SINCE + 2.0) for _ in range(1250)]
    assert sorted(address for part in found for address in part) == list(range(10_000))
    assert schedule.next(SINCE, 8, again=SINCE + 2.0) == []


def test_who_reads_on_gets_what_is_known_and_keeps_no_news_from_the_holder(world: World, holder: Holder) -> None:
    far = SINCE + 9 * LONGEST
    world.records = [leased(1, far), leased(2, far), free(2), leased(3), free(4)]
    assert tend(holder, world) == [3]
    log = holder.log()
    assert {each.address: each.ends for each in log.news()} == {1: far, 3: world.held[0][1]}
    world.records += [free(1), *(ended(100 + number) for number in range(500))]
    assert [each.address for each in log.news()] == [1, *range(100, 600)]
    assert not list(log.news())
    log.close()
    assert world.readers == 1
    assert 100 in tend(holder, world)


def test_who_reads_on_reads_also_the_file_that_has_replaced_the_one_being_read(world: World) -> None:
    files = [[leased(1)], [], [leased(2)], [leased(3)]]

    class Replaced(World):
        def news(self) -> Iterator[Binding]:
            yield from files.pop(0) if files else []

    holder = Holder(Replaced, lambda: SINCE)
    tend(holder, world)
    assert len(files) == 3
    files.pop(0)
    assert [each.address for each in holder.log().news()] == [1, 2, 3]


def test_who_reads_where_nothing_is_known_reads_all(world: World, holder: Holder) -> None:
    world.records = [leased(1), free(2)]
    assert list(holder.log().news()) == world.records
