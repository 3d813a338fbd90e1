"""dhcpd's numbers of the failover states, as its control interface speaks them.

Source: measured on 4.4.3-P1 by setting, log line and read-back. The manual page's other numbering is wrong for it.
"""

from twinlease.model.states import FailoverState

_NUMBERS = {
    FailoverState.STARTUP: 1,
    FailoverState.NORMAL: 2,
    FailoverState.COMMUNICATIONS_INTERRUPTED: 3,
    FailoverState.PARTNER_DOWN: 4,
    FailoverState.POTENTIAL_CONFLICT: 5,
    FailoverState.RECOVER: 6,
    FailoverState.PAUSED: 7,
    FailoverState.SHUTDOWN: 8,
    FailoverState.RECOVER_DONE: 9,
    FailoverState.RESOLUTION_INTERRUPTED: 10,
    FailoverState.CONFLICT_DONE: 11,
    FailoverState.RECOVER_WAIT: 254,
}
_STATES = {number: state for state, number in _NUMBERS.items()}


def from_number(number: int) -> FailoverState:
    """Return the state that a number stands for; ``UNKNOWN`` for 0 and for every number not in the table."""
    return _STATES.get(number, FailoverState.UNKNOWN)


def to_number(state: FailoverState) -> int:
    """Return dhcpd's number of a state.

    Raises:
        ValueError: ``UNKNOWN`` has no number: dhcpd takes any integer for a state, and some kill it.
    """
    try:
        return _NUMBERS[state]
    except KeyError:
        raise ValueError(f"{state} is no state that dhcpd could be in") from None
