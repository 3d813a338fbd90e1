"""The real Prometheus beside the lab's nodes, and what it says of alerts."""

import json
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.release import Release
from tests.e2e.scraping import configuration, discovered, hastened
from tests.lab import netns
from tests.lab.cluster import Lab
from tests.lab.model import OBSERVER_NAMESPACE
from tests.lab.rest import ApiError, Rest, UnreachableError
from tests.lab.waiting import NotInTimeError, until
from tests.rules.prometheus import Prometheus

_EVERY = 0.5
_FIRING = "firing"
_LOOK_SECONDS = 1.0


class Fired(NamedTuple):
    """An alert by its name and what it is about."""

    name: str
    about: str

    def __str__(self) -> str:
        return f"{self.name}({self.about})"


class Watched:
    """What a Prometheus has seen of the lab."""

    def __init__(self, prometheus: Prometheus) -> None:
        self.prometheus = prometheus

    def up(self) -> dict[str, str]:
        """Return the pods that it scrapes -> how the last scrape went, `up` or `down`."""
        return {each["labels"]["pod"]: each["health"] for each in self.prometheus.targets()}

    def firing(self) -> dict[Fired, dict[str, str]]:
        """Return the alerts that fire now, with their annotations."""
        return {
            _fired(each["labels"]): each["annotations"] for each in self.prometheus.alerts() if each["state"] == _FIRING
        }

    def await_firing(self, name: str, timeout: float) -> dict[str, str]:
        """Wait until an alert of that name fires, and return its annotations."""
        found: dict[str, str] = {}

        def fires() -> bool:
            found.update(next((said for fired, said in self.firing().items() if fired.name == name), {}))
            return bool(found)

        until(f"{name} fires", fires, timeout=timeout, every=_EVERY)
        return found

    def await_calm(self, timeout: float, but: Collection[str] = ()) -> None:
        """Wait until no alert fires, or would soon, but those of these names.

        One that still waits would fire in what comes next: Prometheus hears of an end up to a scrape late.
        """
        try:
            until("calm", lambda: not self._others(but), timeout=timeout, every=_EVERY)
        except NotInTimeError as error:
            raise NotInTimeError(f"not calm after {timeout:g} s: {', '.join(self._others(but))}") from error

    def fired(self, begin: float, end: float | None = None) -> set[Fired]:
        """Return what fired at any time since a moment, or between two (Unix time)."""
        found = self.prometheus.series('ALERTS{alertstate="firing"}', begin, end or time.time())
        return {_fired(each["metric"]) for each in found}

    def _others(self, but: Collection[str]) -> list[str]:
        active = ((_fired(each["labels"]), each["state"]) for each in self.prometheus.alerts())
        return sorted(f"{fired} {state}" for fired, state in active if fired.name not in but)


def _fired(labels: dict[str, Any]) -> Fired:
    about = [labels[key] for key in ("server", "pool", "kind", "reason", "state", "verdict") if key in labels]
    return Fired(labels["alertname"], " ".join(about))


class _Discovery(threading.Thread):
    """Keeps the file of what there is to scrape; while the API server does not answer, as it was."""

    def __init__(self, api: Rest, file: Path) -> None:
        super().__init__(name="discovery", daemon=True)
        self._api = api
        self._file = file
        self._said = ""
        self._stopping = threading.Event()
        self.look()

    def look(self) -> None:
        """Look once; the file appears whole or not at all."""
        said = json.dumps(discovered(self._api.get("/api/v1/pods")["items"]))
        if said != self._said:
            partial = self._file.with_suffix(".partial")
            partial.write_text(said, encoding="utf-8")
            partial.replace(self._file)
            self._said = said

    def run(self) -> None:
        """Look again and again."""
        while not self._stopping.wait(_LOOK_SECONDS):
            with suppress(ApiError, UnreachableError):
                self.look()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self.join()


@contextmanager
def watching(lab: Lab, release: Release, directory: Path, factor: int) -> Iterator[Watched]:
    """Run a Prometheus that does what the release's PodMonitors and PrometheusRule say, until the block is left.

    Args:
        lab: Where the pods are.
        release: Whose monitors and rules.
        directory: For all that Prometheus needs and keeps.
        factor: By how much alerts wait shorter than the rule says; see `hastened`.
    """
    targets, rules = directory / "targets.json", directory / "rules.yml"
    rules.write_text(json.dumps(hastened(release.rules(), factor)), encoding="utf-8")
    discovery = _Discovery(lab.api, targets)
    observed = netns.path(OBSERVER_NAMESPACE)
    prometheus = Prometheus(
        directory,
        configuration(release.monitors(), rules, targets),
        placed=lambda argv: lab.client_command(argv, OBSERVER_NAMESPACE),
        entered=lambda: netns.entered(observed),
    )
    discovery.start()
    try:
        with prometheus:
            yield Watched(prometheus)
    finally:
        discovery.stop()
