"""What is remembered, what is found left over, and who is told about it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import leftovers, paths
from tests.lab.leftovers import Leftovers
from tests.lab.model import Client
from tests.lab.state import Owner, State
from tests.lab.switch import Cut


def test_the_state_survives_being_written_and_read(tmp_path: Path) -> None:
    state = State(Owner.me(), 1234, complete=True, clients=[Client("late", "right")], cuts=[Cut("n1", "lan", "in")])
    state.powered_off = ["n3"]
    state.save(tmp_path)
    assert State.load(tmp_path) == state
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def test_no_state_is_none(tmp_path: Path) -> None:
    assert State.load(tmp_path) is None


def test_an_owner_is_alive_only_as_the_same_process() -> None:
    owner = Owner.me()
    assert owner.alive
    assert f"process {os.getpid()}, still running" in str(owner)
    assert not replace(owner, started=(owner.started or 0) + 1).alive
    assert "ended since" in str(replace(owner, pid=2**22 + 1))


def test_leftovers_are_listed_for_a_person() -> None:
    found = Leftovers(("twl-n1",), ("/g/twinlease-lab",), ("kubelet", "kubelet", "etcd"), "/lab", "booted by ann")
    text = str(found)
    assert found
    for words in ("a lab booted by ann", "/lab", "twl-n1", "/g/twinlease-lab", "3 processes in them: etcd, kubelet"):
        assert words in text


def test_nothing_left_is_nothing() -> None:
    assert not Leftovers((), (), (), None, None)
    assert Leftovers((), (), (), "/lab", None)


def test_mounts_are_found_below_a_directory_deepest_first() -> None:
    lines = [
        "1 0 8:1 / / rw - ext4 /dev/x rw",
        "2 1 8:1 / /lab/a rw - ext4 /dev/x rw",
        r"3 1 8:1 / /lab/a/with\040space rw - ext4 /dev/x rw",
        "4 1 8:1 / /labour rw - ext4 /dev/x rw",
    ]
    assert leftovers.mounts_below(Path("/lab"), lines) == ["/lab/a/with space", "/lab/a"]


def test_the_cache_is_where_the_user_wants_it() -> None:
    assert paths.cache_directory({"TWINLEASE_CACHE": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/c")
    assert paths.cache_directory({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/twinlease")
    assert paths.cache_directory({"HOME": "/h"}) == Path("/h/.cache/twinlease")
    assert paths.state_directory({}) == paths.DEFAULT_STATE
    assert paths.state_directory({"TWINLEASE_LAB_DIR": "/elsewhere"}) == Path("/elsewhere")
    assert paths.state_directory({"TWINLEASE_LAB": "b"}) == Path("/var/lib/twinlease-labb")


def test_a_lab_s_name_must_fit_the_names_of_namespaces() -> None:
    assert paths.lab_name({"TWINLEASE_LAB": "f1"}) == "f1"
    with pytest.raises(ValueError, match=r"TWINLEASE_LAB '\.\./x'"):
        paths.lab_name({"TWINLEASE_LAB": "../x"})


def test_a_lock_is_held_by_one_at_a_time_and_names_its_holder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TWINLEASE_CACHE", str(tmp_path))
    with (
        paths.locked("x", wait_seconds=0),
        pytest.raises(paths.LockBusyError, match=f"pid {os.getpid()}"),
        paths.locked("x", wait_seconds=0.1),
    ):
        pytest.fail("locked twice")
    with paths.locked("x", wait_seconds=0):
        pass
