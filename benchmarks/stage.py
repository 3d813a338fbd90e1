"""The lab with the operator on it, and the processes of its containers."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import procfs
from tests.e2e.world import OPERATOR_NAMESPACE, World
from tests.lab import cgroups, images, paths
from tests.lab.cluster import Lab
from tests.lab.leftovers import LeftoversError
from tests.lab.model import CGROUP
from tests.lab.paths import LockBusyError
from tests.lab.waiting import NotInTimeError, until

Object = dict[str, Any]

EXAMPLE = paths.REPOSITORY / "examples" / "pair.yaml"
_SERVERS = "/apis/twinlease.io/v1alpha1/namespaces/default/dhcpservers"
_RETRY_SECONDS = 20.0
_CALM_WINDOW_SECONDS = 1.0


class CannotRunError(RuntimeError):
    """A part of the benchmark cannot be run; the message says why."""


@dataclass(frozen=True, slots=True)
class Container:
    """A running container's processes, by the host's ids."""

    node: str
    pids: tuple[int, ...]


class Stage:
    """A lab with the operator installed."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.world = World(lab)

    def example(self) -> list[Object]:
        """Return the objects of the example."""
        return [each for each in yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8")) if each]

    def apply(self, documents: list[Object]) -> None:
        """Apply objects as a user does."""
        everything = {"apiVersion": "v1", "kind": "List", "items": documents}
        self.lab.kubectl("apply", "--filename=-", stdin=json.dumps(everything))

    def servers(self) -> list[Object]:
        """Return the DHCPServers of the default namespace."""
        found: list[Object] = self.lab.api.get(_SERVERS)["items"]
        return found

    def await_normal(self, timeout: float = 120) -> None:
        """Wait until both servers of the pair report normal."""
        until("both servers are normal", self._both_normal, timeout=timeout, every=0.02)

    def containers(self, pod: str, namespace: str = "default") -> dict[str, Container]:
        """Return the running containers of a pod, by name."""
        found = self.world.get("pod", pod, namespace)
        node = found["spec"]["nodeName"]
        everyone = self.lab.node_processes(node)
        statuses = [*found["status"].get("initContainerStatuses", []), *found["status"]["containerStatuses"]]
        return {
            each["name"]: Container(
                node, tuple(procfs.in_container(everyone, each["containerID"].removeprefix("containerd://")))
            )
            for each in statuses
        }

    def operators(self) -> dict[str, Container]:
        """Return the operator's replicas: which leads, and which waits."""
        leader = self.world.leader()
        pods = [each["metadata"]["name"] for each in self.world.every("pods", OPERATOR_NAMESPACE)]
        if leader not in pods or len(pods) != 2:  # noqa: PLR2004 - as the manifest says
            raise CannotRunError(f"the operator's replicas are {pods}, the leader is {leader!r}")
        waiting = next(each for each in pods if each != leader)
        found = {"leading": leader, "waiting": waiting}
        return {role: self.containers(pod, OPERATOR_NAMESPACE)["operator"] for role, pod in found.items()}

    def server_parts(self, pod: str) -> dict[str, Container]:
        """Return the processes of a server's pod: its sidecar, its guard and its dhcpd."""
        containers = self.containers(pod)
        names = procfs.names(containers["server"].pids)
        dhcpd = tuple(pid for pid, name in names.items() if name == "dhcpd")
        guard = tuple(pid for pid, name in names.items() if name != "dhcpd")
        if len(dhcpd) != 1 or len(guard) != 1 or not containers["sidecar"].pids:
            raise CannotRunError(f"pod {pod} does not run one guard, one dhcpd and a sidecar: {names}")
        node = containers["server"].node
        return {"sidecar": containers["sidecar"], "guard": Container(node, guard), "dhcpd": Container(node, dhcpd)}

    def runtime(self, node: str) -> Container:
        """Return the processes of a node's container runtime, which carry the containers' logs to the disk."""
        found = procfs.names(self.lab.node_processes(node))
        return Container(node, tuple(pid for pid, name in found.items() if name.startswith("containerd")))

    def logged(self, pod: str, node: str) -> str:
        """Return the latest of what a pod's server container has logged, as the node's disk has it.

        The file that is being written and the one before; those before that are compressed.
        """
        files = (self.lab.machines[node].directory / "var/log/pods").glob(f"default_{pod}_*/server/*.log*")
        return "".join(
            each.read_text(encoding="utf-8", errors="replace") for each in files if not each.name.endswith(".gz")
        )

    def foreign_seconds(self) -> float:
        """Return the processor time in user mode that programs outside the lab, we included, have used so far.

        In user mode only: what kernel threads do (write out, journal) they do for the lab, but not in its name.
        """
        group = cgroups.of_host().unified.mountpoint / CGROUP
        return procfs.machine_user_seconds() - procfs.group_user_seconds(group)

    def _both_normal(self) -> bool:
        states = [each.get("status", {}).get("failover", {}).get("state") for each in self.servers()]
        return states == ["Normal", "Normal"]


@contextmanager
def staged(wait_seconds: float) -> Iterator[Stage]:
    """Boot a lab with the operator, and take it away again; while another lab runs, wait.

    Raises:
        CannotRunError: The other lab is still there after ``wait_seconds``.
    """
    archive = images.project()
    lab = _boot(wait_seconds)
    try:
        lab.load_image(archive)
        stage = Stage(lab)
        stage.world.install_operator()
        yield stage
    finally:
        lab.down()


def await_calm(pids: list[int], *, share: float, timeout: float) -> None:
    """Wait until processes together use less than a share of a core over a second.

    Raises:
        CannotRunError: They do not.
    """
    before = -1.0

    def calm() -> bool:
        nonlocal before
        last, before = before, procfs.cpu_seconds(pids)
        return last >= 0 and before - last < share * _CALM_WINDOW_SECONDS

    try:
        until("they rest", calm, timeout=timeout, every=_CALM_WINDOW_SECONDS)
    except NotInTimeError as error:
        raise CannotRunError(f"processes {pids} still use {share:.0%} of a core after {timeout:g} s") from error


def say(text: str) -> None:
    """Tell the user how far it is; figures go to standard output, this does not."""
    sys.stderr.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
    sys.stderr.flush()


def _boot(wait_seconds: float) -> Lab:
    deadline = time.monotonic() + wait_seconds
    definitions = Path(paths.REPOSITORY / "crds")
    while True:
        try:
            return Lab.boot(crds=definitions)
        except (LeftoversError, LockBusyError) as error:
            if time.monotonic() > deadline:
                raise CannotRunError(f"the lab is in use: {error}") from error
            say(f"waiting for the lab: {str(error).splitlines()[0]}")
            time.sleep(_RETRY_SECONDS)
