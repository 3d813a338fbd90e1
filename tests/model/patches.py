"""What a sidecar reads from the serving lease, and the conditional writes of its own part."""

from collections.abc import Iterator

from msgspec import UNSET
from msgspec.structs import replace

from tests.model import state
from tests.model.decisions import CONFIRMED, STATES, Decisions, with_own
from tests.model.server import SERVING, Alone, awake, given_up
from tests.model.state import Patch, Seen, Server
from twinlease.api.servinglease import (
    Asks,
    Database,
    DatabaseVerdict,
    Grant,
    InForce,
    Own,
    Report,
    ServingLeaseSpec,
)
from twinlease.decide.pairview import entry, with_grant
from twinlease.model import durations
from twinlease.model.states import Role

Step = tuple[str, Server, ServingLeaseSpec, bool]
"""What happened, the server after it, the serving lease after it, and whether the server's own part was written."""


class Patches:
    """A sidecar and the API."""

    def __init__(self, decisions: Decisions, machine: Alone) -> None:
        self.decide = decisions
        self.machine = machine

    def steps(self, role: Role, server: Server, lease: ServingLeaseSpec, *, slow: bool) -> Iterator[Step]:
        """Yield what may happen between a sidecar and the API; ``slow``: a write may be delayed."""
        if server.patch is not None:
            yield from self._delayed(role, server, lease)
        if not awake(server):
            return
        if self._seen(lease, role, server) != server.seen:
            yield f"{role}: reads the serving lease", self.read(role, server, lease), lease, False
        if server.daemon != "off":
            yield from self._renewal(role, server, lease, slow=slow)
        else:
            yield from self._without_daemon(role, server, lease)

    def _seen(self, lease: ServingLeaseSpec, role: Role, server: Server) -> Seen:
        return seen(lease, role, server, keep=self.decide.without("start in the same object"))

    def read(self, role: Role, server: Server, lease: ServingLeaseSpec) -> Server:
        """Return the server after a look at the lease: a revoked one stops its daemon at once."""
        now = self._seen(lease, role, server)
        record = server.record._replace(epoch=max(server.record.epoch, now.epoch))
        server = server._replace(seen=now, record=record)
        mine = now.grant.holder == str(server.incarnation) and now.grant.epoch == server.grant
        revoked = server.grant > 0 and not mine and not self.decide.without("operator-only grants")
        return given_up(server) if revoked else server

    # --- while the daemon runs ----------------------------------------------------------------------------------------
    def _renewal(self, role: Role, server: Server, lease: ServingLeaseSpec, *, slow: bool) -> Iterator[Step]:
        duration = durations.seconds(server.seen.grant.duration)
        if self.decide.without("release only when dead") and server.grant and role is Role.SECONDARY:
            yield from self._early_release(role, server, lease)
        if server.left <= 0 and not self.decide.without("no revival"):
            return  # lapsed: nothing extends the permit of this process
        if slow and server.patch is None:
            own = self.own(role, server, lease, duration)
            patch = Patch(age=0, own=own, holder=str(server.incarnation), epoch=server.grant, duration=duration)
            sent = self._told(server._replace(permit=server.permit.sending(duration), patch=patch))
            yield f"{role}: sends a renewal", sent, lease, False
        grant = entry(lease, role).grant
        holds = grant.holder == str(server.incarnation) and grant.epoch == server.grant
        if not holds and not self.decide.without("conditional renewal"):
            return
        account = server.permit.sending(duration).renewal(0.0, duration)
        renewed = self._told(server._replace(permit=account, revived=server.revived or server.left <= -state.K))
        yield from self._written(f"{role}: renews", role, renewed, lease, duration)

    def _early_release(self, role: Role, server: Server, lease: ServingLeaseSpec) -> Iterator[Step]:
        own = replace(self.own(role, server, lease, state.D), released=server.grant)
        yield f"{role}: releases its grant before its daemon is dead", server, with_own(lease, role, own), True

    def _delayed(self, role: Role, server: Server, lease: ServingLeaseSpec) -> Iterator[Step]:
        patch = server.patch
        assert patch is not None
        gone = server._replace(patch=None)
        if not patch.applied:
            now = entry(lease, role)
            tests = now.grant.holder == patch.holder and now.grant.epoch == patch.epoch
            tests = tests and now.own.incarnation == patch.holder
            if not self.decide.without("a write tests its predecessor"):
                tests = tests and not patch.overtaken
            if not tests:
                yield f"{role}: a delayed write arrives and is refused", gone, lease, False
                return
            arrived = server._replace(patch=patch._replace(applied=True))
            yield f"{role}: a delayed write arrives", arrived, with_own(lease, role, patch.own), True
            return
        yield f"{role}: the reply to a delayed write is lost", gone, lease, False
        if awake(server) and server.daemon != "off" and server.left > 0:
            sent = 0.0 if self.decide.without("count from sending") else -float(patch.age)
            account = server.permit.renewal(sent, patch.duration)
            yield (
                f"{role}: the reply to a delayed write arrives",
                self._told(gone._replace(permit=account)),
                lease,
                False,
            )

    # --- while it does not --------------------------------------------------------------------------------------------
    def _without_daemon(self, role: Role, server: Server, lease: ServingLeaseSpec) -> Iterator[Step]:
        told, now = server.seen.grant, entry(lease, role).grant
        read_it = (told.holder, told.epoch) == (now.holder, now.epoch)
        mine = told.holder == str(server.incarnation) and told.epoch > max(server.grant, server.over)
        if mine and server.ghost == 0 and read_it:
            yield from self._taken_up(role, server, lease)
        elif read_it and not self.machine.may_restart(server):
            asking = given_up(server)
            own = self.own(role, asking, lease, 0)
            holds = told.holder == str(server.incarnation)
            asks = Asks(incarnation=str(server.incarnation), stopped=server.ghost == 0, ready=True)
            own = replace(own, asks=asks, released=told.epoch if holds else 0)
            written = with_own(lease, role, own)
            yield f"{role}: asks for a grant", _later(self.read(role, asking, written)), written, True
            if self.decide.without("operator-only grants") and not holds:
                yield from self._helps_itself(role, server, lease)

    def _taken_up(self, role: Role, server: Server, lease: ServingLeaseSpec) -> Iterator[Step]:
        grant = server.seen.grant
        duration = durations.seconds(grant.duration)
        holder = self._told(server._replace(grant=grant.epoch, permit=server.permit.renewal(0.0, duration)))
        own = self.own(role, holder, lease, duration)
        start = server.seen.former.start if self.decide.without("start in the same object") else grant.start
        begun = _later(self.machine.begun(holder, start))
        yield f"{role}: confirms grant {grant.epoch} and starts: {start}", begun, with_own(lease, role, own), True

    def _helps_itself(self, role: Role, server: Server, lease: ServingLeaseSpec) -> Iterator[Step]:
        grant = Grant(holder=str(server.incarnation), node=role, epoch=lease.epoch + 1, duration=f"{state.D}s")
        lease = with_grant(replace(lease, epoch=lease.epoch + 1), role, grant)
        yield f"{role}: grants itself {grant.epoch}", self.read(role, server, lease), lease, False

    # --- the own part -------------------------------------------------------------------------------------------------
    def _written(self, what: str, role: Role, server: Server, lease: ServingLeaseSpec, duration: int) -> Iterator[Step]:
        """Yield a write that succeeded; the reply shows the lease as it is."""
        after = with_own(lease, role, self.own(role, server, lease, duration))
        yield what, self.read(role, _later(server), after), after, True

    def _told(self, server: Server) -> Server:
        """Return the server after its guard was told the deadline."""
        return server._replace(left=self.decide.deadline(server.permit))

    def own(self, role: Role, server: Server, lease: ServingLeaseSpec, duration: int) -> Own:
        """Return the server's own part as its sidecar would write it now."""
        before = entry(lease, role).own
        verdict = self.decide.verdict(before.lineage, server.database)
        runs = server.daemon != "off"
        in_force = InForce(
            epoch=server.grant,
            duration=durations.text(duration),
            promise=durations.text(state.PROMISE),
            max_promise=durations.text(state.MAX_PROMISE),
            kernel_fence=server.proven and runs,
        )
        recorded = STATES[server.recorded]
        if self.decide.without("resume only from normal"):
            recorded = STATES["normal"]
        return Own(
            incarnation=str(server.incarnation),
            node=role,
            epoch=server.record.epoch,
            in_force=in_force if server.grant else InForce(),
            report=self._report(server),
            lineage=CONFIRMED
            if verdict is DatabaseVerdict.INTACT or (runs and server.database == "intact")
            else before.lineage,
            database=Database(
                verdict=DatabaseVerdict.INTACT if runs and server.database == "intact" else verdict, state=recorded
            ),
            asks=UNSET,
            answer=server.record.answered,
        )

    def _report(self, server: Server) -> Report:
        numbered = server.daemon not in {"off", "normal"}
        return Report(
            state=STATES[server.daemon],
            partner_state=STATES["normal"] if server.daemon == "normal" else "Unknown",
            serving=server.daemon in SERVING,
            mclt=durations.text(state.MCLT),
            interruption=server.record.number if numbered else 0,
            interrupted_millis=server.age * 1000 if numbered else 0,
            promising=server.promiser.running(0.0),
        )


def _later(server: Server) -> Server:
    """Return the server after a write that its delayed one, if any, has not preceded."""
    if server.patch is None or server.patch.applied:
        return server
    return server._replace(patch=server.patch._replace(overtaken=True))


def seen(lease: ServingLeaseSpec, role: Role, server: Server, *, keep: bool = False) -> Seen:
    """Return what a server remembers of a look at the lease; ``keep``: also of the grant before."""
    grant = entry(lease, role).grant
    before = server.seen
    former = Grant() if not keep else before.grant if grant.epoch > before.grant.epoch else before.former
    return Seen(
        epoch=lease.epoch,
        phase=lease.phase,
        survivor=lease.survivor,
        order=None if lease.order is UNSET else lease.order,
        grant=replace(grant, watched=replace(grant.watched, interruption=0, tainted=False)),
        former=Grant(start=former.start),
    )
