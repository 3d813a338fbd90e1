"""One shape for every log line."""

import io
import logging
from collections.abc import Iterator

import pytest

from twinlease import log, logline


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Logging as the programs configure it, into a text; and as it was, afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    text = io.StringIO()
    log.configure(text)
    yield text
    root.handlers[:], root.level = before


def test_a_line_is_time_level_name_message_and_fields() -> None:
    fields = {"plain": "eth0.12", "number": 3, "empty": "", "spaced": "a b", "quoted": 'say "x"\nagain', "name": "süd"}
    assert logline.line("INFO", "twinlease.guard", "server started", fields, 1_700_000_000.25) == (
        "2023-11-14T22:13:20.250Z INFO twinlease.guard server started plain=eth0.12 number=3 "
        'empty="" spaced="a b" quoted="say \\"x\\"\\nagain" name="süd"'
    )


def test_logging_takes_that_shape(stream: io.StringIO) -> None:
    logging.getLogger("twinlease.x").info("it happened", extra=log.kv(why="no reason", revision="abc"))
    line = stream.getvalue()
    assert line.endswith('Z INFO twinlease.x it happened why="no reason" revision=abc\n')
    assert line.count("\n") == 1


def test_a_traceback_stays_with_its_line(stream: io.StringIO) -> None:
    logging.getLogger("twinlease.x").error("it failed", exc_info=ValueError("bad"))
    first, *more = stream.getvalue().splitlines()
    assert first.endswith("it failed")
    assert more[-1] == "    ValueError: bad"
