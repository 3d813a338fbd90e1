"""A history of DHCP messages as data: what is kept of each, and how a whole one is stored and read again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import msgspec

from tests.lab.wire import NOWHERE, Packet

_FORMAT = 1


class HistoryError(ValueError):
    """A history that cannot be judged: not whole, or not ours."""


@dataclass(frozen=True, slots=True, order=True)
class Client:
    """A client; `identifier` is option 61 in hex, empty when there is none or it was not seen."""

    mac: str
    identifier: str = ""

    def may_be(self, other: Self) -> bool:
        """Tell whether both can be one client."""
        known = bool(self.identifier and other.identifier)
        return self.mac == other.mac and not (known and self.identifier != other.identifier)

    def __str__(self) -> str:
        return f"{self.mac} (identifier {self.identifier})" if self.identifier else self.mac


@dataclass(frozen=True, slots=True)
class Observation:
    """One DHCP message on its way to or from a client.

    Attributes:
        time: Seconds on the observer's monotonic clock.
        segment: On which part of the LAN.
        kind: Name of the message type: ACK, NAK, RELEASE, ...
        mac: chaddr.
        xid: Transaction id.
        client_id: Option 61 in hex, or empty.
        ciaddr: The client's address, as it says.
        yiaddr: The given address.
        requested: Option 50, or empty.
        lease: Option 51, seconds.
        server: Option 54, or empty.
    """

    time: float
    segment: str
    kind: str
    mac: str
    xid: int
    client_id: str = ""
    ciaddr: str = NOWHERE
    yiaddr: str = NOWHERE
    requested: str = ""
    lease: int | None = None
    server: str = ""

    @property
    def subject(self) -> str:
        """The address that a client's message is about; empty when about none."""
        return self.ciaddr if self.ciaddr != NOWHERE else self.requested


@dataclass(frozen=True, slots=True)
class Recording:
    """A history with what its recorder knows of itself.

    Attributes:
        observations: In no certain order.
        began: When the recorder began to listen, monotonic seconds.
        ended: When it stopped.
        wall: Seconds since the epoch when it began: for the eye that reads logs beside it.
        dropped: Messages that the kernel had no room for, and those that the recorder had none for.
    """

    observations: tuple[Observation, ...]
    began: float
    ended: float
    wall: float
    dropped: int = 0

    def whole(self) -> Self:
        """Return itself.

        Raises:
            HistoryError: Something is missing: whatever a judge says of the rest proves nothing.
        """
        if self.dropped:
            raise HistoryError(f"{self.dropped} messages were lost by the recorder: the history is not whole")
        return self

    def dump(self, file: Path) -> None:
        """Write it as JSON lines: what the recorder knows first, then a line per message."""
        head = {
            "history": _FORMAT,
            "began": self.began,
            "ended": self.ended,
            "wall": self.wall,
            "dropped": self.dropped,
        }
        with file.open("w", encoding="utf-8") as lines:
            for line in (head, *map(asdict, self.observations)):
                lines.write(json.dumps(line) + "\n")


def load(file: Path) -> Recording:
    """Read a recording.

    Raises:
        HistoryError: It is none, or not whole.
    """
    head: dict[str, float] = {}
    observations = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            if number == 1:
                head = msgspec.json.decode(line, type=dict[str, float])
            else:
                observations.append(msgspec.json.decode(line, type=Observation))
        except msgspec.MsgspecError as error:
            raise HistoryError(f"{file}:{number}: {error}") from error
    if head.pop("history", None) != _FORMAT or head.keys() != {"began", "ended", "wall", "dropped"}:
        raise HistoryError(f"{file}: no history of format {_FORMAT}")
    return Recording(tuple(observations), head["began"], head["ended"], head["wall"], int(head["dropped"]))


def observation(seen_at: float, segment: str, packet: Packet) -> Observation:
    """Return what is kept of a message."""
    return Observation(
        time=seen_at, segment=segment, kind=packet.kind.name, mac=packet.mac.hex(":"), xid=packet.xid,
        client_id=packet.client_id.hex(), ciaddr=packet.ciaddr, yiaddr=packet.yiaddr, requested=packet.requested,
        lease=packet.lease, server=packet.server,
    )  # fmt: skip
