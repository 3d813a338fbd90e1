"""When a server may get another configuration, or another pod.

The rule in one line: **after the first configuration only one server changes at a time, the secondary first, and only
while both report normal; whatever the engine refused stops the rollout.**

A restart from normal/normal is the only one that loses nothing: a server that had lost contact before it stopped would
come back with records that its partner has replaced meanwhile.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from twinlease.model.decision import Decision
from twinlease.model.states import FailoverState, Role

ORDER = (Role.SECONDARY, Role.PRIMARY)
"""Who changes first: a configuration that does not work must not take the primary."""


class Action(StrEnum):
    """What the operator does next."""

    NOTHING = "Nothing"
    WAIT = "Wait"
    BOTH = "Both"
    PRIMARY = "Primary"
    SECONDARY = "Secondary"

    @property
    def roles(self) -> tuple[Role, ...]:
        """The servers that change now."""
        return _ROLES[self]


_ROLES: Mapping[Action, tuple[Role, ...]] = {
    Action.NOTHING: (),
    Action.WAIT: (),
    Action.BOTH: ORDER,
    Action.PRIMARY: (Role.PRIMARY,),
    Action.SECONDARY: (Role.SECONDARY,),
}
_ONE = {Role.PRIMARY: Action.PRIMARY, Role.SECONDARY: Action.SECONDARY}


LINK_CHANGED = Decision(
    action=Action.WAIT,
    reason="LinkChanged",
    message="An interface, address or port of a server has changed. Clients and partner would lose it while only one "
    "side knows, so all stays as it is: delete the pair and apply it again; with reclaimPolicy Retain the leases are "
    "kept",
)
"""Why a pair that serves is not moved."""


class ServerView(Struct, frozen=True, kw_only=True):
    """One server as its last report and its pod show it.

    Attributes:
        wanted: Revision that it was last told to run; empty: none yet.
        target: Revision that it should run.
        running: Revision that it reports to run.
        rejected: Revision that the engine refused.
        complaint: What the engine said of it.
        state: Its failover state, Unknown unless ``fresh``.
        partner_state: What it believes of its partner.
        fresh: The report is from the pod that runs now, on a node that is ready, and the server runs.
        pod_current: The pod is made from the template that it should be made from (true where there is no pod).
        unheard: Its pod runs, but has not reported yet what it runs in there.
        pod_started: The pod's containers have been started; before that nothing can be lost with it.
    """

    wanted: str = ""
    target: str
    running: str = ""
    rejected: str = ""
    complaint: str = ""
    state: FailoverState = FailoverState.UNKNOWN
    partner_state: FailoverState = FailoverState.UNKNOWN
    fresh: bool = False
    unheard: bool = False
    pod_current: bool = True
    pod_started: bool = True


Servers = Mapping[Role, ServerView]


def configuration(servers: Servers, *, established: bool, link_changed: bool) -> Decision:
    """Decide which server is told to run its target configuration.

    Args:
        servers: Both.
        established: The two have served together before: the first configuration is over.
        link_changed: The targets differ from what runs in the addresses or ports of the failover link.

    Returns:
        Its action is one of ``Action``.
    """
    refused = [role for role in ORDER if servers[role].rejected and servers[role].rejected == servers[role].target]
    if refused:
        return _rejected(refused[0], servers[refused[0]])
    outdated = [role for role in ORDER if servers[role].wanted != servers[role].target]
    if not outdated:
        return _settled(servers)
    if not established:
        return _first(outdated)
    unconfigured = [role for role in outdated if not servers[role].wanted]
    # Where a DHCPServer was deleted and made again, its daemon may well run: then it changes as any other does.
    if idle := [role for role in unconfigured if _idle(servers[role])]:
        return _first(idle)
    return _one_at_a_time(servers, outdated, link_changed=link_changed)


def _one_at_a_time(servers: Servers, outdated: list[Role], *, link_changed: bool) -> Decision:
    for role in outdated:
        if servers[role].unheard and not servers[role].wanted:
            return _wait("WaitingForReport", f"The {role} has not reported yet what its pod runs")
    if link_changed:
        return LINK_CHANGED
    return _obstacle(servers) or Decision(
        action=_ONE[outdated[0]],
        reason="RollingOut",
        message=f"Both servers are normal: the {outdated[0]} gets its new configuration"
        + (", then the primary" if len(outdated) == len(ORDER) else ""),
    )


def alone(servers: Servers, role: Role, *, partner_is_there: bool) -> Decision | None:
    """Decide what a server is told that serves, or is about to, without a partner that has ever shown up.

    There is nobody with whom it could lose contact, so that nothing is waited for; but its partner gets no
    configuration before it runs one that knows the partner.

    Returns:
        None: as for any other pair.
    """
    view = servers[role]
    if view.rejected and view.rejected == view.target:
        return None
    if view.wanted != view.target:
        message = f"The {role} gets its configuration" + ("" if partner_is_there else " without its partner")
        return Decision(action=_ONE[role], reason="Configuring", message=message)
    if not partner_is_there:
        reason, message = "Alone", f"The {role} has its configuration; the {role.other} has never shown up"
        return _wait(reason, message)
    if view.running != view.target:
        return _wait("Applying", f"The {role} was told to run a configuration that knows the {role.other}")
    return None


def held(servers: Servers, decision: Decision, phase: str) -> Decision:
    """Return a decision as far as it may be carried out while one of the two is revoked or ordered.

    Nobody that runs anything is changed then. One that has never been told anything may be.
    """
    roles = [role for role in Action(decision.action).roles if not servers[role].wanted]
    if roles:
        return _first(roles)
    if decision.action in (Action.NOTHING, Action.WAIT):
        return decision
    return _wait("WaitingForNormal", f"Nobody is changed before both servers serve again (the pair is {phase})")


def template(servers: Servers) -> Decision:
    """Decide which server's pod is replaced because its template has changed.

    Returns:
        Its action is one of ``Action``, never ``BOTH``.
    """
    outdated = [role for role in ORDER if not servers[role].pod_current]
    if not outdated:
        return Decision(action=Action.NOTHING, reason="UpToDate", message="Both pods are as they should be")
    for role in outdated:
        if not servers[role].pod_started:
            return Decision(
                action=_ONE[role],
                reason="ReplacingPod",
                message=f"The pod of the {role} has not started yet and is out of date: it is made anew",
            )
    unfinished = [role for role in ORDER if servers[role].wanted != servers[role].target]
    if unfinished:
        return _wait("ConfigurationFirst", "The pods are replaced once the configuration has been rolled out")
    return _obstacle(servers) or Decision(
        action=_ONE[outdated[0]],
        reason="ReplacingPod",
        message=f"Both servers are normal: the pod of the {outdated[0]} is replaced"
        + (", then the primary's" if len(outdated) == len(ORDER) else ""),
    )


def _idle(view: ServerView) -> bool:
    """Tell whether a server runs nothing that its target would replace."""
    return not view.unheard and view.running in ("", view.target)


def _first(roles: list[Role]) -> Decision:
    both = len(roles) == len(ORDER)
    return Decision(
        action=Action.BOTH if both else _ONE[roles[0]],
        reason="Configuring",
        message="Both servers get their first configuration" if both else f"The {roles[0]} gets its configuration",
    )


def _settled(servers: Servers) -> Decision:
    for role in ORDER:
        if servers[role].running != servers[role].target:
            return _wait("Applying", f"The {role} was told to run its new configuration and has not reported it yet")
    return Decision(
        action=Action.NOTHING, reason="UpToDate", message="Both servers run the configuration that they should"
    )


def _obstacle(servers: Servers) -> Decision | None:
    """Return why no running server may be changed now, or None."""
    for role in ORDER:
        view = servers[role]
        if not view.fresh:
            return _wait("WaitingForReport", f"No fresh report of the {role}: nothing is changed until it is back")
        if view.state is not FailoverState.NORMAL or view.partner_state is not FailoverState.NORMAL:
            return _wait(
                "WaitingForNormal",
                f"Servers change one at a time and only from normal/normal: the {role} reports {view.state}, "
                f"its partner {view.partner_state}",
            )
        if view.wanted and view.wanted not in (view.running, view.rejected):
            return _wait("Applying", f"The {role} was told to run another configuration and has not reported it yet")
    return None


def _rejected(role: Role, view: ServerView) -> Decision:
    going_on = "the last good one goes on" if view.running else "it runs none yet"
    return _wait(
        "Rejected",
        f"The {role} refused configuration {view.target[:12]}, {going_on}, nothing more is rolled out: "
        f"{view.complaint or 'no reason given'}",
    )


def _wait(reason: str, message: str) -> Decision:
    return Decision(action=Action.WAIT, reason=reason, message=message)
