"""A LAN with two real dhcpds on configurations that we rendered, and with clients.

Nothing here can be left behind, however the tests end: the network namespaces have no name, they exist only as long as
this process holds them open, and dhcpd asks the kernel to be killed with its parent. That last wish is lost when a
program with file capabilities is executed, so dhcpd gets its two capabilities as ambient ones instead, and is
otherwise as confined as in its pod: a uid of its own, no_new_privs, no other capability.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Interface
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab import netns
from tests.lab.shell import program, run
from tests.lab.waiting import until
from twinlease import omapi
from twinlease.engines.isc.control import IscControl
from twinlease.engines.isc.engine import IscEngine
from twinlease.engines.isc.process import IscProcess
from twinlease.engines.isc.states import to_number
from twinlease.engines.protocol import ControlError, FailoverStatus, Recorded
from twinlease.model.service import Service
from twinlease.model.states import FailoverState, Role
from twinlease.sidecar.entering import Entered, enter_running

UID = 6767
SECRET = "MDEyMzQ1Njc4OWFiY2RlZg=="  # noqa: S105 - the key of a throw-away server in a closed namespace
NORMAL = (FailoverState.NORMAL, FailoverState.NORMAL)
_FAILOVER_PORT = 647
_CLONE_NEWNET = 0x40000000
_CONFINED = (
    "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--no-new-privs", "--pdeathsig", "KILL",
    *(f"--{which}=-all,+net_raw,+net_bind_service" for which in ("inh-caps", "ambient-caps", "bounding-set")),
)  # fmt: skip


class Namespace:
    """A network namespace without a name, with its loopback up."""

    def __init__(self) -> None:
        self._descriptor = _new_namespace()
        self.path = Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")
        self.ip("link set lo up")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the calling thread, and what it starts, in this namespace for the length of a block."""
        with netns.entered(self.path):
            yield

    def ip(self, *lines: str) -> None:
        """Run lines of `ip -batch`."""
        with self.entered():
            run(["ip", "-batch", "-"], stdin="\n".join(lines))

    def nft(self, family: str, table: str, hook: str, *rules: str) -> None:
        """Have a table of one filter chain with exactly these rules."""
        lines = [
            f"table {family} {table}",
            f"delete table {family} {table}",
            f"table {family} {table} {{",
            f" chain c {{ type filter {hook}; policy accept;",
            *(f"  {rule}" for rule in rules),
            " }",
            "}",
        ]
        with self.entered():
            run(["nft", "-f", "-"], stdin="\n".join(lines) + "\n")

    def close(self) -> None:
        """Give the namespace up; with its last process and socket it is gone."""
        os.close(self._descriptor)


class Server:
    """One of the two servers: its directory, its namespace and, while it runs, its dhcpd."""

    def __init__(self, role: Role, directory: Path, namespace: Namespace) -> None:
        self.role = role
        self.directory = directory
        self.namespace = namespace
        self.lease_file = directory / IscProcess.lease_file_name
        self.log = directory / "log"
        self.engine = IscEngine(key_include=str(directory / "omapi-key.conf"), check_program=program("dhcpd"))
        self._config = directory / "dhcpd.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] | None = None
        self.engine.write_credentials(directory, SECRET)
        _give(directory / "omapi-key.conf")

    def configure(self, service: Service) -> None:
        """Write the configuration for its next start."""
        self._config.write_text(self.engine.render(service, self.role), encoding="utf-8")
        self._service = service

    def start(self, *edits: str, **parameters: str | int) -> None:
        """Prepare the lease file with these edits and start dhcpd."""
        process = IscProcess(program("dhcpd"))
        process.prepare(self.lease_file, edits, parameters)
        _give(self.lease_file)
        interface = self._service.endpoints[self.role].interface
        command = process.command(interface=interface, config=self._config, lease_file=self.lease_file)
        with self.namespace.entered(), self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", *_CONFINED, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to dhcpd, and wait for its end if it is one to die of."""
        assert self._process is not None
        self._process.send_signal(number)
        if number in {signal.SIGTERM, signal.SIGKILL}:
            self._process.wait(timeout=10)
            self._process = None

    def stop(self) -> None:
        """Stop dhcpd, if it runs, the clean way."""
        if self._process is not None:
            self.signal(signal.SIGTERM)

    def survive(self, hold: int) -> FailoverStatus:
        """Start dhcpd alone, in partner-down and with a dead partner's leases kept, as a guard and a sidecar do."""
        self.start("survive", relationship=self._service.failover.name, hold=hold, role=self.role)
        return self.enter_partner_down()

    def survive_running(self, hold: int) -> Entered | None:
        """Have a dhcpd that runs enter partner-down with a dead partner's leases kept, as a sidecar does."""
        with closing(self.control()) as control:
            log = self.engine.binding_log(self.lease_file)
            return enter_running(control, log, time.time, hold=hold, role=self.role)

    def recover(self) -> None:
        """Start dhcpd so that it learns everything from its partner first."""
        self.start("recover", relationship=self._service.failover.name)

    def enter_partner_down(self) -> FailoverStatus:
        """End the startup of a dhcpd that was prepared for partner-down, as soon as it answers."""
        entered: list[FailoverStatus] = []

        def enter() -> bool:
            with suppress(ControlError):
                entered.append(control.enter_partner_down())
            return bool(entered)

        with closing(self.control()) as control:
            until(f"{self.role} in partner-down", enter, timeout=10, every=0.005)
        return entered[0]

    def set_state(self, state: FailoverState) -> None:
        """Set dhcpd's failover state as an administrator might, which no part of twinlease does."""
        with self.namespace.entered():
            session = omapi.connect("127.0.0.1", self._service.omapi_port, self.engine.control_key, SECRET, 2.0)
        number = to_number(state).to_bytes(4, "big")
        session.update("failover-state", self._service.failover.name, {"local-state": number})
        session.close()

    def recorded(self) -> Recorded:
        """Return what its lease file says."""
        return self.engine.recorded(self.lease_file)

    def control(self, secret: str = SECRET, timeout: float = 2.0) -> IscControl:
        """Return our control of this dhcpd, as a sidecar on its node would have it."""

        def connect() -> omapi.OmapiSession:
            with self.namespace.entered():
                return omapi.connect("127.0.0.1", self._service.omapi_port, self.engine.control_key, secret, timeout)

        return self.engine.control(connect, self._service.failover.name)

    def await_answer(self) -> None:
        """Wait until dhcpd answers on its control interface."""
        with closing(self.control()) as control:
            until(f"{self.role} answers", lambda: states(control) is not None, timeout=10, every=0.01)

    def cpu_seconds(self) -> float:
        """Return the processor time that dhcpd has used."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def said(self) -> str:
        """Return dhcpd's log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class Jig:
    """A bridge, two servers on it and a namespace for clients, torn down with the block."""

    def __init__(self, primary: IPv4Interface, secondary: IPv4Interface) -> None:
        self._stack = ExitStack()
        with ExitStack() as stack:
            self.directory = Path(tempfile.mkdtemp(prefix="twinlease-net-"))
            stack.callback(shutil.rmtree, self.directory)
            self.directory.chmod(0o755)
            self._lan = _opened(stack)
            self._lan.ip("link add br0 type bridge stp_state 0 forward_delay 0", "link set br0 up")
            self.clients = self._cable(stack, "client", None)
            self.servers = {
                role: self._server(stack, role, address)
                for role, address in ((Role.PRIMARY, primary), (Role.SECONDARY, secondary))
            }
            self._stack = stack.pop_all()

    @property
    def primary(self) -> Server:
        """The primary."""
        return self.servers[Role.PRIMARY]

    @property
    def secondary(self) -> Server:
        """The secondary."""
        return self.servers[Role.SECONDARY]

    def configure(self, service: Service) -> None:
        """Write both configurations."""
        for server in self.servers.values():
            server.configure(service)

    def start(self, service: Service) -> None:
        """Configure and start both, and wait until both say Normal of themselves and of the other.

        One after the other: two that start in the same instant may miss each other's first call; the next is 5 s later.
        """
        self.configure(service)
        for server in self.servers.values():
            server.start()
            server.await_answer()
        self.await_normal()

    def await_normal(self, timeout: float = 20.0) -> None:
        """Wait until both say Normal of themselves and of the other."""
        for server in self.servers.values():
            with closing(server.control()) as control:
                await_states(control, NORMAL, timeout=timeout)

    def reach(self, *roles: Role) -> None:
        """Have what the clients say reach these servers only."""
        rules = [f'oifname "{role}" udp dport 67 drop' for role in self.servers if role not in roles]
        self._lan.nft("bridge", "reach", "hook forward priority 0", *rules)

    def cut_link(self) -> None:
        """Break the failover connection, and let no new one come about; everything else goes on."""
        port = f"tcp dport {_FAILOVER_PORT} tcp flags & rst == 0 reject with tcp reset"
        self.primary.namespace.nft("inet", "link", "hook output priority 0", port, port.replace("dport", "sport"))
        self.primary.namespace.nft("inet", "link-in", "hook input priority 0", port, port.replace("dport", "sport"))

    def mend_link(self) -> None:
        """Let the servers connect again."""
        for table in ("link", "link-in"):
            self.primary.namespace.nft("inet", table, "hook output priority 0")

    def stall_link(self) -> None:
        """Lose what the servers say to each other on the way: no connection breaks, and TCP goes on trying."""
        lost = [f"tcp {end} {_FAILOVER_PORT} drop" for end in ("dport", "sport")]
        self._lan.nft("bridge", "stall", "hook forward priority 0", *lost)

    def unstall_link(self) -> None:
        """Let it through again."""
        self._lan.nft("bridge", "stall", "hook forward priority 0")

    def _cable(self, stack: ExitStack, port: str, address: IPv4Interface | None) -> Namespace:
        namespace = _opened(stack)
        addresses = [f"address add {address} dev eth0"] if address else []
        namespace.ip(f"link add eth0 type veth peer name {port} netns {self._lan.path}", *addresses, "link set eth0 up")
        self._lan.ip(f"link set {port} master br0 up")
        return namespace

    def _server(self, stack: ExitStack, role: Role, address: IPv4Interface) -> Server:
        directory = self.directory / role
        directory.mkdir()
        _give(directory)
        server = Server(role, directory, self._cable(stack, role, address))
        stack.callback(server.stop)
        return server

    def __enter__(self) -> Self:
        """Return the jig."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the servers and give up the network."""
        self._stack.close()


@contextmanager
def closing(control: IscControl) -> Iterator[IscControl]:
    """Close a control at the end of a block."""
    try:
        yield control
    finally:
        control.close()


def states(control: IscControl) -> tuple[FailoverState, FailoverState] | None:
    """Return local and partner state, None while dhcpd does not answer."""
    try:
        status: FailoverStatus = control.failover()
    except ControlError:
        return None
    return status.local, status.partner


def await_states(control: IscControl, wanted: tuple[FailoverState, FailoverState], *, timeout: float) -> None:
    """Wait until a server says these states of itself and of its partner."""
    until(f"{wanted[0]}/{wanted[1]}", lambda: states(control) == wanted, timeout=timeout, every=0.01)


def _give(path: Path) -> None:
    os.chown(path, UID, UID)


def _opened(stack: ExitStack) -> Namespace:
    namespace = Namespace()
    stack.callback(namespace.close)
    return namespace


def _new_namespace() -> int:
    """Return a descriptor of a new network namespace: made by a thread that ends, so that no other thread moves."""
    made: list[int] = []
    libc = ctypes.CDLL(None, use_errno=True)

    def make() -> None:
        if libc.unshare(_CLONE_NEWNET) == 0:
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise PermissionError("no network namespace can be made: these tests want root")
    return made[0]
