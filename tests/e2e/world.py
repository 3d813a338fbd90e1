"""What the tests of the whole look at: objects, conditions and leases, as users and clients see them."""

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.lab import clients, paths
from tests.lab.cluster import Lab
from tests.lab.model import CLIENTS
from tests.lab.shell import run
from tests.lab.waiting import until

OPERATOR_NAMESPACE = "twinlease-system"
OPERATOR = ELECTION = "twinlease-operator"
OF_PAIR = "twinlease.io/pair"
EXAMPLE = paths.REPOSITORY / "examples" / "pair.yaml"
PAIR, POOL = "lan", "office"
LEDGER = f"{PAIR}-ledger"
PRIMARY, SECONDARY = f"{PAIR}-primary", f"{PAIR}-secondary"
SERVING = {PRIMARY: "10.250.0.11", SECONDARY: "10.250.0.12"}
"""Server identifiers of the example pair's servers."""

Object = dict[str, Any]

_AT_A_TIME = 6  # real client programs that run at once; the machine has two cores
_LEASE_SECONDS = 40.0


@dataclass(frozen=True)
class Leased:
    """What a real client program got, and as whom."""

    program: str
    mac: str
    address: str
    server: str
    seconds: int


class World:
    """A lab with the operator installed, and short ways to ask it things."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.normal_after = float("nan")

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        """Return one object."""
        found: Object = json.loads(self.lab.kubectl("get", kind, name, f"--namespace={namespace}", "--output=json"))
        return found

    def every(self, kind: str, namespace: str = "default", selector: str = "") -> list[Object]:
        """Return the objects of a kind."""
        arguments = ["get", kind, f"--namespace={namespace}", "--output=json"]
        found: list[Object] = json.loads(self.lab.kubectl(*arguments, *([f"--selector={selector}"] * bool(selector))))[
            "items"
        ]
        return found

    def apply(self, *documents: Object) -> None:
        """Apply objects as a user does."""
        self.lab.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List",
                                                                    "items": list(documents)}))  # fmt: skip

    def patch(self, kind: str, name: str, spec: Object, namespace: str = "default") -> None:
        """Merge a change into an object's spec."""
        merge = json.dumps({"spec": spec})
        self.lab.kubectl("patch", kind, name, f"--namespace={namespace}", "--type=merge", f"--patch={merge}")

    def condition(self, kind: str, name: str, condition: str, namespace: str = "default") -> Object:
        """Return a condition of an object, or an empty one."""
        conditions = self.get(kind, name, namespace).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == condition), {})

    def wait(  # each argument is one word of the sentence
        self,
        kind: str,
        name: str,
        condition: str,
        status: str = "True",
        *,
        timeout: float = 60,
        namespace: str = "default",
    ) -> None:
        """Wait until a condition has a status that was judged for the object as it is now."""

        def holds() -> bool:
            found = self.get(kind, name, namespace)
            return any(
                each["type"] == condition
                and each["status"] == status
                and each.get("observedGeneration", 0) >= found["metadata"]["generation"]
                for each in found.get("status", {}).get("conditions", [])
            )

        until(f"{kind}/{name} has {condition}={status}", holds, timeout=timeout, every=0.2)

    def states(self, servers: Iterable[str] = (PRIMARY, SECONDARY)) -> dict[str, str]:
        """Return the failover states that the sidecars report."""
        return {
            each: self.get("dsrv", each).get("status", {}).get("failover", {}).get("state", "Unknown")
            for each in servers
        }

    def both_normal(self) -> bool:
        """Say whether both servers report normal."""
        return set(self.states().values()) == {"Normal"}

    def lease_one(self, program: str = "udhcpc", mac: str | None = None, client: int = 0) -> Leased:
        """Let a real client program get a lease, as a new client unless told as whom."""
        own = mac or clients.random_mac()
        programs: dict[str, Callable[..., clients.Lease]] = {"udhcpc": clients.udhcpc, "dhclient": clients.dhclient}
        lease = programs[program](CLIENTS[client].namespace, own, timeout=_LEASE_SECONDS)
        return Leased(program, own, lease.address, lease.server, lease.seconds)

    def lease_many(self, count: int) -> list[Leased]:
        """Let as many new clients get a lease, half of them with either program, some at a time."""
        programs = ["udhcpc", "dhclient"] * (count // 2)
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            return list(pool.map(self.lease_one, programs))

    def offers(self, mac: str) -> dict[str, str]:
        """Return who offers a client what: server identifier -> address."""
        return clients.offers(CLIENTS[0].namespace, mac)

    def pod_uid(self, name: str, namespace: str = "default") -> str:
        """Return a pod's UID; empty while there is none, or while it is on its way out."""
        found = [each["metadata"] for each in self.every("pods", namespace) if each["metadata"]["name"] == name]
        return found[0]["uid"] if found and "deletionTimestamp" not in found[0] else ""

    def restarts(self, pod: str) -> dict[str, int]:
        """Return how often each container of a pod was restarted."""
        status = self.get("pod", pod)["status"]
        every = [*status["initContainerStatuses"], *status["containerStatuses"]]
        return {each["name"]: each["restartCount"] for each in every}

    def kill_in_pod(self, pod: str, container: str, namespace: str = "default") -> None:
        """Kill a container's first process at once (SIGKILL), as a crash would."""
        found = self.get("pod", pod, namespace)
        every = [*found["status"].get("initContainerStatuses", []), *found["status"]["containerStatuses"]]
        identity = next(each["containerID"] for each in every if each["name"] == container).removeprefix(
            "containerd://"
        )
        machine = self.lab.machines[found["spec"]["nodeName"]]
        ctr = ["ctr", "--address", str(machine.containerd_socket), "--namespace", "k8s.io"]
        run([*ctr, "tasks", "kill", "--signal", "SIGKILL", identity])

    def holder(self) -> str:
        """Return the identity of the operator's process that leads; empty while none does."""
        found = [each for each in self.every("lease", OPERATOR_NAMESPACE) if each["metadata"]["name"] == ELECTION]
        return str(found[0]["spec"].get("holderIdentity") or "") if found else ""

    def leader(self) -> str:
        """Return the name of the pod that leads; empty while none does."""
        holder = self.holder()
        pods = [each["metadata"]["name"] for each in self.every("pods", OPERATOR_NAMESPACE)]
        return next((name for name in pods if holder.startswith(name)), "")

    def install_operator(self) -> None:
        """Apply the plain manifests as a user without Helm does, and wait until both replicas are ready."""
        self.lab.kubectl("apply", "--filename", str(paths.REPOSITORY / "manifests"))
        self.await_operator()

    def await_operator(self) -> None:
        """Wait until both replicas are ready, and one leads."""
        until(
            "both replicas of the operator are ready",
            lambda: (
                self.get("deployment", "twinlease-operator", OPERATOR_NAMESPACE)["status"].get("readyReplicas") == 2
            ),
            timeout=120,
            every=0.2,
        )
        until("one leads", lambda: bool(self.leader()), timeout=60, every=0.2)

    def apply_example(self, timeout: float = 120) -> None:
        """Apply the example pair and wait until both servers are normal, noting how long that took."""
        began = time.monotonic()
        self.lab.kubectl("apply", "--filename", str(EXAMPLE))
        until("both servers exist", lambda: len(self.every("dsrv")) == 2, timeout=timeout, every=0.1)
        until("both servers are normal", self.both_normal, timeout=timeout, every=0.1)
        self.normal_after = time.monotonic() - began
        self.wait("dfp", PAIR, "Redundant", timeout=timeout)

    def delete_example(self) -> None:
        """Delete the example pair, and wait until only the leases, and the records of who holds what, are left."""
        self.lab.kubectl("delete", "--ignore-not-found", "--filename", str(EXAMPLE))
        until("only the ledger is left of the pair", lambda: self._left() <= {LEDGER}, timeout=120, every=0.3)

    def forget_service(self, name: str = PAIR, namespace: str = "default") -> None:
        """Delete the serving lease that a pair has left, as a user does who wants to begin anew."""
        arguments = ["dhcpservinglease", name, f"--namespace={namespace}"]
        self.lab.kubectl("delete", *arguments, "--ignore-not-found", "--wait=false")
        if any(each["metadata"]["name"] == name for each in self.every("dhcpservinglease", namespace)):
            merge = json.dumps({"metadata": {"finalizers": []}})
            self.lab.kubectl("patch", *arguments, "--type=merge", f"--patch={merge}")

    def _left(self) -> set[str]:
        return {
            each["metadata"]["name"]
            for kind in ("pods", "dsrv", "secrets", "configmaps")
            for each in self.every(kind, selector=f"{OF_PAIR}={PAIR}")
        }

    def remove_example(self) -> None:
        """Delete the example pair with its leases, and wait until nothing of it is left."""
        self.delete_example()
        self.lab.kubectl("delete", "configmap", LEDGER, "--ignore-not-found")
        self.forget_service()
        self.lab.kubectl("delete", "pvc", f"--selector={OF_PAIR}={PAIR}", "--timeout=60s")
        self.lab.recycle_volumes()
