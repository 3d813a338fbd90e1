"""The cluster that the options name, and what its refusals mean."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from msgspec import Struct

from twinlease.cli.exits import Exit, Failure, explained
from twinlease.cli.options import chosen
from twinlease.kube import official
from twinlease.kube.client import Client
from twinlease.kube.protocol import PAIRS, ApiError

_MANAGER = "kubectl-twinlease"
_COMPLETION_SECONDS = 2.0


class Cluster(Struct, frozen=True, kw_only=True):
    """One API server.

    Attributes:
        namespace: The one that was asked for, or that of the context.
        host: Where it is, for people.
    """

    client: Client
    namespace: str
    host: str

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn what the API refuses into a sentence and an exit status."""
        try:
            yield
        except ApiError as error:
            raise explained(error, self.host) from error


def cluster(*, timeout: float = 10.0) -> Cluster:
    """Return the cluster that the options name; ``timeout`` (seconds) is for each call.

    Raises:
        Failure: There is no usable kubeconfig.
    """
    said = chosen(click.get_current_context())
    try:
        built, namespace = official.user(said.get("kubeconfig"), said.get("context"))
    except ApiError as error:
        raise Failure(Exit.UNREACHABLE, str(error)) from error
    client = Client(official.OfficialTransport(built), _MANAGER, timeout=timeout)
    return Cluster(client=client, namespace=said.get("namespace") or namespace, host=str(built.host))


def complete_pairs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of pairs for the shell; none where the cluster does not answer soon."""
    del parameter
    try:
        with context.scope(cleanup=False):
            found = cluster(timeout=_COMPLETION_SECONDS)
        items = found.client.list(PAIRS, found.namespace).items
    except (ApiError, Failure):
        return []
    names = (str(each["metadata"]["name"]) for each in items)
    return sorted(name for name in names if name.startswith(incomplete))


pair = click.argument("pair", metavar="PAIR", shell_complete=complete_pairs)
"""The argument that names a pair."""
