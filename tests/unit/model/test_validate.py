"""What one object says wrong, field by field, beyond what admission judges."""

import pytest

from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.pool import PoolSpec, Range
from twinlease.api.types import ObjectRef
from twinlease.model.validate import pair_problems, pool_problems

REF = ObjectRef(name="lan")
PAIR = PairSpec(primary=Peer(node_name="n1", interface="lan0"), secondary=Peer(node_name="n2", interface="lan0"))


def problems(subnet: str, *ranges: tuple[str, str]) -> list[str]:
    spec = PoolSpec(pair_ref=REF, subnet=subnet, ranges=tuple(Range(start=one, end=other) for one, other in ranges))
    return [str(each) for each in pool_problems(spec)]


def test_a_pair_with_the_defaults_is_right() -> None:
    assert pair_problems("lan", PAIR) == []


def test_a_range_outside_its_subnet_names_the_end_that_is() -> None:
    assert problems("10.0.0.0/24", ("10.0.0.5", "10.0.0.9"), ("10.0.0.200", "10.0.1.5")) == [
        "spec.ranges[1].end: '10.0.1.5' must lie inside spec.subnet 10.0.0.0/24"
    ]


def test_overlapping_ranges_name_each_other() -> None:
    found = problems("10.0.0.0/24", ("10.0.0.5", "10.0.0.90"), ("10.0.0.200", "10.0.0.210"), ("10.0.0.20", "10.0.0.30"))
    assert "".join(found) == (
        "spec.ranges[2].start: '10.0.0.20' must lie outside spec.ranges[0] (10.0.0.5-10.0.0.90): "
        "ranges must not overlap"
    )


def test_a_range_inside_the_widest_of_several_is_found() -> None:
    found = problems("10.0.0.0/24", ("10.0.0.5", "10.0.0.90"), ("10.0.0.6", "10.0.0.7"), ("10.0.0.80", "10.0.0.81"))
    assert len(found) == 2
    assert all("spec.ranges[0]" in each for each in found)


@pytest.mark.parametrize(
    ("start", "end", "field"), [("10.0.0.0", "10.0.0.9", "start"), ("10.0.0.9", "10.0.0.255", "end")]
)
def test_a_range_leaves_out_the_network_s_own_addresses(start: str, end: str, field: str) -> None:
    (found,) = problems("10.0.0.0/24", (start, end))
    assert found.startswith(f"spec.ranges[0].{field}: ")
    assert "10.0.0.0 and 10.0.0.255 for itself" in found


@pytest.mark.parametrize(
    "subnet", ["0.0.0.0/0", "0.0.0.0/8", "127.0.0.0/24", "224.0.0.0/24", "240.0.0.0/8", "255.255.255.0/24"]
)
def test_a_subnet_where_no_host_can_be_is_refused(subnet: str) -> None:
    assert problems(subnet) == [
        f"spec.subnet: '{subnet}' must be a network of hosts: it must not touch 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3"
    ]


def test_ranges_that_would_fill_the_servers_memory_are_refused() -> None:
    assert problems("10.0.0.0/8", ("10.0.0.1", "10.15.255.255"), ("10.16.0.0", "10.16.0.0")) == []
    assert problems("10.0.0.0/8", ("10.0.0.1", "10.15.255.255"), ("10.16.0.0", "10.16.0.1")) == [
        "spec.ranges: '1048577 addresses' must hold at most 1048576 addresses together"
    ]


def test_a_point_to_point_subnet_uses_both_addresses() -> None:
    assert problems("10.0.0.0/31", ("10.0.0.0", "10.0.0.1")) == []


def test_host_bits_are_told_once_and_do_not_hide_the_rest() -> None:
    found = problems("10.0.0.1/24", ("10.0.0.9", "10.0.0.5"))
    assert [each.partition(":")[0] for each in found] == ["spec.subnet", "spec.ranges[0].end"]
