"""The serving lease as an object: renewals that wake nobody, own parts that stay, verdicts that do not babble."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.decide.views import PRIMARY, asking, cut_off, quiet
from tests.unit.decide.views import own as changed
from twinlease.api.servinglease import ServingLeaseSpec
from twinlease.controller.manifests import serving as manifest
from twinlease.controller.manifests.common import Owner
from twinlease.controller.objects import Lease, read
from twinlease.controller.serving import Senses, at_rest
from twinlease.controller.sightings import Memory, saw
from twinlease.controller.telling import PERIOD_SECONDS, Teller
from twinlease.decide.pairview import View
from twinlease.decide.partnerdown import Action, Verdict
from twinlease.kube.protocol import SERVING_LEASES, Json

OWNER = Owner(namespace="ns", name="p", uid="u")


def body(view: View, **metadata: Any) -> Json:  # noqa: ANN401  # any of an object's metadata
    spec = manifest.full(view.lease)
    known = {"name": "p", "namespace": "ns", "uid": "l", "resourceVersion": "1", "finalizers": ["x/y"], **metadata}
    return {"metadata": known, "spec": spec}


def held(view: View, **metadata: Any) -> Lease:  # noqa: ANN401  # as above
    found = read(SERVING_LEASES, body(view, **metadata))
    assert isinstance(found, Lease)
    return found


def renewal(view: View) -> View:
    mine = view.own(PRIMARY)
    lineage = replace(mine.lineage, counter=mine.lineage.counter + 1, newest=200, confirmed="2027-01-15T08:00:00Z")
    return changed(view, PRIMARY, renewal=mine.renewal + 1, lineage=lineage)


def test_a_renewal_at_rest_wakes_nobody() -> None:
    before, after = held(quiet()), held(renewal(quiet()), resourceVersion="2", generation=4)
    assert at_rest(after, before, Senses())


def test_one_that_had_been_missed_is_looked_at() -> None:
    memory = saw(Memory(), "l", quiet().lease, 100.0)
    before, after = held(quiet()), held(renewal(quiet()), resourceVersion="2")
    assert at_rest(after, before, Senses(memory=memory, monotonic=180.0))
    assert not at_rest(after, before, Senses(memory=memory, monotonic=182.0))


@pytest.mark.parametrize(
    "after",
    [
        cut_off(quiet(), PRIMARY),
        asking(quiet(), PRIMARY),
        changed(renewal(quiet()), PRIMARY, released=1),
        changed(renewal(quiet()), PRIMARY, in_force=replace(quiet().own(PRIMARY).in_force, kernel_fence=False)),
        quiet().change(replace(quiet().lease, epoch=3)),
    ],
)
def test_all_else_does(after: View) -> None:
    assert not at_rest(held(after), held(quiet()), Senses())


def test_the_first_sight_a_deletion_and_a_pair_that_is_cut_off_are_looked_at() -> None:
    assert not at_rest(held(quiet()), None, Senses())
    assert not at_rest(held(quiet(), deletionTimestamp="2027-01-01T00:00:00Z"), held(quiet()), Senses())
    view = cut_off(quiet(), PRIMARY)
    assert not at_rest(held(renewal(view)), held(view), Senses())


def test_what_a_server_wrote_is_put_back_word_by_word_with_what_others_added() -> None:
    there = body(quiet(), annotations={"a": "b"}, labels={"team": "net"})
    there["spec"]["servers"]["primary"]["own"]["later"] = {"a": "field that we do not know"}
    known = read(SERVING_LEASES, there)
    assert isinstance(known, Lease)
    assert known.spec is not None
    written = manifest.serving_lease(OWNER, replace(known.spec, epoch=7), known, owned=False)
    assert written["spec"]["servers"]["primary"]["own"] == there["spec"]["servers"]["primary"]["own"]
    assert written["spec"]["epoch"] == 7
    metadata = written["metadata"]
    assert (metadata["resourceVersion"], metadata["uid"], metadata["annotations"]) == ("1", "l", {"a": "b"})
    assert metadata["labels"]["team"] == "net"
    assert metadata["finalizers"] == ["x/y", "twinlease.io/serving"]
    assert manifest.let_go(replace(known, finalizers=("x/y", manifest.FINALIZER)), known.spec)["metadata"][
        "finalizers"
    ] == ["x/y"]


def test_every_field_is_written_so_that_conditional_patches_find_it() -> None:
    written = manifest.full(ServingLeaseSpec())
    assert written["servers"]["primary"]["grant"]["holder"] == ""
    assert written["servers"]["secondary"]["own"]["incarnation"] == ""
    assert "order" not in written
    assert "asks" not in written["servers"]["primary"]["own"]


def test_a_countdown_is_told_now_and_then_and_news_at_once() -> None:
    now = [0.0]
    teller = Teller(lambda: now[0])

    def say(left: int, reason: str = "NotYet") -> str:
        verdict = Verdict(action=Action.NOTHING, reason=reason, message=f"in {left}s")
        return teller.tell(("ns", "p"), verdict).message

    assert say(300) == "in 300s"
    now[0] = 1.0
    assert say(299) == "in 300s"
    assert say(299, "Ordered") == "in 299s"
    now[0] = 1.0 + PERIOD_SECONDS
    assert say(200, "Ordered") == "in 200s"
