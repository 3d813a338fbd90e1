"""Everything together: a state is five numbers, each the name of a part in a table; here are its successors.

Parts repeat much more often than states do. So whatever happens to a part, or between two, is worked out once.
"""

from collections.abc import Hashable, Iterator
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from msgspec.structs import replace

from tests.model import pairing, state
from tests.model.decisions import CONFIRMED, Decisions, with_own
from tests.model.explore import State
from tests.model.invariants import NEWS_LOST, broken
from tests.model.pairing import Pairing, linkable
from tests.model.patches import Patches, seen
from tests.model.server import SERVING, Alone, answers, killed
from tests.model.state import NEVER_SEEN, Net, Operator, Server, Sight
from twinlease.api.servinglease import Bound, Grant, ServingLeaseSpec, Start
from twinlease.decide.evidence import stopped
from twinlease.decide.pairview import entry, with_grant
from twinlease.decide.permit import Permit, Promiser
from twinlease.model import durations
from twinlease.model.states import Role

T = TypeVar("T", bound=Hashable)
LEASE, ONE, TWO, OPERATOR, NET = range(5)
Move = tuple[str, State]
TICK = "- tick"
_STARTED = (" and starts: ", "is started again", "enters partner-down")
_NO_DRIFT = ((0, 0),)
_DRIFTS = ((0, 0), (0, 1), (1, 0), (1, 1))
PLACE = {Role.PRIMARY: ONE, Role.SECONDARY: TWO}


class Table(Generic[T]):
    """Parts by number."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self.parts: list[T] = []

    def number(self, part: T) -> int:
        """Return the number of a part."""
        found = self._numbers.get(part)
        if found is None:
            found = self._numbers[part] = len(self.parts)
            self.parts.append(part)
        return found


class Scenario(NamedTuple):
    """What may go wrong, how often, and to whom."""

    name: str
    faults: int = 1
    slow: int = 0
    on: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """Kinds of faults of the primary and of the secondary."""
    world: tuple[str, ...] = ()
    """Kinds of faults of the rest."""
    prompt: tuple[Role, ...] = ()
    """Servers whose sidecars reach the API at any time, and use it at once; the others take any time, or for ever."""
    asking: tuple[Role, ...] = (Role.PRIMARY, Role.SECONDARY)
    """Servers that ask for promises."""
    offline: tuple[Role, ...] = ()
    """Servers that never reach the API."""
    quick: bool = False
    """The operator decides as soon as there is something to decide; otherwise at any time, or never."""
    drift: bool = False
    begin: str = "normal"
    """normal (both serve), first (nothing was ever there)"""


class World:
    """The successors of a state, for a scenario and without some rules."""

    def __init__(self, scenario: Scenario, removed: frozenset[str] = frozenset()) -> None:
        self.scenario = scenario
        self.decide = Decisions(removed)
        self.machine = Alone(self.decide)
        self.patches = Patches(self.decide, self.machine)
        self.pairing = Pairing(self.decide, self.machine)
        self.leases: Table[ServingLeaseSpec] = Table()
        self.servers: Table[Server] = Table()
        self.operators: Table[Operator] = Table()
        self.nets: Table[Net] = Table()
        for name in ("_decides", "_patched", "_alone", "_together", "_faults", "_returns", "_human", "_heard_of"):
            setattr(self, name, lru_cache(None)(getattr(self, name)))
        for name in (
            "_older",
            "_waited",
            "_aged_net",
            "_mode",
            "_linkable",
            "_apart",
            "_unlinked",
            "_alive",
            "_broken",
            "_cut",
            "_another_leads",
        ):
            setattr(self, name, lru_cache(None)(getattr(self, name)))

    # --- the beginning ------------------------------------------------------------------------------------------------
    def start(self) -> State:
        """Return the state in which all begins."""
        lease = ServingLeaseSpec(
            max_lease=Bound(duration=durations.text(state.LEASE)), mclt=Bound(duration=durations.text(state.MCLT))
        )
        servers = {role: Server() for role in Role}
        if self.scenario.begin == "normal":
            lease, servers = self._normal(lease, servers)
        net = Net(linked=self.scenario.begin == "normal", faults=self.scenario.faults, slow=self.scenario.slow)
        operator = Operator()
        if self.scenario.begin == "first":
            unknown = Sight(age=NEVER_SEEN)
            operator = Operator(primary=unknown, secondary=unknown)
        return self._state(lease, servers[Role.PRIMARY], servers[Role.SECONDARY], operator, net)

    def _normal(
        self, lease: ServingLeaseSpec, servers: dict[Role, Server]
    ) -> tuple[ServingLeaseSpec, dict[Role, Server]]:
        lease = replace(lease, epoch=2, established=True)
        for epoch, role in enumerate(Role, 1):
            grant = Grant(
                holder="1",
                node=role,
                epoch=epoch,
                start=Start.RESUME,
                duration=durations.text(state.D),
                promise=durations.text(state.PROMISE),
                max_promise=durations.text(state.MAX_PROMISE),
            )
            lease = with_grant(lease, role, grant)
        for role in Role:
            lease = with_own(lease, role, replace(entry(lease, role).own, lineage=CONFIRMED))
        for role in Role:
            permit = Permit().renewal(0.0, state.D)
            server = Server(daemon="normal", recorded="normal", database="intact", proven=self.machine.kernel)
            server = server._replace(
                grant=entry(lease, role).grant.epoch, permit=permit, left=self.decide.deadline(permit)
            )
            server = server._replace(seen=seen(lease, role, server), record=server.record._replace(epoch=2))
            servers[role] = server
        for role, server in servers.items():
            lease = with_own(lease, role, self.patches.own(role, server, lease, state.D))
        return lease, servers

    def _state(self, lease: ServingLeaseSpec, one: Server, two: Server, operator: Operator, net: Net) -> State:
        return (
            self.leases.number(lease),
            self.servers.number(one),
            self.servers.number(two),
            self.operators.number(operator),
            self.nets.number(net),
        )

    # --- what may happen ----------------------------------------------------------------------------------------------
    def successors(self, at: State) -> Iterator[Move]:
        """Yield what may happen in a state, and the state after it."""
        lease, one, two, operator, net = at
        if (urgent := self._urgent(at)) is not None:
            yield from urgent
            return
        for what, written, heard in self._decides(lease, operator):
            yield what, (written, one, two, heard, net)
        for role in Role:
            yield from self._writes(role, at)
        for what, after, between in (*self._alone(Role.PRIMARY, one, net), *self._faults(Role.PRIMARY, one, net)):
            yield what, (lease, after, two, operator, between)
        for what, after, between in (*self._alone(Role.SECONDARY, two, net), *self._faults(Role.SECONDARY, two, net)):
            yield what, (lease, one, after, operator, between)
        for what, first, second, between in self._together(one, two, net):
            yield what, (lease, first, second, operator, between)
        yield from self._ticks(at)
        yield from self._world(at)

    def _urgent(self, at: State) -> list[Move] | None:
        """Return what happens before anything else, for those that are quick in this scenario; None: nothing."""
        if self.scenario.quick:
            found: list[Move] = [
                (what, (written, at[ONE], at[TWO], heard, at[NET]))
                for what, written, heard in self._decides(at[LEASE], at[OPERATOR])
            ]
            if found:
                return found
        for role in self.scenario.prompt:
            moves = [move for move in self._writes(role, at) if move[1] != at]
            if moves:
                return moves
        return None

    def _writes(self, role: Role, at: State) -> Iterator[Move]:
        if role in self.scenario.offline:
            return
        lease, one, two, operator, net = at
        slow = self.nets.parts[net].slow > 0 and role not in self.scenario.prompt
        for what, after, changed, written, between in self._patched(role, lease, at[PLACE[role]], net if slow else -1):
            first, second = (after, two) if role is Role.PRIMARY else (one, after)
            left = net if between < 0 else between
            if after != at[PLACE[role]] and self._apart(after, what):
                left = self._unlinked(left)
            for heard, late in self._heard_of(changed, operator, role) if written else ((operator, ""),):
                yield what + late, (changed, first, second, heard, left)

    def _ticks(self, at: State) -> Iterator[Move]:
        lease, one, two, operator, net = at
        modes = self._mode(one), self._mode(two)
        knows = self._waited(lease, operator)
        for first, second in _DRIFTS if self.scenario.drift else _NO_DRIFT:
            older, passed = self._older(one, first, modes[1])
            other, elapsed = self._older(two, second, modes[0])
            between = self._aged_net(net, passed, elapsed, linked=self._alive(older, other))
            odd = "" if passed == elapsed == 1 else f" ({passed} by the primary's clock, {elapsed} by the secondary's)"
            yield f"{TICK}{odd}", (lease, older, other, knows, between)

    def _world(self, at: State) -> Iterator[Move]:
        lease, one, two, operator, net = at
        for role in Role:
            for what, after, between in self._returns(role, at[PLACE[role]], net):
                first, second = (after, two) if role is Role.PRIMARY else (one, after)
                yield what, (lease, first, second, operator, between)
        for what, between in self._cut(net, linked=self._linkable(one, two)):
            yield what, (lease, one, two, operator, between)
        if "operator" in self.scenario.world:
            for what, knows, between in self._another_leads(operator, net):
                yield what, (lease, one, two, knows, between)
        if "human" in self.scenario.world:
            powers = self.servers.parts[one].power, self.servers.parts[two].power
            for what, knows in self._human(lease, operator, powers):
                yield what, (lease, one, two, knows, net)

    def broken(self, label: str, at: State) -> str | None:
        """Return which invariant is broken by what happened, or in the state after it."""
        if NEWS_LOST in label:
            return "3: a contact loses leases that one of the two gave"
        return self._broken(at[ONE], at[TWO])

    def _broken(self, one: int, two: int) -> str | None:
        return broken(self.servers.parts[one], self.servers.parts[two])

    # --- the servers --------------------------------------------------------------------------------------------------
    def _patched(self, role: Role, lease: int, server: int, net: int) -> list[tuple[str, int, int, bool, int]]:
        now, found = self.leases.parts[lease], []
        for what, after, changed, written in self.patches.steps(role, self.servers.parts[server], now, slow=net >= 0):
            spent = -1
            if what.endswith("sends a renewal"):
                before = self.nets.parts[net]
                spent = self.nets.number(before._replace(slow=before.slow - 1))
            numbers = self.servers.number(after), self.leases.number(changed)
            found.append((what, *numbers, written, spent))
        return found

    def _alone(self, role: Role, server: int, net: int) -> list[tuple[str, int, int]]:
        between, found = self.nets.parts[net], []
        for what, after in self.machine.steps(role, self.servers.parts[server], linked=between.linked):
            changed = pairing.forgotten(between, role) if "sidecar starts" in what else between
            number, net_after = self.servers.number(after), self.nets.number(changed)
            found.append((what, number, self._unlinked(net_after) if self._apart(number, what) else net_after))
        return found

    def _together(self, one: int, two: int, net: int) -> list[tuple[str, int, int, int]]:
        steps = self.pairing.steps(
            self.servers.parts[one], self.servers.parts[two], self.nets.parts[net], self.scenario.asking
        )
        number = self.servers.number
        return [
            (what, number(first), number(second), self.nets.number(between)) for what, (first, second), between in steps
        ]

    def _mode(self, server: int) -> str:
        """Return how a server answers, as far as it matters to the other's leases."""
        part = self.servers.parts[server]
        return ("pd" if part.daemon == "pd" else "any") if answers(part) else ""

    def _apart(self, server: int, what: str) -> bool:
        """Tell whether a daemon is not the one any more that had contact."""
        return self.servers.parts[server].daemon == "off" or any(word in what for word in _STARTED)

    def _unlinked(self, net: int) -> int:
        return self.nets.number(self.nets.parts[net]._replace(linked=False))

    def _alive(self, one: int, two: int) -> bool:
        return "off" not in {self.servers.parts[one].daemon, self.servers.parts[two].daemon}

    def _linkable(self, one: int, two: int) -> bool:
        return linkable(self.servers.parts[one], self.servers.parts[two])

    def _older(self, server: int, fast: int, partner: str) -> tuple[int, int]:
        before = self.servers.parts[server]
        ticks = 1 + fast - before.fast
        return self.servers.number(self.machine.aged(before._replace(fast=fast), ticks, partner)), ticks

    def _aged_net(self, net: int, passed: int, elapsed: int, *, linked: bool) -> int:
        before = self.nets.parts[net]
        between = before if linked else before._replace(linked=False)
        return self.nets.number(pairing.aged(between, {Role.PRIMARY: passed, Role.SECONDARY: elapsed}))

    # --- the operator -------------------------------------------------------------------------------------------------
    def _heard_of(self, lease: int, operator: int, role: Role) -> list[tuple[int, str]]:
        """Return what the operator knows after a server's write, at once or with a late watch."""
        knows, now = self.operators.parts[operator], self.leases.parts[lease]
        found = [(self.operators.number(self._heard(now, knows, role)), "")]
        if "late watch" in self.scenario.world:
            late = self._stale_prepared(knows)._replace(unseen=_flagged(knows.unseen, role, on=True))
            found.append((self.operators.number(late), " (the watch is late)"))
        return found

    def _heard(self, lease: ServingLeaseSpec, operator: Operator, role: Role) -> Operator:
        unseen = _flagged(operator.unseen, role, on=False)
        sight = operator.sight(role)._replace(age=0, silent=0)
        return self._checked(lease, self._stale_prepared(operator)._replace(unseen=unseen).with_sight(role, sight))

    def _stale_prepared(self, operator: Operator) -> Operator:
        return operator if self.decide.without("compare-and-swap") else operator._replace(prepared=None)

    def _checked(self, lease: ServingLeaseSpec, operator: Operator) -> Operator:
        """Return the operator with its count of how long a server was proven stopped, broken where it was not."""
        view = self.decide.view(lease, operator)
        for role in Role:
            sight = operator.sight(role)
            confirmed = sight.confirmed if sight.confirmed == lease.epoch else 0
            gone = sight.gone if stopped(view, role) else 0
            operator = operator.with_sight(role, sight._replace(gone=gone, confirmed=confirmed))
        return operator

    def _decides(self, lease: int, operator: int) -> list[tuple[str, int, int]]:
        now, knows = self.leases.parts[lease], self.operators.parts[operator]
        if any(knows.unseen):
            late = [role for role, unseen in zip(Role, knows.unseen, strict=True) if unseen]
            return [
                (f"operator: hears of the {role}'s write", lease, self.operators.number(self._heard(now, knows, role)))
                for role in late
            ]
        moves = []
        if knows.prepared is not None:
            after = self._checked(self.leases.parts[knows.prepared], knows._replace(prepared=None))
            what = "operator 2: wakes up and writes what it had decided"
            moves.append((what, knows.prepared, self.operators.number(after)))
        found = self.decide.judge(now, knows)
        if found is None:
            return moves
        what, written = found
        after = self._checked(written, self._stale_prepared(knows))
        number = self.leases.number(written)
        moves.append((f"operator: {what} (epoch {written.epoch})", number, self.operators.number(after)))
        if "two operators" in self.scenario.world and knows.prepared is None:
            waiting = self.operators.number(knows._replace(prepared=number))
            moves.append((f"operator 2: decides {what}, and stops before it writes", lease, waiting))
        return moves

    def _waited(self, lease: int, operator: int) -> int:
        knows = self.operators.parts[operator]
        view = self.decide.view(self.leases.parts[lease], knows)
        for role, unseen in zip(Role, knows.unseen, strict=True):
            sight = knows.sight(role)
            age = sight.age if sight.age == NEVER_SEEN else min(sight.age + 1, state.FORGET)
            silent = min(sight.silent + 1, state.FORGET)
            gone = min(sight.gone + 1, state.MCLT + 1) if stopped(view, role) else 0
            if not unseen:
                knows = knows.with_sight(role, sight._replace(age=age, silent=silent, gone=gone))
        return self.operators.number(knows)

    # --- faults -------------------------------------------------------------------------------------------------------
    def _faults(self, role: Role, server: int, net: int) -> list[tuple[str, int, int]]:
        between, part, found = self.nets.parts[net], self.servers.parts[server], []
        if not between.faults or not part.power:
            return []
        spent = between._replace(faults=between.faults - 1)
        for what, after in self._befalls(role, part, self._kinds(role)):
            changed = pairing.forgotten(spent, role) if not after.sidecar else spent
            changed = changed._replace(linked=changed.linked and after.daemon != "off")
            found.append((what, self.servers.number(after), self.nets.number(changed)))
        return found

    def _kinds(self, role: Role) -> tuple[str, ...]:
        return self.scenario.on[0 if role is Role.PRIMARY else 1]

    def _befalls(self, role: Role, server: Server, kinds: tuple[str, ...]) -> Iterator[tuple[str, Server]]:
        if "power" in kinds:
            yield f"{role}: THE NODE LOSES POWER", self.machine.crashed(server)
        if "freeze" in kinds and not server.frozen:
            yield f"{role}: THE NODE FREEZES", server._replace(frozen=True)
        if server.frozen:
            return
        if "daemon" in kinds and server.daemon != "off":
            yield f"{role}: THE DAEMON DIES", killed(server)
            yield from self.machine.interrupted(role, server)
        if "sidecar" in kinds and server.sidecar:
            yield f"{role}: THE SIDECAR DIES", server._replace(sidecar=False, permit=Permit(), promiser=Promiser())
        if "pod" in kinds and server.daemon in SERVING:
            yield f"{role}: THE POD IS REPLACED, the old daemon still runs", self.machine.replaced(server)

    def _returns(self, role: Role, server: int, net: int) -> list[tuple[str, int, int]]:
        part, between, found = self.servers.parts[server], self.nets.parts[net], []
        if part.power:
            return []
        for disk in ("as it was", "stale", "lost"):
            if disk == "as it was" or (disk in self._kinds(role) and between.faults):
                left = between if disk == "as it was" else between._replace(faults=between.faults - 1)
                after = self.servers.number(self.machine.booted(part, disk))
                changed = self.nets.number(pairing.forgotten(left, role))
                found.append((f"{role}: the node is back, its disk is {disk}", after, changed))
        return found

    def _cut(self, net: int, *, linked: bool) -> list[tuple[str, int]]:
        between = self.nets.parts[net]
        if not between.linked:
            return []
        apart = between._replace(linked=False)
        if not linked:
            return [("link: is lost", self.nets.number(apart))]
        if "cut" in self.scenario.world and between.faults:
            return [("link: THE LINK IS CUT", self.nets.number(apart._replace(faults=between.faults - 1)))]
        return []

    def _another_leads(self, operator: int, net: int) -> list[tuple[str, int, int]]:
        between, knows = self.nets.parts[net], self.operators.parts[operator]
        if not between.faults:
            return []
        for role in Role:
            knows = knows.with_sight(role, knows.sight(role)._replace(age=NEVER_SEEN, silent=0, gone=0))
        spent = self.nets.number(between._replace(faults=between.faults - 1))
        return [("operator: ANOTHER ONE LEADS", self.operators.number(knows), spent)]

    def _human(self, lease: int, operator: int, powers: tuple[bool, bool]) -> list[tuple[str, int]]:
        knows, epoch, found = self.operators.parts[operator], self.leases.parts[lease].epoch, []
        for role, power in zip(Role, powers, strict=True):
            sight = knows.sight(role)
            if not power and sight.confirmed != epoch:
                said = knows.with_sight(role, sight._replace(confirmed=epoch))
                found.append((f"human: confirms that the {role} is dead", self.operators.number(said)))
            if not power and not sight.tainted:
                said = knows.with_sight(role, sight._replace(tainted=True))
                found.append((f"human: taints the {role}'s node", self.operators.number(said)))
        return found


def _flagged(flags: tuple[bool, bool], role: Role, *, on: bool) -> tuple[bool, bool]:
    return (on, flags[1]) if role is Role.PRIMARY else (flags[0], on)
