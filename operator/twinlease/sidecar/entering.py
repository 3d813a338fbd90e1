"""Entering partner-down: a server that runs, if its leases are few; else one that is prepared and started for it.

A prepared server is told as soon as it hears, while the guard still starts it.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address
from typing import NamedTuple

from msgspec import Struct

from twinlease.decide.hold import declined, given_away
from twinlease.engines.protocol import BindingLog, Control, ControlError, FailoverStatus
from twinlease.ipc.client import GuardStatus, GuardUnreachable
from twinlease.ipc.protocol import ProtocolError
from twinlease.model.binding import ENDED, Binding, Standing
from twinlease.model.states import FailoverState, Role, serves
from twinlease.sidecar.clock import Clock

PATIENCE_SECONDS = 2.0
"""How long after its start a server may take to be in partner-down."""
_EVERY_SECONDS = 0.005

_MOST = 100
"""So many leases at most are held one by one: at 1 to 3 ms each, for the server writes them to the disk."""
_RUNNING_SECONDS = 0.3
"""How long that may take. The server answers meanwhile, but partner-down is awaited."""
_READING_SECONDS = 0.1
"""How long it may take to read of the lease database what nobody has read yet."""
_IN_CONTACT = frozenset({FailoverState.NORMAL, FailoverState.POTENTIAL_CONFLICT, FailoverState.CONFLICT_DONE})

Command = Callable[[], GuardStatus]
Failed = GuardUnreachable | ProtocolError


class Entered(Struct, frozen=True, kw_only=True):
    """What became of it.

    Attributes:
        status: The guard's answer; None: the command failed.
        failed: How it failed, or None.
        failover: What the server said last; None: nothing.
        problem: Why this is no partner-down to rely on; empty: it is.
        millis: After how long it was there; 0: it was not.
    """

    status: GuardStatus | None = None
    failed: Failed | None = None
    failover: FailoverStatus | None = None
    problem: str = ""
    millis: int = 0


class _Running(threading.Thread):
    """The guard's command, while somebody else waits for what it brings about."""

    def __init__(self, command: Command) -> None:
        super().__init__(name="entering", daemon=True)
        self.status: GuardStatus | None = None
        self.failed: Failed | None = None
        self._command = command

    def run(self) -> None:
        """Have it done."""
        try:
            self.status = self._command()
        except (GuardUnreachable, ProtocolError) as error:
            self.failed = error


def enter(control: Control, command: Command, *, since: int) -> Entered:
    """Have a server started that was prepared for partner-down, and have it enter that.

    Args:
        control: Its control interface; a server that runs before the start answers there too, and is left alone.
        command: The guard's command that prepares and starts it.
        since: Seconds since the epoch before which partner-down did not begin.
    """
    running = _Running(command)
    began = time.monotonic()
    running.start()
    there = 0
    until = float("inf")
    said: FailoverStatus | None = None
    while time.monotonic() < until:
        if running.failed is not None:
            return Entered(failed=running.failed, failover=said, problem="NotStarted")
        if until == float("inf") and not running.is_alive():
            until = time.monotonic() + PATIENCE_SECONDS
        said = _told(control) or said
        if said is None or trouble(said, since):
            there = 0
        elif not there:
            there = round((time.monotonic() - began) * 1000)
        if there and not running.is_alive():
            return Entered(status=running.status, failed=running.failed, failover=said, millis=there)
        time.sleep(_EVERY_SECONDS)
    problem = trouble(said, since) if said is not None else "NoAnswer"
    return Entered(status=running.status, failover=said, problem=problem)


def enter_running(control: Control, log: BindingLog, wall: Clock, *, hold: int, role: Role) -> Entered | None:
    """Have a server that runs enter partner-down, without a gap.

    All that the partner may have promised is held by the lease database before the word is given; what the server
    itself gives or extends meanwhile is its own promise, and a later one than any of the partner's, which has been
    silent since before the order. Broken off at any moment nothing is lost: leases that are held for longer are only
    parked.

    Args:
        control: Its control interface.
        log: Reads its lease database; it is closed.
        wall: The server's wall clock.
        hold: The longest lease that the partner may have given, seconds.
        role: Which of the two servers it is.

    Returns:
        None: This is no way for this server, or it took too long: it is to be stopped and prepared. With the problem
        that it is in contact nothing was told: the order was for what is no more.
    """
    began = time.monotonic()
    try:
        with closing(log):
            said = control.failover()
            fit = said.local is FailoverState.COMMUNICATIONS_INTERRUPTED and serves(
                FailoverState.PARTNER_DOWN, said.partner
            )
            begins = int(wall())
            bounds = _Bounds(begins, begins + 1 + hold + 1, role)  # the time is cut to whole seconds, so one more
            held = fit and _held(control, log, bounds, began + _RUNNING_SECONDS)
        if fit:
            said = control.failover()  # it took a while
        if said.local in _IN_CONTACT:
            return Entered(failover=said, problem="InContact")
        if not held:
            return None
        since = int(wall())
        said = control.declare_partner_down()
    except (ControlError, OSError):
        return None
    # It keeps the partner's last state, whatever that is, but for one in which it would say nothing.
    if said.local is not FailoverState.PARTNER_DOWN or not serves(said.local, said.partner) or said.since < since:
        return None
    return Entered(failover=said, millis=round((time.monotonic() - began) * 1000))


class _Bounds(NamedTuple):
    """Since when a server enters partner-down, until when it keeps what others may have, and which of the two it is."""

    began: int
    until: int
    role: Role

    def short(self, last: Binding) -> bool:
        """Tell whether the partner may have promised an address for longer than its last record says."""
        # With an instant to come the partner may promise it until then as if this server knew, which does not know to
        # whom. Leased again it would be the client's before: only the edit keeps it from everybody.
        if last.left:
            return last.left > self.began
        if last.standing is Standing.LEASED:
            return last.ends < self.until
        return last.standing in ENDED or declined(last, primary=self.role is Role.PRIMARY)

    def strangers(self, last: Binding) -> bool:
        """Tell whether that may be to somebody whom this server does not know."""
        return last.left > 0 or given_away(last, primary=self.role is Role.PRIMARY)


def _held(control: Control, log: BindingLog, bounds: _Bounds, deadline: float) -> bool:
    """Have everything held that the partner may have promised; tell whether the database says so, in time."""
    last: dict[int, Binding] = {}
    read_by = time.monotonic() + _READING_SECONDS
    anew = False
    while True:
        for binding in log.news():
            if anew and binding.ours and binding.seen >= bounds.began and binding.standing is Standing.LEASED:
                last.pop(binding.address, None)
            else:
                last[binding.address] = binding
            if time.monotonic() > read_by:
                return False
        anew, read_by = True, deadline
        short = [each for each in last.values() if bounds.short(each)]
        if len(short) > _MOST or any(map(bounds.strangers, short)) or time.monotonic() > deadline:
            return False
        if not short:
            return True
        for each in short:  # one by one: between two messages the server answers whoever waits
            if time.monotonic() > deadline or control.hold([IPv4Address(each.address)], bounds.until):
                return False


def trouble(said: FailoverStatus, since: int) -> str:
    """Return why what a server says is no partner-down to rely on, CamelCase; empty: it is."""
    if said.local is not FailoverState.PARTNER_DOWN:
        return f"StillIn{said.local}"
    if said.partner is not FailoverState.COMMUNICATIONS_INTERRUPTED:
        return f"PartnerIn{said.partner}"
    return "" if said.since >= since else "NotBegunAnew"


def _told(control: Control) -> FailoverStatus | None:
    """Ask a server, and tell it if it waits for the word."""
    try:
        said = control.failover()
        if said.local is FailoverState.STARTUP:
            said = control.enter_partner_down()
    except ControlError:
        return None
    return said
