"""What the guard takes from its environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Settings(NamedTuple):
    """Where things are and how long they may take.

    Attributes:
        engine: The engine's API name.
        run_dir: Memory-backed volume shared with the sidecar: the socket and the candidates.
        lease_dir: The lease database and the installed configurations; survives the pod.
        grace: Seconds that the server is given to stop before it is killed.
        settle: Seconds that the server must live for a start to count.
        drain: Seconds that a fenced server is given, before a clean end, to tell its partner what it has acknowledged.
    """

    engine: str
    run_dir: Path
    lease_dir: Path
    grace: float = 5.0
    settle: float = 0.3
    drain: float = 0.5

    @property
    def socket(self) -> Path:
        """Where the sidecar finds the guard."""
        return self.run_dir / "guard.sock"

    @property
    def token(self) -> Path:
        """Where the pod's name for itself is kept, until the next boot."""
        return self.run_dir / "token"

    @property
    def record(self) -> Path:
        """Where what the sidecar wants remembered is kept, with the leases."""
        return self.lease_dir / "twinlease.json"

    @property
    def stopped(self) -> Path:
        """Our last word: the server has ended and nobody starts another; there only while no guard runs."""
        return self.run_dir / "stopped"

    @property
    def candidates(self) -> Path:
        """Where the sidecar puts configurations that it has checked."""
        return self.run_dir / "candidate"

    @property
    def configs(self) -> Path:
        """Where installed configurations are kept."""
        return self.lease_dir / "config"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Return the settings of a container's environment."""
    return Settings(
        engine=environment.get("TWINLEASE_ENGINE", "ISC"),
        run_dir=Path(environment.get("TWINLEASE_RUN_DIR", "/run/twinlease")),
        lease_dir=Path(environment.get("TWINLEASE_LEASE_DIR", "/var/lib/twinlease")),
    )
