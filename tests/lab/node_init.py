"""The first process of a node: mounts what a machine of its own has, runs containerd and kubelet, reaps orphans.

Run as a script with the path of a JSON file, in new mount, pid, uts, ipc and cgroup namespaces. Standard library
only, and everything is imported before the first mount: the mounts below may hide the interpreter's own files.
"""

import ctypes
import json
import os
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MS_BIND, MS_REC, MS_SHARED, MNT_DETACH = 0x1000, 0x4000, 0x100000, 2
_RESTART_SECONDS = 1.0  # like a service manager that restarts what fails
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, or raise OSError."""
    if _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}")


def hide_host_namespaces() -> None:
    """Let go of the host's named network namespaces: a mount of ours would keep a removed one alive."""
    while _libc.umount2(b"/run/netns", MNT_DETACH) == 0:
        pass


def mount_cgroups(hierarchies: list[dict[str, str]]) -> None:
    """Show the node's own groups as the root ones, at the places where the host has its hierarchies."""
    root = "/sys/fs/cgroup"
    if [each["mountpoint"] for each in hierarchies] == [root]:
        mount("cgroup", root, "cgroup2")
        delegate_controllers(Path(root))
        return
    links = {entry.name: entry.readlink() for entry in Path(root).iterdir() if entry.is_symlink()}
    mount("cgroup", root, "tmpfs", data="mode=755")
    for each in hierarchies:
        Path(each["mountpoint"]).mkdir(parents=True)
        mount("cgroup", each["mountpoint"], each["kind"], data=each["options"])
    for name, target in links.items():
        (Path(root) / name).symlink_to(target)


def delegate_controllers(root: Path) -> None:
    """Version 2 only: a group with processes cannot hand controllers down, so move ours one level down first."""
    own = root / "init"
    own.mkdir(exist_ok=True)
    for pid in (root / "cgroup.procs").read_text().split():
        (own / "cgroup.procs").write_text(pid)
    for controller in (root / "cgroup.controllers").read_text().split():
        (root / "cgroup.subtree_control").write_text(f"+{controller}")


def mask_kernel_settings(names: list[str], scratch: Path) -> None:
    """Give the kubelet files to write its settings into: the real ones are the host's, not the node's."""
    for name in names:
        setting = Path("/proc/sys") / name.replace(".", "/")
        if setting.exists():
            copy = scratch / name
            copy.write_text(setting.read_text())
            mount(str(copy), str(setting), flags=MS_BIND)


@dataclass
class Supervisor:
    """Keeps the node's programs running and collects every process that ends."""

    running: dict[int, list[str]] = field(default_factory=dict)

    def start(self, argv: list[str], log: str) -> None:
        """Start a program with its output in a log file."""
        actions = [
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions, setsid=True)
        self.running[pid] = [log, *argv]

    def reap(self) -> None:
        """Wait for one process to end, and start it again if it is one of the node's programs."""
        pid, _ = os.wait()
        if (ended := self.running.pop(pid, None)) is not None:
            time.sleep(_RESTART_SECONDS)
            log, *argv = ended
            self.start(argv, log)


def wait_for(path: Path) -> None:
    """Return when a file is there."""
    while not path.exists():
        time.sleep(0.02)


def set_up(settings: dict[str, Any]) -> None:
    """Make the mounts of the node."""
    # By an open directory: the mounts below may hide the path, whatever directory the state was put into.
    disk = f"/proc/self/fd/{os.open(settings['directory'], os.O_PATH)}"
    components = f"/proc/self/fd/{os.open(settings['components'], os.O_PATH)}"
    socket.sethostname(settings["name"])
    mount("sysfs", "/sys", "sysfs")
    mount_cgroups(settings["cgroups"])
    hide_host_namespaces()
    mount("run", "/run", "tmpfs", data="mode=755")
    scratch = Path("/run/settings")
    for directory in (Path("/run/lock"), Path("/run/node"), Path("/run/components"), Path("/run/tmp"), scratch):
        directory.mkdir()
    mask_kernel_settings(settings["masked"], scratch)
    mount(components, "/run/components", flags=MS_BIND)
    mount(f"{disk}/run", "/run/node", flags=MS_BIND)
    for place in settings["own"]:
        mount(disk + place, place, flags=MS_BIND)
    mount("", "/var/lib", flags=MS_SHARED | MS_REC)  # the kubelet wants to pass its mounts on


def main(settings_file: str) -> None:
    """Be the node, until killed."""
    settings = json.loads(Path(settings_file).read_text(encoding="utf-8"))
    set_up(settings)
    os.environ["TMPDIR"] = "/run/tmp"
    supervisor = Supervisor()
    supervisor.start(settings["containerd"], "/var/log/containerd.log")
    wait_for(Path("/run/node/containerd.sock"))
    wait_for(Path("/run/node/start-kubelet"))
    supervisor.start(settings["kubelet"], "/var/log/kubelet.log")
    while True:
        supervisor.reap()


if __name__ == "__main__":
    main(sys.argv[1])
