"""`python -m tests.faults`: see `python -m tests.faults --help`."""

import sys

from tests.faults.cli import main

if __name__ == "__main__":
    sys.exit(main())
