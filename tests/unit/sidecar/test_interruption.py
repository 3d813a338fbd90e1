"""Numbers for the times in which a server is cut off."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from twinlease.model.states import FailoverState as S
from twinlease.sidecar.interruption import Interruption, Sample, advance, taken_up

CUT = Sample(started=1.0, state=S.COMMUNICATIONS_INTERRUPTED, since=100, transitions=5, wall=100.2)
NORMAL = Sample(started=1.0, state=S.NORMAL, since=90, transitions=4, wall=99.0)


def through(*looks: Sample, start: Interruption = Interruption()) -> Interruption:  # noqa: B008  # immutable
    """Take several looks, a second apart."""
    for second, look in enumerate(looks):
        start = advance(start, look, 1000.0 + second)
    return start


def test_one_that_lasts_keeps_its_number_and_ages_on_the_boot_clock() -> None:
    found = through(NORMAL, CUT, CUT, CUT)
    assert (found.current, found.age(1003.0)) == (1, 2.0)


def test_normal_ends_it_and_the_next_has_another_number() -> None:
    assert through(CUT, NORMAL).current == 0
    assert through(CUT, NORMAL, replace(CUT, since=101, transitions=7)).current == 2


def test_a_contact_between_two_looks_is_seen_by_the_start_of_the_state() -> None:
    assert through(CUT, replace(CUT, since=101)).current == 2


def test_a_contact_within_the_same_second_is_seen_by_the_records() -> None:
    assert through(CUT, replace(CUT, transitions=7)).current == 2


def test_a_direct_change_between_states_without_contact_goes_on() -> None:
    resolution = replace(CUT, state=S.RESOLUTION_INTERRUPTED, since=103, transitions=6)
    assert through(CUT, resolution).current == 1
    # Two recorded changes: normal may have been between them.
    assert through(CUT, replace(resolution, transitions=7)).current == 2


def test_a_restart_of_the_daemon_begins_another() -> None:
    assert through(CUT, replace(CUT, started=2.0)).current == 2


def test_while_the_daemon_does_not_run_there_is_none() -> None:
    assert through(CUT, Sample()).current == 0
    assert through(CUT, Sample(), CUT).current == 2


def test_silence_ends_nothing_and_begins_nothing() -> None:
    silent = Sample(started=1.0)
    assert through(CUT, silent).current == 1
    assert through(NORMAL, silent).current == 0
    assert through(CUT, replace(silent, started=2.0)).current == 0


def test_another_process_of_the_sidecar_goes_on_only_with_what_cannot_have_changed() -> None:
    kept = through(CUT, replace(CUT, wall=101.0))
    assert taken_up(kept, replace(CUT, transitions=0))
    # Looked at within the second in which the state began: it may have ended and begun anew within it.
    assert not taken_up(through(CUT), CUT)
    for other in (replace(CUT, since=101), replace(CUT, started=2.0), NORMAL, Sample()):
        assert not taken_up(kept, other)
    assert not taken_up(through(CUT, replace(CUT, wall=101.0), NORMAL), CUT)


LOOKS = st.builds(
    Sample,
    started=st.sampled_from([0.0, 1.0, 2.0]),
    state=st.sampled_from([S.UNKNOWN, S.NORMAL, S.COMMUNICATIONS_INTERRUPTED, S.PARTNER_DOWN, S.STARTUP]),
    since=st.integers(100, 102),
    transitions=st.integers(0, 3),
)


@given(st.lists(LOOKS, max_size=12))
def test_a_number_is_never_used_twice_and_none_spans_a_normal(looks: list[Sample]) -> None:
    state, used, open_number = Interruption(), 0, 0
    for look in looks:
        state = advance(state, look, 0.0)
        assert state.number >= used
        if state.current and state.current != open_number:
            assert state.current == used + 1
        if look.state is S.NORMAL and look.started:
            assert state.current == 0
        open_number, used = state.current, state.number
