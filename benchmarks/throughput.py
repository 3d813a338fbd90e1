"""Exchanges per second of the managed pair beside the same pair bare, interleaved.

A round is four bursts: managed, bare, bare, managed. The rate is above saturation; the clients of a burst are the same
in every round, and their leases are then older than the quarter within which dhcpd answers from memory, yet young
enough to need no ping: each exchange is the full work of both servers, written to disk and told to the partner.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks import bare, perfdhcp, procfs, wires
from benchmarks.perfdhcp import Burst, Load
from benchmarks.report import Figure, Target
from benchmarks.stage import CannotRunError, Container, Object, Stage, await_calm, say
from benchmarks.statistics import Round, TooFewError, median, median_interval
from tests.lab.shell import program

ROUNDS = 10
SECONDS = 6
_TARGET, _FLOOR = Target(0.98, at_most=False), Target(0.95, at_most=False)
_NETWORK = f"{wires.MANAGED}0.0/16"
_RANGE = {"start": f"{wires.MANAGED}64.0", "end": f"{wires.MANAGED}255.254"}
# A quarter of it is less than a round takes, and all of it is more.
_LEASE = "90s"
_ROUND_SECONDS = 25.0
_RATES = (400, 600, 900, 1300, 1800, 2500)
_ABOVE = 1.15  # of the rate that the pair served best
_MOST_CLIENTS = 15_000  # of one burst: two sets of them fit into the range, with room for what is offered in vain
_BASES = ("02:a0:00:00:00:00", "02:b0:00:00:00:00")  # of a round's first and second burst of either pair
_CALM = 0.1
_CALM_SECONDS = 60.0
_FEW_PACKETS = 0.02
_MOST_PACKETS = 0.9


@dataclass
class Outcome:
    """What a pair achieved, and the seconds of processor time that each kind of its components used for it."""

    name: str
    bursts: list[Burst] = field(default_factory=list)
    used: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """One of the two pairs, as the load sees it.

    Attributes:
        clients: Namespace of its clients.
        parts: Its processes by kind of component.
    """

    clients: str
    parts: Mapping[str, list[int]]
    outcome: Outcome


class Contest:
    """The two pairs and the load that they take turns in."""

    def __init__(self, stage: Stage, managed: Pair, bare_pair: Pair) -> None:
        self._stage = stage
        self.managed = managed
        self.bare = bare_pair
        self.rate = 0

    def calibrate(self) -> None:
        """Find the rate: somewhat above the one that the bare pair serves best. All clients have leases afterwards."""
        served = {}
        for rate in _RATES:
            found = [self.burst(self.bare, rate, base, SECONDS) for base in _BASES]
            served[rate] = sum(each.rate for each in found) / len(found)
            say(f"throughput: bare at {rate}/s: {served[rate]:.0f}/s completed")
            if served[rate] < max(served.values()) * _MOST_PACKETS:
                break
        self.rate = min(math.ceil(max(served, key=lambda rate: served[rate]) * _ABOVE), _MOST_CLIENTS // SECONDS)
        self._check_isolation()
        for pair in (self.managed, self.bare):  # what was so far does not count
            pair.outcome.bursts.clear()
            pair.outcome.used.clear()

    def round(self) -> Round:
        """Let them take turns: managed, bare, bare, managed."""
        began = time.monotonic()
        first = self.burst(self.managed, self.rate, _BASES[0], SECONDS)
        second = self.burst(self.bare, self.rate, _BASES[0], SECONDS)
        third = self.burst(self.bare, self.rate, _BASES[1], SECONDS)
        fourth = self.burst(self.managed, self.rate, _BASES[1], SECONDS)
        time.sleep(max(0.0, began + _ROUND_SECONDS - time.monotonic()))
        for pair, bursts in ((self.managed, (first, fourth)), (self.bare, (second, third))):
            if not all(each.completed for each in bursts):
                raise CannotRunError(f"the {pair.outcome.name} pair completed no exchange: {bursts}")
        return Round((first.rate, fourth.rate), (second.rate, third.rate))

    def burst(self, pair: Pair, rate: int, base: str, seconds: int) -> Burst:
        """Put a pair under load while the other rests, and wait until both do."""
        load = Load(rate, seconds, rate * seconds, base)
        before = {name: procfs.cpu_seconds(pids) for name, pids in pair.parts.items()}
        said = self._perfdhcp(load, pair.clients)
        self._calm()
        for name, pids in pair.parts.items():
            used = procfs.cpu_seconds(pids) - before[name]
            pair.outcome.used[name] = pair.outcome.used.get(name, 0.0) + used
        pair.outcome.bursts.append(perfdhcp.parse(said))
        return pair.outcome.bursts[-1]

    def _perfdhcp(self, load: Load, namespace: str) -> str:
        # perfdhcp ends with a status of its own where there were drops: the shell hides it, the report tells.
        accepted = " || ".join(f"[ $? = {status} ]" for status in sorted(perfdhcp.EXIT_STATUSES)[1:])
        argv = [program("sh"), "-c", f'"$@" || {accepted}', "sh", *perfdhcp.command(load, "eth0")]
        return self._stage.lab.exec_client(argv, namespace, timeout=load.seconds + 30)

    def _calm(self) -> None:
        pids = [pid for pair in (self.managed, self.bare) for part in pair.parts.values() for pid in part]
        await_calm(pids, share=_CALM, timeout=_CALM_SECONDS)

    def _check_isolation(self) -> None:
        """Prove that the traffic of one LAN reaches both its servers, and neither of the other's."""
        for pair in (self.managed, self.bare):
            before = wires.received()
            begun = self.burst(pair, self.rate, _BASES[0], SECONDS).begun
            came = wires.received().since(before)
            own, foreign = (came.managed, came.bare) if pair is self.managed else (came.bare, came.managed)
            if min(own) < begun * _MOST_PACKETS or max(foreign) > begun * _FEW_PACKETS:
                raise CannotRunError(
                    f"the LANs are not apart: of {begun} broadcasts on the {pair.outcome.name} one its nodes received "
                    f"{own}, and on the other {foreign}"
                )


def measure(stage: Stage, rounds: int = ROUNDS) -> tuple[list[Figure], dict[str, Any]]:
    """Run the contest; return the figures and everything that was measured."""
    stage.apply(large(stage.example()))
    stage.await_normal()
    with _contest(stage) as contest:
        contest.calibrate()
        results = []
        for number in range(rounds):
            results.append(contest.round())
            say(f"throughput: round {number + 1} of {rounds}: {results[-1].ratio:.3f}")
        _check_logs(stage)
    stage.world.remove_example()
    outcomes = [contest.managed.outcome, contest.bare.outcome]
    record = {
        "rate": contest.rate,
        "rounds": [{**asdict(each), "ratio": each.ratio} for each in results],
        "outcomes": [asdict(each) for each in outcomes],
    }
    return figures(results, outcomes, contest.rate), record


def figures(rounds: list[Round], outcomes: list[Outcome], rate: int) -> list[Figure]:
    """Return the figures of a contest.

    Raises:
        CannotRunError: Too few rounds for an interval.
    """
    ratios = [each.ratio for each in rounds]
    try:
        interval = median_interval(ratios)
    except TooFewError as error:
        raise CannotRunError(f"no verdict: {error}") from error
    how = f"{len(ratios)} rounds ABBA, {SECONDS} s bursts of {rate}/s"
    covers = f"order statistics, covers {interval.coverage:.1%}"
    found = [
        Figure("throughput", "managed / bare, median", median(ratios), "", _TARGET, how),
        Figure("throughput", "managed / bare, interval's lower end", interval.low, "", _FLOOR, covers),
        Figure("throughput", "managed / bare, interval's upper end", interval.high, "", None, covers),
    ]
    for pair in outcomes:
        rates = [each.rate for each in pair.bursts]
        found.append(Figure("throughput", f"{pair.name}: completed, median burst", median(rates), "/s"))
        completed = sum(each.completed for each in pair.bursts)
        for name, seconds in pair.used.items():
            found.append(Figure("throughput", f"{pair.name}: CPU of {name}", seconds / completed * 1000, "ms/exchange"))
    return found


def large(example: list[Object]) -> list[Object]:
    """Return the example with a pool that never runs out of addresses. Pure."""
    objects = []
    for each in example:
        if each["kind"] == "DHCPPool":
            lease = {"default": _LEASE, "maximum": _LEASE, "minimum": _LEASE}
            each = {**each, "spec": {**each["spec"], "subnet": _NETWORK, "ranges": [_RANGE], "leaseTime": lease}}  # noqa: PLW2901 - the changed one
        objects.append(each)
    return objects


@contextmanager
def _contest(stage: Stage) -> Iterator[Contest]:
    servers = sorted(stage.servers(), key=lambda each: each["spec"]["role"])
    names = [each["metadata"]["name"] for each in servers]
    managed: dict[str, list[int]] = {}
    for name in names:
        for kind, part in stage.server_parts(name).items():
            managed.setdefault(kind, []).extend(part.pids)
    managed["operator"] = [pid for part in stage.operators().values() for pid in part.pids]
    with (
        wires.managed_client(stage.lab) as own_client,
        wires.second_lan() as other_client,
        bare.running(stage, names) as twins,
    ):
        runtimes = _runtimes(stage)
        yield Contest(
            stage,
            Pair(own_client, {**managed, "containerd": runtimes}, Outcome("managed")),
            Pair(other_client, {"dhcpd": _pids(twins), "containerd": runtimes}, Outcome("bare")),
        )


def _runtimes(stage: Stage) -> list[int]:
    return [pid for where in wires.NODES for pid in stage.named(where, "containerd").pids]


def _pids(parts: Mapping[str, Container]) -> list[int]:
    return [pid for part in parts.values() for pid in part.pids]


def _check_logs(stage: Stage) -> None:
    """Prove by what the servers say that none of them saw the other LAN's clients."""
    for server in sorted(each["metadata"]["name"] for each in stage.servers()):
        for pod, container, foreign in ((server, "server", wires.BARE), (f"bare-{server}", "server", wires.MANAGED)):
            said = stage.lab.kubectl("logs", pod, f"--container={container}", "--tail=20000")
            if f"via {foreign}" in said or "via" not in said:
                raise CannotRunError(f"{pod} served clients of the other LAN, or none:\n{said[-1000:]}")
