"""What a kubelet would do with the chart's pods, in so far as a process of this machine can be one."""

import http.client
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.api.operating import account_kubeconfig, administrator
from tests.api.world import World
from tests.chart.cluster import Cluster
from tests.lab.apiserver import free_ports
from tests.lab.waiting import until
from twinlease.kube.protocol import PAIRS

Json = dict[str, Any]


class Kubelet:
    """Runs containers as processes, with the command, the environment and the account that their pod says.

    Args:
        cluster: Where the pods are.
        directory: For kubeconfigs.
    """

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self.ports: dict[str, int] = {}
        """Where the ports of the container that was started last are on this machine, by name."""
        self._started: list[subprocess.Popen[str]] = []

    def run(self, pod: Json, namespace: str, name: str = "one") -> subprocess.Popen[str]:
        """Start the one container of a pod's specification."""
        (container,) = pod["containers"]
        fields = {"metadata.name": name, "metadata.namespace": namespace}
        environment = {
            each["name"]: each["value"] if "value" in each else fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
            for each in container["env"]
        }
        kubeconfig = self._directory / f"{namespace}-{pod['serviceAccountName']}"
        text = account_kubeconfig(self._cluster.server, namespace, pod["serviceAccountName"])
        kubeconfig.write_text(text, encoding="utf-8")
        program, *arguments = container["command"]
        for port in container.get("ports", ()):
            (self.ports[port["name"]],) = free_ports(1)
            environment["TWINLEASE_HTTP_PORT"] = str(self.ports[port["name"]])
        self._started.append(
            subprocess.Popen(
                [sys.executable, "-m", program, *arguments, "--kubeconfig", str(kubeconfig)],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE if arguments != ["operator"] else None,
                text=True,
            )
        )
        return self._started[-1]

    def operator(self, namespace: str) -> subprocess.Popen[str]:
        """Start one operator of the Deployment in a namespace."""
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/twinlease-operator"
        return self.run(self._cluster.api.get(path)["spec"]["template"]["spec"], namespace)

    def asked(self, port: str, path: str) -> tuple[int, str]:
        """Ask the container that was started last, over HTTP as a kubelet or Prometheus does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def stop(self) -> None:
        """End everything that was started."""
        for process in self._started:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def brought_up(cluster: Cluster, namespace: str) -> World:
    """Return the world of a pair that an operator has brought to normal."""
    world = World(administrator(cluster.server), namespace, cluster.server)
    world.nodes()
    world.pair()
    world.pool()

    def redundant() -> bool:
        world.schedule()
        world.sidecars()
        return world.conditions(PAIRS, "p").get("Redundant", {}).get("status") == "True"

    until("the pair is redundant", redundant, timeout=60.0)
    return world
