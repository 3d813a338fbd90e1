"""What rtnetlink says, taken apart."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from twinlease.netlink.route import attribute, attributes

values = st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=20), max_size=6)


@given(values)
def test_attributes_survive_the_way(found: dict[int, bytes]) -> None:
    assert attributes(b"".join(attribute(kind, value) for kind, value in found.items())) == found


@given(st.binary(max_size=100))
def test_any_bytes_come_to_an_end(data: bytes) -> None:
    assert sum(map(len, attributes(data).values())) <= len(data)


def test_a_length_that_is_none_does_not_keep_us_for_ever() -> None:
    assert attributes(struct.pack("=HHHH", 0, 7, 4, 8)) == {7: b"", 8: b""}


def test_flags_are_no_part_of_a_type() -> None:
    assert attributes(struct.pack("=HHI", 8, 0x8003, 5)) == {3: struct.pack("=I", 5)}
