"""``kubectl twinlease``: what a user does with pairs beyond ``kubectl get`` and ``apply``.

Each command is a file of its own, loaded when it is called: most of them need the API client, which takes a while.
"""

import importlib
import os
import sys
from typing import Final

import click

from twinlease.cli.exits import Exit
from twinlease.cli.options import cluster_options

_COMMANDS: Final = {
    "status": "status:status",
    "explain": "explain:explain",
    "timeline": "timeline:timeline",
    "partner-down": "partnerdown:partner_down",
    "check": "check:check",
    "render": "render:render",
    "size": "size:size_",
    "version": "version:version",
    "completion": "completion:completion",
}


COMPLETE_VARIABLE: Final = "_KUBECTL_TWINLEASE_COMPLETE"
"""What the scripts of ``completion`` set to ask for candidates."""


class Commands(click.Group):
    """A group that loads its commands when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names, in the order of the help."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one of them; None: there is none of this name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found = getattr(importlib.import_module(f"twinlease.cli.{module}"), name)
        return found if isinstance(found, click.Command) else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@cluster_options
def main() -> None:
    """Look after DHCP failover pairs on Kubernetes."""


def run() -> None:
    """Run as a program, under the name that users type; output that cannot be written is a sentence."""
    try:
        main(prog_name="kubectl twinlease", complete_var=COMPLETE_VARIABLE)
    except OSError as error:
        what = error.filename or "the output cannot be written"
        click.echo(f"kubectl twinlease: {what}: {error.strerror or error}", err=True)
        # What is left in its buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.NO)
