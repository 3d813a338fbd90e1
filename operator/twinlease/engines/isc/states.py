"""dhcpd's numbers of the failover states, as its control interface speaks them, and its words, as its lease file does.

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
_WORDS = {
    "startup": FailoverState.STARTUP,
    "normal": FailoverState.NORMAL,
    "communications-interrupted": FailoverState.COMMUNICATIONS_INTERRUPTED,
    "partner-down": FailoverState.PARTNER_DOWN,
    "potential-conflict": FailoverState.POTENTIAL_CONFLICT,
    "recover": FailoverState.RECOVER,
    "paused": FailoverState.PAUSED,
    "shutdown": FailoverState.SHUTDOWN,
    "recover-done": FailoverState.RECOVER_DONE,
    "resolution-interrupted": FailoverState.RESOLUTION_INTERRUPTED,
    "conflict-done": FailoverState.CONFLICT_DONE,
    "recover-wait": FailoverState.RECOVER_WAIT,
}
_STATES = {number: state for state, number in _NUMBERS.items()}


def from_number(number: int) -> FailoverState:
    """Return the state that a number stands for; ``UNKNOWN`` for 0 and for every number not in the table."""
    return _STATES.get(number, FailoverState.UNKNOWN)


def from_word(word: str) -> FailoverState:
    """Return the state that a word of the lease file stands for; ``UNKNOWN`` for every other."""
    return _WORDS.get(word, FailoverState.UNKNOWN)


def to_number(state: FailoverState) -> int:
    """Return dhcpd's number of a state.

    Raises:
        ValueError: ``UNKNOWN`` has no number: dhcpd takes any integer for a state, and some kill it.
    """
    try:
        return _NUMBERS[state]
    except KeyError:
        raise ValueError(f"{state} is no state that dhcpd could be in") from None
