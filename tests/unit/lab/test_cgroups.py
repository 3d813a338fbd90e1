"""Finding the host's hierarchies, and the life of a group (on plain directories)."""

from pathlib import Path

import pytest

from tests.lab.cgroups import CgroupError, Cgroups, Hierarchy, parse_membership, parse_mounts

HYBRID = """
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup /sys/fs/cgroup/rdma cgroup rw,relatime,rdma 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
proc /proc proc rw 0 0
"""


def test_hybrid_hosts_have_both_kinds() -> None:
    found = parse_mounts(HYBRID.strip().splitlines())
    assert found.unified.mountpoint == Path("/sys/fs/cgroup/unified")
    assert [each.options for each in found.legacy] == ["cpu,cpuacct", "name=systemd"]


def test_hosts_with_version_2_alone() -> None:
    found = parse_mounts(["cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0"])
    assert [each.mountpoint for each in found.all] == [Path("/sys/fs/cgroup")]


def test_hosts_without_version_2_are_refused() -> None:
    with pytest.raises(CgroupError, match="no cgroup v2"):
        parse_mounts(["cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0"])


def test_a_new_cpuset_gets_the_processors_of_its_parent(tmp_path: Path) -> None:
    legacy, unified = tmp_path / "cpuset", tmp_path / "unified"
    for directory in (legacy, unified):
        directory.mkdir()
    (legacy / "cpuset.cpus").write_text("0-1")
    (legacy / "cpuset.mems").write_text("0")
    for name in ("cgroup.controllers", "cgroup.subtree_control"):
        (unified / name).write_text("")
    (unified / "lab").mkdir()
    for name in ("cgroup.controllers", "cgroup.subtree_control"):
        (unified / "lab" / name).write_text("")
    groups = Cgroups(Hierarchy(unified, "cgroup2", ""), (Hierarchy(legacy, "cgroup", "cpuset"),))
    joined = groups.create("lab/n1", controllers=True)
    assert joined == [legacy / "lab/n1/cgroup.procs", unified / "lab/n1/cgroup.procs"]
    assert (legacy / "lab/n1/cpuset.cpus").read_text() == "0-1"
    assert groups.exists("lab/n1") == [legacy / "lab/n1", unified / "lab/n1"]
    assert groups.create("lab/only", controllers=False) == [unified / "lab/only/cgroup.procs"]


def test_processes_are_found_at_every_depth(tmp_path: Path) -> None:
    for place, pids in (("lab", "7\n"), ("lab/n1/pod", "3\n9\n"), ("other", "1\n")):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "cgroup.procs").write_text(pids)
    assert Cgroups(Hierarchy(tmp_path, "cgroup2", ""), ()).processes("lab") == [3, 7, 9]


def test_a_processes_group_is_the_version_2_one() -> None:
    assert parse_membership("6:freezer:/lab/v1\n1:name=systemd:/\n0::/lab/n1/pod\n") == "lab/n1/pod"


def test_a_group_is_found_by_its_name_if_there_is_one(tmp_path: Path) -> None:
    for place in ("lab/n1/kubepods/podA", "lab/n1/besteffort/podB", "lab/n2/podA", "lab/n1/besteffort/podC/podC"):
        (tmp_path / place).mkdir(parents=True)
    groups = Cgroups(Hierarchy(tmp_path, "cgroup2", ""), ())
    assert groups.find("lab/n1", "podA") == "lab/n1/kubepods/podA"
    for name in ("podX", "podC"):
        with pytest.raises(CgroupError, match=f"groups {name} below"):
            groups.find("lab/n1", name)
