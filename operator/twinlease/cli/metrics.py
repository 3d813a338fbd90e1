"""``twinlease metrics``: the document of all metrics."""

import argparse
import sys
from pathlib import Path

from twinlease.metrics.document import markdown


def run(argv: list[str]) -> int:
    """Write the document to a file, or to standard output without one; return the exit status."""
    parser = argparse.ArgumentParser(prog="twinlease metrics", description="Print the metrics, in Markdown.")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write them into FILE")
    target: Path | None = parser.parse_args(argv).output
    if target is None:
        sys.stdout.write(markdown())
    else:
        target.write_text(markdown(), encoding="utf-8")
    return 0
