"""The whole lab: booting it, using it, taking it away."""

import shlex
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Self

from tests.lab import binaries, cgroups, images, leftovers, netns, network, packages, paths, processes, rest, storage
from tests.lab.controlplane import ControlPlane, Endpoint
from tests.lab.faults import Faults
from tests.lab.model import (
    API_PORT,
    CGROUP,
    CLIENTS,
    CONTROL_CGROUP,
    MANAGEMENT_ADDRESS,
    MANAGEMENT_NAMESPACE,
    NODES,
    Client,
    Side,
    node,
)
from tests.lab.node import Machine
from tests.lab.shell import background, run
from tests.lab.state import Owner, State
from tests.lab.waiting import until

CLIENT_GROUP = f"{CGROUP}/clients"
_ETCD_PORTS = (2379, 2380)  # in the management namespace, where nobody else listens
_API_SECONDS = 60.0
_NODES_SECONDS = 90.0
_IMPORT_SECONDS = 300.0
_LOCK_SECONDS = 120.0


class NotRunningError(RuntimeError):
    """There is no lab to use."""


class Lab:
    """A running lab. `Lab.boot()` makes one, `Lab.attach()` finds the one that runs; `down()` takes it away."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._groups = cgroups.of_host()
        self._binaries = binaries.ensure()
        self._children: list[int] = []
        self._api: rest.Rest | None = None
        self.machines = {each.name: Machine(each, directory / "nodes" / each.name) for each in NODES}

    @classmethod
    def boot(cls, *, force: bool = False, crds: Path | None = None, disks: bool = False) -> Self:
        """Start a lab and return when its API server answers and all its nodes are ready.

        Refuses to start over another lab, unless told to `force` it away first. Definitions found in `crds` are
        applied before the controllers start: the garbage collector learns of later ones only after half a minute.
        With `disks` each node's volumes are a file system of their own, which can be stalled.
        """
        packages.check()
        directory = paths.state_directory()
        binaries.ensure()
        pause = images.pause()
        with paths.locked(f"lab{paths.lab_name()}", wait_seconds=_LOCK_SECONDS):
            if force:
                with _uninterrupted():
                    leftovers.remove(directory)
            leftovers.refuse(directory)
            directory.mkdir(parents=True)
            lab = cls(directory)
            try:
                lab._start(State(Owner.me()), pause, crds, disks=disks)
            except BaseException:
                with _uninterrupted():
                    lab._remove()
                raise
        return lab

    @classmethod
    def attach(cls) -> Self:
        """Return the lab that runs on this machine."""
        directory = paths.state_directory()
        state = State.load(directory)
        if state is None:
            raise NotRunningError("no lab is running on this machine; start one with `up`")
        if not state.complete:
            raise NotRunningError(f"the lab {state.owner} is not whole: it is booting, or was killed while it was")
        return cls(directory)

    def down(self) -> None:
        """Take the lab away."""
        with paths.locked(f"lab{paths.lab_name()}", wait_seconds=_LOCK_SECONDS), _uninterrupted():
            self._remove()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, which works from the host."""
        return self.directory / "admin.kubeconfig"

    @property
    def api(self) -> rest.Rest:
        """The API server, as the administrator."""
        if self._api is None:
            self._api = rest.Rest(self.kubeconfig)
        return self._api

    @property
    def state(self) -> State:
        """What is in force now: added clients, cuts, nodes without power. A copy; see `changing`."""
        state = State.load(self.directory)
        if state is None:
            raise NotRunningError("the lab was taken away meanwhile")
        return state

    @contextmanager
    def changing(self) -> Iterator[State]:
        """Have the state in a block, for changes; other commands on this lab wait until they are saved."""
        with paths.locked(f"lab{paths.lab_name()}-state", wait_seconds=_LOCK_SECONDS):
            state = self.state
            yield state
            state.save(self.directory)

    @property
    def faults(self) -> Faults:
        """The ways to break the lab, and to mend it."""
        return Faults(self)

    def env(self) -> dict[str, str]:
        """Return the environment for programs that use the lab; `PATH` is the directory to put before the caller's."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": str(self._binaries.kubectl_directory),
            "LAB_CLIENT_NETNS": CLIENTS[0].namespace,
        }

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """Run kubectl as the administrator and return what it printed."""
        return rest.kubectl(self._binaries["kubectl"], self.kubeconfig, *arguments, stdin=stdin, timeout=timeout)

    def load_image(self, archive: Path) -> None:
        """Import an image into every node that has power."""
        off = self.state.powered_off
        on = [machine for name, machine in self.machines.items() if name not in off]
        _import_everywhere([archive], on)

    def add_client(self, name: str, side: Side = "left") -> str:
        """Connect one more client to the serving LAN and return its namespace; its interface is `eth0`."""
        client = Client(name, side)
        with self.changing() as state:
            network.add_client(client)
            state.clients.append(client)
        return client.namespace

    def remove_client(self, name: str) -> None:
        """Disconnect a client that was added."""
        with self.changing() as state:
            client = next(each for each in state.clients if each.name == name)
            network.remove_client(client)
            state.clients.remove(client)

    def clients(self) -> list[Client]:
        """Return all clients of the serving LAN."""
        return [*CLIENTS, *self.state.clients]

    def client_command(self, argv: Sequence[str], namespace: str = CLIENTS[0].namespace) -> list[str]:
        """Return the command line that runs a program in a client's namespace; it cannot outlive the lab."""
        joined = self._groups.create(CLIENT_GROUP, controllers=False)
        return processes.joining(joined, processes.in_namespace(namespace, argv))

    def exec_client(self, argv: Sequence[str], namespace: str = CLIENTS[0].namespace, *, timeout: float = 60.0) -> str:
        """Run a program in a client's namespace and return what it printed."""
        return run(self.client_command(argv, namespace), timeout=timeout)

    def power_on(self, name: str) -> None:
        """Start a node's first process; its cables are the caller's to plug in."""
        self._children.append(self.machines[name].start(self._groups, self._binaries))

    def power_off(self, name: str) -> None:
        """Kill everything on a node at once; its cables are the caller's to pull before."""
        self._groups.kill(node(name).cgroup)
        processes.reap(self._children)

    def freeze(self, name: str, *, frozen: bool) -> None:
        """Stop a node's processors, or let them go on."""
        self._groups.freeze(node(name).cgroup, frozen=frozen)

    def frozen(self, name: str) -> bool:
        """Say whether a node is stopped."""
        return self._groups.frozen(node(name).cgroup)

    def node_processes(self, name: str) -> list[int]:
        """Return the ids of all processes on a node."""
        return self._groups.processes(node(name).cgroup)

    def node_ready(self, name: str) -> bool:
        """Say whether the cluster holds a node for ready."""
        return node(name).name in self._ready_nodes()

    def await_node(self, name: str, *, ready: bool, timeout: float = 60.0) -> None:
        """Return when the cluster holds a node for ready, or no longer does."""
        what = f"{name} is {'ready' if ready else 'not ready'}"
        until(what, lambda: self.node_ready(name) == ready, timeout=timeout, every=0.2)

    def recycle_volumes(self) -> list[str]:
        """Empty the volumes whose claim was deleted, let them be claimed again, and return their names."""
        names = storage.released(self.api)
        for volume in names:
            owner, _, number = volume.rpartition("-")
            self.machines[owner].empty_volume(number)
            storage.make_available(self.api, volume)
        return names

    def restart_controllers(self) -> None:
        """Restart the controller manager, so that it knows definitions that were applied since it started."""
        self._groups.kill(f"{CONTROL_CGROUP}/controller-manager")
        self._spawn("controller-manager", self._plane().controller_manager())

    # Booting: the wires, then everything that can start on its own at once, then what has to wait for something.

    def _start(self, state: State, pause: Path, crds: Path | None, *, disks: bool) -> None:
        state.save(self.directory)
        network.build()
        plane = self._plane()
        self._spawn("etcd", plane.etcd())
        self._spawn("apiserver", plane.api_server())
        state.api_port = self._start_forwarder()
        plane.admin_config(self.kubeconfig.name, state.api_port)
        for machine in self.machines.values():
            if disks:
                machine.mount_volumes()
            machine.write_disk(plane.authority)
            self.power_on(machine.node.name)
        _import_everywhere([pause], list(self.machines.values()))
        until("the API server is ready", self._api_ready, timeout=_API_SECONDS)
        for machine in self.machines.values():
            machine.allow_kubelet()
        storage.create(self.api)
        if crds is not None:
            self.kubectl("apply", "--server-side", "--filename", str(crds))
        self._spawn("controller-manager", plane.controller_manager())
        self._spawn("scheduler", plane.scheduler())
        until("all nodes are ready", lambda: len(self._ready_nodes()) == len(NODES), timeout=_NODES_SECONDS)
        until("pods can be made", self._pods_can_be_made, timeout=_NODES_SECONDS)
        state.complete = True
        state.save(self.directory)

    def _plane(self) -> ControlPlane:
        endpoint = Endpoint(MANAGEMENT_ADDRESS, "0.0.0.0", API_PORT, *_ETCD_PORTS)
        return ControlPlane(self._binaries, self.directory, endpoint)

    def _spawn(self, name: str, argv: list[str], namespace: str | None = MANAGEMENT_NAMESPACE, **env: str) -> None:
        group = self._groups.create(f"{CONTROL_CGROUP}/{name}", controllers=False)
        command = argv if namespace is None else processes.in_namespace(namespace, argv)
        self._children.append(processes.spawn(group, command, log=self.directory / f"{name}.log", env=env))

    def _start_forwarder(self) -> int:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(128)
            listener.set_inheritable(True)
            target = [str(netns.path(MANAGEMENT_NAMESPACE)), MANAGEMENT_ADDRESS, str(API_PORT)]
            argv = [sys.executable, "-m", "tests.lab.forwarder", str(listener.fileno()), *target]
            self._spawn("forwarder", argv, None, PYTHONPATH=str(paths.REPOSITORY))
            return int(listener.getsockname()[1])

    def _api_ready(self) -> bool:
        self._fail_if_ended("etcd", "apiserver")
        return self.api.ready()

    def _fail_if_ended(self, *components: str) -> None:
        for component in components:
            if not self._groups.processes(f"{CONTROL_CGROUP}/{component}"):
                tail = (self.directory / f"{component}.log").read_text(encoding="utf-8", errors="replace")[-3000:]
                raise RuntimeError(f"{component} ended:\n{tail}")

    def _ready_nodes(self) -> set[str]:
        items: list[dict[str, Any]] = self.api.get("/api/v1/nodes")["items"]
        return {item["metadata"]["name"] for item in items if _has_condition(item, "Ready")}

    def _pods_can_be_made(self) -> bool:
        try:
            self.api.get("/api/v1/namespaces/default/serviceaccounts/default")
        except rest.ApiError:
            return False
        return True

    def _remove(self) -> None:
        leftovers.remove(self.directory)
        processes.reap(self._children)


def take_down() -> bool:
    """Take away whatever lab is on this machine, whole or not, and say whether there was one."""
    directory = paths.state_directory()
    with paths.locked(f"lab{paths.lab_name()}", wait_seconds=_LOCK_SECONDS), _uninterrupted():
        found = bool(leftovers.find(directory))
        leftovers.remove(directory)
    return found


def exports(env: dict[str, str]) -> str:
    """Return an environment as lines for a shell to evaluate."""
    lines = []
    for name, value in env.items():
        quoted = f'{shlex.quote(value)}:"$PATH"' if name == "PATH" else shlex.quote(value)
        lines.append(f"export {name}={quoted}")
    return "\n".join(lines) + "\n"


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Finish a clean-up although the user presses Ctrl-C again, or a supervisor loses its patience."""

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame

    before = {number: signal.signal(number, note) for number in processes.ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _import_everywhere(archives: list[Path], machines: list[Machine]) -> None:
    """Import archives into nodes, all nodes at a time."""
    for machine in machines:
        until(f"{machine.node.name}'s containerd listens", machine.runtime_listens, timeout=_NODES_SECONDS)
    for archive in archives:
        with ExitStack() as stack:
            for machine in machines:
                stack.enter_context(background(machine.import_command(archive), timeout=_IMPORT_SECONDS))


def _has_condition(item: dict[str, Any], kind: str) -> bool:
    return any(each["type"] == kind and each["status"] == "True" for each in item["status"].get("conditions", []))
