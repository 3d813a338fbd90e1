"""Sets of addresses as runs."""

from hypothesis import given
from hypothesis import strategies as st

from twinlease.model.spans import Spans, covers, intersect, merge, size, spread, subtract

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)).map(lambda each: (each[0], sum(each))), max_size=8)


def members(spans: Spans) -> set[int]:
    return {number for first, last in spans for number in range(first, last + 1)}


def test_runs_that_touch_become_one() -> None:
    assert merge([(5, 6), (1, 2), (3, 3), (9, 9)]) == ((1, 3), (5, 6), (9, 9))


def test_a_hole_splits_a_run() -> None:
    assert subtract(((1, 9),), ((1, 1), (4, 5), (9, 12))) == ((2, 3), (6, 8))


@given(SPANS, SPANS)
def test_they_are_sets(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    first, second = merge(one), merge(other)
    assert members(first) == members(tuple(one))
    assert members(subtract(first, second)) == members(first) - members(second)
    assert members(intersect(first, second)) == members(first) & members(second)
    for result in (first, subtract(first, second), intersect(first, second)):
        assert merge(result) == result
        assert size(result) == len(members(result))
        assert {number for number in range(50) if covers(result, number)} == members(result)


@given(SPANS, st.integers(0, 20))
def test_some_of_a_set_are_its_own_and_few_enough(spans: list[tuple[int, int]], count: int) -> None:
    whole = merge(spans)
    some = list(spread(whole, count))
    assert len(some) == len(set(some)) <= count
    assert set(some) <= members(whole)
    assert size(whole) > count or set(some) == members(whole)


def test_the_first_few_of_a_large_set_are_spread_over_all_of_it() -> None:
    halves = ((1000, 33_767), (100_000, 132_767))
    for first, last in halves:
        for tenth in range(10):
            begin = first + tenth * 3277
            assert sum(begin <= each < min(begin + 3277, last) for each in spread(halves, 64)) >= 2
    assert len({each // 50_000 for each in list(spread(halves, 64))[:2]}) == 2
