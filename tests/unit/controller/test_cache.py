"""The cache never goes back in time, whatever order its three sources speak in."""

from typing import Any

from twinlease.controller.cache import Cache
from twinlease.controller.objects import Custom
from twinlease.kube.protocol import PAIRS, PODS, POOLS


def pod(version: int, *, uid: str = "u1", phase: str = "Running", name: str = "p-primary") -> dict[str, Any]:
    labels = {"twinlease.io/pair": "p"}
    metadata = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata, "status": {"phase": phase}}


def test_an_older_version_is_ignored() -> None:
    cache = Cache()
    cache.store(PODS, pod(10, phase="Running"))

    assert not cache.store(PODS, pod(9, phase="Pending"))
    assert cache.get(PODS, "ns", "p-primary") == cache.of_pair(PODS, ("ns", "p"))[0]
    found = cache.get(PODS, "ns", "p-primary")
    assert found is not None
    assert found.meta.resource_version == "10"


def test_a_new_version_that_says_the_same_is_no_change() -> None:
    cache = Cache()
    assert cache.store(PODS, pod(1))
    assert not cache.store(PODS, pod(2))
    assert cache.store(PODS, pod(3, phase="Failed"))


def test_a_deletion_of_an_earlier_object_of_the_name_is_ignored() -> None:
    cache = Cache()
    cache.store(PODS, pod(5, uid="new"))

    assert not cache.remove(PODS, pod(4, uid="old"))
    assert cache.get(PODS, "ns", "p-primary") is not None


def test_a_listing_finds_what_no_watch_told() -> None:
    cache = Cache()
    cache.store(PODS, pod(5, name="gone"))
    changed = cache.replace(PODS, [pod(6, name="new", uid="u2")], "7")

    assert sorted(each.meta.name for each in changed) == ["gone", "new"]
    assert [each.meta.name for each in cache.all(PODS)] == ["new"]


def test_a_listing_does_not_remove_what_is_newer_than_itself() -> None:
    cache = Cache()
    cache.store(PODS, pod(8))
    cache.replace(PODS, [], "7")

    assert len(cache.all(PODS)) == 1


def test_a_listing_does_not_bring_back_what_was_deleted_meanwhile() -> None:
    cache = Cache()
    cache.store(PODS, pod(5))
    cache.remove(PODS, pod(6))
    cache.replace(PODS, [pod(5)], "5")

    assert cache.all(PODS) == []


def test_an_answer_that_comes_after_the_deletion_does_not_bring_the_object_back() -> None:
    """The watch may be faster than our own thread, which would then believe in it until the next listing."""
    cache = Cache()
    cache.store(PODS, pod(5))
    cache.remove(PODS, pod(7))
    assert not cache.store(PODS, pod(6))
    assert cache.all(PODS) == []

    cache.store(PODS, pod(8, uid="u2", name="other"))
    cache.replace(PODS, [], "9")
    assert not cache.store(PODS, pod(9, uid="u2", name="other"))
    assert cache.all(PODS) == []


def test_an_object_that_only_left_the_selection_may_come_back() -> None:
    cache = Cache()
    cache.store(PODS, pod(5))
    cache.remove(PODS, pod(6))
    assert cache.store(PODS, pod(7))
    assert len(cache.all(PODS)) == 1


def test_objects_are_found_by_the_pair_that_they_name() -> None:
    cache = Cache()
    metadata = {"namespace": "ns", "name": "lan", "uid": "u", "resourceVersion": "1"}
    cache.store(POOLS, {"metadata": metadata, "spec": {"pairRef": {"name": "p"}, "subnet": "10.0.0.0/24"}})

    assert [each.meta.name for each in cache.of_pair(POOLS, ("ns", "p"))] == ["lan"]
    assert cache.of_pair(POOLS, ("other", "p")) == []


def test_an_object_that_cannot_be_read_is_kept_with_the_reason_and_its_pair() -> None:
    cache = Cache()
    metadata = {"namespace": "ns", "name": "lan", "uid": "u", "resourceVersion": "1"}
    cache.store(POOLS, {"metadata": metadata, "spec": {"pairRef": {"name": "p"}, "subnet": 7, "ranges": "all"}})

    (found,) = cache.of_pair(POOLS, ("ns", "p"))
    assert isinstance(found, Custom)
    assert found.spec is None
    assert {each.path for each in found.problems} == {"spec.subnet", "spec.ranges"}


def test_a_pair_belongs_to_itself() -> None:
    cache = Cache()
    cache.store(PAIRS, {"metadata": {"namespace": "ns", "name": "p", "uid": "u", "resourceVersion": "1"}, "spec": {}})

    assert [each.meta.name for each in cache.of_pair(PAIRS, ("ns", "p"))] == ["p"]


def test_what_we_deleted_is_ending_until_a_watch_tells_more() -> None:
    cache = Cache()
    cache.store(PODS, pod(5))
    cache.ending(PODS, "ns", "p-primary", "another")
    assert not cache.all(PODS)[0].meta.deleting
    cache.ending(PODS, "ns", "p-primary", "u1")
    assert cache.of_pair(PODS, ("ns", "p"))[0].meta.deleting

    cache.store(PODS, pod(7, uid="new"))
    assert not cache.all(PODS)[0].meta.deleting
