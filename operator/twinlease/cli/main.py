"""``twinlease``: the entry of the image. It loads only what the chosen command needs.

The sidecar's memory is counted in the tens of megabytes, so nothing here may import more than the standard library.
"""

import importlib
import sys
from typing import Final

from twinlease import __version__

_COMMANDS: Final = {
    "operator": ("twinlease.controller.main", "run the operator"),
    "sidecar": ("twinlease.sidecar.main", "run the sidecar of one server"),
    "verify": ("twinlease.cli.verify", "try whether the installation works, with the operator's own account"),
    "crds": ("twinlease.cli.crds", "print the CustomResourceDefinitions, or write them with --output DIR"),
    "fields": ("twinlease.cli.fields", "print the reference of all fields, or write it with --output FILE"),
    "metrics": ("twinlease.cli.metrics", "print what is measured, in Markdown, or write it with --output FILE"),
}


def usage() -> str:
    """Return the list of commands."""
    lines = [f"  {name:<10}{text}" for name, (_, text) in _COMMANDS.items()]
    return "\n".join(["usage: twinlease COMMAND [OPTIONS]", "", *lines, "  version   print the version"]) + "\n"


def dispatch(argv: list[str]) -> int:
    """Run the command that the arguments name and return its exit status; 2 where there is no such command."""
    name, rest = (argv[0], argv[1:]) if argv else ("", [])
    if name in {"version", "--version"}:
        sys.stdout.write(f"{__version__}\n")
        return 0
    if name in {"help", "--help", "-h"}:
        sys.stdout.write(usage())
        return 0
    if name not in _COMMANDS:
        sys.stderr.write((f"twinlease: no command {name!r}\n\n" if name else "") + usage())
        return 2
    module = importlib.import_module(_COMMANDS[name][0])
    return int(module.run(rest))


def main() -> None:
    """Run as a program."""
    sys.exit(dispatch(sys.argv[1:]))
