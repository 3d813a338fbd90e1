"""Logging for operator, sidecar and commands: the standard library's, in the project's one shape.

Messages are constant; what varies goes into fields: ``log.info("configuration applied", extra=kv(revision=name))``.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from twinlease import logline


def kv(**fields: object) -> Mapping[str, Any]:
    """Return the ``extra`` of a logging call that appends these fields as key=value."""
    return {"fields": fields}


class LineFormatter(logging.Formatter):
    """One line per event, as ``logline`` shapes it; tracebacks follow, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        fields = getattr(record, "fields", {})
        text = logline.line(record.levelname, record.name, record.getMessage(), fields, record.created)
        if record.exc_info:
            text += "\n    " + self.formatException(record.exc_info).replace("\n", "\n    ")
        return text


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send all logging of this process to ``stream`` (standard output if None), replacing what was configured."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
