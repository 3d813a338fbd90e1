"""Watches a pair's objects in threads of its own, from entering to leaving the block."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.faults.timeline import LEASE, PAIR, SERVER, Change, Timeline, change
from tests.lab.rest import ApiError, Rest, UnreachableError

_PLURALS = {PAIR: "dhcpfailoverpairs", LEASE: "dhcpservingleases", SERVER: "dhcpservers"}
_AGAIN_SECONDS = 0.2
_SILENCE_SECONDS = 2.0  # after which a stream is opened anew, so that leaving the block does not take longer


class Watcher:
    """Collects every change; what was there when it began is the first change of each.

    Args:
        api: The API server.
        pair: The pair's name.
        namespace: The pair's namespace.
        told: Called with each change, in the watching thread.
    """

    def __init__(
        self, api: Rest, pair: str, namespace: str = "default", told: Callable[[Change], None] = lambda _: None
    ) -> None:
        self._api = api
        self._pair = pair
        self._path = f"/apis/twinlease.io/v1alpha1/namespaces/{namespace}"
        self._told = told
        self._failed: BaseException | None = None
        self._changes: list[Change] = []
        self._versions: dict[tuple[str, str], str] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(kind,), daemon=True) for kind in _PLURALS]

    def __enter__(self) -> Self:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop.

        Raises:
            RuntimeError: A thread broke off, so that changes are missing.
        """
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self._failed is not None and error is None:
            raise RuntimeError("the watcher broke off") from self._failed

    def timeline(self) -> Timeline:
        """Return what was seen so far."""
        with self._changed:
            return Timeline(sorted(self._changes, key=lambda each: each.time), self._pair)

    def until(self, holds: Callable[[Timeline], float | None], within: float) -> float | None:
        """Wait until something has happened, and return when it did; None: it did not within so many seconds."""
        deadline = time.monotonic() + within
        while True:
            happened = holds(self.timeline())
            left = deadline - time.monotonic()
            if happened is not None or left <= 0:
                return happened
            with self._changed:
                self._changed.wait(min(left, 0.5))

    def _watch(self, kind: str) -> None:
        try:
            self._follow(kind)
        except BaseException as error:  # noqa: BLE001 - told to whoever leaves the block
            self._failed = error

    def _follow(self, kind: str) -> None:
        path, since = f"{self._path}/{_PLURALS[kind]}", ""
        while not self._stopping.is_set():
            began = time.monotonic()
            # The API server may be cut off, frozen, or not know that kind yet.
            with suppress(UnreachableError, ApiError):
                for event in self._api.watch(path, since=since, silence=_SILENCE_SECONDS):
                    if event["type"] == "ERROR":  # it does not know any more what changed since then
                        since = ""
                        break
                    since = event["object"]["metadata"]["resourceVersion"]
                    self._note(kind, event["object"], deleted=event["type"] == "DELETED")
                    if self._stopping.is_set():
                        return
            if time.monotonic() - began < _SILENCE_SECONDS:
                self._stopping.wait(_AGAIN_SECONDS)

    def _note(self, kind: str, content: dict[str, object], *, deleted: bool) -> None:
        now = time.monotonic()
        metadata = content["metadata"]
        assert isinstance(metadata, dict)
        key = kind, str(metadata["name"])
        version = f"{metadata['resourceVersion']}{'-' * deleted}"
        with self._changed:
            if self._versions.get(key) == version:
                return
            self._versions[key] = version
            seen = change(now, *key, None if deleted else content)
            self._changes.append(seen)
            self._changed.notify_all()
        self._told(seen)
