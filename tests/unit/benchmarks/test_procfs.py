"""What the kernel's files say, and one look at a real process: ourselves."""

import os
import time

import pytest

from benchmarks import procfs

ROLLUP = """\
555d4d89b000-7ffd18dc6000 ---p 00000000 00:00 0                          [rollup]
Rss:                1616 kB
Pss:                 212 kB
Pss_Dirty:           112 kB
"""


def test_memory_lines_are_read() -> None:
    assert procfs.kibibytes(ROLLUP) == {"Rss": 1616, "Pss": 212, "Pss_Dirty": 112}


def test_time_is_found_behind_any_name() -> None:
    stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 440222 3133440 413"
    assert procfs.ticks(stat) == 11 + 22 + 33 + 44


def test_our_own_memory_is_plausible() -> None:
    own = procfs.memory([os.getpid()])
    assert 1 << 20 < own.pss <= own.rss < 1 << 32
    assert (own + own).rss == 2 * own.rss


def test_work_shows_as_time() -> None:
    before = procfs.cpu_seconds([os.getpid()])
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert 0.05 < procfs.cpu_seconds([os.getpid()]) - before < 5


def test_a_process_that_ended_is_an_error_not_zero() -> None:
    gone = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(gone, 0)
    with pytest.raises(OSError, match="No such"):
        procfs.memory([gone])
    with pytest.raises(OSError, match="No such"):
        procfs.cpu_seconds([gone])
    assert procfs.names([gone]) == {}
    assert procfs.in_container([gone], "") == []


def test_processes_are_told_apart_by_control_group() -> None:
    assert procfs.in_container([os.getpid()], "no-such-container") == []
    assert procfs.in_container([os.getpid()], "") == [os.getpid()]


def test_the_machine_tells_its_time_in_user_mode() -> None:
    assert procfs.user_ticks("cpu  100 20 3 99999 777 5 6 0 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n") == 120


def test_a_group_tells_its_time_in_user_mode() -> None:
    assert procfs.group_user_microseconds("usage_usec 4200\nuser_usec 4000\nsystem_usec 200\n") == 4000
