"""The real guard as a process, in the network namespace of one of the jig's servers."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.shell import program
from tests.lab.waiting import until
from tests.net.jig import SECRET, UID, Jig, Namespace
from twinlease.engines.isc.engine import IscEngine
from twinlease.ipc.client import GuardClient, GuardUnreachable, Start
from twinlease.ipc.protocol import FenceSpec, Mode

OPERATOR = Path(__file__).parents[2] / "operator"
INTERFACE = "eth0"
OPEN = FenceSpec(Mode.KERNEL, "", failover_port=0, omapi_port=0, peer_port=0, partner_port=0)
"""Closes no port, for servers that everybody is to reach."""


def start(*edits: str, deadline: float | None = None, fence: FenceSpec = OPEN, interface: str = INTERFACE) -> Start:
    """Return how a server is started: with a permit without end, unless a test says otherwise."""
    return Start(interface, fence, deadline, edits)


class Guard:
    """A guard and its directories; the process can be started again and again.

    Args:
        directory: Holds a run directory and a lease directory, as the volumes of a pod do.
        namespace: Where it runs.
    """

    def __init__(self, directory: Path, namespace: Namespace) -> None:
        self.run_dir = directory / "run"
        self.lease_dir = directory / "leases"
        self.log = directory / "guard.log"
        self.namespace = namespace
        self.client = GuardClient(self.run_dir / "guard.sock")
        self.engine = IscEngine(key_include=str(self.run_dir / "omapi-key.conf"), check_program=program("dhcpd"))
        for made in (self.run_dir, self.run_dir / "candidate", self.lease_dir):
            made.mkdir(parents=True)
        self.engine.write_credentials(self.run_dir, SECRET)
        self.process: subprocess.Popen[bytes] | None = None
        self.overrides: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What guard and sidecar find in their environment."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(OPERATOR),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TWINLEASE_ENGINE": "ISC",
            "TWINLEASE_RUN_DIR": str(self.run_dir),
            "TWINLEASE_LEASE_DIR": str(self.lease_dir),
            "TWINLEASE_DHCPD": program("dhcpd"),
            "TWINLEASE_DHCPD_CHECK": program("dhcpd"),
            **self.overrides,
        }

    def start(self, *command: str, stdout: int | None = None) -> None:
        """Start the process and wait until it answers; its log goes to a file unless it is sent elsewhere."""
        argv = [*(command or (sys.executable,)), "-m", "twinlease.guard"]
        with self.namespace.entered(), self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log if stdout is None else stdout, stderr=log,
                env=self.environment,
            )  # fmt: skip
        until("the guard answers", self.answers, timeout=10, every=0.01)

    def answers(self) -> bool:
        """Tell whether it answers."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the guard ended: {self.said()}")
        try:
            self.client.status()
        except GuardUnreachable:
            return False
        return True

    def signal(self, number: signal.Signals) -> int:
        """Send a signal and return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=10)

    def offer(self, text: str) -> str:
        """Put a candidate where the guard reads it and return its revision."""
        revision = hashlib.sha256(text.encode()).hexdigest()
        (self.run_dir / "candidate" / revision).write_text(text, encoding="utf-8")
        return revision

    def said(self) -> str:
        """Return the log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        """Return the guard."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what is left, and wait until its server is gone too."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)


@contextmanager
def connection(guard: Guard) -> Iterator[socket.socket]:
    """Open a connection of our own to the guard."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect(str(guard.run_dir / "guard.sock"))
        yield sock


def alive(pid: int) -> bool:
    """Tell whether a process runs: it exists and is no zombie."""
    return state_of(pid) not in {"", "Z", "X"}


def freeze(pid: int) -> None:
    """Stop a process, and wait until it stands still."""
    os.kill(pid, signal.SIGSTOP)
    until("it stands still", lambda: state_of(pid) == "T", timeout=5, every=0.001)


def state_of(pid: int) -> str:
    """Return the letter of a process's state (proc(5)); empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def package_copy(directory: Path) -> Path:
    """Copy our package to where a process of another uid can read it, and return the directory to import it from."""
    shutil.copytree(OPERATOR / "twinlease", directory / "twinlease", ignore=shutil.ignore_patterns("__pycache__"))
    return directory


class Confined(Guard):
    """The guard as in its pod: PID 1, a uid of its own, file capabilities, no_new_privs."""

    def answers(self) -> bool:
        """Ask as the guard's own user."""
        with as_user():
            return super().answers()

    def __exit__(self, *raised: object) -> None:
        """Kill the guard itself too: what we started is only its parent, and its death signal was lost at exec."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ValueError, OSError):  # it has no child any more
                os.kill(process_of(self), signal.SIGKILL)
        super().__exit__(None, None, None)


@contextmanager
def as_user() -> Iterator[None]:
    """Act as the uid of server pods for the length of a block."""
    os.setegid(UID)
    os.seteuid(UID)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@contextmanager
def confined(jig: Jig) -> Iterator[Confined]:
    """Start a guard as the image and the pod's security context do."""
    directory = jig.primary.directory
    package = package_copy(directory / "package")
    interpreter = copy_with(
        directory / "guard-python", "/usr/bin/python3", "cap_net_raw,cap_net_bind_service,cap_net_admin=p"
    )
    dhcpd = copy_with(directory / "dhcpd", program("dhcpd"), "cap_net_raw,cap_net_bind_service=ep")
    guard = Confined(directory / "pod", jig.primary.namespace)
    for made in (directory / "pod", guard.run_dir, guard.run_dir / "candidate", guard.lease_dir):
        os.chown(made, UID, UID)
    os.chown(guard.run_dir / "omapi-key.conf", UID, UID)
    guard.overrides = {"PYTHONPATH": str(package), "TWINLEASE_DHCPD": str(dhcpd)}
    sets = ["--bounding-set=-all,+net_raw,+net_bind_service,+net_admin", "--inh-caps=-all", "--ambient-caps=-all"]
    user = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--no-new-privs", *sets, "--"]
    with guard:
        guard.start("unshare", "--pid", "--fork", "--kill-child", *user, str(interpreter))
        yield guard


def copy_with(target: Path, source: str, sets: str) -> Path:
    """Copy a program and give the copy file capabilities."""
    target.write_bytes(Path(source).resolve().read_bytes())
    target.chmod(0o755)
    subprocess.run(["setcap", sets, str(target)], check=True)
    return target


def process_of(guard: Guard) -> int:
    """Return the confined guard's process id as we see it: the child of what we started."""
    assert guard.process is not None
    return child_of(guard.process.pid)


def dhcpd_of(guard: Guard) -> int:
    """Return the process id of a confined guard's dhcpd as we see it."""
    return child_of(process_of(guard))


def child_of(pid: int) -> int:
    """Return the only child of a process."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(child)
