"""The pair's serving lease, once it is known which pair that is."""

from collections.abc import Callable

from twinlease.kube.protocol import Json
from twinlease.sidecar.observed import LeaseObject
from twinlease.sidecar.watcher import Watcher

Follow = Callable[[str], Watcher[LeaseObject]]
"""Returns a watcher of the serving lease of a name, not started yet."""


class ServingLease:
    """Follows it from the moment on at which its name is known.

    Args:
        follow: Makes the watcher.
    """

    def __init__(self, follow: Follow) -> None:
        self._follow = follow
        self._watcher: Watcher[LeaseObject] | None = None

    def begin(self, name: str) -> None:
        """Follow the serving lease of that name, if none is followed yet."""
        if self._watcher is None:
            self._watcher = self._follow(name)
            self._watcher.start()

    @property
    def latest(self) -> LeaseObject | None:
        """It, as last read; None: not yet, or there is none."""
        return self._watcher.latest if self._watcher is not None else None

    def read(self) -> LeaseObject | None:
        """Read it now. Errors as ``Watcher.read``."""
        return self._watcher.read() if self._watcher is not None else None

    def take(self, found: Json, *, anew: bool = False) -> None:
        """Take in what somebody read."""
        if self._watcher is not None:
            self._watcher.take(found, anew=anew)
