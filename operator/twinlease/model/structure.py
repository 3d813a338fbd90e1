"""What the API server's schema would say of an object, without a server: the same bounds, all faults at once."""

import re
from collections.abc import Iterator
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeAlias, TypeVar

import msgspec

from twinlease.api.crds import KINDS, Kind
from twinlease.api.schema import structural
from twinlease.api.types import API_VERSION, Model
from twinlease.model import durations
from twinlease.model.decision import Problem

Json: TypeAlias = dict[str, Any]
M = TypeVar("M", bound=Model)

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
}
_ARTICLES = {"object": "an object", "array": "a list", "string": "text", "integer": "a number", "boolean": "a boolean"}
_SHOWN = 80


def kind_named(name: str) -> Kind | None:
    """Return one of our kinds by its name, like ``DHCPPool``."""
    return next((kind for kind in KINDS if kind.name == name), None)


def manifest_problems(manifest: Json, kind: Kind) -> list[Problem]:
    """Return what is wrong with a manifest by itself: version, unknown fields, and all that its schema says."""
    found = []
    version = manifest.get("apiVersion")
    if version != API_VERSION:
        allowed = f"be {API_VERSION}"
        found.append(Problem(path="apiVersion", value=_shown(version), allowed=allowed, missing=version is None))
    found.extend(
        Problem(path=str(key), value="", allowed="be removed: there is no such field")
        for key in manifest
        if key not in ("apiVersion", "kind", "metadata", "spec", "status")
    )
    if "spec" not in manifest:
        return [*found, Problem(path="spec", value="", allowed="be set", missing=True)]
    found.extend(_problems(_checked(kind.spec), manifest["spec"], "spec", strict=True))
    return found


def spec_problems(spec: Model) -> list[Problem]:
    """Return what a spec's own schema says against its values."""
    return list(_problems(_checked(type(spec)), msgspec.to_builtins(spec), "spec", strict=False))


def read(spec_type: type[M], raw: object) -> M | tuple[Problem, ...]:
    """Return a spec as its type, or why it cannot be read. Unknown fields are ignored: CRDs may be newer than we."""
    try:
        return msgspec.convert(raw, spec_type)
    except msgspec.ValidationError as error:
        found = tuple(_problems(_checked(spec_type), raw, "spec", strict=False))
        return found or (Problem(path="spec", value=_shown(raw), allowed=f"be readable: {error}"),)


@cache
def _checked(model: type[Model]) -> Json:
    return structural(model, checks=True)


def _problems(schema: Json, value: object, path: str, *, strict: bool) -> Iterator[Problem]:
    kind = schema.get("type")
    if kind is None:  # int-or-string
        if isinstance(value, bool) or not isinstance(value, int | str) or not re.search(schema["pattern"], str(value)):
            yield Problem(path=path, value=_shown(value), allowed="be a quantity like 1Gi")
        return
    if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        yield Problem(path=path, value=_shown(value), allowed=f"be {_ARTICLES[kind]}")
        return
    if isinstance(value, dict):
        yield from _object_problems(schema, value, path, strict=strict)
    elif isinstance(value, list | tuple):
        yield from _bounds(path, f"{len(value)} entries", len(value), schema.get("minItems"), schema.get("maxItems"))
        for place, item in enumerate(value):
            yield from _problems(schema["items"], item, f"{path}[{place}]", strict=strict)
    elif isinstance(value, str):
        yield from _text_problems(schema, value, path)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from _bounds(path, str(value), value, schema.get("minimum"), schema.get("maximum"))


def _object_problems(schema: Json, value: Json, path: str, *, strict: bool) -> Iterator[Problem]:
    properties = schema.get("properties")
    if properties is None:
        low, high = schema.get("minProperties"), schema.get("maxProperties")
        yield from _bounds(path, f"{len(value)} entries", len(value), low, high)
        for key, item in value.items():
            yield from _problems(schema["additionalProperties"], item, f"{path}[{key}]", strict=strict)
        return
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield Problem(path=f"{path}.{name}", value="", allowed="be set", missing=True)
    for name, item in value.items():
        if name in properties and item is not None:
            yield from _problems(properties[name], item, f"{path}.{name}", strict=strict)
        elif strict and name not in properties:
            known = ", ".join(properties)
            yield Problem(path=f"{path}.{name}", value="", allowed=f"be removed: the fields here are {known}")


def _text_problems(schema: Json, value: str, path: str) -> Iterator[Problem]:
    if "enum" in schema and value not in schema["enum"]:
        yield Problem(path=path, value=value, allowed=f"be one of {', '.join(schema['enum'])}")
    found = list(_bounds(path, value, len(value), schema.get("minLength"), schema.get("maxLength"), " characters"))
    for check in schema.get("checks", ()):
        if not _passes(check, value):
            found = [Problem(path=path, value=_shown(value), allowed=check["allowed"])]
    yield from found


def _bounds(
    path: str, value: str, measure: int, low: int | None, high: int | None, unit: str = ""
) -> Iterator[Problem]:
    if low is not None and measure < low:
        yield Problem(path=path, value=_shown(value), allowed=f"be at least {low}{unit}")
    if high is not None and measure > high:
        yield Problem(path=path, value=_shown(value), allowed=f"be at most {high}{unit}")


def _passes(check: Json, value: str) -> bool:
    if "pattern" in check:
        return re.search(check["pattern"], value) is not None and not value.endswith("\n")
    if "duration" in check:
        low, high = check["duration"]
        try:
            return durations.seconds(low) <= durations.seconds(value) <= durations.seconds(high)
        except ValueError:
            return False
    try:
        if check["format"] == "ipv4":
            IPv4Address(value)
        else:
            return "/" in value and str(IPv4Network(value)) == value
    except ValueError:
        return False
    return True


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else "" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
