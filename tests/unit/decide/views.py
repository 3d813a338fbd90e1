"""Pairs as the operator sees them, made up: a quiet pair, and how to change it in one place."""

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from twinlease.api.servinglease import (
    Asks,
    Bound,
    Database,
    DatabaseVerdict,
    Entries,
    Entry,
    Grant,
    InForce,
    Lineage,
    Own,
    Report,
    ServingLeaseSpec,
)
from twinlease.decide.pairview import Policy, Sight, View, entry, with_grant
from twinlease.model.states import Role

PRIMARY, SECONDARY = Role.PRIMARY, Role.SECONDARY
NOW = 1_800_000_000.0
INTACT = DatabaseVerdict.INTACT


def quiet() -> View:
    """Return a pair that is normal; the primary's incarnation is ``p1`` on ``n1``, the secondary's ``s1`` on ``n2``."""
    lease = ServingLeaseSpec(
        epoch=2,
        established=True,
        max_lease=Bound(duration="1h"),
        mclt=Bound(duration="30m"),
        servers=Entries(primary=_entry("p1", "n1", 1), secondary=_entry("s1", "n2", 2)),
    )
    sight = Sight(age=5.0, silent=5.0)
    return View(lease=lease, sights=dict.fromkeys(Role, sight), policy=Policy(), now=NOW)


def _entry(incarnation: str, node: str, epoch: int) -> Entry:
    own = Own(
        incarnation=incarnation,
        node=node,
        renewal=7,
        epoch=2,
        in_force=InForce(epoch=epoch, duration="4m", promise="4m", max_promise="30m", kernel_fence=True),
        report=Report(state="Normal", partner_state="Normal", since=1, serving=True, mclt="30m"),
        lineage=Lineage(id=incarnation[0], counter=5, newest=100, confirmed="2027-01-15T07:59:00Z"),
        database=Database(verdict=INTACT, state="Normal"),
    )
    return Entry(grant=Grant(holder=incarnation, node=node, epoch=epoch), own=own)


def lease(view: View, **changes: Any) -> View:  # noqa: ANN401  # fields of the serving lease
    """Return the view with another serving lease."""
    return view.change(replace(view.lease, **changes))


def grant(view: View, role: Role, **changes: Any) -> View:  # noqa: ANN401  # fields of a grant
    """Return the view with another grant."""
    return view.change(with_grant(view.lease, role, replace(view.grant(role), **changes)))


def own(view: View, role: Role, **changes: Any) -> View:  # noqa: ANN401  # fields of an own part
    """Return the view with another own part."""
    changed = replace(entry(view.lease, role), own=replace(view.own(role), **changes))
    servers = view.lease.servers
    primary, secondary = servers.primary, servers.secondary
    if role is PRIMARY:
        primary = changed
    else:
        secondary = changed
    entries = Entries(primary=primary, secondary=secondary)
    return view.change(replace(view.lease, servers=entries))


def report(view: View, role: Role, **changes: Any) -> View:  # noqa: ANN401  # fields of a report
    """Return the view with another report."""
    return own(view, role, report=replace(view.own(role).report, **changes))


def sight(view: View, role: Role, **changes: Any) -> View:  # noqa: ANN401  # fields of a sight
    """Return the view of an operator that has seen something else."""
    return replace(view, sights={**view.sights, role: replace(view.sights[role], **changes)})


def policy(view: View, **changes: Any) -> View:  # noqa: ANN401  # fields of the policy
    """Return the view with another policy."""
    return replace(view, policy=replace(view.policy, **changes))


def cut_off(view: View, role: Role, seconds: float = 300.0) -> View:
    """Return the view with one server cut off from its partner for so long, counted until now."""
    millis = int((seconds - view.sights[role].age) * 1000)
    state = "CommunicationsInterrupted"
    return report(view, role, state=state, interruption=1, interrupted_millis=millis)


def silent(view: View, role: Role, seconds: float = 300.0) -> View:
    """Return the view with one server that has not been heard of for so long."""
    return sight(view, role, age=seconds, silent=seconds)


def asking(
    view: View,
    role: Role,
    *,
    state: str = "Normal",
    verdict: DatabaseVerdict = INTACT,
    **more: Any,  # noqa: ANN401  # fields of Asks
) -> View:
    """Return the view with one server that came back as a new incarnation, and asks for a grant."""
    name = view.own(role).incarnation + "+"
    asks = Asks(incarnation=name, **{"stopped": True, "ready": True, **more})
    changes: dict[str, Any] = {"incarnation": name, "in_force": InForce(), "report": Report(), "asks": asks}
    return own(view, role, **changes, database=Database(verdict=verdict, state=state))


def released(view: View, role: Role) -> View:
    """Return the view with one server that gave its grant back."""
    return own(view, role, released=view.grant(role).epoch, in_force=InForce(), report=Report(), asks=UNSET)
