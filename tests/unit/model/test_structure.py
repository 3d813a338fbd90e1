"""The schema's bounds without a server: every object that the API server refuses is refused here too."""

import pytest

from tests.api.refused import CASES, VALID, Case, changed
from twinlease.api.pair import PairSpec
from twinlease.api.pool import PoolSpec
from twinlease.api.reservation import ReservationSpec
from twinlease.model import structure
from twinlease.model.decision import Problem
from twinlease.model.validate import pair_problems, pool_problems, reservation_problems


def offline(case: Case) -> list[Problem]:
    manifest = case.manifest
    kind = structure.kind_named(manifest["kind"])
    assert kind is not None
    found = structure.manifest_problems(manifest, kind)
    spec = structure.read(kind.spec, manifest["spec"])
    if isinstance(spec, PairSpec):
        found += pair_problems(manifest["metadata"]["name"], spec)
    elif isinstance(spec, PoolSpec):
        found += pool_problems(spec)
    elif isinstance(spec, ReservationSpec):
        found += reservation_problems(spec)
    return found


@pytest.mark.parametrize("kind", VALID)
def test_the_valid_objects_are_valid(kind: str) -> None:
    assert offline(Case(kind, kind, (), "", ())) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_the_api_server_refuses_is_refused_without_it(case: Case) -> None:
    found = offline(case)
    assert any(each.path.startswith(case.field) for each in found), found
    for each in found:
        assert each.allowed
        assert len(str(each)) < 500


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("spec.primary.nodename", "n1"), "spec.primary.nodename: '' must be removed: the fields here are nodeName"),
        (("spec.failover.split", True), "spec.failover.split: 'True' must be a number"),
        (("spec.tolerations", "all"), "spec.tolerations: 'all' must be a list"),
        (("spec.resources.server.limits", {"cpu": -1}), "spec.resources.server.limits[cpu]: '-1' must be a quantity"),
        (("apiVersion", "twinlease.io/v1"), "apiVersion: 'twinlease.io/v1' must be twinlease.io/v1alpha1"),
        (("data", {}), "data: '' must be removed"),
    ],
)
def test_what_the_api_server_only_warns_of_or_words_badly(change: tuple[str, object], problem: str) -> None:
    found = offline(Case("", "pair", (change,), "", ()))
    assert any(str(each).startswith(problem) for each in found), [str(each) for each in found]


def test_reading_ignores_unknown_fields_and_reports_unreadable_ones() -> None:
    raw = changed(VALID["pool"], ("spec.newer", 1))["spec"]
    assert isinstance(structure.read(PoolSpec, raw), PoolSpec)
    raw = changed(VALID["pool"], ("spec.ranges", "10.0.0.1-10.0.0.9"))["spec"]
    assert structure.read(PoolSpec, raw) == (
        Problem(path="spec.ranges", value="10.0.0.1-10.0.0.9", allowed="be a list"),
    )
    assert structure.read(PoolSpec, None) == (Problem(path="spec", value="", allowed="be an object"),)


def test_what_an_earlier_version_allowed_is_read_and_told() -> None:
    """An object that is stored, and a ledger that remembers it, must not become unreadable."""
    spec = structure.read(PairSpec, changed(VALID["pair"], ("spec.failover.maxUnackedUpdates", 10))["spec"])
    assert isinstance(spec, PairSpec)
    assert spec.failover.max_unacked_updates == 10
    (problem,) = pair_problems("lan", spec)
    assert str(problem) == "spec.failover.maxUnackedUpdates: '10' must be at most 3"
