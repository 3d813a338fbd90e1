"""What must never be: **no address is acknowledged, and unexpired, to two clients.** Clients are not in the model.

So it is stated of the servers, on the safe side:

1. While one server answers in partner-down, the other answers nobody. (In partner-down a server gives away what the
   other may have promised; that is right only if the other stopped before, and for as long as it stays silent.)
2. No server answers while leases may run that its database does not show and that it would give away at once: its own
   that its disk lost, or those of a survivor that died (``owed``).
3. Two servers that come into contact never overwrite or forget what one of them gave meanwhile.
4. A daemon whose permit has lapsed never answers again, whatever came afterwards.
"""

from tests.model.server import SERVING, answers
from tests.model.state import Server
from twinlease.model.states import Role

NEWS_LOST = "LEASES ARE LOST"
"""Marks a contact that loses what one of the two gave (3)."""


def broken(one: Server, two: Server) -> str | None:
    """Return which invariant two servers break now; None: none."""
    both = answers(one) and answers(two)
    for role, server, other in ((Role.PRIMARY, one, two), (Role.SECONDARY, two, one)):
        if both and server.daemon == "pd" and not server.ghost:
            what = f"in {other.daemon}" if not other.ghost else "by the daemon of its former pod"
            return f"1: the {role} answers in partner-down while the {role.other} answers {what}"
        if answers(server) and server.owed and server.daemon in SERVING:
            return f"2: the {role} answers while leases run for {server.owed} more that its database does not show"
        if answers(server) and server.revived:
            return f"4: the {role} answers by a daemon whose permit had lapsed"
    return None
