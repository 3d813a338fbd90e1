"""A transport that tells how long its requests took, and how they ended."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from twinlease.kube.protocol import JSON, ApiError, Json, Transport

_CONFLICT = 409


class TimedTransport:
    """The seam's ``Transport`` on another one. Watches are not timed: they last as long as they like.

    Args:
        transport: Does the work.
        observe: Gets the seconds that a request took, its method, and ``ok``, ``conflict``, ``refused`` or
            ``unreachable``; called in the thread of the request.
    """

    def __init__(self, transport: Transport, observe: Callable[[float, tuple[str, ...]], None]) -> None:
        self._transport = transport
        self._observe = observe

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout: float = 10.0,
    ) -> Json:
        """Return the decoded answer.

        Raises:
            ApiError: Any status of 400 and above, or no answer.
        """
        began, result = time.monotonic(), "ok"
        try:
            return self._transport.request(
                method, path, query=query, body=body, content_type=content_type, timeout=timeout
            )
        except ApiError as error:
            result = "conflict" if error.status == _CONFLICT else "refused" if error.status else "unreachable"
            raise
        finally:
            self._observe(time.monotonic() - began, (method, result))

    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Return a watch's lines as they come. Errors as ``request``, also while iterating."""
        return self._transport.stream(path, query=query, timeout=timeout)
