"""A pair of real guards and real sidecars around real dhcpds, each in its own network namespace."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from tests.lab.waiting import until
from tests.net.apiserver import NAMESPACE, FakeApi
from tests.net.granting import CALM, Operator
from tests.net.guarded import INTERFACE, Guard
from tests.net.jig import SECRET, Jig, Namespace
from tests.net.services import PRIMARY, SECONDARY
from tests.net.wallclock import WallClock
from twinlease.decide.pairview import Policy
from twinlease.model.service import Service
from twinlease.model.states import Role

PEER_PORT = 7922
METRICS_PORT = 7923
ADDRESSES = {Role.PRIMARY: PRIMARY.ip, Role.SECONDARY: SECONDARY.ip}


class Sidecar:
    """The real sidecar as a process; it can be started again and again."""

    def __init__(self, name: str, address: IPv4Address, guard: Guard, api: FakeApi) -> None:
        self.name = name
        self.log = guard.run_dir.parent / "sidecar.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._guard = guard
        secrets = guard.run_dir.parent / "omapi"
        secrets.mkdir()
        (secrets / "secret").write_text(SECRET, encoding="ascii")
        self.port = api.listen(guard.namespace)
        self._environment = {
            **guard.environment,
            "TWINLEASE_SECRET_DIR": str(secrets),
            "TWINLEASE_ACCOUNT_DIR": str(api.account),
            "TWINLEASE_SERVER": name,
            "POD_NAMESPACE": NAMESPACE,
            "POD_UID": f"pod-{name}",
            "NODE_NAME": f"node-{name}",
            "POD_IP": str(address),
            "TWINLEASE_METRICS_PORT": str(METRICS_PORT),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.port),
        }

    def under(self, clock: WallClock) -> None:
        """Have later starts go by a clock of their own."""
        self._environment["LD_PRELOAD"] = clock.environment["LD_PRELOAD"]

    def in_pod(self, uid: str) -> None:
        """Have later starts in another pod."""
        self._environment["POD_UID"] = uid

    def start(self) -> None:
        """Start the process."""
        with self._guard.namespace.entered(), self.log.open("ab") as log:
            argv = [sys.executable, "-m", "twinlease", "sidecar"]
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )

    def signal_only(self, number: signal.Signals) -> None:
        """Send a signal that it does not die of."""
        assert self.process is not None
        self.process.send_signal(number)

    def signal(self, number: signal.Signals) -> int:
        """Send a signal and return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=10)

    def said(self) -> str:
        """Return the log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Kill what is left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)


class Member:
    """One server of the pair: guard, sidecar, and what the API says of it."""

    def __init__(self, role: Role, directory: Path, namespace: Namespace, api: FakeApi) -> None:
        self.role = role
        self.name = f"lan-{role}"
        self.namespace = namespace
        self.guard = Guard(directory / "pod", namespace)
        self.sidecar = Sidecar(self.name, ADDRESSES[role], self.guard, api)
        self._api = api
        self._pods = 0

    def under(self, clock: WallClock) -> None:
        """Have guard, server and sidecar go by a wall clock of their own from their next start on."""
        self.guard.overrides.update(clock.environment)
        self.sidecar.under(clock)

    def start(self) -> None:
        """Start guard and sidecar."""
        self.guard.start()
        self.sidecar.start()

    def kill(self) -> None:
        """Kill guard, server and sidecar, as the end of the node would."""
        self.sidecar.signal(signal.SIGKILL)
        self.guard.signal(signal.SIGKILL)
        self.guard.process = None

    def delete(self) -> None:
        """End the pod as the kubelet does: the server's container first, then the sidecar's."""
        self.guard.signal(signal.SIGTERM)
        self.guard.process = None
        self.sidecar.signal(signal.SIGTERM)

    def new_pod(self) -> None:
        """Have later starts in a new pod, with the same leases."""
        self._pods += 1
        self.sidecar.in_pod(f"pod-{self.name}-{self._pods}")
        for file in self.guard.run_dir.iterdir():
            if not file.is_dir():
                file.unlink()

    @property
    def record(self) -> dict[str, Any]:
        """The durable record."""
        return dict(json.loads((self.guard.lease_dir / "twinlease.json").read_text(encoding="ascii")))

    @property
    def status(self) -> dict[str, Any]:
        """The reported status."""
        return self._api.status(self.name)

    def condition(self, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition, empty if it is not reported."""
        found = [had for had in self.status.get("conditions", ()) if had["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else ("", "")

    @property
    def pid(self) -> int:
        """Process id of dhcpd; 0 if none runs."""
        return self.guard.client.status().pid

    @property
    def states(self) -> tuple[str, str]:
        """Both failover states as reported."""
        failover = self.status.get("failover", {})
        return failover.get("state", ""), failover.get("partnerState", "")

    def want(self, service: Service, *, text: str | None = None, **spec: Any) -> str:  # noqa: ANN401  # fields of the spec
        """Do what the operator does: write the ConfigMaps and the spec; return the revision."""
        rendered = self.guard.engine.render(service, self.role) if text is None else text
        revision = hashlib.sha256(rendered.encode()).hexdigest()
        half = rendered.find("\n", len(rendered) // 2) + 1
        names = []
        for number, chunk in enumerate((rendered[:half], rendered[half:])):
            names.append(f"{self.name}-{revision[:12]}-{number}")
            self._api.put("configmaps", names[-1], data={"config": chunk})
        self.spec(service, config={"revision": revision, "configMaps": names}, **spec)
        return revision

    def spec(self, service: Service, **spec: Any) -> None:  # noqa: ANN401  # fields of the spec
        """Write the spec; without `config` there is no configuration yet."""
        pools = [
            {"name": pool.name, "ranges": [{"start": str(run.first), "end": str(run.last)} for run in pool.ranges]}
            for pool in service.pools
        ]
        self._api.put(
            "dhcpservers",
            self.name,
            spec={
                "pairRef": {"name": "lan"},
                "role": str(self.role),
                "failoverName": service.failover.name,
                "interface": INTERFACE,
                "subnets": [str(pool.subnet) for pool in service.pools],
                "omapiPort": service.omapi_port,
                "failoverPort": service.endpoints[self.role].failover_port,
                "peerPort": PEER_PORT,
                "partner": {
                    "name": f"lan-{self.role.other}",
                    "failoverAddress": str(service.endpoints[self.role.other].failover_address),
                    "failoverPort": service.endpoints[self.role.other].failover_port,
                },
                "pools": to_builtins(pools),
                **spec,
            },
        )


class ManagedPair:
    """Two members, the API that they report to, and who grants."""

    def __init__(self, api: FakeApi, members: dict[Role, Member], operator: Operator) -> None:
        self.api = api
        self.members = members
        self.operator = operator

    @property
    def primary(self) -> Member:
        """The primary."""
        return self.members[Role.PRIMARY]

    @property
    def secondary(self) -> Member:
        """The secondary."""
        return self.members[Role.SECONDARY]

    def want(self, service: Service) -> None:
        """Give both members their configuration."""
        for member in self.members.values():
            member.want(service)

    def start(self, service: Service) -> None:
        """Bring both up to Normal/Normal."""
        self.want(service)
        for member in self.members.values():
            member.start()
        self.await_normal()

    def await_normal(self, timeout: float = 20.0) -> None:
        """Wait until both report Normal of both."""
        until(
            "both report Normal/Normal",
            lambda: all(member.states == ("Normal", "Normal") for member in self.members.values()),
            timeout=timeout,
        )


@contextmanager
def managed(jig: Jig, policy: Policy = CALM, *, max_lease: int = 600) -> Iterator[ManagedPair]:
    """Build a managed pair on a jig, nothing of it running yet, and end what runs with the block."""
    with ExitStack() as stack:
        api = stack.enter_context(FakeApi(jig.directory))
        operator = stack.enter_context(Operator(api, policy, max_lease))
        members = {}
        for role, server in jig.servers.items():
            members[role] = Member(role, server.directory, server.namespace, api)
            stack.enter_context(members[role].guard)
            stack.callback(members[role].sidecar.close)
        yield ManagedPair(api, members, operator)


def memory_kib(pid: int) -> int:
    """Return the resident set of a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, its ended children included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
