"""The production code's decisions, remembered by their arguments, and the seam through which a rule is taken away.

Nothing here decides anything by itself. A rule is taken away by giving a production function something else to judge,
or by changing what it returned; the names of the rules are the keys of ``catalogue.RULES``.
"""

import math
from functools import lru_cache

from msgspec import UNSET
from msgspec.structs import replace

from tests.model import state
from tests.model.state import Operator, Server
from twinlease.api.permit import Fence
from twinlease.api.servinglease import (
    Answer,
    Answered,
    DatabaseVerdict,
    Entries,
    Lineage,
    ServingLeaseSpec,
    Start,
)
from twinlease.decide import lineage, obey, permit, serving
from twinlease.decide.pairview import Sight as RealSight
from twinlease.decide.pairview import View, entry, with_grant
from twinlease.decide.permit import Permit, Promiser
from twinlease.model.states import FailoverState, Role

STATES = {
    "off": FailoverState.UNKNOWN,
    "virgin": FailoverState.UNKNOWN,
    "startup": FailoverState.STARTUP,
    "normal": FailoverState.NORMAL,
    "ci": FailoverState.COMMUNICATIONS_INTERRUPTED,
    "pd": FailoverState.PARTNER_DOWN,
    "recover": FailoverState.RECOVER,
}
CONFIRMED = Lineage(id="a", counter=5, newest=100, address="192.0.2.1")
_DISKS = {
    "virgin": lineage.OnDisk(),
    "intact": lineage.OnDisk(id="a", counter=5, newest=100, leases=True, held=1, reached=100),
    "stale": lineage.OnDisk(id="a", counter=3, newest=50, leases=True, held=1, reached=50),
    "lost": lineage.OnDisk(),
    "emptied": lineage.OnDisk(id="b", counter=1, complete=False),
    "foreign": lineage.OnDisk(id="c", counter=5, newest=100, leases=True, held=1, reached=100),
}
_LONG_AGO = 1000.0


class Decisions:
    """The production functions without the rules in ``removed``."""

    def __init__(self, removed: frozenset[str]) -> None:
        self.removed = removed
        fence = Fence.PROCESS if "kernel fence" in removed else Fence.KERNEL
        self.policy = replace(state.POLICY, fence=fence)
        self.obey = lru_cache(None)(self._obey)
        self.verdict = lru_cache(None)(self._verdict)
        self.deadline = lru_cache(None)(self._deadline)

    def without(self, rule: str) -> bool:
        """Tell whether a rule was taken away."""
        return rule in self.removed

    # --- the operator -------------------------------------------------------------------------------------------------
    def view(self, lease: ServingLeaseSpec, operator: Operator) -> View:
        """Return what the operator looks at."""
        sights = {role: self._sight(lease, operator, role) for role in Role}
        return View(lease=lease, sights=sights, policy=self.policy, now=state.NOW)

    def _sight(self, lease: ServingLeaseSpec, operator: Operator, role: Role) -> RealSight:
        seen = operator.sight(role)
        silent = float(seen.silent)
        if self.without("D + epsilon"):
            silent = _LONG_AGO
        elif self.without("epsilon"):
            silent += permit.epsilon(state.D)
        return RealSight(
            age=math.inf if seen.age >= state.NEVER_SEEN else float(seen.age),
            silent=silent,
            gone=float(seen.gone),
            tainted=seen.tainted,
            confirmed=seen.confirmed == lease.epoch > 0,
            maintenance=seen.maintenance,
        )

    def judge(self, lease: ServingLeaseSpec, operator: Operator) -> tuple[str, ServingLeaseSpec] | None:
        """Return what the operator writes, and why; None: nothing."""
        shown = self._shown(lease)
        found = serving.judge(self.view(shown, operator))
        if found.lease is None or found.lease == shown:
            return None
        written = _with_own_parts(found.lease, lease)
        if self.without("recover-only return"):
            for role in Role:
                grant = entry(written, role).grant
                if grant.start is Start.RECOVER:
                    written = with_grant(written, role, replace(grant, start=Start.RESUME))
        return f"{found.verdict.action}: {found.verdict.reason}", written

    def verdict_now(self, lease: ServingLeaseSpec, operator: Operator) -> str:
        """Return the reason that the status shows."""
        return serving.judge(self.view(lease, operator)).verdict.reason

    def _shown(self, lease: ServingLeaseSpec) -> ServingLeaseSpec:
        """Return the lease as the operator reads it."""
        for role in Role:
            own = entry(lease, role).own
            if self.without("operator waits for promises"):
                own = replace(own, report=replace(own.report, promising=False))
            if self.without("answer before re-grant") and lease.order is not UNSET:
                own = replace(own, answer=Answered(epoch=lease.order.epoch, result=Answer.EXECUTED))
                if lease.survivor == role:  # one that reports another state has not answered either
                    own = replace(own, report=replace(own.report, state=str(FailoverState.PARTNER_DOWN)))
            if self.without("proof of stop") and own.asks is not UNSET:
                own = replace(own, asks=replace(own.asks, stopped=True))
            lease = with_own(lease, role, own)
        return lease

    # --- the servers --------------------------------------------------------------------------------------------------
    def _verdict(self, confirmed: Lineage, database: str) -> DatabaseVerdict:
        if self.without("lineage check"):
            return DatabaseVerdict.INTACT if confirmed.id else DatabaseVerdict.VIRGIN
        return lineage.judge(confirmed, _DISKS[database])

    def _obey(self, server: Server, role: Role) -> obey.Obedience:
        order = server.seen.order
        number = server.record.number
        if order is not None and self.without("same interruption"):
            number = order.interruption
        forgets = self.without("order consumed once")
        return obey.obey(
            obey.Position(
                order=UNSET if order is None else order,
                survivor=server.seen.survivor == role,
                consumed=0 if forgets else server.record.consumed,
                answered=Answered() if forgets and server.daemon == "ci" else server.record.answered,
                known=server.database == "intact" or self.without("unknown lineage"),
                state=STATES[server.recorded if server.daemon == "off" else server.daemon],
                runs=server.daemon != "off",
                interruption=number,
                promising=server.promiser.running(0.0) and not self.without("order waits for promises"),
            )
        )

    def _deadline(self, account: Permit) -> int:
        """Return for how many ticks the guard is told to let the daemon answer."""
        margin = permit.MARGIN if self.without("margin K") else 0.0
        deadline = account.deadline + margin
        return -state.FORGET if deadline < -state.FORGET else math.floor(deadline)

    def promise(self, promiser: Promiser, length: int, *, long: bool) -> Promiser:
        """Return the promises after one more."""
        return self._promised(promiser.promise(0.0, length, long=long), promiser, length)

    def renounced(self, promiser: Promiser, length: int) -> Promiser:
        """Return the promises after a renounce."""
        return self._promised(promiser.renounced(0.0, length), Promiser(), length)

    def reborn(self, server: Server) -> Promiser:
        """Return what a sidecar assumes to have promised before it began."""
        on_disk = server.record.long if server.record.kept else None
        if on_disk is None and self.without("lost-disk assumption"):
            on_disk = False
        if self.without("reborn"):
            return Promiser()
        assumed = permit.reborn(0.0, short=state.PROMISE, long=state.MAX_PROMISE, on_disk=on_disk)
        return self._promised(assumed, Promiser(), state.MAX_PROMISE if assumed.long else state.PROMISE)

    def _promised(self, promised: Promiser, before: Promiser, length: int) -> Promiser:
        until = promised.until
        if self.without("promise + epsilon"):
            until = max(before.until, until - permit.epsilon(length))
        return replace(promised, until=round(until, 2))


def with_own(lease: ServingLeaseSpec, role: Role, own: object) -> ServingLeaseSpec:
    """Return the lease with another own part."""
    primary, secondary = lease.servers.primary, lease.servers.secondary
    if role is Role.PRIMARY:
        primary = replace(primary, own=own)
    else:
        secondary = replace(secondary, own=own)
    return replace(lease, servers=Entries(primary=primary, secondary=secondary))


def _with_own_parts(lease: ServingLeaseSpec, source: ServingLeaseSpec) -> ServingLeaseSpec:
    for role in Role:
        lease = with_own(lease, role, entry(source, role).own)
    return lease
