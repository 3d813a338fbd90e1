"""``python -m twinlease.monitoring ROOT``: write what is generated into the repository."""

import sys
from pathlib import Path

from twinlease.monitoring.files import texts


def main() -> None:
    """Write every file below the root that the only argument names."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and its argument
        sys.exit("usage: python -m twinlease.monitoring ROOT")
    for name, text in texts().items():
        path = Path(sys.argv[1], name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


main()
