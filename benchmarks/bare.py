"""The bare pair: the same image, configuration, limits and kind of disk, but nobody who looks after it."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path

from benchmarks import wires
from benchmarks.stage import CannotRunError, Container, Object, Stage
from tests.lab import netns
from tests.lab.model import node
from tests.lab.waiting import until
from twinlease import omapi
from twinlease.engines.isc.engine import IscEngine
from twinlease.engines.isc.process import IscProcess
from twinlease.engines.isc.states import to_number
from twinlease.engines.protocol import ControlError
from twinlease.model.states import FailoverState

RELATIONSHIP = "bare"
FAILOVER_PORT = 648
OMAPI_PORT = 7912
# Not the managed pair's: its guards take whoever answers under their own for a server of theirs, and fence it.
_UID = 6768
_USERS = ("runAsUser", "runAsGroup", "fsGroup")
_DIRECTORY = "/srv/bare-leases"  # as the node sees it: on the same file system as its volumes
_MOUNTED = "/var/lib/twinlease"
_SECRET = "MDEyMzQ1Njc4OWFiY2RlZg=="  # noqa: S105 - the key of a server that nobody else can reach
_OMAPI_SECONDS = 2.0
_GONE_SECONDS = 60.0


@contextmanager
def running(stage: Stage, managed: list[str]) -> Iterator[dict[str, Container]]:
    """Run the bare twins of the managed servers; have their dhcpds' processes, by pod.

    Raises:
        CannotRunError: They do not start, or do not become normal.
    """
    with ExitStack() as stack:
        for name, where in zip(managed, wires.NODES, strict=True):
            directory = stage.lab.machines[where].directory / _DIRECTORY[1:]
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            _fill(directory, configuration(*_managed_configuration(stage, name)))
        pods = [pod(stage.world.get("pod", name), where) for name, where in zip(managed, wires.NODES, strict=True)]
        names = [each["metadata"]["name"] for each in pods]
        stack.callback(_delete, stage, names)
        stage.apply(pods)
        until("the bare pods run", lambda: all(_runs(stage, name) for name in names), timeout=60, every=0.2)
        await_normal()
        yield {name: stage.containers(name)["server"] for name in names}


def configuration(text: str, relationship: str, failover_port: int, omapi_port: int) -> str:
    """Return a managed server's configuration with the bare pair's own addresses, ports, names and key. Pure.

    Raises:
        CannotRunError: The text lacks something that must be replaced, so the two would meet.
    """
    for old, new in (
        (wires.MANAGED, wires.BARE),
        (f"port {failover_port};", f"port {FAILOVER_PORT};"),
        (f"omapi-port {omapi_port};", f"omapi-port {OMAPI_PORT};"),
        (f'failover peer "{relationship}"', f'failover peer "{RELATIONSHIP}"'),
        ('include "/run/twinlease/', f'include "{_MOUNTED}/'),
    ):
        if old not in text:
            raise CannotRunError(f"the managed configuration has no {old!r}:\n{text}")
        text = text.replace(old, new)
    return text


def pod(managed: Object, where: str) -> Object:
    """Return the bare twin of a managed server's pod. Pure.

    The server's container is kept as it is, with its limits, requests and confinement; dhcpd takes the guard's place,
    under a user of its own.
    """
    server = deepcopy(next(each for each in managed["spec"]["containers"] if each["name"] == "server"))
    for unwanted in ("ports", "env", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
        server.pop(unwanted, None)
    server["command"] = IscProcess("/usr/sbin/dhcpd").command(
        interface=wires.BARE_LINK, config=Path(_MOUNTED) / "dhcpd.conf", lease_file=Path(_MOUNTED) / "dhcpd.leases"
    )
    server["volumeMounts"] = [{"name": "leases", "mountPath": _MOUNTED}]
    keep = ("hostNetwork", "dnsPolicy", "restartPolicy", "enableServiceLinks", "tolerations")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"bare-{managed['metadata']['name']}", "namespace": "default"},
        "spec": {
            **{key: managed["spec"][key] for key in keep if key in managed["spec"]},
            "securityContext": managed["spec"]["securityContext"] | dict.fromkeys(_USERS, _UID),
            "nodeName": where,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [server],
            "volumes": [{"name": "leases", "hostPath": {"path": _DIRECTORY, "type": "Directory"}}],
        },
    }


def await_normal(timeout: float = 120) -> None:
    """Wait until both bare servers say that both are normal."""
    normal = (FailoverState.NORMAL, FailoverState.NORMAL)
    until(
        "the bare pair is normal", lambda: all(states(where) == normal for where in wires.NODES), timeout=timeout,
        every=0.2,
    )  # fmt: skip


def states(where: str) -> tuple[FailoverState, FailoverState]:
    """Return the failover states of the server on a node and of its partner, by its own word; unknown without one."""
    control = IscEngine().control(lambda: _session(where), RELATIONSHIP)
    try:
        status = control.failover()
    except ControlError:
        return FailoverState.UNKNOWN, FailoverState.UNKNOWN
    finally:
        control.close()
    return status.local, status.partner


def declare_partner_down(where: str) -> float:
    """Tell the server on a node that its partner is down, as an administrator does; return when that began.

    Raises:
        ControlError: It did not take it.
    """
    number = to_number(FailoverState.PARTNER_DOWN).to_bytes(4, "big")
    session = _session(where)
    try:
        began = time.monotonic()
        session.update("failover-state", RELATIONSHIP, {"local-state": number})
    finally:
        session.close()
    return began


def _managed_configuration(stage: Stage, server: str) -> tuple[str, str, int, int]:
    """Return a managed server's configuration, its relationship and its two ports."""
    spec = stage.world.get("dsrv", server)["spec"]
    maps = [stage.world.get("configmap", name) for name in spec["config"]["configMaps"]]
    pair = stage.world.get("dfp", spec["pairRef"]["name"])["spec"]
    port = pair[spec["role"]].get("failoverPort", 647)
    text = "".join(each["data"]["config"] for each in maps)
    return text, spec["failoverName"], port, spec.get("omapiPort", 7911)


def _fill(directory: Path, text: str) -> None:
    directory.mkdir()
    (directory / "dhcpd.conf").write_text(text, encoding="utf-8")
    (directory / "dhcpd.leases").touch()
    IscEngine().write_credentials(directory, _SECRET)
    for path in (directory, *directory.iterdir()):
        os.chown(path, _UID, _UID)


def _runs(stage: Stage, name: str) -> bool:
    found = stage.world.get("pod", name)["status"]
    statuses = found.get("containerStatuses", [])
    if any(each["restartCount"] for each in statuses):
        said = stage.lab.kubectl("logs", name, "--previous", "--tail=20")
        raise CannotRunError(f"{name} ended:\n{said}")
    return bool(found.get("phase") == "Running")


def _delete(stage: Stage, names: list[str]) -> None:
    stage.lab.kubectl("delete", "pods", "--ignore-not-found", *names, f"--timeout={_GONE_SECONDS:.0f}s",
                      timeout=_GONE_SECONDS + 10)  # fmt: skip


def _session(where: str) -> omapi.OmapiSession:
    with netns.entered(netns.path(node(where).namespace)):
        return omapi.connect("127.0.0.1", OMAPI_PORT, IscEngine().control_key, _SECRET, _OMAPI_SECONDS)
