"""The operator's HTTP endpoint: metrics, and what the kubelet asks."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from twinlease import __version__
from twinlease.kube.elector import Elector
from twinlease.kube.protocol import Transport
from twinlease.kube.timed import TimedTransport
from twinlease.metrics import table
from twinlease.metrics.collect import CONTENT_TYPE, Exposition
from twinlease.metrics.endpoint import Answer, Endpoint, health, kept
from twinlease.metrics.sample import Sample

if TYPE_CHECKING:
    from twinlease.controller.loop import Controller

STUCK_SECONDS = 60.0
"""An election that makes no attempt for so long is stuck; a request of it takes 4 s at most."""


class Exposed:
    """What one operator process exports.

    Attributes:
        controller: What it leads with; None: it does not, or has not listed everything yet.

    Args:
        elector: Stands for election; set before ``serve``.
        clock: Monotonic seconds, the elector's.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.controller: Controller | None = None
        self._elector: Elector | None = None
        self._clock = clock
        self._exposition = Exposition(self.samples)
        self._requests = self._exposition.timings(table.API_REQUEST_SECONDS)
        self._looks = self._exposition.timings(table.RECONCILE_SECONDS)

    def timed(self, transport: Transport) -> Transport:
        """Return a transport whose requests are timed."""
        return TimedTransport(transport, self._requests)

    def looked(self, seconds: float, result: str) -> None:
        """Take in how long a look at a pair took, and how it ended."""
        self._looks(seconds, (result,))

    def serve(self, elector: Elector, port: int, address: str = "") -> Endpoint:
        """Listen from now on; return who does.

        Args:
            elector: Who stands for election.
            port: TCP port.
            address: Empty: all of IPv4.
        """
        self._elector = elector
        pages = {
            "/metrics": kept(lambda: Answer(self._exposition.text(), CONTENT_TYPE)),
            "/healthz": health(self.stuck),
            "/readyz": health(self.unready),
        }
        endpoint = Endpoint(address, port, pages)
        endpoint.start()
        return endpoint

    def samples(self) -> Iterator[Sample]:
        """Yield all series of this moment."""
        leading = self._elector is not None and self._elector.leading()
        yield Sample(table.BUILD_INFO, ("operator", __version__), 1)
        yield Sample(table.LEADING, (), leading)
        if leading and self.controller is not None:
            yield from self.controller.measured()

    def stuck(self) -> str:
        """Return why this process should be started anew; empty: it need not be."""
        if self._elector is None:
            return "the election has not begun"
        silent = self._clock() - self._elector.attempted
        return f"no attempt to lead for {silent:.0f} s" if silent > STUCK_SECONDS else ""

    def unready(self) -> str:
        """Return why this process could do nothing just now; empty: it leads, or could."""
        if (stuck := self.stuck()) or self._elector is None:
            return stuck
        if self._elector.last_error:
            return "no answer from the API"
        if self._elector.leading() and self.controller is None:
            return "it leads, and has not listed everything yet"
        return ""
