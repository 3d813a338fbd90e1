"""The sidecar's metrics endpoint. Loaded only where it is wanted, for prometheus_client takes more than a megabyte."""

from twinlease.kube.protocol import Transport
from twinlease.kube.timed import TimedTransport
from twinlease.metrics import table
from twinlease.metrics.collect import CONTENT_TYPE, Exposition
from twinlease.metrics.endpoint import Answer, Endpoint, health, kept
from twinlease.metrics.sample import Sample
from twinlease.sidecar.agent import Agent
from twinlease.sidecar.clock import Clocks
from twinlease.sidecar.measured import OLD_SECONDS, samples
from twinlease.sidecar.settings import Settings


class Exposed:
    """What one sidecar exports.

    Args:
        settings: Where.
        clocks: The node's.
    """

    def __init__(self, settings: Settings, clocks: Clocks) -> None:
        self._settings = settings
        self._clocks = clocks
        self._agent: Agent | None = None
        self._exposition = Exposition(self._samples)
        self._requests = self._exposition.timings(table.API_REQUEST_SECONDS)

    def timed(self, transport: Transport) -> Transport:
        """Return a transport whose requests are timed."""
        return TimedTransport(transport, self._requests)

    def serve(self, agent: Agent) -> None:
        """Listen from now on, and tell what the agent sees."""
        self._agent = agent
        pages = {
            "/metrics": kept(lambda: Answer(self._exposition.text(), CONTENT_TYPE)),
            "/healthz": health(self._problem),
        }
        Endpoint(self._settings.metrics_address, self._settings.metrics_port, pages).start()

    def _samples(self) -> list[Sample]:
        agent, clocks = self._agent, self._clocks
        if agent is None:
            return []
        return list(samples(self._settings.namespace, agent.seen, agent.tally(), clocks.boot(), clocks.wall()))

    def _problem(self) -> str:
        seen = None if self._agent is None else self._agent.seen
        if seen is None:
            return "nothing has been looked at yet"
        age = self._clocks.boot() - seen.now.boot
        return f"the last look was {age:.0f} s ago" if age > OLD_SECONDS else ""
