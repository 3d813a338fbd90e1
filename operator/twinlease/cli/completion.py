"""``kubectl twinlease completion``, and what kubectl itself calls for ``kubectl twinlease <TAB>``."""

import sys

import click
from click.shell_completion import ShellComplete, get_completion_class

PROGRAM = "kubectl-twinlease"
_NO_FILES = 4
"""What kubectl's completion, which is cobra's, takes for: offer no file names."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion of `kubectl-twinlease` for a shell.

    \b
    bash:  source <(kubectl twinlease completion bash)
    zsh:   source <(kubectl twinlease completion zsh)
    fish:  kubectl twinlease completion fish | source

    \b
    For `kubectl twinlease <TAB>` kubectl's own completion finds the program
    kubectl_complete-twinlease on PATH, which is installed beside this one.
    """  # noqa: D301  # \b is click's mark of lines that stay as they are, and must be one character
    from twinlease.cli.plugin import COMPLETE_VARIABLE  # noqa: PLC0415  # the group names this module

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # click has these three
    click.echo(kind(context.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE).source())


def kubectl() -> None:
    """Complete for kubectl: its words as arguments, one candidate a line, then cobra's directive."""
    from twinlease.cli.plugin import COMPLETE_VARIABLE, main  # noqa: PLC0415  # the group names this module

    words = sys.argv[1:]
    incomplete = words.pop() if words else ""
    for item in ShellComplete(main, {}, PROGRAM, COMPLETE_VARIABLE).get_completions(words, incomplete):
        click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(f":{_NO_FILES}")
