"""What was seen, and when: only what changed before our eyes is fresh."""

from msgspec.structs import replace

from tests.unit.decide.views import PRIMARY, SECONDARY, own, quiet
from twinlease.controller.sightings import NEVER, Sightings
from twinlease.decide.pairview import View

KEY = ("ns", "p")


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def wrote(view: View, renewal: int, incarnation: str = "p1") -> View:
    return own(view, PRIMARY, renewal=renewal, incarnation=incarnation)


def test_the_first_sight_is_no_arrival_and_a_change_is() -> None:
    clock = Clock()
    seen = Sightings(clock)
    seen.saw(KEY, "u", quiet().lease)
    clock.now += 10
    assert seen.of(KEY).age(PRIMARY, clock.now) == NEVER
    assert seen.of(KEY).silent(PRIMARY, clock.now) == 10

    seen.saw(KEY, "u", wrote(quiet(), 8).lease)
    clock.now += 3
    assert seen.of(KEY).age(PRIMARY, clock.now) == 3
    assert seen.of(KEY).silent(PRIMARY, clock.now) == 3
    assert seen.of(KEY).silent(SECONDARY, clock.now) == 13

    seen.saw(KEY, "u", wrote(quiet(), 8).lease)
    assert seen.of(KEY).age(PRIMARY, clock.now) == 3, "the same again is no news"


def test_an_older_copy_is_no_renewal() -> None:
    clock = Clock()
    seen = Sightings(clock)
    for renewal in (7, 8, 6):
        seen.saw(KEY, "u", wrote(quiet(), renewal).lease)
    assert seen.of(KEY).age(PRIMARY, clock.now) == NEVER
    seen.saw(KEY, "u", wrote(quiet(), 1, "p2").lease)
    assert seen.of(KEY).age(PRIMARY, clock.now) == 0


def test_another_object_of_the_name_is_another_one() -> None:
    clock = Clock()
    seen = Sightings(clock)
    for renewal in (7, 8):
        seen.saw(KEY, "u", wrote(quiet(), renewal).lease)
    seen.saw(KEY, "v", wrote(quiet(), 9).lease)
    assert seen.of(KEY).age(PRIMARY, clock.now) == NEVER


def test_evidence_counts_without_a_break_and_for_one_grant_only() -> None:
    clock = Clock()
    seen = Sightings(clock)
    seen.saw(KEY, "u", quiet().lease)
    seen.judged(KEY, PRIMARY, 3, stopped=True)
    clock.now += 5
    seen.judged(KEY, PRIMARY, 3, stopped=True)
    assert seen.of(KEY).gone(PRIMARY, clock.now) == 5
    seen.saw(KEY, "u", wrote(quiet(), 8).lease)
    assert seen.of(KEY).gone(PRIMARY, clock.now) == 5, "who asks again is still stopped"
    seen.judged(KEY, PRIMARY, 4, stopped=True)
    assert seen.of(KEY).gone(PRIMARY, clock.now) == 0
    clock.now += 5
    seen.judged(KEY, PRIMARY, 4, stopped=False)
    seen.judged(KEY, PRIMARY, 4, stopped=True)
    assert seen.of(KEY).gone(PRIMARY, clock.now) == 0


def test_a_lone_server_waits_from_when_it_was_alone() -> None:
    clock = Clock()
    seen = Sightings(clock)
    seen.showed_up(KEY, PRIMARY)
    clock.now += 7
    seen.showed_up(KEY, PRIMARY)
    assert (seen.of(KEY).waiting(PRIMARY, clock.now), seen.of(KEY).waiting(SECONDARY, clock.now)) == (7, 0)
    seen.saw(KEY, "u", quiet().lease)
    assert seen.of(KEY).waiting(PRIMARY, clock.now) == 7
    seen.showed_up(KEY, None)
    seen.showed_up(KEY, PRIMARY)
    assert seen.of(KEY).waiting(PRIMARY, clock.now) == 0


def test_a_rollback_counts_from_when_it_was_seen_whoever_writes() -> None:
    clock = Clock()
    seen = Sightings(clock)
    view = own(quiet(), SECONDARY, epoch=9)
    for renewal in (8, 9, 10):
        seen.saw(KEY, "u", wrote(view, renewal).lease)
        clock.now += 40
    assert seen.of(KEY).rolled_back(clock.now) == 120
    seen.saw(KEY, "u", replace(view.lease, epoch=10))
    assert seen.of(KEY).rolled_back(clock.now) == 0
