"""A Kubernetes API server on its own, for tests that need real admission, real watches and no nodes."""

import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab import otherkube, rest
from tests.lab.controlplane import ControlPlane, Endpoint
from tests.lab.shell import program
from tests.lab.waiting import until

_READY_SECONDS = 60.0
_ATTEMPTS = 3


class ApiServer:
    """etcd and kube-apiserver on ports of 127.0.0.1 that were free; gone when the block ends, or when we die.

    Use it as a context manager; `kubeconfig` is the administrator's and `kubectl()` uses it. There are no
    controllers: nothing is collected as garbage, and namespaces have no default service account.
    """

    def __init__(self) -> None:
        self._binaries = otherkube.chosen()
        self._directory = Path()
        self._exits = ExitStack()
        self.kubeconfig = Path()

    def __enter__(self) -> Self:
        """Start the server and return when it is ready."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._start()
            except BaseException as error:
                self._exits.close()
                # A port that was free a moment ago may have been taken meanwhile: others may be free.
                if attempt == _ATTEMPTS or not isinstance(error, RuntimeError | TimeoutError):
                    raise
            else:
                return self
        raise AssertionError("the last attempt returns or raises")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill the server and remove its data."""
        self._exits.close()

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """Run kubectl as the administrator and return what it printed."""
        return rest.kubectl(self._binaries["kubectl"], self.kubeconfig, *arguments, stdin=stdin, timeout=timeout)

    def environment(self) -> dict[str, str]:
        """Return what a program needs in its environment to be this server's administrator."""
        return {"KUBECONFIG": str(self.kubeconfig)}

    def _start(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="twinlease-api-"))
        self._exits.callback(shutil.rmtree, self._directory, ignore_errors=True)
        port, etcd_port, etcd_peer_port = free_ports(3)
        endpoint = Endpoint("127.0.0.1", "127.0.0.1", port, etcd_port, etcd_peer_port)
        plane = ControlPlane(self._binaries, self._directory, endpoint)
        etcd = self._run("etcd", plane.etcd())
        server = self._run("kube-apiserver", plane.api_server())
        self.kubeconfig = plane.admin_config("admin.kubeconfig", port)
        client = rest.Rest(self.kubeconfig)

        def ready() -> bool:
            for name, process in (("etcd", etcd), ("kube-apiserver", server)):
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended with status {process.returncode}:\n{self._log_tail(name)}")
            return client.ready()

        until("the API server is ready", ready, timeout=_READY_SECONDS)

    def _run(self, name: str, argv: list[str]) -> subprocess.Popen[bytes]:
        with (self._directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [program("setpriv"), "--pdeathsig", "KILL", "--", *argv],  # the kernel ends it if we are killed
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._exits.callback(_kill, process)
        return process

    def _log_tail(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-3000:]


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listened on a moment ago, all different."""
    with ExitStack() as sockets:
        found = []
        for _ in range(count):
            taken = sockets.enter_context(socket.socket())
            taken.bind(("127.0.0.1", 0))
            found.append(int(taken.getsockname()[1]))
        return found


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
