"""How the plugin ends: exit statuses, and the exception that carries one with its sentence."""

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import IO, Any, Final

import click

from twinlease.kube.client import NOT_FOUND
from twinlease.kube.protocol import ApiError

_UNAUTHORIZED = 401
_FORBIDDEN = 403
_CLIENTS_WORDS = re.compile(r"^<?\w*Connection\w*(\.\w+)*\([^)]*\)>?: ")


class Exit(IntEnum):
    """Exit statuses of ``kubectl twinlease``; ``docs/cli.md`` lists them from here."""

    DONE = 0
    NO = 1
    USAGE = 2
    UNREACHABLE = 3
    FORBIDDEN = 4
    NOT_INSTALLED = 5
    NOT_FOUND = 6
    DEGRADED = 10
    DOWN = 11


MEANINGS: Final[Mapping[Exit, str]] = {
    Exit.DONE: "Done.",
    Exit.NO: "The answer is no: a problem was found, a confirmation was refused, the API refused a write, or the "
    "output cannot be written.",
    Exit.USAGE: "The command line is wrong.",
    Exit.UNREACHABLE: "The API server was not reached, or there is no usable kubeconfig.",
    Exit.FORBIDDEN: "The API server does not know you, or you have not the rights.",
    Exit.NOT_INSTALLED: "The cluster does not know the kinds of twinlease: the CRDs are missing.",
    Exit.NOT_FOUND: "There is no such pair.",
    Exit.DEGRADED: "``status --exit-code``: a pair serves and is not redundant.",
    Exit.DOWN: "``status --exit-code``: of a pair no server is known to answer.",
}


class Failure(click.ClickException):
    """Ends the program with a sentence on standard error.

    Args:
        status: The exit status.
        message: The sentence.
    """

    def __init__(self, status: Exit, message: str) -> None:
        super().__init__(message)
        vars(self).update(exit_code=int(status))  # click reads it of the instance, and declares it of the class
        self.status = status

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence."""
        click.echo(f"kubectl twinlease: {self.format_message()}", file=file, err=file is None)


def explained(error: ApiError, host: str) -> Failure:
    """Return what to tell of an error of the API; ``host`` is where the API server is."""
    if not error.status:
        return Failure(Exit.UNREACHABLE, f"the API server at {host} cannot be reached: {_brief(error.message)}")
    if error.status == _UNAUTHORIZED:
        return Failure(Exit.FORBIDDEN, f"the API server at {host} does not know you: log in again ({error.message})")
    if error.status == _FORBIDDEN:
        return Failure(Exit.FORBIDDEN, f"you have not the rights for this: {error.message}")
    # Of a kind that it does not know the API server's multiplexer speaks, in plain text, not the API.
    if error.status == NOT_FOUND and error.reason != "NotFound":
        return not_installed(host)
    return Failure(Exit.NO, f"the API server refused: {error.message}")


def not_installed(host: str) -> Failure:
    """Return what to tell of a cluster without our kinds."""
    message = f"the cluster at {host} does not know twinlease: apply its CRDs (kubectl apply --server-side -f crds/)"
    return Failure(Exit.NOT_INSTALLED, message)


def _brief(message: str) -> str:
    """Return the cause of a failure to connect, without the request and the client's own objects around it."""
    cause = message.partition(": ")[2] if message.partition(" ")[0].isupper() else message
    return _CLIENTS_WORDS.sub("", cause or message)[:300]
