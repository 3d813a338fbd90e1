"""Which cluster, as kubectl users say it: ``--kubeconfig``, ``--context``, ``-n``; before or after the command."""

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click

_KEY = "twinlease.cli.options"

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _remember(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        context.meta.setdefault(_KEY, {})[parameter.name] = value
    return value


_OPTIONS = (
    click.option(
        "--kubeconfig",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        expose_value=False,
        callback=_remember,
        help="The kubeconfig, instead of $KUBECONFIG or ~/.kube/config.",
    ),
    click.option(
        "--context", metavar="NAME", expose_value=False, callback=_remember, help="The context of the kubeconfig."
    ),
    click.option(
        "-n",
        "--namespace",
        metavar="NAME",
        expose_value=False,
        callback=_remember,
        help="The namespace, instead of that of the context.",
    ),
)


def cluster_options(command: Decorated) -> Decorated:
    """Add the options that say which cluster and namespace."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


def chosen(context: click.Context) -> dict[str, str]:
    """Return what was said: any of ``kubeconfig``, ``context`` and ``namespace``; the command's own word counts."""
    found: dict[str, str] = context.meta.get(_KEY, {})
    return found
