"""The failover states of draft-ietf-dhc-failover-12, section 9.2, by the names that the draft gives them."""

from enum import StrEnum


class Role(StrEnum):
    """A server's fixed part in the failover protocol."""

    PRIMARY = "primary"
    SECONDARY = "secondary"

    @property
    def other(self) -> "Role":
        """The partner's role."""
        return Role.SECONDARY if self is Role.PRIMARY else Role.PRIMARY


class FailoverState(StrEnum):
    """A server's state; ``UNKNOWN`` where no report is fresh or the engine says something that we do not know."""

    UNKNOWN = "Unknown"
    STARTUP = "Startup"
    NORMAL = "Normal"
    COMMUNICATIONS_INTERRUPTED = "CommunicationsInterrupted"
    PARTNER_DOWN = "PartnerDown"
    POTENTIAL_CONFLICT = "PotentialConflict"
    RECOVER = "Recover"
    RECOVER_WAIT = "RecoverWait"
    RECOVER_DONE = "RecoverDone"
    RESOLUTION_INTERRUPTED = "ResolutionInterrupted"
    CONFLICT_DONE = "ConflictDone"
    PAUSED = "Paused"
    SHUTDOWN = "Shutdown"


CATCHING_UP = frozenset({FailoverState.RECOVER, FailoverState.RECOVER_WAIT})
"""A server that returns takes its partner's leases over, or waits until what it does not know has ended."""

_SERVING = frozenset(
    {FailoverState.NORMAL, FailoverState.COMMUNICATIONS_INTERRUPTED, FailoverState.PARTNER_DOWN},
)
_SILENCING = frozenset(
    {
        FailoverState.PARTNER_DOWN,
        FailoverState.POTENTIAL_CONFLICT,
        FailoverState.RESOLUTION_INTERRUPTED,
        FailoverState.CONFLICT_DONE,
    },
)


def serves(local: FailoverState, partner: FailoverState) -> bool:
    """Tell whether a server in these states answers dynamic clients.

    Measured: it does in normal, communications-interrupted and partner-down, unless the last known state of the
    partner is one in which the partner might hold leases that this server does not know.
    """
    return local in _SERVING and partner not in _SILENCING
