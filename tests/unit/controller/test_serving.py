"""The serving lease as an object: renewals that wake nobody, own parts that stay, verdicts that do not babble."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.decide.views import PRIMARY, asking, cut_off, quiet, released, report
from tests.unit.decide.views import own as changed
from twinlease.api.servinglease import ServingLeaseSpec
from twinlease.controller.manifests import serving as manifest
from twinlease.controller.manifests.common import Owner
from twinlease.controller.objects import Lease, Pod, read
from twinlease.controller.serving import Senses, at_rest, ended, over
from twinlease.controller.sightings import Memory, saw
from twinlease.controller.snapshot import Snapshot
from twinlease.controller.telling import PERIOD_SECONDS, Teller
from twinlease.decide.pairview import View
from twinlease.decide.partnerdown import Action, Verdict
from twinlease.kube.protocol import PODS, SERVING_LEASES, Json
from twinlease.model.states import Role

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


def promising(seconds: int) -> View:
    """Return a pair whose servers have promised each other to wait, for so many seconds more as they wrote last."""
    view = quiet()
    for role in Role:
        view = report(view, role, promising=True, promise_seconds=seconds)
    return view


def deleted(view: View, *pods: Role) -> Snapshot:
    """Return what is left of a pair that is deleted, and its serving lease with it: the pods of these servers."""
    lease = held(view, deletionTimestamp="2027-01-01T00:00:00Z", finalizers=[manifest.FINALIZER])
    metadata = {"name": "p-primary", "namespace": "ns", "uid": "x", "resourceVersion": "1"}
    pod = read(PODS, {"metadata": metadata, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}})
    assert isinstance(pod, Pod)
    return Snapshot(namespace="ns", name="p", pair=None, lease=lease, pods=dict.fromkeys(pods, pod))


def after(view: View, seconds: float) -> Senses:
    """Return what an operator knows that has seen nothing new for so long."""
    return Senses(memory=saw(Memory(), "l", view.lease, 0.0), monotonic=seconds)


@pytest.mark.parametrize(
    ("promised", "over_after"),
    [
        (0, 243.4),  # D and what clocks may differ
        (100, 243.4),
        (244, 244.0),
        (1800, 1800.0),
        (1 << 31, 1819.0),  # one that lost its disk: the longest that it can have promised
    ],
)
def test_servers_whose_pods_are_gone_have_stopped_once_permits_and_promises_have_ended(
    promised: int, over_after: float
) -> None:
    view = promising(promised)
    gone = deleted(view)
    assert over(gone, after(view, over_after - 0.1))[0] is False
    assert over(gone, after(view, over_after))[0] is True
    step, _ = ended(gone, after(view, over_after))
    assert step is not None
    assert step.body["metadata"]["finalizers"] == []


def test_a_look_is_due_when_the_last_promise_ends() -> None:
    view = promising(1000)
    assert over(deleted(view), after(view, 400.0)) == (False, 600.0)


def test_while_a_pod_is_there_its_promise_ends_by_its_own_word_only() -> None:
    view = promising(244)
    assert over(deleted(view, PRIMARY), after(view, 10_000.0))[0] is False


def test_servers_that_gave_their_grants_back_are_not_waited_for() -> None:
    view = promising(244)
    for role in Role:
        view = released(view, role)
    assert over(deleted(view, *Role), after(view, 0.0)) == (True, None)


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
