"""Never two leaders: the elector on a Lease with compare-and-swap, every candidate with a clock of its own."""

import copy
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlease.kube.elector import Attempt, Elector, ElectorTimes
from twinlease.kube.protocol import ApiError, Json

TIMES = ElectorTimes(duration=15, deadline=10, retry=2, request=4)


class Store:
    """One Lease with compare-and-swap; ``down`` answers nobody, ``swallow`` writes and then loses the answer."""

    def __init__(self) -> None:
        self.lease: Json | None = None
        self.down = False
        self.swallow = False
        self._version = 0

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "",
        timeout: float = 10.0,
    ) -> Json:
        """Answer as the API server does."""
        del path, query, content_type, timeout
        if self.down:
            raise ApiError(0, "", "no answer")
        if method == "GET":
            if self.lease is None:
                raise ApiError(404, "NotFound", "no lease")
            return copy.deepcopy(self.lease)
        assert isinstance(body, dict)
        stored = self.lease
        if method == "POST" and stored is not None:
            raise ApiError(409, "AlreadyExists", "there is one")
        if method == "PUT" and (
            stored is None or body["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]
        ):
            raise ApiError(409, "Conflict", "changed meanwhile")
        self._version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"] |= {"uid": "u", "resourceVersion": str(self._version)}
        if self.swallow:
            raise ApiError(0, "", "no answer")
        return copy.deepcopy(self.lease)

    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Refuse: nobody watches a Lease."""
        raise ApiError(405, "MethodNotAllowed", f"nobody watches {path} ({query}, {timeout} s)")

    @property
    def holder(self) -> str:
        """Who holds it."""
        return "" if self.lease is None else str(self.lease["spec"]["holderIdentity"])


class Clock:
    """A monotonic clock with a start of its own."""

    def __init__(self, start: float = 0.0) -> None:
        self.now = start

    def __call__(self) -> float:
        """Return its time."""
        return self.now


def candidate(store: Store, name: str, clock: Clock) -> Elector:
    return Elector(store, "ns", "lease", name, times=TIMES, clock=clock, jitter=lambda: 0.0)


def test_the_first_leads_and_the_second_follows() -> None:
    store, clock = Store(), Clock()
    one, two = candidate(store, "one", clock), candidate(store, "two", clock)

    assert one.attempt() is Attempt.LEADING
    assert two.attempt() is Attempt.FOLLOWING
    assert (one.leading(), two.leading()) == (True, False)


def test_takeover_comes_only_after_the_whole_duration_without_a_change_seen_by_oneself() -> None:
    store, slow, fast = Store(), Clock(), Clock(1_000_000.0)
    one, two = candidate(store, "one", slow), candidate(store, "two", fast)
    one.attempt()
    two.attempt()

    fast.now += 15
    assert two.attempt() is Attempt.FOLLOWING
    fast.now += 0.1
    assert two.attempt() is Attempt.LEADING
    assert store.holder == "two"


def test_a_renewal_starts_the_wait_anew() -> None:
    store, clock = Store(), Clock()
    one, two = candidate(store, "one", clock), candidate(store, "two", clock)
    one.attempt()
    two.attempt()
    clock.now += 9
    one.attempt()
    clock.now += 9
    assert two.attempt() is Attempt.FOLLOWING
    clock.now += 14
    assert two.attempt() is Attempt.FOLLOWING


def test_a_leader_that_reaches_nobody_gives_up_before_anybody_can_take_over() -> None:
    store, clock = Store(), Clock()
    one = candidate(store, "one", clock)
    one.attempt()
    store.down = True

    clock.now += 9.9
    assert one.attempt() is Attempt.FAILED
    assert one.leading()
    clock.now += 0.2
    assert not one.leading()


def test_a_write_whose_answer_is_lost_is_no_lead() -> None:
    store, clock = Store(), Clock()
    one, two = candidate(store, "one", clock), candidate(store, "two", clock)
    store.swallow = True
    assert one.attempt() is Attempt.FAILED
    assert not one.leading()
    store.swallow = False

    assert two.attempt() is Attempt.FOLLOWING
    assert one.attempt() is Attempt.LEADING


def test_the_loser_of_a_race_for_an_old_lease_follows() -> None:
    store, clock = Store(), Clock()
    gone = candidate(store, "gone", clock)
    one, two = candidate(store, "one", clock), candidate(store, "two", clock)
    gone.attempt()
    one.attempt()
    two.attempt()
    clock.now += 15.1

    assert one.attempt() is Attempt.LEADING
    assert two.attempt() is Attempt.FOLLOWING


def test_a_released_lease_is_free_at_once() -> None:
    store, clock = Store(), Clock()
    one, two = candidate(store, "one", clock), candidate(store, "two", clock)
    one.attempt()
    one.release()

    assert not one.leading()
    assert two.attempt() is Attempt.LEADING


def test_releasing_leaves_somebody_elses_lease_alone() -> None:
    store, clock = Store(), Clock()
    one, two = candidate(store, "one", clock), candidate(store, "two", clock)
    one.attempt()
    two.release()

    assert store.holder == "one"


@pytest.mark.parametrize("wrong", [{"deadline": 15.0}, {"request": 10.0}, {"retry": 4.0}, {"retry": 0.0}])
def test_times_under_which_two_could_lead_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        ElectorTimes(**wrong)


STEPS = st.lists(
    st.tuples(st.sampled_from(["one", "two", "three", "down", "up", "swallow"]), st.floats(0, 20)), max_size=60
)


@settings(max_examples=300)
@given(STEPS)
def test_never_two_leaders(steps: list[tuple[str, float]]) -> None:
    """Whatever fails and however long anybody sleeps: real time is one, the clocks only start differently."""
    store = Store()
    clocks = {name: Clock(start) for name, start in (("one", 0.0), ("two", 7e6), ("three", -5e5))}
    electors = {name: candidate(store, name, clock) for name, clock in clocks.items()}
    for who, passed in steps:
        for clock in clocks.values():
            clock.now += passed
        store.swallow = who == "swallow"
        if who in ("down", "up"):
            store.down = who == "down"
        elif who in electors:
            electors[who].attempt()
        assert sum(each.leading() for each in electors.values()) <= 1


FAST = ElectorTimes(duration=0.9, deadline=0.6, retry=0.05, request=0.2)


def running(
    store: Store, name: str, stop: threading.Event
) -> tuple[threading.Thread, threading.Event, threading.Event]:
    started, lost = threading.Event(), threading.Event()
    elector = Elector(store, "ns", "lease", name, times=FAST)
    thread = threading.Thread(target=elector.run, args=(stop,), kwargs={"started": started.set, "lost": lost.set})
    thread.start()
    return thread, started, lost


def test_run_leads_and_releases_when_stopped() -> None:
    store, stop = Store(), threading.Event()
    thread, started, lost = running(store, "one", stop)
    assert started.wait(5)
    assert store.holder == "one"
    stop.set()
    thread.join(5)

    assert store.holder == ""
    assert not lost.is_set()


def test_run_reports_the_loss_when_nobody_answers() -> None:
    store, stop = Store(), threading.Event()
    thread, started, lost = running(store, "one", stop)
    assert started.wait(5)
    store.down = True

    assert lost.wait(5)
    thread.join(5)
    assert not thread.is_alive()


def test_the_watchdog_reports_the_loss_while_a_request_hangs() -> None:
    release = threading.Event()

    class Hanging(Store):
        def request(self, method: str, path: str, **more: object) -> Json:  # type: ignore[override]  # hands all on
            if started.is_set():
                release.wait(10)
            return super().request(method, path, **more)  # type: ignore[arg-type]  # as above

    store, stop = Hanging(), threading.Event()
    started = threading.Event()
    lost = threading.Event()
    elector = Elector(store, "ns", "lease", "one", times=FAST)
    thread = threading.Thread(target=elector.run, args=(stop,), kwargs={"started": started.set, "lost": lost.set})
    thread.start()

    assert lost.wait(5)
    release.set()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
