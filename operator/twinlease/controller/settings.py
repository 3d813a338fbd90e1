"""The operator's flags; each may come from the environment instead, which is what the manifests use."""

import argparse
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from twinlease.kube.protocol import ApiError

_LAST_PORT = 65535
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Flags(Struct, frozen=True, kw_only=True):
    """What the command line and the environment say.

    Attributes:
        namespaces: To look after; empty: all of the cluster.
        image: Of the server pods, for pairs that name none.
        lease_namespace: Where the election's Lease lives.
        lease_name: Its name.
        identity: Of this process, never used twice.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        kubeconfig: None: the pod's service account, else the user's own.
        http_port: Where metrics and probes are served; 0: nowhere.
    """

    namespaces: Sequence[str]
    image: str
    lease_namespace: str
    lease_name: str
    identity: str
    log_level: str
    kubeconfig: Path | None
    http_port: int = 0


def parse(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> Flags:
    """Return the settings.

    Raises:
        SystemExit: The arguments are wrong (status 2), or only help was asked for.
        ApiError: No namespace for the Lease is known.
    """
    parser = argparse.ArgumentParser(prog="twinlease operator", description="Reconcile failover pairs.")
    parser.add_argument(
        "--namespace",
        action="append",
        help="look after this namespace only; may be repeated (TWINLEASE_NAMESPACES, separated by commas)",
    )
    parser.add_argument("--image", help="image of the server pods (TWINLEASE_IMAGE)")
    parser.add_argument("--lease-namespace", help="namespace of the election's Lease (POD_NAMESPACE)")
    parser.add_argument("--lease-name", default="twinlease-operator", help="name of the election's Lease")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="(TWINLEASE_LOG_LEVEL)")
    parser.add_argument("--kubeconfig", type=Path, help="not in a cluster: how to reach the API")
    parser.add_argument(
        "--http-port",
        type=int,
        help="serve /metrics, /healthz and /readyz on this TCP port; 0: not at all (TWINLEASE_HTTP_PORT)",
    )
    given = parser.parse_args(argv)
    port = environment.get("TWINLEASE_HTTP_PORT") or "0" if given.http_port is None else str(given.http_port)
    if not (port.isascii() and port.isdecimal() and int(port) <= _LAST_PORT):
        parser.error(f"--http-port or TWINLEASE_HTTP_PORT is {port!r}: it must be a port, or 0 for none")
    image = given.image or environment.get("TWINLEASE_IMAGE", "")
    if not image:
        parser.error("--image or TWINLEASE_IMAGE must name the image of the server pods")
    listed = environment.get("TWINLEASE_NAMESPACES", "").split(",")
    name = environment.get("POD_NAME") or socket.gethostname()
    return Flags(
        namespaces=given.namespace or [each.strip() for each in listed if each.strip()],
        image=image,
        lease_namespace=given.lease_namespace or environment.get("POD_NAMESPACE") or _own_namespace(),
        lease_name=given.lease_name,
        identity=f"{name}_{secrets.token_hex(4)}",
        log_level=given.log_level or environment.get("TWINLEASE_LOG_LEVEL", "info"),
        kubeconfig=given.kubeconfig,
        http_port=int(port),
    )


def _own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ApiError(0, "", "say where the Lease shall live: --lease-namespace or POD_NAMESPACE") from error
