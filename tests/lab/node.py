"""One node: its configuration, its disk, and starting its first process."""

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.lab import cgroups, paths, processes
from tests.lab.binaries import Binaries
from tests.lab.model import MANAGEMENT_ADDRESS, VOLUME_ROOT, VOLUMES_PER_NODE, Node
from tests.lab.pki import Authority
from tests.lab.shell import CommandError, program, run

PAUSE_IMAGE = "localhost/pause:lab"

# Directories of which each node has its own, on its disk: they survive a power-off.
OWN_DIRECTORIES = ("/var/lib", "/var/log", "/mnt", "/srv")
# The node's runtime's part of /var/lib; all else there is its workload's.
_RUNTIME_DIRECTORIES = frozenset({"containerd", "kubelet", "cni", "node"})
# What a kubelet sets at start; on a shared kernel that would be the host's.
KERNEL_SETTINGS = (
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)
_CONFIG = "/var/lib/node"  # as the node sees it
_DISK_BYTES = 512 << 20  # sparse


@dataclass(frozen=True, slots=True)
class Machine:
    """A node of the lab together with the directory that is its disk."""

    node: Node
    directory: Path

    @property
    def containerd_socket(self) -> Path:
        """The runtime's socket, as the host sees it."""
        return self.directory / "run" / "containerd.sock"

    @property
    def volumes(self) -> Path:
        """The directory of the node's volumes, as the host sees it."""
        return self.directory / VOLUME_ROOT[1:]

    def mount_volumes(self) -> None:
        """Make the place of the node's volumes a file system of its own, kept in a file. Before `write_disk`."""
        place, image = self.directory / "mnt", self.directory / "mnt.ext4"
        place.mkdir(parents=True)
        with image.open("wb") as file:
            file.truncate(_DISK_BYTES)
        run([program("mkfs.ext4"), "-q", "-F", "-m", "0", str(image)])
        run(["mount", "-o", "loop", str(image), str(place)])

    def freeze_volumes(self, *, frozen: bool) -> None:
        """Stop all writing to the node's volumes, or let it go on.

        Raises:
            CommandError: They are no file system of their own.
        """
        place = self.directory / "mnt"
        if place.is_mount():
            # It fails for one that is frozen already, or is not: then there is nothing to do.
            run([program("fsfreeze"), "--freeze" if frozen else "--unfreeze", str(place)], check=False)
        elif frozen:
            raise CommandError(["fsfreeze", str(place)], "not a file system of its own: boot the lab with disks")

    def copy_volumes(self, copy: Path) -> None:
        """Copy what is in the volumes, with owners and modes."""
        if copy.exists():
            shutil.rmtree(copy)
        run(["cp", "--archive", str(self.volumes), str(copy)])

    def restore_volumes(self, copy: Path) -> None:
        """Put what was in the volumes back, and nothing else."""
        for volume in copy.iterdir():
            self.empty_volume(volume.name)
        run(["cp", "--archive", f"{copy}/.", str(self.volumes)])

    def write_disk(self, authority: Authority) -> None:
        """Write the node's configuration and make its volumes' directories."""
        for place in ("/run", *OWN_DIRECTORIES):
            (self.directory / place[1:]).mkdir(parents=True, exist_ok=True)
        for number in range(1, VOLUMES_PER_NODE + 1):
            (self.volumes / f"v{number}").mkdir(parents=True, exist_ok=True)
        (self.directory / "var/log/containers").mkdir(exist_ok=True)
        config = self.directory / _CONFIG[1:]
        config.mkdir(exist_ok=True)
        files = {
            "containerd.toml": containerd_config(),
            "kubelet.json": json.dumps(kubelet_config(), indent=2),
            "cni/10-pods.conflist": json.dumps(pod_network(self.node), indent=2),
            "resolv.conf": "options timeout:1 attempts:1\n",
        }
        for name, text in files.items():
            (config / name).parent.mkdir(exist_ok=True)
            (config / name).write_text(text, encoding="utf-8")
        self._write_identity(authority, config)

    def start(self, groups: cgroups.Cgroups, binaries: Binaries) -> int:
        """Switch the node on and return the id of the process that holds its namespaces."""
        for stale in (self.directory / "run").glob("*.sock*"):
            stale.unlink()
        settings_file = self.directory / "init.json"
        settings_file.write_text(json.dumps(self._settings(groups, binaries)), encoding="utf-8")
        new_namespaces = ["--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child=KILL"]
        init = [sys.executable, "-I", str(paths.LAB_SOURCES / "node_init.py"), str(settings_file)]
        unshare = [program("unshare"), *new_namespaces, "--mount-proc", "--propagation=private", "--", *init]
        return processes.spawn(
            groups.create(self.node.cgroup, controllers=True),
            processes.in_namespace(self.node.namespace, unshare),
            log=self.directory / "init.log",
        )

    def allow_kubelet(self) -> None:
        """Let the node's kubelet start, now and at every later power-on."""
        (self.directory / "run" / "start-kubelet").touch()

    def import_command(self, archive: Path) -> list[str]:
        """Return the command that imports an image into the node's containerd."""
        return [
            "ctr",
            "--address",
            str(self.containerd_socket),
            "--namespace",
            "k8s.io",
            "images",
            "import",
            str(archive),
        ]

    def images(self) -> list[str]:
        """Return the names of the images the node has."""
        ctr = ["ctr", "--address", str(self.containerd_socket), "--namespace", "k8s.io"]
        return run([*ctr, "images", "ls", "-q"]).split()

    def tag_image(self, name: str, another: str) -> None:
        """Give an image that the node has another name as well."""
        ctr = ["ctr", "--address", str(self.containerd_socket), "--namespace", "k8s.io"]
        run([*ctr, "images", "tag", "--force", name, another])

    def runtime_listens(self) -> bool:
        """Say whether the node's containerd can be talked to."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.containerd_socket)) == 0

    def empty_volume(self, name: str) -> None:
        """Remove what is in one volume."""
        for entry in (self.volumes / name).iterdir():
            _remove(entry)

    def wipe(self) -> list[str]:
        """Empty the disk of everything the workload wrote, as if the server's disk had been replaced."""
        removed = []
        for entry in self._workload_files():
            removed.append(f"/{entry.relative_to(self.directory)}")
            _remove(entry)
        return removed

    def _workload_files(self) -> Iterator[Path]:
        for volume in self.volumes.iterdir():
            yield from volume.iterdir()
        yield from (self.directory / "srv").iterdir()
        for entry in (self.directory / "var/lib").iterdir():
            if entry.name not in _RUNTIME_DIRECTORIES:
                yield entry

    def _write_identity(self, authority: Authority, config: Path) -> None:
        node = self.node
        names = [f"IP:{node.management_address}", f"DNS:{node.name}"]
        identity = authority.identity(node.name, f"/O=system:nodes/CN=system:node:{node.name}", names)
        authority.kubeconfig(config / "kubeconfig", f"https://{MANAGEMENT_ADDRESS}:443", identity)
        for source, target in (
            (identity.certificate, "kubelet.crt"),
            (identity.key, "kubelet.key"),
            (authority.certificate, "ca.crt"),
        ):
            shutil.copyfile(source, config / target)

    def _settings(self, groups: cgroups.Cgroups, binaries: Binaries) -> dict[str, Any]:
        hierarchies = [{**asdict(each), "mountpoint": str(each.mountpoint)} for each in groups.all]
        return {
            "name": self.node.name,
            "directory": str(self.directory),
            "components": str(binaries.directory),
            "cgroups": hierarchies,
            "masked": list(KERNEL_SETTINGS),
            "own": list(OWN_DIRECTORIES),
            "containerd": [
                "containerd",
                f"--config={_CONFIG}/containerd.toml",
                "--address=/run/node/containerd.sock",
            ],
            "kubelet": [
                "/run/components/kubelet",
                f"--config={_CONFIG}/kubelet.json",
                f"--kubeconfig={_CONFIG}/kubeconfig",
                f"--hostname-override={self.node.name}",
                f"--node-ip={self.node.management_address}",
            ],
        }


def _remove(entry: Path) -> None:
    with suppress(FileNotFoundError):  # a workload still running may have removed it
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def containerd_config() -> str:
    """Return containerd's configuration, the same for every node."""
    return f"""version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]

[plugins."io.containerd.internal.v1.opt"]
  path = "/run/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE a container cannot be given a lower score than its parent's: its sandbox would die.
  restrict_oom_score_adj = true
  disable_apparmor = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{_CONFIG}/cni"
"""


def kubelet_config() -> dict[str, Any]:
    """Return the kubelet's configuration, the same for every node."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{_CONFIG}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{_CONFIG}/kubelet.crt",
        "tlsPrivateKeyFile": f"{_CONFIG}/kubelet.key",
        "containerRuntimeEndpoint": "unix:///run/node/containerd.sock",
        "imageServiceEndpoint": "unix:///run/node/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,  # the same missing capability as in containerd's configuration
        "makeIPTablesUtilChains": False,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # There is no cluster DNS. Names are refused at once here, rather than after a silent minute.
        "clusterDNS": ["127.0.0.1"],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{_CONFIG}/resolv.conf",
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 8,
        # Tests kill servers over and over; waiting five minutes for the next start proves nothing.
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "4s"},
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Images are imported, never pulled: one that was collected as garbage would not come back.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def pod_network(node: Node) -> dict[str, Any]:
    """Return the CNI configuration of a node: a bridge with the node's own range of addresses."""
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": node.pod_network}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }
