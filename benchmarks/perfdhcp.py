"""perfdhcp, the load generator of Debian's kea-admin: its command line, and what it says at the end. Pure."""

import re
from dataclasses import dataclass

# dhcpd waits a second for an answer to its ping before it offers an address that nobody had: no drop, that.
_DROP_SECONDS = 5
_HOST_NAME = 12
_BASE = "02:a0:00:00:00:00"
WITH_DROPS = 3
"""Exit status where something was dropped, as it always is above saturation."""


class UnreadableError(ValueError):
    """Not what perfdhcp says when it has done its work."""


@dataclass(frozen=True, slots=True)
class Load:
    """A burst of four-way exchanges.

    Attributes:
        rate: Exchanges begun per second.
        seconds: For so long.
        clients: Of so many clients in turn.
        host_name: What all of them call themselves. To a client that comes back early and unchanged dhcpd gives the
            lease it remembers, without a word to the disk or to its partner; one with a new name gets it all.
    """

    rate: int
    seconds: int
    clients: int
    host_name: str


@dataclass(frozen=True, slots=True)
class Burst:
    """What came of it.

    Attributes:
        rate: Exchanges completed per second.
        begun: DISCOVERs sent.
        offered: OFFERs received in time.
        completed: ACKs received in time.
        delays: Mean milliseconds from DISCOVER to OFFER and from REQUEST to ACK.
    """

    rate: float
    begun: int
    offered: int
    completed: int
    delays: tuple[float, float]


def command(load: Load, link: str) -> list[str]:
    """Return the command line; perfdhcp plays a relay with the link's address, but sends to the broadcast address."""
    clients = ["-b", f"mac={_BASE}", "-R", str(load.clients)]
    clients += ["-o", f"{_HOST_NAME},{load.host_name.encode('ascii').hex()}"]
    return ["perfdhcp", "-4", "-B", "-l", link, *clients, "-d", str(_DROP_SECONDS),
            "-r", str(load.rate), "-p", str(load.seconds)]  # fmt: skip


def parse(said: str) -> Burst:
    """Read the final report.

    Raises:
        UnreadableError: It is none.
    """
    rate = re.search(r"^Rate: ([\d.e+]+) 4-way exchanges/second", said, re.MULTILINE)
    offers, acks = (_section(said, name) for name in ("DISCOVER-OFFER", "REQUEST-ACK"))
    if rate is None:
        raise UnreadableError(f"perfdhcp reports no rate:\n{said[-2000:]}")
    return Burst(
        rate=float(rate[1]),
        begun=int(_value(offers, "sent packets")),
        offered=int(_value(offers, "received packets")),
        completed=int(_value(acks, "received packets")),
        delays=(_value(offers, "avg delay"), _value(acks, "avg delay")),
    )


def _section(said: str, name: str) -> str:
    _, found, rest = said.partition(f"***Statistics for: {name}***")
    if not found:
        raise UnreadableError(f"perfdhcp reports no {name}:\n{said[-2000:]}")
    return rest.partition("***")[0]


def _value(section: str, key: str) -> float:
    match = re.search(rf"^{key}: ([\d.e+-]+)", section, re.MULTILINE)
    if match is None:
        # Without a single reply there is no delay to report.
        if key.endswith("delay"):
            return float("nan")
        raise UnreadableError(f"perfdhcp reports no {key!r}:\n{section}")
    return float(match[1])
