"""The generated definitions: they say what the types say, and hold nothing that the API server refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import yaml
from msgspec import Meta

from twinlease.api.crds import KINDS, Kind, definitions
from twinlease.api.pair import PairSpec
from twinlease.api.rules import between, immutable, rule, text, validations
from twinlease.api.schema import structural
from twinlease.api.server import ServerSpec
from twinlease.api.types import Duration, Model
from twinlease.cli.crds import manifest

ROOT = Path(__file__).resolve().parents[3]
CRDS = ROOT / "crds"
FORBIDDEN = {"$ref", "$defs", "definitions", "title", "propertyNames", "patternProperties", "uniqueItems", "const"}


def schemas(node: object) -> Iterator[dict[str, Any]]:
    """Yield every schema inside a schema, itself included."""
    assert isinstance(node, dict)
    yield node
    for child in node.get("properties", {}).values():
        yield from schemas(child)
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from schemas(node[key])


def root(name: str) -> dict[str, Any]:
    return dict(definitions()[name]["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


@pytest.mark.parametrize("directory", ["crds", "charts/twinlease/files/crds"])
def test_the_files_say_what_the_types_say(directory: str) -> None:
    expected = {name: manifest(definition) for name, definition in definitions().items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / directory).iterdir()}
    assert found == expected, "run `make crds`"


def test_the_files_are_yaml_of_the_definitions() -> None:
    for name, definition in definitions().items():
        assert yaml.safe_load((CRDS / name).read_text(encoding="utf-8")) == definition


@pytest.mark.parametrize("name", list(definitions()))
def test_no_construct_that_the_api_server_refuses(name: str) -> None:
    for schema in schemas(root(name)):
        assert not FORBIDDEN & schema.keys()
        assert "anyOf" not in schema
        assert not ("properties" in schema and "additionalProperties" in schema)
        assert "type" in schema or schema.get("x-kubernetes-int-or-string") is True
        assert not [key for key in schema if key.startswith(("rules: ", "check"))]
        if schema.get("type") == "array":
            assert "maxItems" in schema, "CEL's cost and etcd's size need a bound"


def properties(name: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property below a schema with its path."""
    for key, child in node.get("properties", {}).items():
        yield f"{name}.{key}", child
        yield from properties(f"{name}.{key}", child)
    if "items" in node:
        yield from properties(f"{name}[]", node["items"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_is_described(kind: Kind) -> None:
    found = [*properties("spec", structural(kind.spec))]
    if kind.status is not None:
        found += properties("status", structural(kind.status))
    assert [path for path, schema in found if "description" not in schema] == []


def test_a_list_map_key_is_required_or_has_a_default() -> None:
    for name in definitions():
        for schema in schemas(root(name)):
            for key in schema.get("x-kubernetes-list-map-keys", []):
                items = schema["items"]
                assert key in items.get("required", []) or "default" in items["properties"][key]


def test_defaults_come_from_the_structs() -> None:
    properties = structural(PairSpec)["properties"]
    assert properties["omapiPort"]["default"] == 7911
    assert properties["engine"]["default"] == "ISC"
    assert type(properties["engine"]["default"]) is str
    assert properties["failover"]["default"] == {}
    assert properties["failover"]["properties"]["mclt"]["default"] == "30m"
    assert "default" not in properties["tolerations"]
    assert "default" not in properties["primary"]


def test_a_quantity_is_int_or_string() -> None:
    claim = structural(PairSpec)["properties"]["storage"]["properties"]["persistentVolumeClaim"]
    size = claim["properties"]["size"]
    assert size["x-kubernetes-int-or-string"] is True
    assert "type" not in size


def test_rules_of_several_annotations_add_up() -> None:
    class Sample(Model, frozen=True, kw_only=True):
        value: Annotated[Duration, between("1s", "1h"), immutable("for a reason"), Meta(description="Text.")]

    schema = structural(Sample)["properties"]["value"]
    assert len(schema["x-kubernetes-validations"]) == 2
    assert schema["description"] == "Text."


def test_checks_of_our_own_are_kept_on_demand_only() -> None:
    class Sample(Model, frozen=True, kw_only=True):
        value: Annotated[str, validations(rule("self != ''", "must not be empty"), check={"format": "ipv4"})]

    assert "checks" not in structural(Sample)["properties"]["value"]
    assert structural(Sample, checks=True)["properties"]["value"]["checks"] == [{"format": "ipv4"}]


def test_a_type_without_schema_is_refused() -> None:
    class Sample(Model, frozen=True, kw_only=True):
        value: int | str

    with pytest.raises(TypeError, match="no structural schema"):
        structural(Sample)


def test_a_cel_literal_is_quoted() -> None:
    assert text(r"a'b\c") == r"'a\'b\\c'"


def test_a_message_expression_shows_the_value() -> None:
    assert rule("self > 0", "must be positive", value="string(self)")["messageExpression"] == (
        "'must be positive; found ' + string(self)"
    )


def test_a_server_can_be_told_the_ranges_that_ten_thousand_reservations_cut_a_pool_into() -> None:
    ranges = [{"start": "10.9.0.1", "end": "10.9.0.1"}] * 10_001
    told = {
        "pairRef": {"name": "lan"},
        "role": "primary",
        "failoverName": "lan",
        "pools": [{"name": "lan", "ranges": ranges}],
    }
    assert len(msgspec.convert(told, ServerSpec).pools[0].ranges) == len(ranges)
