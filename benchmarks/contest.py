"""Two pairs that take turns under the same load.

A round is four bursts: managed, bare, bare, managed, so that a steady drift of the machine cancels out. The clients are
the same in every burst, and have leases since before the first one; under a new host name in each burst. So every
exchange is the full work of both servers, to the disk and to the partner, without the second's wait for a ping that
goes before a new address, and no lease ends meanwhile.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks import perfdhcp, procfs, wires
from benchmarks.perfdhcp import Burst, Load
from benchmarks.stage import CannotRunError, Stage, await_calm, say
from benchmarks.statistics import Round
from tests.lab.shell import program

SECONDS = 6
"""Length of a burst."""

CLIENTS = 9000
"""More than begin an exchange within a burst."""

_FIRST_RATE = 600
_FASTER = 1.15
_SATURATED = 0.95  # of what is begun: a pair that completes less has more to do than it can
_MOST = CLIENTS // SECONDS
_PRIMING_RATE = 400
_CALM = 0.1
_CALM_SECONDS = 60.0
_FEW_PACKETS, _MOST_PACKETS = 0.02, 0.9
_DISTURBED = 0.1  # of a core that programs other than the lab's may take
_ATTEMPTS = 10
_QUIET_SECONDS = 1.0
_QUIET_ATTEMPTS = 120


@dataclass(frozen=True, slots=True)
class Spell:
    """A burst with what it cost.

    Attributes:
        used: Seconds of processor time by kind of component, until all rest again.
        foreign: Cores that others than the lab used meanwhile: a disturbance.
    """

    burst: Burst
    used: Mapping[str, float]
    foreign: float


@dataclass(frozen=True)
class Pair:
    """One of the two pairs, as the load sees it.

    Attributes:
        clients: Namespace of its clients.
        parts: Its processes by kind of component.
        spells: Those that count.
    """

    name: str
    clients: str
    parts: Mapping[str, list[int]]
    spells: list[Spell] = field(default_factory=list)


def saturated(bursts: Iterable[Burst]) -> bool:
    """Tell whether each burst was more than its pair could serve. Pure."""
    return all(burst.completed < burst.begun * _SATURATED for burst in bursts)


class Contest:
    """The two pairs and the load that they take turns in."""

    def __init__(self, stage: Stage, managed: Pair, bare: Pair) -> None:
        self.rate = 0
        self.repeated = 0
        self._stage = stage
        self._managed = managed
        self._bare = bare
        self._bursts = 0

    def prepare(self) -> None:
        """Give all clients their leases, prove that the LANs are apart, and find the rate."""
        for pair in (self._managed, self._bare):
            self._prime(pair)
        for pair, other in ((self._managed, self._bare), (self._bare, self._managed)):
            self._check_apart(pair, other)
        self._calibrate()

    def round(self) -> Round:
        """Let them take turns: managed, bare, bare, managed.

        Raises:
            CannotRunError: Other programs disturbed them time and again.
        """
        turns = (self._managed, self._bare, self._bare, self._managed)
        spells = self._undisturbed(turns, self.rate)
        for pair, spell in zip(turns, spells, strict=True):
            pair.spells.append(spell)
        rates = [each.burst.rate for each in spells]
        return Round((rates[0], rates[3]), (rates[1], rates[2]))

    def witness(self, *, bare: bool) -> tuple[str, int]:
        """Put one more burst, below saturation, on a pair; return its clients' host name and how many were served."""
        spell = self._spell(self._bare if bare else self._managed, _PRIMING_RATE, SECONDS)
        return f"b{self._bursts}", spell.burst.completed

    def _prime(self, pair: Pair) -> None:
        """Have each client get a lease, below saturation; a second pass for those whose first exchange got lost."""
        seconds = CLIENTS // _PRIMING_RATE + 1
        self._spell(pair, _PRIMING_RATE, seconds)
        burst = self._spell(pair, _PRIMING_RATE, seconds).burst
        if burst.completed < burst.begun * _SATURATED:
            raise CannotRunError(f"the {pair.name} pair does not keep up with {_PRIMING_RATE}/s: {burst}")

    def _check_apart(self, pair: Pair, other: Pair) -> None:
        """Prove that the traffic of one LAN reaches both its servers, and neither of the other's."""
        before = wires.received()
        begun = self._spell(pair, _PRIMING_RATE, SECONDS).burst.begun
        came = wires.received().since(before)
        own, foreign = (came.managed, came.bare) if pair is self._managed else (came.bare, came.managed)
        if min(own) < begun * _MOST_PACKETS or max(foreign) > begun * _FEW_PACKETS:
            raise CannotRunError(
                f"the LANs are not apart: of {begun} broadcasts on the {pair.name} one its nodes received {own}, and "
                f"{foreign} on the {other.name} one"
            )

    def _calibrate(self) -> None:
        """Find the first rate that neither pair keeps up with: below it, the slower one would look as good."""
        rate = _FIRST_RATE
        while rate <= _MOST:
            bursts = [spell.burst for spell in self._undisturbed((self._managed, self._bare), rate)]
            managed, bare = (round(burst.rate) for burst in bursts)
            say(f"throughput: at {rate}/s: managed {managed}/s completed, bare {bare}/s")
            if saturated(bursts):
                self.rate = rate
                self.repeated = 0
                return
            rate = int(rate * _FASTER)
        raise CannotRunError(f"a pair keeps up with the fastest load that there are clients for, {_MOST}/s")

    def _undisturbed(self, turns: tuple[Pair, ...], rate: int) -> list[Spell]:
        """Put pairs under load in turn; all of it again if other programs took a share of any turn."""
        for _ in range(_ATTEMPTS):
            self._await_quiet()
            spells: list[Spell] = []
            for pair in turns:
                spells.append(self._spell(pair, rate, SECONDS))
                if spells[-1].foreign > _DISTURBED:
                    break
            else:
                return spells
            self.repeated += 1
            say(f"throughput: other programs took {spells[-1].foreign:.0%} of a core: once more")
        raise CannotRunError(f"other programs on this machine disturbed {_ATTEMPTS} attempts in a row")

    def _spell(self, pair: Pair, rate: int, seconds: int) -> Spell:
        """Put a pair under load while the other rests, and wait until both do."""
        before = {name: procfs.cpu_seconds(pids) for name, pids in pair.parts.items()}
        foreign, began = self._stage.foreign_seconds(), time.monotonic()
        burst = self._load(pair, rate, seconds)
        foreign = (self._stage.foreign_seconds() - foreign) / (time.monotonic() - began)
        pids = [pid for each in (self._managed, self._bare) for part in each.parts.values() for pid in part]
        await_calm(pids, share=_CALM, timeout=_CALM_SECONDS)
        used = {name: procfs.cpu_seconds(pids) - before[name] for name, pids in pair.parts.items()}
        return Spell(burst, used, foreign)

    def _load(self, pair: Pair, rate: int, seconds: int) -> Burst:
        self._bursts += 1
        load = Load(rate, seconds, CLIENTS, f"b{self._bursts}")
        # perfdhcp ends with a status of its own where there were drops: the shell hides it, the report tells.
        argv = [program("sh"), "-c", '"$@" || [ $? = "$0" ]', str(perfdhcp.WITH_DROPS)]
        argv += perfdhcp.command(load, "eth0")
        burst = perfdhcp.parse(self._stage.lab.exec_client(argv, pair.clients, timeout=seconds + 30))
        if not burst.completed:
            raise CannotRunError(f"the {pair.name} pair completed no exchange at {rate}/s: {burst}")
        return burst

    def _await_quiet(self) -> None:
        """Wait until nobody else works; give up after some time, the next round will tell."""
        for _ in range(_QUIET_ATTEMPTS):
            before = self._stage.foreign_seconds()
            time.sleep(_QUIET_SECONDS)
            if self._stage.foreign_seconds() - before < _DISTURBED * _QUIET_SECONDS:
                return
