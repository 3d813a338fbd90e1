"""What the lab remembers from one command to the next: a JSON file, replaced whole."""

import getpass
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tests.lab.model import Client
from tests.lab.processes import start_time
from tests.lab.switch import Cut


@dataclass(frozen=True, slots=True)
class Owner:
    """Who booted the lab."""

    pid: int
    started: int | None  # with the pid it names one process, not a later one of the same number
    user: str
    directory: str
    when: str

    @classmethod
    def me(cls) -> Self:
        """Return the calling process as owner."""
        pid = os.getpid()
        return cls(
            pid, start_time(pid), getpass.getuser(), str(Path.cwd()), datetime.now(UTC).isoformat(" ", "seconds")
        )

    @property
    def alive(self) -> bool:
        """Say whether that very process still runs (after `make lab-up` it does not, and that is right)."""
        return self.started is not None and start_time(self.pid) == self.started

    def __str__(self) -> str:
        """Describe the owner in a sentence's part."""
        running = "still running" if self.alive else "ended since"
        return f"booted {self.when} by {self.user} from {self.directory} (process {self.pid}, {running})"


@dataclass
class State:
    """The lab's memory."""

    owner: Owner
    api_port: int = 0
    complete: bool = False  # false while booting: a lab that is not whole can only be taken down
    clients: list[Client] = field(default_factory=list)  # those added to the standing ones
    cuts: list[Cut] = field(default_factory=list)
    powered_off: list[str] = field(default_factory=list)
    lan_split: bool = False

    def save(self, directory: Path) -> None:
        """Write the state, so that a reader sees the old or the new one and nothing between."""
        partial = directory / ".state.json.partial"
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        partial.replace(_file(directory))

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Read the state, or return None where there is none."""
        try:
            document: dict[str, Any] = json.loads(_file(directory).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        document["owner"] = Owner(**document["owner"])
        document["clients"] = [Client(**each) for each in document["clients"]]
        document["cuts"] = [Cut(**each) for each in document["cuts"]]
        return cls(**document)


def _file(directory: Path) -> Path:
    return directory / "state.json"
