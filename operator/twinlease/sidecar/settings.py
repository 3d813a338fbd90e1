"""What the sidecar takes from its environment."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

_LAST_PORT = 65535


class Settings(Struct, frozen=True, kw_only=True):
    """Who this sidecar is and where things are.

    Attributes:
        engine: The engine's API name.
        server: Name of its DHCPServer.
        node: Name of the node.
        run_dir: Memory-backed volume shared with the guard.
        lease_dir: The server's lease database; read only.
        secret_dir: Holds the control key as ``secret``.
        account_dir: Holds the service account's token and the API server's authority.
        metrics_address: Where metrics are served: the pod's address, which is the node's.
        metrics_port: TCP port of it; 0: they are not served, for nobody wants it or no address is known.
    """

    engine: str
    server: str
    namespace: str
    pod_uid: str
    node: str
    run_dir: Path
    lease_dir: Path
    secret_dir: Path
    account_dir: Path
    metrics_address: str = ""
    metrics_port: int = 0


class SettingsError(Exception):
    """The environment lacks something that only the pod's manifest can give."""


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Return the settings of a container's environment.

    Raises:
        SettingsError: A variable is missing, or is not what it should be.
    """
    metrics_port = _port(environment.get("TWINLEASE_METRICS_PORT", "0"))
    # Without an address nothing is served, rather than everywhere; the rest of the sidecar does not depend on it.
    address = environment.get("POD_IP", "")
    try:
        return Settings(
            engine=environment.get("TWINLEASE_ENGINE", "ISC"),
            server=environment["TWINLEASE_SERVER"],
            namespace=environment["POD_NAMESPACE"],
            pod_uid=environment["POD_UID"],
            node=environment.get("NODE_NAME", ""),
            run_dir=Path(environment.get("TWINLEASE_RUN_DIR", "/run/twinlease")),
            lease_dir=Path(environment.get("TWINLEASE_LEASE_DIR", "/var/lib/twinlease")),
            secret_dir=Path(environment.get("TWINLEASE_SECRET_DIR", "/etc/twinlease/omapi")),
            account_dir=Path(environment.get("TWINLEASE_ACCOUNT_DIR", "/var/run/secrets/kubernetes.io/serviceaccount")),
            metrics_address=address,
            metrics_port=metrics_port if address else 0,
        )
    except KeyError as error:
        raise SettingsError(f"{error.args[0]} is not set") from error


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > _LAST_PORT:
        raise SettingsError(f"TWINLEASE_METRICS_PORT is {text[:20]!r}: it must be a port, or 0 for none")
    return int(text)
