"""One server by itself: its daemon, guard, fence, disk and boot, and what its sidecar does about an order."""

from collections.abc import Iterator

from msgspec.structs import replace

from tests.model import state
from tests.model.decisions import Decisions
from tests.model.state import Record, Server
from twinlease.api.servinglease import Answered, Phase, Start
from twinlease.decide import obey
from twinlease.decide.permit import Permit, Promiser
from twinlease.model.states import Role

SERVING = frozenset({"normal", "ci", "pd"})
DEAD = -state.FORGET
Step = tuple[str, Server]


def awake(server: Server) -> bool:
    """Tell whether the sidecar can act."""
    return server.power and not server.frozen and server.sidecar


def answers(server: Server) -> bool:
    """Tell whether a client may be answered right now."""
    if not server.power or server.frozen:
        return False
    fenced = server.proven and server.left <= -state.K
    return (server.daemon in SERVING and not fenced) or server.ghost > 0


def killed(server: Server) -> Server:
    """Return the server without its daemon; what its lease file records stays."""
    down = server._replace(daemon="off", regress=False, revived=False, proven=False)
    return down if server.recorded == "normal" else down._replace(permit=Permit(), left=DEAD)


def given_up(server: Server) -> Server:
    """Return the server without daemon and without a grant."""
    over = server.grant or server.over
    return killed(server)._replace(grant=0, over=over, permit=Permit(), left=DEAD, age=0)


def alone(server: Server, daemon: str) -> Server:
    """Return the server when its daemon is in a state without contact that it was not in before."""
    record = server.record._replace(number=server.record.number + 1) if server.daemon == "normal" else server.record
    age = 0 if server.daemon == "normal" else server.age
    return server._replace(
        daemon=daemon, recorded=daemon, record=record, age=age, news=server.news or daemon != "recover"
    )


def synchronised(server: Server) -> Server:
    """Return the server in contact, when both know everything."""
    return server._replace(
        daemon="normal", recorded="normal", database="intact", age=0, news=False, regress=False, hollow=False
    )


class Alone:
    """What a server does that needs neither the partner nor the API."""

    def __init__(self, decisions: Decisions) -> None:
        self.decide = decisions
        self.kernel = not decisions.without("kernel fence")

    def steps(self, role: Role, server: Server, *, linked: bool) -> Iterator[Step]:
        """Yield what may happen to it next."""
        if not server.power:
            return
        if server.frozen:
            yield f"{role}: thaws", server._replace(frozen=False)
            return
        if not server.sidecar:
            yield f"{role}: the sidecar starts again", self._sidecar_begins(server)
        if not linked and server.daemon in {"normal", "startup"}:
            yield from self._without_contact(role, server)
        if server.sidecar:
            yield from self._obedience(role, server)
            if server.daemon == "off" and self.may_restart(server):
                begun = self.started(server, "startup")
                yield f"{role}: the daemon is started again under the same grant", begun

    def may_restart(self, server: Server) -> bool:
        """Tell whether a daemon that died may start again without a new grant."""
        held = server.grant > 0 and server.left > 0 and server.ghost == 0
        return held and server.recorded == "normal" and server.database == "intact"

    def _without_contact(self, role: Role, server: Server) -> Iterator[Step]:
        if server.daemon == "normal":
            yield f"{role}: notices that the partner is out of reach", alone(server, "ci")
            return
        after = {"normal": "ci", "ci": "ci", "pd": "pd"}.get(server.recorded, "recover")
        yield f"{role}: startup ends without contact, in {after}", alone(server, after)

    # --- starting -----------------------------------------------------------------------------------------------------
    def started(self, server: Server, daemon: str) -> Server:
        """Return the server with its daemon just started; the fence is tested at every start."""
        record = server.record._replace(number=server.record.number + 1)
        return server._replace(daemon=daemon, record=record, age=0, proven=self.kernel, revived=False)

    def begun(self, server: Server, start: Start) -> Server:
        """Return the server started for the first time under a grant."""
        if start is Start.RESUME:
            regress = server.recorded != "normal" or server.database != "intact"
            return self.started(server, "startup")._replace(regress=regress)
        if start is Start.FRESH:
            blank = server.database in {"virgin", "intact"}
            fresh = server if blank else _emptied(server)
            return self.started(fresh, "startup")._replace(database="intact")
        if server.database not in {"intact", "virgin"}:
            server = _emptied(server)
        if start is Start.RECOVER:
            return self.started(server, "recover")._replace(recorded="recover")
        database = "intact" if server.database == "virgin" else server.database
        return self.started(server, "pd")._replace(recorded="pd", news=True, database=database)

    # --- orders -------------------------------------------------------------------------------------------------------
    def _obedience(self, role: Role, server: Server) -> Iterator[Step]:
        order = server.seen.order
        if order is None:
            return
        verdict = self.decide.obey(server, role)
        record = server.record
        if verdict.action is obey.Action.ANSWER:
            answer = Answered(epoch=order.epoch, result=verdict.answer, reason=verdict.reason)
            told = server._replace(record=record._replace(answered=answer))
            yield f"{role}: answers order {order.epoch}: {verdict.answer} ({verdict.reason})", told
        elif verdict.action is obey.Action.EXECUTE:
            noted = server._replace(record=record._replace(consumed=order.epoch))
            if server.left > 0:
                down = self.started(noted, "pd")._replace(recorded="pd", news=True, regress=False)
                yield f"{role}: obeys order {order.epoch} and enters partner-down", down

    def interrupted(self, role: Role, server: Server) -> Iterator[Step]:
        """Yield what a crash leaves behind when it comes just after an order was noted as consumed."""
        order = server.seen.order
        if order is None or not server.sidecar or self.decide.obey(server, role).action is not obey.Action.EXECUTE:
            return
        noted = server._replace(record=server.record._replace(consumed=order.epoch))
        yield f"{role}: notes order {order.epoch} as consumed, and its daemon dies", killed(noted)
        lost = noted._replace(sidecar=False, permit=Permit(), promiser=Promiser())
        yield f"{role}: notes order {order.epoch} as consumed, and the sidecar dies", lost

    def may_promise(self, server: Server) -> bool:
        """Tell whether a server still promises its partner not to enter partner-down."""
        without = self.decide.without
        consumed = server.record.consumed
        settled = server.seen.phase is Phase.BOTH and server.seen.epoch >= consumed
        if consumed and not settled and not without("promise refusal after order"):
            return False
        if "pd" in {server.daemon, server.recorded} and not without("file says partner-down"):
            return False
        return server.database == "intact" or without("unverified lineage promises nothing")

    # --- boot, disk, time ---------------------------------------------------------------------------------------------
    def _sidecar_begins(self, server: Server) -> Server:
        return server._replace(sidecar=True, permit=Permit(), promiser=self.decide.reborn(server))

    def booted(self, server: Server, disk: str) -> Server:
        """Return the server after its node has started; ``disk``: as it was, stale or lost."""
        if disk != "as it was":
            owed = server.owed if server.database == "virgin" else state.LEASE
            older = server.database != "virgin"
            server = server._replace(
                database=disk if older else server.database,
                recorded="normal" if disk == "stale" else "virgin",
                record=Record(kept=False),
                owed=owed,
                hollow=older,
            )
        up = given_up(server)._replace(power=True, frozen=False, incarnation=server.incarnation + 1, ghost=0)
        return self._sidecar_begins(up._replace(seen=state.Seen(), patch=None))

    def replaced(self, server: Server) -> Server:
        """Return the server with a new pod, while the daemon of the old one still runs."""
        ghost = max(server.left, 0) + state.K
        new = given_up(server)._replace(incarnation=server.incarnation + 1, ghost=ghost, seen=state.Seen(), patch=None)
        return self._sidecar_begins(new)

    def crashed(self, server: Server) -> Server:
        """Return the server when its node lost power."""
        down = given_up(server)._replace(power=False, frozen=False, sidecar=False, ghost=0)
        return down._replace(promiser=Promiser(), seen=state.Seen(), patch=None)

    def aged(self, server: Server, ticks: int, partner: str) -> Server:
        """Return the server after ticks of its own clock; ``partner``: how the other one answered meanwhile."""
        owed = max(server.owed - 1, 0)
        if partner == "pd":
            owed = max(owed, state.MCLT)
        elif partner and server.hollow:
            owed = state.LEASE
        server = server._replace(owed=owed)
        if not server.power:
            return server
        if server.frozen and self.decide.without("clock that counts"):
            return server
        server = server._replace(
            left=max(server.left - ticks, DEAD),
            ghost=max(server.ghost - ticks, 0),
            permit=_aged_permit(server.permit, ticks),
            patch=server.patch and server.patch._replace(age=server.patch.age + ticks),
            age=min(server.age + ticks, state.AFTER) if server.daemon not in {"off", "normal"} else 0,
        )
        server = self._aged_promises(server, ticks)
        if server.frozen or server.left > -state.K or server.daemon == "off":
            return server
        return server if self.decide.without("no revival") else killed(server)

    def _aged_promises(self, server: Server, ticks: int) -> Server:
        until = round(server.promiser.until - ticks, 2)
        if until > 0 or not server.sidecar:
            return server._replace(promiser=replace(server.promiser, until=until))
        return server._replace(promiser=Promiser(), record=server.record._replace(long=False))


def _emptied(server: Server) -> Server:
    return server._replace(database="emptied", recorded="virgin", hollow=False)


def _aged_permit(account: Permit, ticks: int) -> Permit:
    renewed, asked, promised = account.renewed, account.asked, account.promised
    if renewed is not None:
        renewed = max(renewed - ticks, -float(state.FORGET))
    if asked is not None:
        asked -= ticks
        if asked + promised < -state.K:
            asked, promised = None, 0.0
    return replace(account, renewed=renewed, asked=asked, promised=promised)
