"""Each key at most once, by one worker at a time, not before its time."""

import threading

from twinlease.controller.workqueue import WorkQueue


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_key_asked_for_twice_is_taken_once() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock())
    queue.add("a")
    queue.add("a")
    assert queue.take() == "a"
    queue.done("a")
    queue.close()
    assert queue.take() is None


def test_the_one_due_first_comes_first() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("late", 2.0)
    queue.add("early", 1.0)
    clock.now = 3.0

    assert [queue.take(), queue.take()] == ["early", "late"]


def test_the_earlier_demand_counts() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock())
    queue.add("a", 60.0)
    queue.add("a", 0.0)
    queue.add("a", 30.0)

    assert queue.take() == "a"


def test_a_key_in_work_waits_for_its_worker_and_comes_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.take()
    queue.add("a")
    taken = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    waiting.join(0.1)
    assert taken == []

    queue.done("a")
    waiting.join(5)
    assert taken == ["a"]


def test_closing_wakes_those_who_wait() -> None:
    queue: WorkQueue[str] = WorkQueue()
    taken: list[str | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    queue.close()
    waiting.join(5)

    assert taken == [None]
