"""When a returning server was cut off after it had caught up."""

from hypothesis import given
from hypothesis import strategies as st

from twinlease.sidecar.catchingup import broken

connections = st.frozensets(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), max_size=3)


@given(st.none() | connections)
def test_without_a_connection_it_is_cut_off(before: frozenset[tuple[str, str]] | None) -> None:
    assert broken(before, frozenset())


@given(connections.filter(bool))
def test_at_the_first_look_a_connection_is_believed_to_have_been_there(now: frozenset[tuple[str, str]]) -> None:
    assert not broken(None, now)


@given(connections, connections.filter(bool))
def test_one_that_lasts_is_contact_and_only_new_ones_are_not(
    before: frozenset[tuple[str, str]], now: frozenset[tuple[str, str]]
) -> None:
    assert broken(before, now) is not bool(before & now)
