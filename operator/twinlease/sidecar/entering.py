"""Entering partner-down: a prepared server is told as soon as it hears, while the guard still starts it."""

import threading
import time
from collections.abc import Callable

from msgspec import Struct

from twinlease.engines.protocol import Control, ControlError, FailoverStatus
from twinlease.ipc.client import GuardStatus, GuardUnreachable
from twinlease.ipc.protocol import ProtocolError
from twinlease.model.states import FailoverState

PATIENCE_SECONDS = 2.0
"""How long after its start a server may take to be in partner-down."""
_EVERY_SECONDS = 0.005

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
