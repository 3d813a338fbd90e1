"""Renders configurations through the engine seam, and not again what it rendered last for a server."""

import threading

from twinlease.engines.protocol import engine
from twinlease.model.service import Service
from twinlease.model.states import Role


class Renderer:
    """Remembers, for each server, the last service and its text: most looks at a pair change nothing."""

    def __init__(self, name: str = "ISC") -> None:
        self._engine = engine(name)
        self._lock = threading.Lock()
        self._last: dict[str, tuple[Service, str]] = {}

    def __call__(self, service: Service, role: Role) -> str:
        """Return a server's configuration."""
        endpoint = service.endpoints[role]
        key = f"{service.failover.name}/{endpoint.name}/{endpoint.node}"
        with self._lock:
            known = self._last.get(key)
        if known is not None and known[0] == service:
            return known[1]
        text = self._engine.render(service, role)
        with self._lock:
            self._last[key] = (service, text)
        return text
