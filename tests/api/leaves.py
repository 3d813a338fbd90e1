"""Every leaf of a serving lease's specification, each with a change that its schema allows: to try who may make it."""

import copy
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from twinlease.api.schema import structural
from twinlease.api.servinglease import ServingLeaseSpec
from twinlease.kube.protocol import Json

SCHEMA = structural(ServingLeaseSpec)
DATE_LENGTH = 20


class Change(Struct, frozen=True):
    """A merge patch of a specification that changes one leaf, and what the definition's own rules want beside it."""

    path: tuple[str, ...]
    spec: Json

    @property
    def own_of(self) -> str:
        """Role of the server whose own part it is in; empty: in none."""
        return self.path[1] if self.path[0] == "servers" and self.path[2] == "own" else ""


def changes(spec: Json) -> list[Change]:
    """Return one change for each leaf of the schema, from a specification as it is."""
    return [Change(path, _patch(spec, path, leaf)) for path, leaf in _leaves((), SCHEMA)]


def at(spec: Json, path: tuple[str, ...]) -> Any:  # noqa: ANN401  # whatever is there
    """Return what a specification has at a path; None: nothing."""
    place: Any = spec
    for name in path:
        place = place.get(name) if isinstance(place, dict) else None
    return place


def _leaves(path: tuple[str, ...], schema: Json) -> Iterator[tuple[tuple[str, ...], Json]]:
    if "properties" not in schema:
        yield path, schema
        return
    for name, child in schema["properties"].items():
        yield from _leaves((*path, name), child)


def _patch(spec: Json, path: tuple[str, ...], schema: Json) -> Json:
    patch: Json = {}
    _set(patch, path, _other(schema, at(spec, path)))
    higher = spec["epoch"] + 1
    if path == ("order", "epoch"):
        _set(patch, path, higher)
    if path[0] == "order":
        _fill(patch, {"epoch": higher, "order": {"epoch": higher, "interruption": 1, "evidence": "Released"}})
    elif path[2:] == ("grant", "holder"):
        _fill(patch, {"epoch": higher, "servers": {path[1]: {"grant": {"epoch": higher}}}})
    elif path[2:] == ("grant", "epoch"):
        _set(patch, path, higher)
        _fill(patch, {"epoch": higher})
    elif path[2:3] == ("own",):
        _own(spec, patch, path)
    return patch


def _own(spec: Json, patch: Json, path: tuple[str, ...]) -> None:
    """Keep an own part what its writer may write: incarnations of its own pod."""
    mine = at(spec, (*path[:3], "incarnation"))
    if path[3:] == ("incarnation",):
        _set(patch, path, f"{mine}x")
    if path[3] == "asks":
        _fill(patch, {"servers": {path[1]: {"own": {"asks": {"incarnation": mine}}}}})
        _set(patch, (*path[:4], "incarnation"), mine)


def _other(schema: Json, found: Any) -> Any:  # noqa: ANN401  # a value of the leaf's type
    if "enum" in schema:
        return next(value for value in schema["enum"] if value != found)
    if schema["type"] == "boolean":
        return not found
    if schema["type"] == "integer":
        return (found or 0) + 1
    if schema.get("maxLength") == DATE_LENGTH:
        return "2031-01-01T00:00:00Z"
    return "7m7s" if schema.get("minLength") else "another"


def _set(patch: Json, path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        patch = patch.setdefault(name, {})
    patch[path[-1]] = value


def _fill(patch: Json, more: Json) -> None:
    for name, value in copy.deepcopy(more).items():
        if isinstance(value, dict):
            _fill(patch.setdefault(name, {}), value)
        else:
            patch.setdefault(name, value)
