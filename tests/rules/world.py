"""What Prometheus has scraped of one pair, minute by minute, as promtool's unit tests want it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from twinlease.metrics import table
from twinlease.metrics.sample import Sample
from twinlease.metrics.table import Kind, Metric
from twinlease.model.states import Role

STEP_SECONDS = 30
LENGTH_MINUTES = 120

Piece: TypeAlias = tuple[float | str | None, float]
"""A value and for how many minutes; None: there is no series."""

PAIR = {"namespace": "net", "pair": "lan"}
SERVERS = {str(role): {**PAIR, "server": f"lan-{role}", "role": str(role)} for role in Role}
PRIMARY, SECONDARY = (SERVERS[str(role)] for role in Role)
TARGET = {"instance": "10.0.0.1:7913", "pod": "some"}
"""Labels that Prometheus adds: every alert must do without them."""


class World:
    """Series by metric and labels; whatever is set is so from the beginning on, and its last piece goes on."""

    def __init__(self) -> None:
        self._series: dict[str, Sequence[Piece]] = {}
        self._known: dict[str, tuple[Metric, tuple[str, ...]]] = {}

    def put(self, metric: Metric, labels: Mapping[str, str], *pieces: Piece | float | str) -> "World":
        """Set a series; a number stands for a piece that goes on for ever."""
        assert set(labels) == set(metric.labels), f"{metric.name}: {sorted(labels)}"
        made = [piece if isinstance(piece, tuple) else (piece, float(LENGTH_MINUTES)) for piece in pieces]
        selector = _selector(metric.name, labels)
        self._series[selector] = made
        self._known[selector] = metric, tuple(labels[each] for each in metric.labels)
        return self

    def states(self, metric: Metric, labels: Mapping[str, str], *pieces: Piece | str) -> "World":
        """Set a metric with one series for each value: the pieces hold the values."""
        assert metric.kind is Kind.STATES
        made = [piece if isinstance(piece, tuple) else (piece, float(LENGTH_MINUTES)) for piece in pieces]
        assert {value for value, _ in made if value is not None} <= {*metric.values, ""}
        for each in metric.values:
            one = [(None if value is None else float(value == each), minutes) for value, minutes in made]
            self.put(metric, {**labels, metric.labels[-1]: each}, *one)
        return self

    def info(
        self, metric: Metric, labels: Mapping[str, str], *pieces: tuple[Mapping[str, str] | None, float]
    ) -> "World":
        """Set a metric whose labels say something: a series for each, there while it is so."""
        assert metric.kind is Kind.INFO
        self._series = {
            selector: pieces
            for selector, pieces in self._series.items()
            if not (
                selector.startswith(f"{metric.name}{{")
                and all(f'{key}="{value}"' in selector for key, value in labels.items())
            )
        }
        known = [dict(said) for said, _ in pieces if said is not None]
        for each in known:
            one: list[Piece] = [
                (1.0 if said is not None and dict(said) == each else None, span) for said, span in pieces
            ]
            self.put(metric, {**labels, **each}, *one)
        return self

    def silent(self, server: Mapping[str, str], after: float, back: float = LENGTH_MINUTES) -> "World":
        """Have all that a server's sidecar says disappear after so many minutes, and return at minute ``back``."""
        for selector, pieces in self._series.items():
            own = selector.startswith(("twinlease_server_", "twinlease_pool_"))
            if own and f'server="{server["server"]}"' in selector:
                self._series[selector] = _cut(pieces, after, back)
        return self

    def deleted(self, after: float) -> "World":
        """Have the pair deleted after so many minutes: of it and of its servers nothing is told any more."""
        for selector, pieces in self._series.items():
            if f'pair="{PAIR["pair"]}"' in selector:
                self._series[selector] = _cut(pieces, after, LENGTH_MINUTES)
        return self

    def at(self, minutes: float) -> Iterator[Sample]:
        """Yield what is exported at a time."""
        place = int(minutes * 60 / STEP_SECONDS)
        for selector, pieces in self._series.items():
            value = _samples(pieces)[place]
            if value is not None:
                yield Sample(*self._known[selector], float(value))

    def as_input(self) -> list[dict[str, str]]:
        """Return the input series of a promtool test."""
        return [{"series": selector, "values": _values(pieces)} for selector, pieces in self._series.items()]


def _selector(name: str, labels: Mapping[str, str]) -> str:
    matchers = ",".join(f'{key}="{value}"' for key, value in {**labels, **TARGET}.items())
    return f"{name}{{{matchers}}}"


def _samples(pieces: Sequence[Piece]) -> list[float | str | None]:
    found: list[float | str | None] = []
    for value, minutes in pieces:
        found += [value] * round(minutes * 60 / STEP_SECONDS)
    whole = LENGTH_MINUTES * 60 // STEP_SECONDS
    return (found + [found[-1]] * whole)[:whole]


def _cut(pieces: Sequence[Piece], after: float, back: float) -> list[Piece]:
    step = STEP_SECONDS / 60
    return [(None if after <= place * step < back else value, step) for place, value in enumerate(_samples(pieces))]


def _values(pieces: Sequence[Piece]) -> str:
    told, before = [], None
    for value in _samples(pieces):
        told.append(("_" if before is None else "stale") if value is None else f"{value}")
        before = value
    return " ".join(told)


def rising(begin: float, span: float, *, by: float = 1, until: float = LENGTH_MINUTES) -> list[Piece]:
    """Return the pieces of a counter that rises after each span of minutes, and stays as it is from ``until`` on."""
    count = int(until / span)
    return [*((begin + by * place, span) for place in range(count)), (begin + by * count, LENGTH_MINUTES)]


def healthy() -> World:
    """Return a pair as it should be: both normal, half of the pool free and shared evenly."""
    world = World()
    world.put(table.BUILD_INFO, {"component": "operator", "version": "1.0.0"}, 1)
    world.put(table.LEADING, {}, 1).put(table.GUARDED, {}, 1)
    for each in SERVERS.values():
        _server(world, each)
    for type_, status, reason in (
        ("Valid", "True", "Accepted"),
        ("Available", "True", "Serving"),
        ("Redundant", "True", "Normal"),
        ("PartnerDown", "False", "Normal"),
    ):
        world.info(
            table.PAIR_CONDITION, {**PAIR, "type": type_}, ({"status": status, "reason": reason}, LENGTH_MINUTES)
        )
    world.info(table.VERDICT, PAIR, ({"action": "Nothing", "reason": "Normal"}, LENGTH_MINUTES))
    world.states(table.PHASE, PAIR, "Both").states(table.SURVIVOR, PAIR, "")
    world.put(table.PAIR_SERVING, PAIR, 2).put(table.PAIR_EPOCH, PAIR, 7)
    for kind in ("DHCPPool", "DHCPReservation"):
        for valid in ("true", "false"):
            world.put(table.OBJECTS, {**PAIR, "kind": kind, "valid": valid}, float(valid == "true"))
    world.put(table.METRICS_PORT, PAIR, 7913).put(table.FENCE_WANTED, PAIR, 1)
    return world.put(table.FAILURES, PAIR, 0)


def _server(world: World, server: Mapping[str, str]) -> None:
    for metric in (table.GUARD_UP, table.RUNNING, table.SERVING, table.FENCE, table.PEER_HEARD, table.CONFIG_CURRENT):
        world.put(metric, server, 1)
    for metric in (table.CONFIG_REJECTED, table.MAINTENANCE, table.INTERRUPTION, table.UNACKED, table.LOOK_AGE):
        world.put(metric, server, 0)
    world.states(table.STATE, server, "Normal").states(table.PARTNER_STATE, server, "Normal")
    world.states(table.PAIR_SERVER_STATE, server, "Normal")
    world.states(table.PERMIT, server, "Held").put(table.PERMIT_REMAINING, server, 220).put(
        table.RENEWAL_AGE, server, 20
    )
    world.put(table.PROMISE_REQUESTS, server, *rising(0, 0.5, by=30)).put(
        table.PROMISES_RECEIVED, server, *rising(0, 0.5, by=30)
    )
    world.states(table.DATABASE, server, "Intact").put(table.CLOCK_OFFSET, server, 0.1)
    world.put(table.INTERRUPTIONS, server, 3).put(table.STARTS, server, 1).put(table.DAMAGE, server, 0)
    for reason in ("Stopped", "PermitEnded", "Exited"):
        world.put(table.EXITS, {**server, "reason": reason}, 0)
    for component in ("sidecar", "guard", "engine"):
        world.put(table.SERVER_VERSION, {**server, "component": component, "version": "1.0.0"}, 1)
    pool = {**server, "pool": "office"}
    for state, count in (("active", 75), ("free", 40), ("backup", 40), ("abandoned", 0), ("other", 0)):
        world.put(table.POOL_ADDRESSES, {**pool, "state": state}, count)
    for owner in ("own", "peer"):
        world.put(table.POOL_FREE, {**pool, "owner": owner}, 40)
    world.put(table.POOL_RUNWAY, pool, "Inf")
