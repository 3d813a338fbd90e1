"""`python -m tests.lab`: see `python -m tests.lab --help`."""

import sys

from tests.lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
