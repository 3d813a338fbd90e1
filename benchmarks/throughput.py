"""Exchanges per second of the managed pair beside the same pair bare."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks import bare, wires
from benchmarks.contest import SECONDS, Contest, Pair
from benchmarks.report import Figure, Target
from benchmarks.stage import CannotRunError, Container, Object, Stage, say
from benchmarks.statistics import Round, TooFewError, median, median_interval

ROUNDS = 10
_TARGET, _FLOOR = Target(0.98, at_most=False), Target(0.95, at_most=False)
UNSATURATED = 0.97
"""Share of what is begun; a pair that completes more of all bursts may have had time to spare."""
_NETWORK = f"{wires.MANAGED}0.0/16"
# Almost twice the clients: none goes away empty-handed, whichever server it belongs to.
_RANGE = {"start": f"{wires.MANAGED}64.0", "end": f"{wires.MANAGED}127.255"}
_LEASE = "8h"


def measure(stage: Stage, rounds: int, record: dict[str, Any]) -> list[Figure]:
    """Run the contest; return the figures, and put everything that was measured into the record as it comes."""
    stage.apply(large(stage.example()))
    stage.await_normal()
    results: list[Round] = record.setdefault("rounds", [])
    with _pairs(stage) as pairs:
        for pair in pairs:
            record[pair.name] = pair.spells
        contest = Contest(stage, *pairs)
        contest.prepare()
        record["rate"] = contest.rate
        for number in range(rounds):
            results.append(contest.round())
            say(f"throughput: round {number + 1} of {rounds}: {results[-1].ratio:.3f}")
        _check_logs(stage, _servers(stage), contest)
    how = f"{rounds} rounds ABBA, bursts of {SECONDS} s at {contest.rate}/s, {contest.repeated} disturbed ones repeated"
    return figures(results, pairs, how)


def figures(rounds: list[Round], pairs: tuple[Pair, Pair], how: str) -> list[Figure]:
    """Return the figures of a contest.

    Raises:
        CannotRunError: Too few rounds for an interval, or a pair that could have served more than it was asked to.
    """
    for pair in pairs:
        begun, completed = (sum(getattr(each.burst, key) for each in pair.spells) for key in ("begun", "completed"))
        if completed > begun * UNSATURATED:
            raise CannotRunError(f"the {pair.name} pair completed {completed} of {begun} exchanges: not saturated")
    ratios = [each.ratio for each in rounds]
    try:
        interval = median_interval(ratios)
    except TooFewError as error:
        raise CannotRunError(f"no verdict: {error}") from error
    covers = f"order statistics, covers {interval.coverage:.1%}"
    found = [
        Figure("throughput", "managed / bare, median", median(ratios), "", _TARGET, how),
        Figure("throughput", "managed / bare, interval's lower end", interval.low, "", _FLOOR, covers),
        Figure("throughput", "managed / bare, interval's upper end", interval.high, "", None, covers),
    ]
    for pair in pairs:
        rates = [each.burst.rate for each in pair.spells]
        note = f"{min(rates):.0f} to {max(rates):.0f}"
        found.append(Figure("throughput", f"{pair.name}: completed, median burst", median(rates), "/s", None, note))
        completed = sum(each.burst.completed for each in pair.spells)
        for name in pair.parts:
            used = sum(each.used[name] for each in pair.spells)
            found.append(Figure("throughput", f"{pair.name}: CPU of {name}", used / completed * 1000, "ms/exchange"))
    return found


def large(example: list[Object]) -> list[Object]:
    """Return the example with a pool that never runs out of addresses. Pure."""
    lease = {"default": _LEASE, "maximum": _LEASE}
    change = {"subnet": _NETWORK, "ranges": [_RANGE], "leaseTime": lease}
    return [{**each, "spec": {**each["spec"], **change}} if each["kind"] == "DHCPPool" else each for each in example]


@contextmanager
def _pairs(stage: Stage) -> Iterator[tuple[Pair, Pair]]:
    """Have the managed and the bare pair, each with its clients."""
    names = _servers(stage)
    managed: dict[str, list[int]] = {}
    for name in names:
        for kind, part in stage.server_parts(name).items():
            managed.setdefault(kind, []).extend(part.pids)
    managed["operator"] = _pids(stage.operators())
    with (
        wires.managed_client(stage.lab) as own_client,
        wires.second_lan() as other_client,
        bare.running(stage, names) as twins,
    ):
        runtimes = [pid for where in wires.NODES for pid in stage.runtime(where).pids]
        managed["containerd"] = runtimes
        parts = {"dhcpd": _pids(twins), "containerd": runtimes}
        yield Pair("managed", own_client, managed), Pair("bare", other_client, parts)


def _servers(stage: Stage) -> list[str]:
    """Return the names of the managed servers, the primary's first."""
    found = sorted(stage.servers(), key=lambda each: str(each["spec"]["role"]))
    return [each["metadata"]["name"] for each in found]


def _pids(parts: Mapping[str, Container]) -> list[int]:
    return [pid for part in parts.values() for pid in part.pids]


def _check_logs(stage: Stage, servers: list[str], contest: Contest) -> None:
    """Prove by the logs that no server heard the other LAN's clients, and that both pairs log every exchange."""
    for prefix, own, foreign in (("", wires.MANAGED, wires.BARE), ("bare-", wires.BARE, wires.MANAGED)):
        name, completed = contest.witness(bare=bool(prefix))
        logs = [stage.logged(f"{prefix}{server}", node) for server, node in zip(servers, wires.NODES, strict=True)]
        if any(f" via {foreign}" in log or f" via {own}" not in log for log in logs):
            raise CannotRunError(f"the servers {prefix}* served clients of the other LAN, or none of their own")
        acks = sum(1 for log in logs for line in log.splitlines() if "DHCPACK on " in line and f" ({name}) " in line)
        if acks < completed:
            raise CannotRunError(f"the servers {prefix}* logged {acks} of {completed} exchanges: no fair comparison")
