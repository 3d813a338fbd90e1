"""The parts of a cluster that a lone API server lacks: a scheduler, kubelets and sidecars, played by the test."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tests.api.seats import Seat
from tests.lab.apiserver import ApiServer
from twinlease.kube.client import Client
from twinlease.kube.protocol import (
    CONFIG_MAPS,
    NODES,
    PAIRS,
    PODS,
    POOLS,
    RESERVATIONS,
    SERVERS,
    SERVING_LEASES,
    ApiError,
    Json,
    Resource,
    Transport,
)
from twinlease.model.states import Role

_TEST_FAILED = 422
"""Status of a JSON Patch whose test failed."""

NOW = "2026-01-01T00:00:00Z"
NODE_NAMES = ("n1", "n2", "n3")
ADDRESSES = {"n1": "10.9.0.11", "n2": "10.9.0.12", "n3": "10.9.0.13"}
PREFIX = 24


class CrashError(BaseException):
    """The operator's process ends here, as with SIGKILL: nothing may catch it."""


class Observed:
    """A transport that counts writes, and on request dies with one: before the API sees it, or after.

    ``before`` is called with each write's method and path before it is sent: time for others to act.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.writes: list[str] = []
        self.die_at = 0
        self.after = True
        self.before: Callable[[str, str], None] = lambda _method, _path: None

    def request(self, method: str, path: str, **more: Any) -> Json:  # noqa: ANN401  # handed on as it is
        """Send a request, count it if it wrote, or die."""
        if method == "GET":
            return self._inner.request(method, path, **more)
        if len(self.writes) + 1 == self.die_at and not self.after:
            raise CrashError
        self.before(method, path)
        answer = self._inner.request(method, path, **more)
        self.writes.append(f"{method} {path}")
        if len(self.writes) == self.die_at:
            raise CrashError
        return answer

    def stream(self, path: str, **more: Any) -> AbstractContextManager[Iterator[bytes]]:  # noqa: ANN401  # as above
        """Watch."""
        return self._inner.stream(path, **more)


class World:
    """Plays everybody but the operator, in one namespace."""

    def __init__(self, transport: Transport, namespace: str, server: ApiServer | None = None) -> None:
        self._server = server  # who plays sidecars needs it, for their tokens
        self._transport = transport
        self.admin = Client(self._transport, "admin")
        self.namespace = namespace
        self._sidecar = Client(self._transport, "twinlease-sidecar")
        self._seats: dict[str, Seat] = {}
        self.clock: Callable[[], float] = lambda: 1_800_000_000.0  # of all nodes

    def nodes(self, names: Sequence[str] = NODE_NAMES) -> None:
        """Make nodes, all ready."""
        for name in names:
            try:
                self.admin.create(NODES, {"metadata": {"name": name, "labels": {"dhcp": "yes"}}})
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
            self.admin.merge_patch(NODES, name, None, {"metadata": {"labels": {"dhcp": "yes"}}})
            self.ready(name, is_ready=True)

    def ready(self, node: str, *, is_ready: bool) -> None:
        """Let a node become ready, or not."""
        condition = {"type": "Ready", "status": str(is_ready), "lastHeartbeatTime": NOW, "lastTransitionTime": NOW}
        self.admin.merge_patch(NODES, node, None, {"status": {"conditions": [condition]}}, subresource="status")

    def pair(self, name: str = "p", **spec: Any) -> Json:  # noqa: ANN401  # any field of the spec
        """Apply a pair on the first two nodes."""
        full = {
            "primary": {"nodeName": "n1", "interface": "eth1"},
            "secondary": {"nodeName": "n2", "interface": "eth1"},
            **spec,
        }
        return self._apply(PAIRS, name, full)

    def pool(self, name: str = "lan", pair: str = "p", **spec: Any) -> Json:  # noqa: ANN401  # any field of the spec
        """Apply a pool."""
        full = {
            "pairRef": {"name": pair},
            "subnet": "10.9.0.0/24",
            "ranges": [{"start": "10.9.0.100", "end": "10.9.0.199"}],
            **spec,
        }
        return self._apply(POOLS, name, full)

    def reservation(self, name: str, hardware: str, address: str, pair: str = "p") -> Json:
        """Apply a reservation."""
        spec = {"pairRef": {"name": pair}, "hardwareAddress": hardware, "address": address}
        return self._apply(RESERVATIONS, name, spec)

    def schedule(self) -> None:
        """Bind pods that are not placed to the node that their affinity names, or the first that it allows."""
        taken = {pod["spec"].get("nodeName") for pod in self.pods().values()}
        for name, pod in self.pods().items():
            if pod["spec"].get("nodeName"):
                continue
            node = next(each for each in self.all_nodes() if _allows(pod, each) and each not in taken)
            taken.add(node)
            path = PODS.path(self.namespace, name, "binding")
            body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"name": node}}
            self._transport.request("POST", path, body=body)
            self.phase(name, "Running")

    def phase(self, pod: str, phase: str) -> None:
        """Let a pod enter a phase, as its kubelet says."""
        self.admin.merge_patch(PODS, pod, self.namespace, {"status": {"phase": phase}}, subresource="status")

    def all_nodes(self) -> list[str]:
        """Return the names of all nodes."""
        return sorted(each["metadata"]["name"] for each in self.admin.list(NODES).items)

    def address(self, node: str) -> str:
        """Return a node's address on the serving network."""
        return ADDRESSES[node]

    def vanish(self, pod: str) -> None:
        """Let a pod that is being deleted be gone, as its kubelet does once its containers have ended."""
        self.admin.delete(PODS, pod, self.namespace, grace_seconds=0)

    def sidecars(self) -> None:
        """Report as sidecars do: addresses first, then the configuration; normal once both run theirs."""
        servers = self.servers()
        pods = {name: pod for name, pod in self.pods().items() if "deletionTimestamp" not in pod["metadata"]}
        leases = self.all(SERVING_LEASES)
        seats = {}
        for name, server in servers.items():
            pair = server["spec"]["pairRef"]["name"]
            if name in pods and pair in leases and pods[name]["spec"].get("nodeName"):
                seats[name] = self.seat(server["spec"]["role"], pair)
        running = {name: _revision(servers[name]) if seat.granted else "" for name, seat in seats.items()}
        for name, server in servers.items():
            pair = server["spec"]["pairRef"]["name"]
            linked = all(running.get(f"{pair}-{role}") for role in ("primary", "secondary"))
            state = "Normal" if linked else "Recover"
            if name in pods:
                self.report(name, server, pod=pods[name], running=running.get(name, ""), state=state)
            try:
                if name in seats and running[name]:
                    seats[name].confirm(state)
                elif name in seats:
                    seats[name].ask(ready=bool(_revision(server)))
            except ApiError as error:
                if error.status != _TEST_FAILED:
                    raise  # else an operator that runs beside us was quicker: a sidecar looks again, too

    def time(self) -> float:
        """Return the time by the clocks of all nodes."""
        return self.clock()

    def seat(self, role: str, pair: str = "p") -> Seat:
        """Return what plays a sidecar's part in the serving lease, in the pod that there is."""
        name = f"{pair}-{role}"
        assert self._server is not None
        if name not in self._seats:
            self._seats[name] = Seat(self._server, self.admin, self.namespace, pair, Role(role), self.time)
        self._seats[name].sit(self.pods()[name])
        return self._seats[name]

    def report(self, name: str, server: Json | None = None, **told: Any) -> None:  # noqa: ANN401  # any of what is listed
        """Write a server's status as its sidecar would: ``running``, ``state``, ``rejected``, ``serving``."""
        found = self.servers()[name] if server is None else server
        pod = told.get("pod") or self.pods()[name]
        running, state = told.get("running", ""), told.get("state", "Unknown")
        node = pod["spec"].get("nodeName")
        network = {"interface": "eth1", "linkUp": True, "address": f"{self.address(node)}/{PREFIX}"} if node else {}
        network = told.get("network", network)
        status = {
            "observedGeneration": found["metadata"]["generation"],
            "podUid": pod["metadata"]["uid"],
            "network": network,
            "config": {
                "revision": running,
                "rejected": told.get("rejected", ""),
                "message": "line 7: semicolon expected" if told.get("rejected") else "",
            },
            "failover": {"state": state, "partnerState": told.get("partner", state)},
            "serving": told.get("serving", state == "Normal"),
            "daemon": {"running": bool(running)},
            "conditions": told.get("conditions", []),
            "pools": [
                {"name": pool["name"], "addresses": 100, "active": 3, "free": 50, "backup": 47}
                for pool in found["spec"].get("pools", [])
            ],
        }
        body = {"metadata": {"name": name, "namespace": self.namespace}, "status": status}
        self._sidecar.apply(SERVERS, body, subresource="status")

    def text(self, server: str) -> str:
        """Return the configuration that a server is told to run."""
        names = self.servers()[server]["spec"]["config"]["configMaps"]
        return "".join(self.admin.get(CONFIG_MAPS, name, self.namespace)["data"]["config"] for name in names)

    def wanted(self) -> dict[str, str]:
        """Return the revision that each server is told to run."""
        return {name: _revision(server) for name, server in self.servers().items()}

    def servers(self) -> dict[str, Json]:
        """Return the DHCPServers by name."""
        return self.all(SERVERS)

    def pods(self) -> dict[str, Json]:
        """Return the pods by name."""
        return self.all(PODS)

    def all(self, resource: Resource) -> dict[str, Json]:
        """Return all objects of a kind by name."""
        return {each["metadata"]["name"]: each for each in self.admin.list(resource, self.namespace).items}

    def conditions(self, resource: Resource, name: str) -> dict[str, Mapping[str, str]]:
        """Return an object's conditions by type."""
        found = self.admin.get(resource, name, self.namespace)
        return {each["type"]: each for each in found.get("status", {}).get("conditions", [])}

    def _apply(self, resource: Resource, name: str, spec: Json) -> Json:
        metadata = {"name": name, "namespace": self.namespace}
        return self.admin.apply(resource, {"metadata": metadata, "spec": spec})


def _revision(server: Json) -> str:
    return str(server["spec"].get("config", {}).get("revision", ""))


def _allows(pod: Json, node: str) -> bool:
    affinity = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (term,) = affinity["nodeSelectorTerms"]
    allowed = {"In": lambda values: node in values, "NotIn": lambda values: node not in values}
    return all(allowed[field["operator"]](field["values"]) for field in term.get("matchFields", []))
