"""The pair under test on the lab: who is where, its processes, and bringing it back to normal."""

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e.world import LEDGER, OF_PAIR, OPERATOR, OPERATOR_NAMESPACE, PAIR, POOL, PRIMARY, SECONDARY, World
from tests.faults.case import CLOCK, DISKS, Actor, Case, Cast, Times, cast
from tests.faults.timeline import Timeline
from tests.lab.clock import CLOCK_IMAGE
from tests.lab.cluster import Lab
from tests.lab.model import PROJECT_IMAGE
from tests.lab.shell import CommandError
from tests.lab.waiting import NotInTimeError, until
from twinlease.model.states import FailoverState, Role

NODES = {Role.PRIMARY: "n1", Role.SECONDARY: "n2"}
ADDRESSES = {Role.PRIMARY: "10.250.0.11", Role.SECONDARY: "10.250.0.12"}
_SERVERS = {Role.PRIMARY: PRIMARY, Role.SECONDARY: SECONDARY}
_OPERATORS_NODE = "n3"  # so that no fault of a server's node is one of the operator
_API = "twinlease.io/v1alpha1"
_KIND = "dhcpservinglease"
_GONE_SECONDS = 60.0
_NORMAL_SECONDS = 90.0
_PARKED_SECONDS = 120.0  # what was held for those who left while the servers were cut off: one and a half leases
_ROOM = 45  # each case brings some sixty clients of its own

DHCPD, GUARD, SIDECAR = "dhcpd", "guard-python", "twinlease"
"""A server pod's processes, by the kernel's name for them."""

Object = dict[str, Any]


class Stage:
    """The pair, with the operator on a node apart from the servers'.

    Attributes:
        cast: Who is who in the present run.
    """

    def __init__(self, lab: Lab, scratch: Path) -> None:
        self.lab = lab
        self.world = World(lab)
        self.faults = lab.faults
        self.scratch = scratch
        self.cast: Cast = cast(Role.SECONDARY)
        self._uids: dict[Role, str] = {}
        self._leader = "", ""
        self._manifests: list[Object] = []

    # Who and where.

    def node(self, actor: Actor) -> str:
        """Return a server's node."""
        return NODES[self.cast[actor]]

    def server(self, actor: Actor) -> str:
        """Return the name of a server, and of its pod."""
        return _SERVERS[self.cast[actor]]

    def uid(self, actor: Actor) -> str:
        """Return the UID of a server's pod as it was when the run began."""
        return self._uids[self.cast[actor]]

    def processes(self, actor: Actor, name: str) -> list[int]:
        """Return the processes of that name in a server's pod.

        Raises:
            LookupError: There are none.
        """
        everything = self.faults.pod_processes(self.node(actor), self.uid(actor))
        found = [pid for pid, each in everything.items() if each == name]
        if not found:
            raise LookupError(f"no {name} in {self.server(actor)}: {everything}")
        return found

    def leader(self) -> tuple[str, str]:
        """Return the node and the UID of the operator's pod that led when the run began."""
        return self._leader

    def annotate(self, key: str, value: str) -> None:
        """Say something to the operator by an annotation of the pair."""
        self.lab.kubectl("annotate", "dfp", PAIR, f"twinlease.io/{key}={value}", "--overwrite")

    def epoch(self) -> int:
        """Return the serving lease's epoch."""
        return int(self.world.get(_KIND, PAIR)["spec"]["epoch"])

    @property
    def abilities(self) -> frozenset[str]:
        """What this lab can do that not every lab can."""
        machine = self.lab.machines[_OPERATORS_NODE]
        can = {DISKS: (machine.directory / "mnt").is_mount(), CLOCK: CLOCK_IMAGE in machine.images()}
        return frozenset(each for each, able in can.items() if able)

    # Before and after.

    def begin(self, victim: Role) -> None:
        """Note who is who for a run: looked up now, for later there may be no time, or no API."""
        self.cast = cast(victim)
        self._uids = {role: self.world.pod_uid(name) for role, name in _SERVERS.items()}
        pod = self.world.get("pod", self.world.leader(), OPERATOR_NAMESPACE)
        self._leader = pod["spec"]["nodeName"], pod["metadata"]["uid"]

    def set_apart(self, *, apart: bool = True) -> None:
        """Have the operator's replicas on their own node, or let them be anywhere again."""
        selector = {"kubernetes.io/hostname": _OPERATORS_NODE if apart else None}
        change = {"spec": {"template": {"spec": {"nodeSelector": selector}}}}
        self.lab.kubectl("patch", "deployment", OPERATOR, f"--namespace={OPERATOR_NAMESPACE}", "--type=merge",
                         f"--patch={json.dumps(change)}")  # fmt: skip
        self.lab.kubectl("rollout", "status", f"deployment/{OPERATOR}", f"--namespace={OPERATOR_NAMESPACE}",
                         "--timeout=120s", timeout=130)  # fmt: skip
        until("one leads", lambda: bool(self.world.leader()), timeout=60, every=0.2)

    def fit(self, case: Case) -> None:
        """Have the pair as a case wants it, and normal."""
        self._manifests = manifests(case.times, case.spec)
        self.apply()
        image = case.spec.get("image", PROJECT_IMAGE)
        until("both run the case's image", lambda: self._images() == [image] * len(Role), timeout=60, every=0.2)
        self.await_normal(_NORMAL_SECONDS)
        if case.ends:
            self._renew()
        until("both go by the case's terms", lambda: self._in_force(case), timeout=60, every=0.2)
        until("both have addresses to give", self._roomy, timeout=_PARKED_SECONDS, every=0.5)

    def apply(self) -> None:
        """Apply the present case's pair and pool, as a user does."""
        self.world.apply(*self._manifests)

    def prepare(self, case: Case) -> bool:
        """Have the pair as a case wants it; one that cannot be brought there is made anew: then return True."""
        try:
            self.fit(case)
        except NotInTimeError:
            self.remove()
            self.fit(case)
            return True
        return False

    def remove(self) -> None:
        """Take the pair away with everything that it left."""
        self.faults.mend()
        self.lab.kubectl("delete", "dfp,dpool,dres", "--all", "--wait=false", "--ignore-not-found")
        try:
            until("the servers are gone", self._gone, timeout=_GONE_SECONDS, every=0.3)
        except NotInTimeError:
            self._force()
        self.forget()
        self.lab.kubectl("delete", "pvc", f"--selector={OF_PAIR}={PAIR}", "--timeout=60s")
        self.lab.recycle_volumes()

    def forget(self) -> None:
        """Delete what the cluster remembers of a pair that is deleted, as an administrator does."""
        self.lab.kubectl("delete", "configmap", LEDGER, "--ignore-not-found")
        if self._has_leases():
            self.lab.kubectl("delete", _KIND, PAIR, "--ignore-not-found", "--wait=false")
            self._unfinalize(_KIND, PAIR)

    def await_normal(self, timeout: float) -> None:
        """Wait until both servers are normal, by their own word and the operator's."""
        until("both servers are normal", self._normal, timeout=timeout, every=0.2)

    def _renew(self) -> None:
        """Replace the pods in which containers have ended: the kubelet starts one at once the first time, and later.

        The second time within ten minutes it waits 10 s, which is longer than a permit lasts here: the server would
        be silent, as it should.
        """
        for name in _SERVERS.values():
            if not any(self.world.restarts(name).values()):
                continue
            earlier = self._started(name)
            self.lab.kubectl("delete", "pod", name, "--timeout=60s", timeout=70)
            until(f"{name} runs in another pod", partial(self._started_since, name, earlier), timeout=60, every=0.2)
            self.await_normal(_NORMAL_SECONDS)

    def _started(self, name: str) -> str:
        """Return when a server's daemon was started, by its own word; empty: it does not run."""
        return str(self.world.get("dsrv", name).get("status", {}).get("daemon", {}).get("started", ""))

    def _started_since(self, name: str, earlier: str) -> bool:
        return self._started(name) not in ("", earlier)

    def _normal(self) -> bool:
        if len(self.world.every("dsrv")) != len(Role) or not self.world.both_normal():
            return False
        if not self._has_leases():
            return True
        spec = self.world.get(_KIND, PAIR)["spec"]
        return bool(spec["phase"] == "Both" and spec["established"])

    def _roomy(self) -> bool:
        """Tell whether enough addresses are free, on either server, for a case's clients."""
        status = self.world.get("dpool", POOL).get("status", {})
        return bool(min(status.get("free", 0), status.get("backup", 0)) >= _ROOM)

    def _images(self) -> list[str]:
        pods = self.world.every("pods", selector=f"{OF_PAIR}={PAIR}")
        return [each["spec"]["containers"][0]["image"] for each in pods if "deletionTimestamp" not in each["metadata"]]

    def _in_force(self, case: Case) -> bool:
        if not self._has_leases():
            return True
        servers = self.world.get(_KIND, PAIR)["spec"]["servers"]
        times = case.times
        lengths = {"duration": times.duration, "promise": times.promise, "maxPromise": times.max_promise}
        wanted = {key: f"{seconds}s" for key, seconds in lengths.items()}
        wanted["isolation"] = case.spec.get("isolation", "Fence")
        return all(wanted.items() <= servers[role]["own"]["inForce"].items() for role in Role)

    def _has_leases(self) -> bool:
        return "servinglease" in self.lab.kubectl("api-resources", "--api-group=twinlease.io", "--no-headers")

    def _gone(self) -> bool:
        return not any(self.world.every(kind, selector=f"{OF_PAIR}={PAIR}") for kind in ("pods", "dsrv"))

    def _force(self) -> None:
        """Take a pair away that does not go by itself."""
        for kind in ("dfp", "dpool", "dres", "dsrv", *([_KIND] if self._has_leases() else [])):
            for each in self.world.every(kind):
                self._unfinalize(kind, each["metadata"]["name"])
        self.lab.kubectl("delete", "pods,dsrv", f"--selector={OF_PAIR}={PAIR}", "--force", "--timeout=60s", timeout=70)

    def _unfinalize(self, kind: str, name: str) -> None:
        with suppress(CommandError):  # it went meanwhile
            self.lab.kubectl("patch", kind, name, "--type=merge", '--patch={"metadata":{"finalizers":null}}')


def manifests(times: Times, spec: Mapping[str, Any]) -> list[Object]:
    """Return the pair and its pool as a user writes them. Pure."""
    pair = {
        "primary": {"nodeName": NODES[Role.PRIMARY], "interface": "lan0"},
        "secondary": {"nodeName": NODES[Role.SECONDARY], "interface": "lan0"},
        "failover": {"mclt": f"{times.mclt}s", "maxResponseDelay": f"{times.response_delay}s"},
        "partnerDown": {"mode": "Automatic", "after": f"{times.after}s"},
        "isolation": "Fence",
        "servingLease": {
            "duration": f"{times.duration}s",
            "aloneDuration": f"{times.alone}s",
            "promise": f"{times.promise}s",
            "maxPromise": f"{times.max_promise}s",
        },
        "storage": {"persistentVolumeClaim": {"storageClassName": "node-local"}},
        **spec,
    }
    pool = {
        "pairRef": {"name": PAIR},
        "subnet": "10.250.0.0/24",
        "ranges": [{"start": "10.250.0.20", "end": "10.250.0.254"}],
        "leaseTime": {"default": f"{times.lease}s", "maximum": f"{times.lease}s"},
    }
    return [
        {"apiVersion": _API, "kind": "DHCPFailoverPair", "metadata": {"name": PAIR}, "spec": pair},
        {"apiVersion": _API, "kind": "DHCPPool", "metadata": {"name": POOL}, "spec": pool},
    ]


def whole(timeline: Timeline, since: float) -> float | None:
    """Return from when on both are normal again after a moment, by what both have said since then; None: not yet."""
    if not timeline.leases:
        times = [timeline.states(role)[-1] for role in Role if timeline.states(role)]
        normal = len(times) == len(Role) and all(state == FailoverState.NORMAL for _, state in times)
        return max(since, *(time for time, _ in times)) if normal else None
    last = timeline.leases[-1].spec
    told = [timeline.own(role) for role in Role]
    if last.phase != "Both" or not last.established:
        return None
    if any(each is None or each[0] < since or each[1].report.state != FailoverState.NORMAL for each in told):
        return None
    return max(since, *(timeline.states(role)[-1][0] for role in Role))
