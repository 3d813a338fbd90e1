"""What is so already is not written again; what is not is."""

import pytest

from twinlease.controller.apply import contains


@pytest.mark.parametrize(
    ("observed", "wanted", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ([1, 2], [1, 2], True),
        ([1, 2, 3], [1, 2], False),
        ([{"a": 1, "b": 2}], [{"a": 1}], True),
        ([{"a": 1}], [{"a": 2}], False),
        ("x", "x", True),
        ({"a": None}, {"a": {}}, False),
        ({}, {}, True),
    ],
)
def test_desired_is_part_of_observed(observed: object, wanted: object, *, expected: bool) -> None:
    assert contains(observed, wanted) is expected
