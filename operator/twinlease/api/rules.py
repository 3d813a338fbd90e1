"""What a schema says beyond types: CEL rules for the API server, and the same checks for our own code.

The API server judges an object by CEL (``x-kubernetes-validations``); ``kubectl-twinlease check`` and the operator
judge it without a server. Both readings come from one annotation here, so that they cannot drift apart.
"""

from typing import Any

from msgspec import Meta

RULES = "rules: "
"""Start of a key that holds CEL rules. Each annotation has a key of its own: equal keys would replace each other."""

CHECK = "check: "
"""Start of a key that holds the same check for our own code: see ``model.structure``."""

DURATION_PATTERN = r"^([0-9]{1,4}h([0-9]{1,5}m)?([0-9]{1,6}s)?|[0-9]{1,5}m([0-9]{1,6}s)?|[0-9]{1,6}s)$"
"""Whole hours, minutes and seconds in that order, at least one of them."""


def text(value: str) -> str:
    """Return a CEL string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def rule(expression: str, message: str, *, path: str | None = None, value: str | None = None) -> dict[str, str]:
    """Return one CEL validation rule as ``x-kubernetes-validations`` wants it.

    Args:
        expression: What must hold.
        message: The rest of the sentence "FIELD ...".
        path: The field that the message is about, relative to where the rule stands, like ``.nodeName``.
        value: CEL expression (a string) of the offending value, to be shown.
    """
    built = {"rule": expression, "message": message}
    if value:
        built["messageExpression"] = f"{text(f'{message}; found ')} + {value}"
    if path:
        built["fieldPath"] = path
    return built


def validations(*rules: dict[str, str], check: dict[str, Any] | None = None) -> Meta:
    """Return the annotation that puts CEL rules on a field's value, with the check that our own code makes instead."""
    first = rules[0]["rule"]
    schema: dict[str, Any] = {f"{RULES}{first}": list(rules)}
    if check:
        schema[f"{CHECK}{first}"] = check
    return Meta(extra_json_schema=schema)


def rules_of(annotation: Meta) -> tuple[dict[str, str], ...]:
    """Return the CEL rules that an annotation of ``validations`` holds."""
    extra = annotation.extra_json_schema or {}
    return tuple(each for key, rules in extra.items() if key.startswith(RULES) for each in rules)


def matching(pattern: str, allowed: str) -> Meta:
    """Return the annotation of a string that matches a pattern; ``allowed`` is the rest of "must ..." for people.

    The schema's own ``pattern`` would do, but its message is the bare regular expression.
    """
    return validations(
        rule(f"self.matches({text(pattern)})", f"must {allowed}", value="self"),
        check={"pattern": pattern, "allowed": allowed},
    )


def between(low: str, high: str) -> Meta:
    """Return the annotation that bounds a duration, both ends included."""
    allowed = f"be a duration from {low} to {high}, in hours, minutes and seconds like 1h30m"
    return validations(
        rule(
            f"{is_duration('self')} && duration(self) >= duration('{low}') && duration(self) <= duration('{high}')",
            f"must {allowed}",
            value="self",
        ),
        check={"duration": [low, high], "allowed": allowed},
    )


def is_duration(expression: str) -> str:
    """Return the CEL expression that tells whether a string can be converted: else ``duration()`` is an error."""
    return f"{expression}.matches({text(DURATION_PATTERN)})"


def not_longer(short: str, long: str, condition: str = "") -> str:
    """Return the CEL expression that compares two durations, and leaves malformed ones to their own rule."""
    return f"!({condition}{is_duration(short)} && {is_duration(long)}) || duration({short}) <= duration({long})"


def immutable(why: str, shown: str = "oldSelf") -> Meta:
    """Return the annotation that refuses any change of a value that is set.

    Args:
        why: What to do instead.
        shown: CEL expression (a string) of the old value.
    """
    message = f"is immutable: {why}"
    built = rule("self == oldSelf", message)
    built["messageExpression"] = f"{text(f'{message} (it is ')} + {shown} + ')'"
    return validations(built)


def unchanged(field: str, why: str) -> dict[str, str]:
    """Return the rule, for the object around it, that an optional field is neither set, unset nor changed."""
    return rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"is immutable: {why}",
        path=f".{field}",
    )
