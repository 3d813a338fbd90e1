"""``twinlease fields``: every field of every object as a page of Markdown, from the types behind the CRDs."""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from twinlease.api.crds import KINDS, Kind
from twinlease.api.schema import structural
from twinlease.api.types import API_VERSION

Json: TypeAlias = dict[str, Any]

_HEAD = f"""# Reference of the objects

<!-- Generated from operator/twinlease/api by `make reference`: edit the types, not this page. -->

Every field of `{API_VERSION}`. `kubectl explain dfp.spec.failover` says the same on your cluster.

A *duration* is written in whole hours, minutes and seconds, like `1h30m` or `45s`. *Default* is what counts where you
leave a field out: **required** that you cannot, — that there is none. What is *allowed* is judged at admission, and by
`kubectl twinlease check -f FILE` before you apply. An object that was told before is not told again: *as* says where.
"""
_RULES = "x-kubernetes-validations"
_ABOUT_THE_FIELD = ("must ", "is ", "plus ", "changes ", "falls ")


class Row(Struct, frozen=True, kw_only=True):
    """One field, as its table shows it."""

    path: str
    kind: str
    default: str
    allowed: str
    says: str

    def line(self) -> str:
        """Return the table's line."""
        cells = (f"`{self.path}`", self.kind, self.default, self.allowed, self.says)
        return f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |"


def page() -> str:
    """Return the whole page; the same types always give the same text."""
    return "\n".join([_HEAD, *(line for kind in KINDS for line in _kind(kind))]).rstrip() + "\n"


def run(argv: list[str]) -> int:
    """Write the page to a file, or to standard output without one; return the exit status."""
    parser = argparse.ArgumentParser(prog="twinlease fields", description="Print the reference of all fields.")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it to FILE")
    target: Path | None = parser.parse_args(argv).output
    if target is None:
        sys.stdout.write(page())
    else:
        target.write_text(page(), encoding="utf-8")
    return 0


def rows(root: str, schema: Json, rules: Iterable[Mapping[str, str]] = ()) -> Iterator[Row]:
    """Yield every field below a schema, itself left out.

    Args:
        root: Its path, ``spec`` or ``status``.
        schema: As ``structural`` makes it, with checks.
        rules: CEL rules on the whole of it that the schema does not hold.
    """
    table = _Table()
    table.note(root, {_RULES: list(rules)})
    table.note(root, schema)
    yield from table.below(root, schema)


class _Table:
    """Walks a schema; remembers rules until their field comes by, and objects that are told already."""

    def __init__(self) -> None:
        self._rules: dict[str, list[str]] = defaultdict(list)
        self._told: dict[str, str] = {}

    def note(self, path: str, schema: Json) -> None:
        """Remember the rules of a schema that its own checks do not say."""
        said = {f"must {check['allowed']}" for check in schema.get("checks", ())}
        if any("ipv4-network" in check.values() for check in schema.get("checks", ())):
            said.add("must be the network's own address, without host bits")
        for rule in schema.get(_RULES, ()):
            if rule["message"] not in said:
                self._rules[path + rule.get("fieldPath", "")].append(rule["message"])

    def below(self, path: str, schema: Json) -> Iterator[Row]:
        """Yield the fields inside an object, a list's items or a map's values."""
        for name, child in schema.get("properties", {}).items():
            yield from self._field(f"{path}.{name}", child, required=name in schema.get("required", ()))

    def _field(self, path: str, schema: Json, *, required: bool) -> Iterator[Row]:
        from_outside = frozenset(self._rules)
        self.note(path, schema)
        inner, inside = _inner(path, schema)
        if inner is not schema:
            self.note(inside, inner)
        told = self._tell(inside, inner)
        yield Row(
            path=path,
            kind=_type(schema) + (f", as `{told}`" if told else ""),
            default="**required**" if required else _default(schema),
            allowed=_allowed(schema),
            says=_sentences(schema.get("description", ""), self._rules.pop(path, [])),
        )
        # Of an object that is told already only what is said about this one alone.
        yield from (row for row in self.below(inside, inner) if not told or row.path in from_outside)

    def _tell(self, path: str, schema: Json) -> str:
        """Return where an object like this one was told before; empty: nowhere, and from now on here."""
        if "properties" not in schema:
            return ""
        there = self._told.setdefault(_identity(schema), path)
        return "" if there == path else there


def _kind(kind: Kind) -> Iterator[str]:
    yield f"## {kind.name}"
    yield ""
    yield f"{kind.description} Short `{kind.short}`, plural `{kind.plural}`."
    yield ""
    for rule in kind.root_rules:
        yield f"`metadata{rule['fieldPath'].removeprefix('.metadata')}` {rule['message']}."
        yield ""
    yield from _section(kind, "spec", structural(kind.spec, checks=True), kind.rules)
    if kind.status is not None:
        yield from _section(kind, "status", structural(kind.status, checks=True))
    yield f"### {kind.name}: columns"
    yield ""
    yield "Those in italics are shown with `--output wide` only."
    yield ""
    yield "| column | says |"
    yield "|---|---|"
    for column in kind.columns:
        mark = "*" if column.wide else ""
        yield f"| {mark}{column.name}{mark} | {column.description} |"
    yield ""


def _section(kind: Kind, root: str, schema: Json, rules: Iterable[Mapping[str, str]] = ()) -> Iterator[str]:
    yield f"### {kind.name}: {root}"
    yield ""
    yield "| field | type | default | allowed | says |"
    yield "|---|---|---|---|---|"
    for row in rows(root, schema, rules):
        yield row.line()
    yield ""


def _inner(path: str, schema: Json) -> tuple[Json, str]:
    """Return what a field holds, with its path: the items of a list, the values of a map, or the field itself."""
    if "items" in schema:
        return schema["items"], f"{path}[]"
    if isinstance(schema.get("additionalProperties"), dict):
        return schema["additionalProperties"], f"{path}.*"
    return schema, path


def _identity(schema: Json) -> str:
    """Return what two objects have in common that are told alike."""
    plain = {key: value for key, value in schema.items() if key not in ("description", "default", _RULES)}
    return json.dumps(plain, sort_keys=True)


def _type(schema: Json) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    for check in schema.get("checks", ()):
        if "duration" in check:
            return "duration"
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return "date" if schema.get("format") == "date-time" else str(schema["type"])


def _default(schema: Json) -> str:
    default = schema.get("default")
    if default in (None, "", {}):
        return "—"
    return f"`{json.dumps(default) if isinstance(default, bool) else default}`"


def _allowed(schema: Json) -> str:
    found = [_checked(check) for check in schema.get("checks", ())]
    if "enum" in schema:
        found.append(", ".join(f"`{each}`" if each else "empty" for each in schema["enum"]))
    found.append(_between(schema.get("minimum"), schema.get("maximum")))
    if not found[0]:
        found.append(_between(schema.get("minLength"), schema.get("maxLength"), "characters"))
    found.append(_between(schema.get("minItems"), schema.get("maxItems"), "items"))
    found.append(_between(schema.get("minProperties"), schema.get("maxProperties"), "entries"))
    inner, _ = _inner("", schema)
    if inner is not schema and "properties" not in inner:
        each = _allowed(inner)
        found.append(f"each: {each}" if each else "")
    return "; ".join(filter(None, found))


def _checked(check: Mapping[str, Any]) -> str:
    if "duration" in check:
        low, high = check["duration"]
        return f"{low} to {high}"
    return str(check["allowed"]).removeprefix("be ")


def _between(low: int | None, high: int | None, what: str = "") -> str:
    if high is None:
        return "" if low is None else f"at least {low} {what}".rstrip()
    return (f"at most {high} {what}" if low in (None, 0) and what else f"{low or 0} to {high} {what}").rstrip()


def _sentences(description: str, rules: Iterable[str]) -> str:
    """Return a description with what rules say of the field."""
    text = description.rstrip(".") + "." if description else ""
    for rule in rules:
        said = f"It {rule}" if rule.startswith(_ABOUT_THE_FIELD) else rule
        text += f" {said}" + ("" if said.endswith((".", "?")) else ".")
    return " ".join(text.split())
