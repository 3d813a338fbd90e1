"""The situations that a pair can be in, as the API would tell of them: judged by the operator's own functions."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from tests.unit.decide import views
from tests.unit.decide.views import NOW, PRIMARY, SECONDARY
from twinlease import __version__
from twinlease.api.pairstatus import HistoryEntry, PairServer, PairStatus, Takeover
from twinlease.api.server import FailoverReport, PoolUsage, ServerStatus
from twinlease.api.servinglease import Answer, Answered, Bound, DatabaseVerdict, Evidence, InForce, Order, Phase
from twinlease.api.types import Condition
from twinlease.cli.facts import PairFacts
from twinlease.controller import takeover
from twinlease.controller.serving import Serving
from twinlease.controller.snapshot import Snapshot
from twinlease.decide import dates, serving
from twinlease.decide.pairview import View, with_grant
from twinlease.model.conditions import FALSE, TRUE
from twinlease.model.states import Role

NODES = {PRIMARY: "n1", SECONDARY: "n2"}
SEEN = NOW + 12
"""When somebody looks, seconds since the epoch: 12 s after the operator did."""


def normal() -> View:
    """Both serve."""
    return views.quiet()


def not_yet() -> View:
    """The secondary died two minutes ago."""
    return views.silent(views.cut_off(normal(), PRIMARY, 120), SECONDARY, 125)


def waiting() -> View:
    """The same, long ago, and the kernel's fence was not proven."""
    view = views.silent(views.cut_off(normal(), PRIMARY, 900), SECONDARY, 905)
    return views.own(view, SECONDARY, in_force=InForce(epoch=2, duration="4m", kernel_fence=False))


def partner_down() -> View:
    """The primary was ordered into partner-down ten minutes ago, and obeyed."""
    view = views.silent(normal(), SECONDARY, 905)
    view = views.report(
        view, PRIMARY, state="PartnerDown", partner_state="CommunicationsInterrupted", since=int(NOW - 600)
    )
    view = views.own(view, PRIMARY, answer=Answered(epoch=3, result=Answer.EXECUTED))
    order = Order(epoch=3, interruption=1, evidence=Evidence.EXPIRED)
    lease = replace(view.lease, epoch=3, phase=Phase.ALONE, survivor="primary", order=order)
    return view.change(with_grant(lease, SECONDARY, replace(view.grant(SECONDARY), holder="", node="")))


def returning() -> View:
    """The secondary is back, and waits for the MCLT."""
    view = views.lease(partner_down(), epoch=4, phase=Phase.RETURNING)
    view = views.grant(views.sight(view, SECONDARY, age=5.0, silent=5.0), SECONDARY, holder="s2", node="n2", epoch=4)
    own = {"incarnation": "s2", "in_force": InForce(epoch=4, duration="4m", promise="4m", kernel_fence=True)}
    view = views.own(view, SECONDARY, **own)
    return views.report(view, SECONDARY, state="RecoverWait", partner_state="PartnerDown", since=int(NOW - 60))


def no_safe_server() -> View:
    """The secondary is silent, and the primary comes back after it had served apart."""
    view = views.asking(normal(), PRIMARY, state="CommunicationsInterrupted")
    view = views.silent(view, SECONDARY, 905)
    return views.own(view, SECONDARY, in_force=InForce(epoch=2, duration="4m", kernel_fence=False))


def databases_lost() -> View:
    """Both come back without their lease databases."""
    view = views.asking(normal(), PRIMARY, verdict=DatabaseVerdict.LOST)
    return views.asking(view, SECONDARY, verdict=DatabaseVerdict.LOST)


def starting() -> View:
    """A new pair whose primary is ready, and whose secondary has never shown up."""
    view = views.asking(views.lease(normal(), established=False), PRIMARY, verdict=DatabaseVerdict.VIRGIN)
    view = views.grant(views.grant(view, PRIMARY, holder="", epoch=0), SECONDARY, holder="", epoch=0)
    view = views.own(views.own(view, PRIMARY, epoch=0), SECONDARY, incarnation="", node="", epoch=0, in_force=InForce())
    view = views.report(view, SECONDARY, state="Unknown", partner_state="Unknown", mclt="0s")
    return views.lease(views.sight(view, SECONDARY, age=float("inf"), silent=0.0), epoch=0, max_lease=Bound())


VIEWS: Mapping[str, Callable[[], View]] = {
    "normal": normal,
    "not-yet": not_yet,
    "waiting-for-evidence": waiting,
    "partner-down": partner_down,
    "returning": returning,
    "no-safe-server": no_safe_server,
    "lease-database-lost": databases_lost,
    "starting": starting,
}
REASONS = {
    "normal": "Normal",
    "not-yet": "NotYet",
    "waiting-for-evidence": "WaitingForEvidence",
    "partner-down": "Executed",
    "returning": "Returning",
    "no-safe-server": "NoSafeServer",
    "lease-database-lost": "LeaseDatabaseLost",
    "starting": "WaitingForPartner",
}


def facts(view: View) -> PairFacts:
    """Return what the API tells of a pair that the operator judged from a view, twelve seconds ago."""
    judged = serving.judge(view)
    told = takeover.told(
        Snapshot(namespace="dhcp", name="lan", pair=None),
        Serving(verdict=judged.verdict, view=view, lease=view.lease),
        Takeover(),
        dates.text(NOW),
    )
    servers = tuple(_server(view, role) for role in Role)
    both = all(each.state == "Normal" for each in servers)
    names = " and ".join(each.name for each in servers if each.serving)
    conditions = (
        Condition(type="Valid", status=TRUE, reason="Accepted"),
        Condition(
            type="Available",
            status=TRUE if names else FALSE,
            reason="Serving" if names else "NotServing",
            message=f"Answering clients: {names}" if names else "No server is known to answer",
        ),
        Condition(type="Redundant", status=TRUE if both else FALSE, reason="Normal" if both else "NotNormal"),
        Condition(type="Progressing", status=FALSE, reason="UpToDate"),
        Condition(type="PartnerDown", status=told.partner_down.status, reason=judged.verdict.reason),
    )
    states = [each.state for each in servers]
    return PairFacts(
        namespace="dhcp",
        name="lan",
        uid="1",
        lease=view.lease,
        servers={role: _report(view, role) for role in Role},
        status=PairStatus(
            state=states[0] if states[0] == states[1] else "/".join(states),
            conditions=conditions,
            servers=servers,
            pools=1,
            addresses=100,
            free=97,
            active=3,
            phase=told.phase,
            survivor=told.survivor,
            takeover=told.takeover,
            operator=__version__,
            history=history(states, told),
        ),
    )


def history(states: list[str], told: takeover.Told) -> tuple[HistoryEntry, ...]:
    """Return an hour as normal, then what is so since ten minutes ago."""
    before = HistoryEntry(
        time=dates.text(NOW - 4200), primary="Normal", secondary="Normal", phase="Both", reason="Normal"
    )
    now = HistoryEntry(
        time=dates.text(NOW - 600),
        primary=states[0],
        secondary=states[1],
        phase=told.phase,
        survivor=told.survivor,
        reason=told.takeover.reason,
    )
    return (before, now) if replace(before, time=now.time) != now else (before,)


def unknown() -> PairFacts:
    """Return a pair that no operator has ever looked at."""
    return PairFacts(namespace="dhcp", name="lan", uid="1")


def _server(view: View, role: Role) -> PairServer:
    runs = view.confirmed(role) and not view.late(role) and bool(view.grant(role).holder)
    report = view.own(role).report
    return PairServer(
        name=f"lan-{role}",
        role=str(role),
        node=NODES[role],
        address="10.250.0.11/24" if role is PRIMARY else "10.250.0.12/24",
        state=report.state if runs else "Unknown",
        partner_state=report.partner_state if runs else "Unknown",
        serving=runs and report.state in ("Normal", "CommunicationsInterrupted", "PartnerDown"),
        permit="Held" if runs else "",
        kernel_fence=runs and view.own(role).in_force.kernel_fence,
        silent_since=takeover.silent_since(view, role, None),
    )


def _report(view: View, role: Role) -> ServerStatus:
    report = view.own(role).report
    since = dates.text(report.since) if report.since > 1 else ""
    failover = FailoverReport(state=report.state, partner_state=report.partner_state, since=since)
    usage = PoolUsage(name="office", addresses=100, active=3, free=50, backup=47)
    return ServerStatus(failover=failover, pools=(usage,), version=__version__)
