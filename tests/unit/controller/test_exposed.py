"""The operator's probes."""

from tests.unit.kube.test_timed import Answers
from twinlease.controller.exposed import STUCK_SECONDS, Exposed
from twinlease.kube.elector import Elector
from twinlease.kube.protocol import ApiError, Json


def made(answer: Json | Exception) -> tuple[Exposed, Elector, list[float]]:
    now = [0.0]
    exposed, elector = Exposed(lambda: now[0]), Elector(Answers(answer), "ns", "lease", "me", clock=lambda: now[0])
    exposed.serve(elector, 0, "127.0.0.1").close()
    return exposed, elector, now


HELD_BY_ANOTHER: Json = {"metadata": {"uid": "u", "resourceVersion": "1"}, "spec": {"holderIdentity": "other"}}


def test_a_follower_is_alive_and_ready() -> None:
    exposed, elector, _ = made(HELD_BY_ANOTHER)
    elector.attempt()

    assert (exposed.stuck(), exposed.unready()) == ("", "")
    assert {each.metric.name: each.value for each in exposed.samples()} == {
        "twinlease_build_info": 1,
        "twinlease_operator_leading": 0,
    }


def test_without_the_api_it_is_alive_and_not_ready() -> None:
    exposed, elector, _ = made(ApiError(0, "", "no route to 192.0.2.1"))
    elector.attempt()

    assert exposed.stuck() == ""
    assert exposed.unready() == "no answer from the API", "where the API is concerns nobody"


def test_an_election_that_stands_still_is_stuck() -> None:
    exposed, _, now = made(HELD_BY_ANOTHER)
    now[0] = STUCK_SECONDS + 1

    assert exposed.stuck() == exposed.unready() == "no attempt to lead for 61 s"


def test_who_leads_is_ready_when_it_knows_everything() -> None:
    exposed, elector, _ = made({"metadata": {"uid": "u", "resourceVersion": "1"}, "spec": {"holderIdentity": "me"}})
    elector.attempt()

    assert elector.leading()
    assert exposed.unready() == "it leads, and has not listed everything yet"
