"""From the types to the structural OpenAPI schema that Kubernetes wants of a CustomResourceDefinition."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from msgspec import NODEFAULT, inspect

from twinlease.api.rules import CHECK, RULES
from twinlease.api.types import Model

Json: TypeAlias = dict[str, Any]

_VALIDATIONS = "x-kubernetes-validations"
_INT_OR_STRING = "x-kubernetes-int-or-string"


def structural(model: type[Model], *, checks: bool = False) -> Json:
    """Return the schema of a type.

    Args:
        model: The type; every type that it uses is written out in place.
        checks: Keep, under ``checks``, what our own code judges instead of CEL (``model.structure``). The API server
            knows no such key.

    Raises:
        TypeError: The type holds something that has no structural schema, like ``Any`` or a union of two objects.
    """
    return _schema(inspect.type_info(model), checks=checks)


def _schema(kind: inspect.Type, *, checks: bool) -> Json:
    extra: Mapping[str, Any] = {}
    if isinstance(kind, inspect.Metadata):
        extra, kind = kind.extra_json_schema or {}, kind.type
    if extra.get(_INT_OR_STRING):
        schema: Json = {}
    elif type(kind) in _BUILDERS:
        schema = _BUILDERS[type(kind)](kind, checks)
    else:
        raise TypeError(f"{kind!r} has no structural schema")
    return _with_extra(schema, extra, checks=checks)


def _with_extra(schema: Json, extra: Mapping[str, Any], *, checks: bool) -> Json:
    rules = list(schema.pop(_VALIDATIONS, []))
    own = list(schema.pop("checks", []))
    for key, value in extra.items():
        if key.startswith(RULES):
            rules.extend(value)
        elif key.startswith(CHECK):
            own.append(value)
        else:
            schema[key] = value
    ordered = {key: schema.pop(key) for key in ("description", "type", "default") if key in schema} | schema
    if checks and own:
        ordered["checks"] = own
    if rules:
        ordered[_VALIDATIONS] = rules
    return ordered


def _object(kind: inspect.Type, checks: bool) -> Json:  # noqa: FBT001  # one signature for the whole table
    assert isinstance(kind, inspect.StructType)  # noqa: S101  # the table's key says so; for the type checker
    schema: Json = {"type": "object"}
    if text := (kind.cls.__doc__ or "").strip():
        schema["description"] = text.split("\n\n", maxsplit=1)[0].replace("\n    ", " ")
    required = [field.encode_name for field in kind.fields if field.required]
    if required:
        schema["required"] = required
    schema["properties"] = {field.encode_name: _property(field, checks) for field in kind.fields}
    return schema


def _property(field: inspect.Field, checks: bool) -> Json:  # noqa: FBT001  # as above
    schema = _schema(field.type, checks=checks)
    default = field.default
    if field.default_factory is not NODEFAULT or isinstance(default, Model):
        # An object whose fields all have defaults: an empty one, which the API server then fills.
        if schema["type"] == "object" and "properties" in schema and "required" not in schema:
            schema = _with_extra(schema | {"default": {}}, {}, checks=checks)
    elif isinstance(default, bool | int | str) and default != "":
        schema = _with_extra(schema | {"default": _plain(default)}, {}, checks=checks)
    return schema


def _plain(value: bool | int | str) -> bool | int | str:  # noqa: FBT001  # a value of a field, no switch
    """Return the value itself, without the enum class around it."""
    return str(value) if isinstance(value, str) else value


def _without_none(**values: object) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _array(kind: inspect.Type, checks: bool) -> Json:  # noqa: FBT001  # as above
    assert isinstance(kind, inspect.VarTupleType)  # noqa: S101  # as above
    items = _schema(kind.item_type, checks=checks)
    return {"type": "array"} | _without_none(minItems=kind.min_length, maxItems=kind.max_length) | {"items": items}


def _map(kind: inspect.Type, checks: bool) -> Json:  # noqa: FBT001  # as above
    assert isinstance(kind, inspect.DictType)  # noqa: S101  # as above
    bounds = _without_none(minProperties=kind.min_length, maxProperties=kind.max_length)
    # Bounds of the keys (propertyNames) have no place in a structural schema.
    return {"type": "object"} | bounds | {"additionalProperties": _schema(kind.value_type, checks=checks)}


def _string(kind: inspect.Type, _checks: bool) -> Json:  # noqa: FBT001  # as above
    assert isinstance(kind, inspect.StrType)  # noqa: S101  # as above
    bounds = _without_none(minLength=kind.min_length, maxLength=kind.max_length, pattern=kind.pattern)
    return {"type": "string"} | bounds


def _integer(kind: inspect.Type, _checks: bool) -> Json:  # noqa: FBT001  # as above
    assert isinstance(kind, inspect.IntType)  # noqa: S101  # as above
    return {"type": "integer", "format": "int64"} | _without_none(minimum=kind.ge, maximum=kind.le)


def _enum(kind: inspect.Type, _checks: bool) -> Json:  # noqa: FBT001  # as above
    assert isinstance(kind, inspect.EnumType)  # noqa: S101  # as above
    return {"type": "string", "enum": [str(member.value) for member in kind.cls]}


_BUILDERS: dict[type[inspect.Type], Callable[[inspect.Type, bool], Json]] = {
    inspect.StructType: _object,
    inspect.VarTupleType: _array,
    inspect.DictType: _map,
    inspect.StrType: _string,
    inspect.IntType: _integer,
    inspect.EnumType: _enum,
    inspect.BoolType: lambda _kind, _checks: {"type": "boolean"},
}
