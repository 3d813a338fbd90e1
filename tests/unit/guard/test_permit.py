"""The permit as a function of time, and the clocks' steps."""

from hypothesis import given
from hypothesis import strategies as st

from twinlease.guard.permit import NONE, ClockWatch, Permit, Reason, closed, extended, stepped

times = st.floats(0, 1e6)
deadlines = st.none() | times


def test_it_holds_until_its_deadline_and_not_at_it() -> None:
    permit = Permit(10.0)
    assert permit.holds(9.999)
    assert not permit.holds(10.0)
    assert Permit(None).holds(1e12)
    assert not NONE.holds(0.0)


@given(deadlines, times, deadlines)
def test_what_does_not_hold_never_holds_again(deadline: float | None, now: float, new: float | None) -> None:
    permit = Permit(deadline)
    after = extended(permit, new, now)
    if not permit.holds(now):
        assert after.lapsed
    for later in (0.0, now, now + 1e6):
        assert not extended(closed(permit), new, later).holds(later)
        assert not (after.lapsed and after.holds(later))


@given(deadlines, deadlines, times)
def test_an_extension_is_worth_its_own_deadline(deadline: float | None, new: float | None, now: float) -> None:
    permit = Permit(deadline)
    if permit.holds(now):
        after = extended(permit, new, now)
        assert (after.deadline, after.holds(now)) == (new, new is None or new > now)


def test_a_step_of_the_clock_cuts_the_permit_until_the_next_one() -> None:
    cut = stepped(Permit(100.0), 50.0)
    assert (cut.deadline, cut.reason) == (51.0, Reason.CLOCK_STEPPED)
    assert extended(cut, 100.0, 50.5) == Permit(100.0)
    assert stepped(Permit(50.5), 50.0) == Permit(50.5)
    assert stepped(Permit(None), 50.0) == Permit(None)
    assert not stepped(closed(Permit(100.0)), 50.0).holds(50.0)


def test_steps_are_counted_in_both_directions_and_small_ones_add_up() -> None:
    watch = ClockWatch()
    assert not watch.stepped(1000.0, 10.0)
    assert not watch.stepped(1001.0 + 2.0, 11.0)
    assert watch.stepped(1002.0 + 2.1, 12.0)
    assert not watch.stepped(1003.0 + 2.1, 13.0)
    assert not watch.stepped(1004.0 + 1.0, 14.0)
    assert watch.stepped(1005.0 - 0.1, 15.0)
    assert (watch.steps, round(watch.last, 3)) == (2, -2.2)
