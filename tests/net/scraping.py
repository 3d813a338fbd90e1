"""What Prometheus would get of a sidecar: over HTTP, from another machine of the LAN, read by its own parser."""

import http.client
from collections.abc import Iterator
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from tests.net.jig import Namespace
from tests.net.managed import ADDRESSES, METRICS_PORT, Member


class Scrape:
    """All series of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.series = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    @classmethod
    def of(cls, member: Member, place: Namespace) -> Self:
        """Scrape a member's sidecar from a place on the LAN."""
        status, text = get(member, place, "/metrics")
        assert status == 200, text
        return cls(text)

    def all(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        """Yield the labels and the value of each series of a name that has these labels."""
        for (found, its), value in self.series.items():
            if found == f"twinlease_{name}" and labels.items() <= dict(its).items():
                yield dict(its), value

    def value(self, name: str, **labels: str) -> float:
        """Return the value of the only series of a name that has these labels."""
        values = [value for _, value in self.all(name, **labels)]
        assert len(values) == 1, f"{name} {labels}: {values}"
        return values[0]

    def state(self, name: str) -> str:
        """Return which of the values of a state set is the present one; empty where there is no such set yet."""
        present = [labels for labels, value in self.all(name) if value == 1]
        if not present and not list(self.all(name)):
            return ""
        assert len(present) == 1, present
        (label,) = present[0].keys() - {"namespace", "pair", "server", "role"}
        return present[0][label]

    def reason(self, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition."""
        ((labels, value),) = self.all("server_condition", type=kind)
        assert value == 1
        return labels["status"], labels["reason"]


def get(member: Member, place: Namespace, path: str) -> tuple[int, str]:
    """Ask a member's sidecar for a page, from a place on the LAN; return the status and the body."""
    with place.entered():
        connection = http.client.HTTPConnection(str(ADDRESSES[member.role]), METRICS_PORT, timeout=5)
        connection.request("GET", path)
    response = connection.getresponse()
    try:
        return response.status, response.read().decode()
    finally:
        connection.close()
