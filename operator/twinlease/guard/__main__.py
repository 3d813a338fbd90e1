"""``guard-python -m twinlease.guard``: the server container's command."""

import os
import signal
import sys
import time

import twinlease
from twinlease import logline
from twinlease.engines.process import server_process
from twinlease.guard.counts import Counts
from twinlease.guard.fence import Fence
from twinlease.guard.keeper import Clocks, system_clocks
from twinlease.guard.listener import Listener
from twinlease.guard.loop import Loop
from twinlease.guard.relay import Relay
from twinlease.guard.settings import Settings, from_environment
from twinlease.guard.storage import Storage
from twinlease.guard.supervisor import Parts, Supervisor


def run(settings: Settings, fence: Fence | None = None, clocks: Clocks | None = None) -> None:
    """Serve until a signal asks for the end; the server has stopped when this returns."""
    settings.stopped.unlink(missing_ok=True)
    loop = Loop()
    engine = server_process(settings.engine)
    counts = Counts(engine.tally)
    relay = Relay(loop, sys.stdout.fileno(), counts.log)

    def note(message: str, **fields: object) -> None:
        relay.write(logline.line("INFO", "twinlease.guard", message, fields, time.time()))

    parts = Parts(
        engine=engine,
        loop=loop,
        relay=relay,
        counts=counts,
        storage=Storage(settings),
        fence=fence or Fence(),
        clocks=clocks or system_clocks(),
    )
    supervisor = Supervisor(settings, parts)
    loop.on_signal(signal.SIGCHLD, supervisor.children_ended)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.on_signal(number, lambda: supervisor.shut_down(loop.stop))
    _listener = Listener(loop, settings.socket, supervisor.submit, note)
    note("guard ready", version=twinlease.__version__, pid=os.getpid(), engine=settings.engine)
    loop.run()
    if not supervisor.running:
        settings.stopped.touch()
    note("guard ends")
    relay.close()
    loop.close()


if __name__ == "__main__":
    run(from_environment(os.environ))
