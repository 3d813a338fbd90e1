"""``python -m twinlease``: the same as the ``twinlease`` command."""

from twinlease.cli.main import main

main()
