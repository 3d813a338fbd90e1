"""Debian's Prometheus, on loopback, for as long as a test takes."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

_PATIENCE_SECONDS = 120.0


class PrometheusError(RuntimeError):
    """It does not start, or refuses a query; the message is its own."""


class Prometheus:
    """One server; a context that ends it.

    Args:
        directory: For its configuration and its data.
        targets: Addresses that it scrapes once a second, ``host:port``.
        rule_files: What it evaluates once a second.
    """

    def __init__(self, directory: Path, targets: Sequence[str], rule_files: Sequence[Path]) -> None:
        self._directory = directory
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        configuration = {
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
        (directory / "prometheus.yml").write_text(json.dumps(configuration), encoding="utf-8")

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        program = shutil.which("prometheus")
        assert program, "Debian package prometheus; `make system-packages` installs it"
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                raise PrometheusError((self._directory / "log").read_text(encoding="utf-8")[-2000:])
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

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

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401  # what it is depends on the path
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise PrometheusError(json.load(error)["error"]) from error


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
