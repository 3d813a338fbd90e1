"""What is said of a pair's wall clocks: whether they agree, which server stopped for them, and what is to be done."""

from msgspec import UNSET

from twinlease.controller.manifests.common import server_name
from twinlease.controller.snapshot import Snapshot
from twinlease.decide.clocks import AGAIN_SECONDS, LIMIT_SECONDS, WARN_SECONDS
from twinlease.decide.pairview import CLOCK_STEPPED, View
from twinlease.model import conditions
from twinlease.model.conditions import FALSE, TRUE, UNKNOWN, Verdict
from twinlease.model.states import Role

CLOCKS_AGREE = conditions.PAIR[-1]

_REMEDY = "Keep time on both nodes (chrony or systemd-timesyncd, with the same sources)"


def told(pair: str, view: View | None, offset: float | None) -> Verdict:
    """Return the condition.

    Args:
        pair: The pair's name.
        view: What its service was judged from; None: it was not.
        offset: The secondary's wall clock minus the primary's, seconds; None: nobody measures it now.
    """
    stopped = [] if view is None else [role for role in Role if _waits(view, role)]
    figures = _figures(pair, offset)
    if stopped:
        stepped = [role for role in stopped if _stepped(view, role)]
        names = " and ".join(server_name(pair, role) for role in stepped or stopped)
        if stepped:
            reason, why = "ClockStepped", f"{names} stopped, for its wall clock stepped"
        else:
            reason, why = "Differ", f"{names} does not serve beside a partner whose wall clock is another"
        goes_on = f"It returns when they are measured to agree within {AGAIN_SECONDS:g} s. {_REMEDY}"
        return Verdict(type=CLOCKS_AGREE, status=FALSE, reason=reason, message=f"{why}. {figures}. {goes_on}")
    if offset is None:
        message = "The sidecars do not hear each other: the clocks are not compared, and keep nobody from serving"
        return Verdict(type=CLOCKS_AGREE, status=UNKNOWN, reason="NotMeasured", message=message)
    if abs(offset) <= WARN_SECONDS:
        return Verdict(type=CLOCKS_AGREE, status=TRUE, reason="Agree", message=f"They agree within {WARN_SECONDS:g} s")
    goes_on = f"From {LIMIT_SECONDS:g} s on one of two servers that are in contact is stopped. {_REMEDY}"
    return Verdict(type=CLOCKS_AGREE, status=FALSE, reason="Differ", message=f"{figures}. {goes_on}")


def measured(snapshot: Snapshot, view: View | None) -> float | None:
    """Return the secondary's wall clock minus the primary's, seconds; None: nobody measures it now."""
    for role, sign in ((Role.PRIMARY, 1), (Role.SECONDARY, -1)):
        asks = UNSET if view is None else view.own(role).asks
        if asks is not UNSET and asks.skew_millis:
            return sign * asks.skew_millis / 1000
    for role, sign in ((Role.PRIMARY, 1), (Role.SECONDARY, -1)):
        server = snapshot.servers.get(role)
        if server is not None and snapshot.fresh(role) and server.status.peer.heard:
            return sign * server.status.peer.clock_offset_millis / 1000
    return None


def _figures(pair: str, offset: float | None) -> str:
    if offset is None:
        return "By how much the clocks differ is not known"
    ahead, behind = (Role.SECONDARY, Role.PRIMARY) if offset > 0 else (Role.PRIMARY, Role.SECONDARY)
    names = f"{server_name(pair, behind)} is {abs(offset):.1f} s behind that of {server_name(pair, ahead)}"
    return f"The wall clock of {names}"


def _stepped(view: View | None, role: Role) -> bool:
    asks = UNSET if view is None else view.own(role).asks
    return asks is not UNSET and asks.reason == CLOCK_STEPPED


def _waits(view: View, role: Role) -> bool:
    """Tell whether a server does not run because of its clock."""
    asks = view.own(role).asks
    return asks is not UNSET and view.asks(role) and bool(asks.skew_millis or asks.reason == CLOCK_STEPPED)
