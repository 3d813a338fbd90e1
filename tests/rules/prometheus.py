"""Debian's Prometheus, for as long as a test takes."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

_PATIENCE_SECONDS = 120.0


class PrometheusError(RuntimeError):
    """It does not start, or refuses a query; the message is its own."""


def watching(targets: Sequence[str], rule_files: Sequence[Path]) -> dict[str, Any]:
    """Return a configuration that scrapes targets, ``host:port``, and evaluates rules once a second. Pure."""
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(each) for each in rule_files],
        # As the pods' monitors have it: the namespace that counts is the pair's, not that of who tells of it.
        "scrape_configs": [
            {
                "job_name": "any",
                "honor_labels": True,
                "static_configs": [{"targets": list(targets), "labels": {"namespace": "twinlease-system"}}],
            }
        ],
    }


class Prometheus:
    """One server that listens on loopback; a context that ends it.

    Args:
        directory: For its configuration and its data.
        configuration: As it reads it.
        placed: Makes its command line one that runs it elsewhere: in another network namespace, say.
        entered: A context in which its loopback is ours.
    """

    def __init__(
        self,
        directory: Path,
        configuration: Mapping[str, Any],
        *,
        placed: Callable[[list[str]], list[str]] = lambda argv: argv,
        entered: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._directory = directory
        self._placed = placed
        self._entered = entered
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "prometheus.yml").write_text(json.dumps(configuration), encoding="utf-8")

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        program = shutil.which("prometheus")
        assert program, "Debian package prometheus; `make system-packages` installs it"
        with self._entered():
            self._port = _free_port()
        argv = [
            program,
            f"--config.file={self._directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(self._placed(argv), stdout=log, stderr=subprocess.STDOUT)
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                raise PrometheusError(self.log()[-2000:])
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        """Return what it has logged."""
        return (self._directory / "log").read_text(encoding="utf-8")

    def series(self, query: str, begin: float, end: float) -> list[dict[str, Any]]:
        """Return what a query finds each second from one time to another (Unix time).

        Raises:
            PrometheusError: It is no query.
        """
        found = self._get("query_range", query=query, start=f"{begin:.3f}", end=f"{end:.3f}", step="1")
        return list(found["result"])

    def values(self, label: str, selector: str) -> list[str]:
        """Return the values of a label of the series that a selector finds."""
        return list(self._get(f"label/{label}/values", **{"match[]": selector}))

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that wait or fire now, with their labels and annotations."""
        return list(self._get("alerts")["alerts"])

    def targets(self) -> list[dict[str, Any]]:
        """Return what it scrapes."""
        return list(self._get("targets", state="active")["activeTargets"])

    def _ready(self) -> bool:
        try:
            with self._entered(), urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401  # what it is depends on the path
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with self._entered(), urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise PrometheusError(json.load(error)["error"]) from error


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
